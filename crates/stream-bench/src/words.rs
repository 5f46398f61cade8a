//! Words that say when they were said.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

static BEGINNING: OnceLock<Instant> = OnceLock::new();

/// A moment, in microseconds since this program began.
pub(crate) type Moment = u64;

pub(crate) fn now() -> Moment {
    BEGINNING.get_or_init(Instant::now).elapsed().as_micros() as Moment
}

/// The instant of a moment, to wait for.
pub(crate) fn instant(moment: Moment) -> Instant {
    *BEGINNING.get_or_init(Instant::now) + Duration::from_micros(moment)
}

/// About twice as long as a model's words are.
pub(crate) fn word(moment: Moment) -> String {
    format!("{moment:08} ")
}

/// When each word was said. A text ends with a whole word, as it is never cut within what was added
/// together.
pub(crate) fn moments(text: &str) -> impl Iterator<Item = Moment> {
    text.split_ascii_whitespace().filter_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_when_it_was_said() {
        let text = format!("{}{}", word(7), word(12_345_678_901));
        assert_eq!(moments(&text).collect::<Vec<_>>(), [7, 12_345_678_901]);
    }
}
