//! What others wrote, for a terminal.

/// Longest text of somebody else's that is quoted, in characters.
const QUOTED_CHARACTERS_MAX: usize = 300;

/// The text on one line and of bounded length. What moves a cursor, changes colours or turns the writing
/// direction around is escaped, so that nobody is shown something else than what is there.
pub(crate) fn printable(text: &str) -> String {
    printable_up_to(QUOTED_CHARACTERS_MAX, text)
}

/// The same of another length.
pub(crate) fn printable_up_to(characters_max: usize, text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.trim().chars().enumerate() {
        if count == characters_max {
            shown.push('…');
            break;
        }
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_mislead_is_escaped_and_what_is_text_stays() {
        assert_eq!(printable("  Grüße, \"Ада\" 👍 \n"), "Grüße, \"Ада\" 👍");
        assert_eq!(printable("\u{1b}[31mred\r\n\u{202e}x"), r"\u{1b}[31mred\r\n\u{202e}x");
    }

    #[test]
    fn a_quotation_ends() {
        let longest = "x".repeat(QUOTED_CHARACTERS_MAX);
        assert_eq!(printable(&longest), longest);
        assert_eq!(printable(&(longest.clone() + "y")), longest + "…");
    }
}
