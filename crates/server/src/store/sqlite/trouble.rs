//! What goes wrong again and again: said when it begins, now and then while it lasts, and when it is
//! over. A full disk fails every commit there is, and a line for each would fill the next disk.

use std::time::{Duration, Instant};

use rusqlite::{Error, ErrorCode};

use super::super::StoreError;

/// How often a trouble is said, however often it comes.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// So long after it was said it may be said to be over; one that comes and goes is one trouble.
const OVER_AFTER: Duration = Duration::from_secs(1);

/// Who can be to blame for a transaction that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// One of the commands in it: the others may do without it.
    Command,
    /// The file, the disk, or whoever else uses them: every command would fail alike.
    Store,
    /// The file is another one now: every command will fail, for ever.
    Gone,
}

/// Why a transaction failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) blame: Blame,
    pub(super) error: StoreError,
    pub(super) is_locked: bool,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let code = error.sqlite_error_code();
        let is_locked = matches!(code, Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked));
        Self { blame: blame(code), error: error.into(), is_locked }
    }
}

/// A damaged page counts as a command's: it may be one that only this command touches. `None` is what
/// SQLite has no part in, such as a row that is no message.
fn blame(code: Option<ErrorCode>) -> Blame {
    match code {
        None
        | Some(
            ErrorCode::ConstraintViolation
            | ErrorCode::TooBig
            | ErrorCode::TypeMismatch
            | ErrorCode::ParameterOutOfRange
            | ErrorCode::DatabaseCorrupt,
        ) => Blame::Command,
        Some(_) => Blame::Store,
    }
}

/// Something to be said about a trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// So many times since it was last said.
    Fails { times: u64 },
    /// So many times that were not said.
    Works { times: u64 },
}

/// One kind of trouble.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// When it was last said that something fails.
    said_at: Option<Instant>,
    /// It was said, and not that it is over.
    is_open: bool,
    times: u64,
}

impl Trouble {
    pub(super) fn failed(&mut self, now: Instant) -> Option<Word> {
        self.times += 1;
        if self.said_at.is_some_and(|at| now.saturating_duration_since(at) < SAY_EVERY) {
            return None;
        }
        (self.said_at, self.is_open) = (Some(now), true);
        Some(Word::Fails { times: std::mem::take(&mut self.times) })
    }

    pub(super) fn worked(&mut self, now: Instant) -> Option<Word> {
        let is_over = self.is_open
            && self.said_at.is_none_or(|at| now.saturating_duration_since(at) >= OVER_AFTER);
        is_over.then(|| {
            self.is_open = false;
            Word::Works { times: std::mem::take(&mut self.times) }
        })
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

    #[test]
    fn only_what_a_command_can_be_to_blame_for_is_its_fault() {
        use rusqlite::ffi;
        let of = |code| Fault::from(Error::SqliteFailure(ffi::Error::new(code), None)).blame;
        for code in [ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_TOOBIG, ffi::SQLITE_CORRUPT] {
            assert_eq!(of(code), Blame::Command, "{code}");
        }
        assert_eq!(Fault::from(Error::QueryReturnedNoRows).blame, Blame::Command);
        for code in [
            ffi::SQLITE_BUSY,
            ffi::SQLITE_BUSY_RECOVERY,
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_NOMEM,
            ffi::SQLITE_CANTOPEN,
        ] {
            assert_eq!(of(code), Blame::Store, "{code}");
        }
    }
}
