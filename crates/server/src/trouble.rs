//! What goes wrong again and again: said when it begins, now and then while it lasts, and when it is
//! over. A full disk fails every commit there is, and a line for each would fill the next disk. The server's own
//! lines are written so, and an application's can be.
//!
//! ```
//! use tetherline_server::trouble::{SharedTrouble, Word};
//!
//! static TROUBLE: SharedTrouble = SharedTrouble::new();
//! let said = (0..1_000).filter_map(|_| TROUBLE.failed_now()).collect::<Vec<_>>();
//! assert_eq!(said, [Word::Fails { times: 1 }]);
//! ```

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::lock::lock;

/// How often a trouble is said, however often it comes.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// So long after it was said it may be said to be over; one that comes and goes is one trouble.
const OVER_AFTER: Duration = Duration::from_secs(1);

/// Something to be said about a trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It fails.
    Fails {
        /// So many times since it was last said.
        times: u64,
    },
    /// It works again.
    Works {
        /// So many times that were not said.
        times: u64,
    },
}

/// One kind of trouble.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// When it was last said that something fails.
    said_at: Option<Instant>,
    /// It was said, and not that it is over.
    is_open: bool,
    times: u64,
}

impl Trouble {
    pub(crate) fn failed(&mut self, now: Instant) -> Option<Word> {
        self.failed_so_often(1, now)
    }

    pub(crate) fn failed_so_often(&mut self, times: u64, now: Instant) -> Option<Word> {
        self.times = self.times.saturating_add(times);
        if self.said_at.is_some_and(|at| now.saturating_duration_since(at) < SAY_EVERY) {
            return None;
        }
        (self.said_at, self.is_open) = (Some(now), true);
        Some(Word::Fails { times: std::mem::take(&mut self.times) })
    }

    pub(crate) fn worked(&mut self, now: Instant) -> Option<Word> {
        let is_over = self.is_open
            && self.said_at.is_none_or(|at| now.saturating_duration_since(at) >= OVER_AFTER);
        is_over.then(|| {
            self.is_open = false;
            Word::Works { times: std::mem::take(&mut self.times) }
        })
    }
}

/// The same for many at once, on the real clock.
#[derive(Debug, Default)]
pub struct SharedTrouble(Mutex<Trouble>);

impl SharedTrouble {
    /// There was none so far.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Trouble { said_at: None, is_open: false, times: 0 }))
    }

    /// It came once more. Answers whether to say so.
    pub fn failed_now(&self) -> Option<Word> {
        self.failed_so_often_now(1)
    }

    /// The same for so many times.
    pub fn failed_so_often_now(&self, times: u64) -> Option<Word> {
        lock(&self.0).failed_so_often(times, Instant::now())
    }

    /// It did not come this time. Answers whether to say that it is over.
    pub fn worked_now(&self) -> Option<Word> {
        lock(&self.0).worked(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_said_when_it_begins_now_and_then_and_when_it_is_over() {
        // A full disk printed 12,000 lines a second.
        let (start, mut trouble) = (Instant::now(), Trouble::default());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(trouble.worked(at(0)), None, "there was none");
        assert_eq!(trouble.failed(at(0)), Some(Word::Fails { times: 1 }));
        for ms in 1..10_000 {
            assert_eq!(trouble.failed(at(ms)), None);
        }
        assert_eq!(trouble.failed(at(10_000)), Some(Word::Fails { times: 10_000 }));
        assert_eq!(trouble.failed(at(10_001)), None);
        assert_eq!(trouble.worked(at(10_999)), None, "it may come back at once");
        assert_eq!(trouble.worked(at(11_000)), Some(Word::Works { times: 1 }));
        assert_eq!(trouble.worked(at(11_001)), None);
        assert_eq!(trouble.failed(at(11_002)), None, "one that comes and goes floods nothing");
        assert_eq!(trouble.failed(at(20_000)), Some(Word::Fails { times: 2 }));
    }
}
