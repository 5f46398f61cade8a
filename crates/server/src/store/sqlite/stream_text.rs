//! The text of a stream, counted as its readers count: in UTF-16 units.

use tetherline_protocol::{
    StreamPosition,
    utf16::{self, TextHash},
};

/// Places that are remembered lie at least so far apart, and at most twice as far.
const MARK_EVERY_BYTES: usize = 256;

/// A text that only grows. What was added is shown once it is committed, or taken back.
#[derive(Debug, Default)]
pub(super) struct Text {
    content: String,
    end: Place,
    /// What readers see ends here.
    shown: Place,
    /// Places along the text, in order, so that an offset is found without counting from the start.
    marks: Vec<Place>,
}

/// A place between two characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    bytes: usize,
    units: u64,
}

/// Why a piece is no continuation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Another text is there, or the place is within a surrogate pair.
    Conflict,
    /// The text ends before it.
    Gap,
}

impl Text {
    /// Where it ends, in UTF-16 units, with what is not shown yet.
    pub(super) fn length(&self) -> u64 {
        self.end.units
    }

    /// All of it, with what is not shown yet.
    pub(super) fn as_str(&self) -> &str {
        &self.content
    }

    /// What a piece adds that belongs at `offset`; empty if it is there already.
    pub(super) fn news<'a>(&self, offset: Option<u64>, piece: &'a str) -> Result<&'a str, Misfit> {
        let Some(offset) = offset else { return Ok(piece) };
        if offset > self.end.units {
            return Err(Misfit::Gap);
        }
        let index = self.byte_index(offset).ok_or(Misfit::Conflict)?;
        let there = &self.content[index..];
        if there.len() >= piece.len() {
            return if there.starts_with(piece) { Ok("") } else { Err(Misfit::Conflict) };
        }
        piece.strip_prefix(there).ok_or(Misfit::Conflict)
    }

    /// Adds at the end. Readers do not see it yet.
    pub(super) fn push(&mut self, mut piece: &str) {
        self.content.push_str(piece);
        while !piece.is_empty() {
            let (head, rest) = piece.split_at(piece.floor_char_boundary(MARK_EVERY_BYTES));
            self.end.bytes += head.len();
            self.end.units += utf16::length(head);
            let marked = self.marks.last().map_or(0, |mark| mark.bytes);
            if self.end.bytes - marked >= MARK_EVERY_BYTES {
                self.marks.push(self.end);
            }
            piece = rest;
        }
    }

    /// What was added is committed.
    pub(super) fn show(&mut self) {
        self.shown = self.end;
    }

    /// Takes back what is not shown, and answers how many bytes that were.
    pub(super) fn take_back(&mut self) -> usize {
        let bytes = self.end.bytes - self.shown.bytes;
        self.end = self.shown;
        self.content.truncate(self.end.bytes);
        while self.marks.last().is_some_and(|mark| mark.bytes > self.end.bytes) {
            self.marks.pop();
        }
        bytes
    }

    /// What is shown from `offset` on, at most so many bytes of it, and where that ends, in UTF-16
    /// units. `None` if there is no such place in what is shown.
    pub(super) fn read(&self, offset: u64, bytes_max: usize) -> Option<(&str, u64)> {
        let from = self.byte_index(offset).filter(|&index| index <= self.shown.bytes)?;
        let shown = &self.content[from..self.shown.bytes];
        let piece = &shown[..shown.floor_char_boundary(bytes_max)];
        let end = if piece.len() == shown.len() {
            self.shown.units
        } else {
            offset + utf16::length(piece)
        };
        Some((piece, end))
    }

    /// Whether what is shown goes on after `offset`.
    pub(super) fn goes_on_after(&self, offset: u64) -> bool {
        offset < self.shown.units
    }

    /// Whether a reader's text up to its place can be this one.
    pub(super) fn agrees_with(&self, place: &StreamPosition) -> bool {
        let shown = self.byte_index(place.offset).filter(|&index| index <= self.shown.bytes);
        let hash = |index| TextHash::of(&self.content[..index]).get();
        shown.is_some_and(|index| place.hash.is_none_or(|told| told == hash(index)))
    }

    fn byte_index(&self, offset: u64) -> Option<usize> {
        if offset == self.end.units {
            return Some(self.end.bytes);
        }
        // As many bytes as units: all of it is ASCII.
        if self.end.units == self.end.bytes as u64 {
            return usize::try_from(offset).ok().filter(|&index| index <= self.end.bytes);
        }
        let after = self.marks.partition_point(|mark| mark.units <= offset);
        let near = after.checked_sub(1).map_or(Place::default(), |last| self.marks[last]);
        let until = self.marks.get(after).map_or(self.end.bytes, |mark| mark.bytes);
        let index = utf16::byte_index(&self.content[near.bytes..until], offset - near.units)?;
        Some(near.bytes + index)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::Config};

    use super::*;
    use crate::repeatable::repeatable;

    fn text(content: &str) -> Text {
        let mut text = Text::default();
        text.push(content);
        text.show();
        text
    }

    #[test]
    fn a_piece_adds_what_is_not_there_yet_and_must_equal_what_is() {
        let text = text("abc👍d");
        assert_eq!(text.news(None, "bc"), Ok("bc"));
        assert_eq!(text.news(Some(6), "e"), Ok("e"));
        assert_eq!(text.news(Some(5), "de"), Ok("e"));
        assert_eq!(text.news(Some(3), "👍"), Ok(""), "it is there");
        assert_eq!(text.news(Some(0), "abc👍d"), Ok(""));
        assert_eq!(text.news(Some(2), "x"), Err(Misfit::Conflict));
        assert_eq!(text.news(Some(5), "xe"), Err(Misfit::Conflict));
        assert_eq!(text.news(Some(4), "d"), Err(Misfit::Conflict), "within the pair");
        assert_eq!(text.news(Some(4), ""), Err(Misfit::Conflict), "there is no such place");
        assert_eq!(text.news(Some(7), "e"), Err(Misfit::Gap));
    }

    #[test]
    fn what_is_not_shown_is_not_read_and_can_be_taken_back() {
        let mut text = text("ä");
        let more = "👍".repeat(MARK_EVERY_BYTES);
        text.push(&more);
        assert_eq!(text.read(0, 100), Some(("ä", 1)));
        assert_eq!(text.read(3, 100), None, "nobody can have read so far");
        assert!(!text.goes_on_after(1));
        assert_eq!(text.length(), 1 + 2 * MARK_EVERY_BYTES as u64);
        assert_eq!(text.take_back(), more.len());
        assert_eq!((text.length(), text.as_str()), (1, "ä"));
        text.push("b");
        text.show();
        assert_eq!(text.read(1, 100), Some(("b", 2)));
    }

    #[test]
    fn no_piece_that_is_read_ends_within_a_character() {
        let text = text("a👍b");
        assert_eq!(text.read(0, 4), Some(("a", 1)), "one byte too few");
        assert_eq!(text.read(0, 5), Some(("a👍", 3)));
        assert_eq!(text.read(2, 5), None, "within the pair");
    }

    proptest! {
        #![proptest_config(Config { cases: 32, ..repeatable() })]

        #[test]
        fn every_offset_is_found_however_the_text_came(
            pieces in prop::collection::vec("[a-zä世👍\u{301}]{0,200}", 0..12),
        ) {
            let mut text = Text::default();
            for piece in &pieces {
                text.push(piece);
            }
            text.show();
            let whole = pieces.concat();
            for offset in 0..=utf16::length(&whole) + 1 {
                prop_assert_eq!(text.byte_index(offset), utf16::byte_index(&whole, offset));
            }
        }
    }
}
