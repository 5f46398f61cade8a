use alloc::string::String;

/// The longest text of somebody else's that an error quotes, in characters.
pub const QUOTED_CHARACTERS_MAX: usize = 64;

/// The beginning of a text that somebody else wrote, for an error: on one line, and with nothing that moves
/// a cursor or turns the writing direction around.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let (mut quoted, mut characters) = (String::new(), text.chars());
    for character in characters.by_ref().take(QUOTED_CHARACTERS_MAX) {
        match character {
            '"' | '\'' | '\\' => quoted.push(character),
            _ => quoted.extend(character.escape_debug()),
        }
    }
    if characters.next().is_some() {
        quoted.push('…');
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_short_and_shows_what_is_there() {
        let longest = "ü".repeat(QUOTED_CHARACTERS_MAX);
        assert_eq!(excerpt(&longest), longest);
        assert_eq!(excerpt(&(longest.clone() + "ü")), longest + "…");
        assert_eq!(excerpt("a\n\u{202e}\"b\\"), "a\\n\\u{202e}\"b\\");
    }
}
