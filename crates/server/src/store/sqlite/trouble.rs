//! Why a transaction failed, and whether somebody is to blame for it.

use rusqlite::{Error, ErrorCode};

use super::super::StoreError;
pub(super) use crate::trouble::{Trouble, Word};

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

#[cfg(test)]
mod tests {
    use super::*;

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
