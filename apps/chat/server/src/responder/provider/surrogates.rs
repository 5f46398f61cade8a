//! Text in JSON that is cut in the middle of a character. Servers that count as JavaScript does send
//! the two halves of a surrogate pair in two pieces (`"\ud83d"`, then `"\udc4d"`), which are no text
//! each.

use std::{char::decode_utf16, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

/// A piece of text as it came: UTF-8 in which halves of pairs may stand alone (WTF-8).
#[derive(Debug, Default)]
pub(super) struct Piece(Vec<u8>);

/// Puts pieces together.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    /// The first half of a pair, whose second is to come.
    half: Option<u16>,
}

impl Joiner {
    pub(super) fn push(&mut self, piece: &Piece, text: &mut String) {
        let mut rest = piece.0.as_slice();
        while !rest.is_empty() {
            if let Some((unit, after)) = half_of_a_pair(rest) {
                self.push_half(unit, text);
                rest = after;
                continue;
            }
            self.finish(text);
            let end = rest.windows(2).position(begins_half).unwrap_or(rest.len());
            let (whole, after) = rest.split_at(end);
            text.push_str(&String::from_utf8_lossy(whole));
            rest = after;
        }
    }

    /// A half whose other one did not come is a character that is not known.
    pub(super) fn finish(&mut self, text: &mut String) {
        if self.half.take().is_some() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }

    fn push_half(&mut self, unit: u16, text: &mut String) {
        let is_first = unit < 0xDC00;
        match self.half.take() {
            Some(first) if !is_first => text.extend(decode_utf16([first, unit]).flatten()),
            before => {
                self.half = before;
                self.finish(text);
                self.half = Some(unit);
                if !is_first {
                    self.finish(text);
                }
            }
        }
    }
}

/// No character of UTF-8 begins like this.
fn begins_half(bytes: &[u8]) -> bool {
    matches!(bytes, [0xED, 0xA0..=0xBF, ..])
}

fn half_of_a_pair(bytes: &[u8]) -> Option<(u16, &[u8])> {
    match bytes {
        [0xED, second @ 0xA0..=0xBF, third, rest @ ..] => {
            let unit = 0xD000 | (u16::from(second & 0x3F) << 6) | u16::from(third & 0x3F);
            Some((unit, rest))
        }
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Piece {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As bytes, because `serde_json` refuses half a pair in what is to be text.
        deserializer.deserialize_byte_buf(PieceVisitor)
    }
}

struct PieceVisitor;

impl<'de> Visitor<'de> for PieceVisitor {
    type Value = Piece;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("text, or a list of parts with text")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Piece, E> {
        Ok(Piece(bytes.to_vec()))
    }

    /// Some servers send content in parts, of which those that are text are an answer's.
    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Piece, A::Error> {
        #[derive(Deserialize)]
        struct Part {
            text: Option<Piece>,
        }
        let mut whole = Piece::default();
        while let Some(Part { text }) = parts.next_element()? {
            whole.0.extend(text.unwrap_or_default().0);
        }
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(pieces: &[&str]) -> String {
        let (mut joiner, mut text) = (Joiner::default(), String::new());
        for piece in pieces {
            joiner.push(&serde_json::from_str(piece).unwrap(), &mut text);
        }
        joiner.finish(&mut text);
        text
    }

    #[test]
    fn a_character_that_comes_in_two_halves_is_one() {
        assert_eq!(joined(&[r#""a\ud83d""#, r#""\udc4d\ud83d""#, r#""\udc4db""#]), "a👍👍b");
        assert_eq!(joined(&[r#""\ud83d\udc4d ü€👍 \ud7ff\ue000""#]), "👍 ü€👍 \u{d7ff}\u{e000}");
    }

    #[test]
    fn half_a_character_whose_other_half_never_comes_is_shown_as_unknown() {
        assert_eq!(joined(&[r#""a\ud83d""#, r#""b""#]), "a\u{fffd}b");
        assert_eq!(joined(&[r#""\ud83d""#, r#""\ud83d\udc4d""#]), "\u{fffd}👍");
        assert_eq!(joined(&[r#""\udc4da\udc4d""#, r#""\ud83d""#]), "\u{fffd}a\u{fffd}\u{fffd}");
    }

    #[test]
    fn of_content_in_parts_the_text_counts() {
        let parts = r#"[{"type":"thinking"},{"type":"text","text":"a\ud83d"},{"text":null},{"text":"\udc4d"}]"#;
        assert_eq!(joined(&[parts]), "a👍");
    }
}
