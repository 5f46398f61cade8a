//! Whether the write-ahead log beside a mailbox is its own. SQLite asks only whether a log is one: whoever lays another
//! store's beside a mailbox, or copies a backup over a mailbox whose log stays, has its pages replaced.
//!
//! A file that is whole by itself says so in its header, in the field that SQLite leaves to applications
//! (`application_id`): one that a server has closed, and every backup. Whoever opens it to write takes that back first,
//! and nobody writes a log before that is on the disk. So a file that says so never has a log of its own, whenever
//! somebody is killed; one that does not say so, such as one of a server that was, may have one. Only whoever has the lock
//! changes it, and no program of before there were such files opens one: their format is newer.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

use super::{
    OpenError,
    backup::BackupError,
    paths::{owners_only, sibling},
    presence::Lock,
    schema,
};

/// Where the field is in a file of SQLite's, and what is there in one that has no log. It is zero otherwise.
const FIELD_AT: u64 = 68;
const WHOLE: [u8; 4] = *b"TLwh";
/// The same for SQLite.
pub(super) const WHOLE_ID: i32 = i32::from_be_bytes(WHOLE);

/// Whether a file that has no log of its own has one beside it.
pub(super) fn is_anothers(path: &Path) -> io::Result<bool> {
    // In this order: whoever opens it meanwhile takes the word back before there is a log.
    Ok(has_log(path)? && is_whole(path)? && has_log(path)?)
}

/// Refuses a log that is another's, for whoever only reads: they would read its pages as those of the file. Whoever serves
/// the file has a log of its own, and is maybe this very process, in which nobody else opens and closes the file: that
/// would give back the locks that SQLite has on it.
pub(super) fn expect_own(path: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::File { path: path.into(), source };
    if path.is_file() && Lock::is_free(path) && is_anothers(path).map_err(failed)? {
        return Err(BackupError::AnothersLog(path.into()));
    }
    Ok(())
}

/// Has the file not say any more that it is whole by itself, as somebody is about to write it. Refused if there is
/// another's log beside it: nothing is written then, and nothing into what is no mailbox of ours.
pub(super) fn begin(path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::File { path: path.into(), source };
    if !is_whole(path).map_err(failed)? {
        return Ok(());
    }
    if has_log(path).map_err(failed)? {
        return Err(OpenError::AnothersLog(path.into()));
    }
    let version = {
        // Closed before the field is written: whoever closes a file gives back the locks that SQLite has on it.
        let connection = schema::connect_to_mailbox(path)?;
        schema::version(&connection)?
    };
    if version <= schema::NEWEST { say(path, [0; 4]).map_err(failed) } else { Ok(()) }
}

/// Has the file say that it is whole by itself, if it is. Whoever had it open has closed it, and has the lock still.
pub(super) fn end(path: &Path) -> io::Result<()> {
    let is_gone = |suffix| !sibling(path, suffix).exists();
    if !is_gone("-wal") || !is_gone("-journal") {
        return Ok(());
    }
    // The log is gone from the disk before anything says so.
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    say(path, WHOLE)
}

fn has_log(path: &Path) -> io::Result<bool> {
    match fs::metadata(sibling(path, "-wal")) {
        // Whoever reads a file makes an empty one.
        Ok(log) => Ok(log.len() > 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_whole(path: &Path) -> io::Result<bool> {
    let mut field = [0; 4];
    match File::open(path)?.read_exact_at(&mut field, FIELD_AT) {
        Ok(()) => Ok(field == WHOLE),
        // It is no file of SQLite's, which others say.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn say(path: &Path, field: [u8; 4]) -> io::Result<()> {
    let file = owners_only().open(path)?;
    // Into what is there, and never behind the end of a file that is none.
    if file.metadata()?.len() < FIELD_AT + 4 {
        return Ok(());
    }
    file.write_all_at(&field, FIELD_AT)?;
    file.sync_data()
}
