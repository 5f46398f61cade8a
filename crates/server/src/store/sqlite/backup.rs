//! A mailbox file's way into a backup, while a server has it open, and back.
//!
//! What is here knows mailboxes; `file` knows how any SQLite file is copied and put in place.

mod erased;
mod file;
mod kept;
mod partial;
mod room;

use std::{
    ffi::OsStr,
    fmt, fs, io,
    path::{Path, PathBuf},
};

pub use super::check::{CheckError, Checked, FINDINGS_MAX, Finding, check_mailbox};
use rusqlite::Connection;

use super::{
    OpenError, messages, own_log,
    presence::{self, Lock},
    schema, sign_outs,
};
pub use file::{BackupError, Progress, Replaced, copy, discard, put_in_place, stamp};
pub(super) use file::{checking, open_to_read};
pub use kept::keep_newest;
pub use partial::Claim;

/// The mailbox's file in a data folder.
pub const MAILBOX_FILE: &str = "mailbox.db";

/// What restoring does with the file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and nothing is restored.
    Refuse,
    /// It is kept under another name.
    PutAside,
}

/// Why nothing was restored. What was there before is there still.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The backup cannot be read, or the copy cannot be written.
    #[error(transparent)]
    Copy(#[from] BackupError),
    /// It is some other file.
    #[error("{} is no backup of a mailbox; name the file that `backup` wrote", .0.display())]
    NotAMailbox(PathBuf),
    /// There is one already.
    #[error(
        "{} is there already; with --replace it is kept under another name and the backup takes \
         its place", .0.display()
    )]
    Occupied(PathBuf),
    /// A folder was named, and what to restore is a file.
    #[error("{} is a folder; name the file in it, such as {}", folder.display(), file.display())]
    Folder {
        /// What was named.
        folder: PathBuf,
        /// The newest in it that may be meant.
        file: PathBuf,
    },
    /// Nothing was copied back.
    #[error(
        "there is no {}, so there is no epoch to renew; copy it back first, or start without \
         --new-epoch", .0.display()
    )]
    NothingToRenew(PathBuf),
    /// The folder is in use, or a newer version of this program wrote the backup.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// What a backup has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackedUp {
    /// The file's.
    pub bytes: u64,
    /// How many messages a disk, or somebody, has changed in the file. They are in the backup as they
    /// are; no server delivers them.
    pub changed_messages: u64,
}

impl fmt::Display for BackedUp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} MB backed up; secrets are not in it", file::megabytes(self.bytes))?;
        match self.changed_messages {
            0 => Ok(()),
            count => write!(
                formatter,
                "; {count} of its messages were changed in the file and will not be delivered: an \
                 older backup may have them"
            ),
        }
    }
}

/// What a restore has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// Where the mailbox of before is kept, if there was one.
    pub replaced: Option<Replaced>,
    /// Whether who was signed out in the mailbox of before stays so. If not, sign them out again.
    pub knows_sign_outs: bool,
}

/// What to say of a restore to whoever asked for it: see [`Restored::knows_sign_outs`].
#[must_use]
pub fn about_sign_outs(are_known: bool) -> &'static str {
    if are_known {
        "who was signed out in the mailboxes that were replaced stays so"
    } else {
        "who was signed out after the backup was taken is not any more: sign them out again with `tetherline sign-out`"
    }
}

/// Copies the mailbox in a data folder to a new file, as it is at this moment, while a server goes
/// on writing it. The copy is on the disk and proven to be whole when this returns, and has nothing of
/// anybody who was erased.
pub fn back_up_mailbox(
    data: &Path,
    to: &Path,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<BackedUp, BackupError> {
    let from = data.join(MAILBOX_FILE);
    own_log::expect_own(&from)?;
    expect_mailbox(&from)?;
    let finish = |copy: &Connection| {
        // Whoever copies it over a mailbox by hand may leave that one's log there.
        if schema::version(copy)? == schema::NEWEST {
            copy.pragma_update(None, "application_id", own_log::WHOLE_ID)?;
        }
        erased::delete(copy)
    };
    let copied = file::copy_with(&from, to, progress, finish, messages::count_changed)?;
    let (bytes, changed_messages) = copied;
    Ok(BackedUp { bytes, changed_messages })
}

/// Puts a backup in the place of a data folder's mailbox, as another history: every page is told that
/// it may have missed something, and reads on from what its device has acknowledged. Whoever was signed out in
/// the mailbox of before stays so, if that can be read. Nobody may have the folder open.
pub fn restore_mailbox(
    from: &Path,
    data: &Path,
    existing: Existing,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Restored, RestoreError> {
    let path = data.join(MAILBOX_FILE);
    expect_file(from)?;
    presence::create_folder(&path)?;
    let mut lock = Lock::take(&path)?;
    if existing == Existing::Refuse && path.exists() {
        return Err(RestoreError::Occupied(path));
    }
    let restoring = data.join("mailbox.db.restoring");
    // One that was interrupted left it.
    discard(&restoring)?;
    copy(from, &restoring, progress)?;
    let renewed = begin_another_history(from, &restoring);
    if let Err(error) = renewed {
        discard(&restoring)?;
        return Err(error);
    }
    // What is damaged is restored for that. A log that is another's would be put into the file.
    let knows_sign_outs = path.exists()
        && own_log::is_anothers(&path).is_ok_and(|is_anothers| !is_anothers)
        && sign_outs::carry_over(&path, &restoring)
            .inspect_err(|error| tracing::debug!(%error, "sign-outs were not carried over"))
            .is_ok();
    let failed = |source| BackupError::File { path: restoring.clone(), source };
    own_log::end(&restoring).map_err(failed)?;
    let replaced = put_in_place(&restoring, &path)?;
    lock.has_a_mailbox();
    Ok(Restored { replaced, knows_sign_outs })
}

/// Has a data folder's mailbox count in another history from now on: for who copied its file back by
/// other means. Nobody may have the folder open.
pub fn renew_epoch(data: &Path) -> Result<(), RestoreError> {
    let path = data.join(MAILBOX_FILE);
    if !path.exists() {
        return Err(RestoreError::NothingToRenew(path));
    }
    let _lock = Lock::take(&path)?;
    own_log::begin(&path)?;
    begin_another_history(&path, &path)?;
    own_log::end(&path).map_err(|source| BackupError::File { path, source }.into())
}

fn expect_file(from: &Path) -> Result<(), RestoreError> {
    if !from.is_dir() {
        return Ok(());
    }
    let failed = |source| BackupError::File { path: from.into(), source };
    let entries: io::Result<Vec<_>> = fs::read_dir(from).map_err(failed)?.collect();
    let paths = entries.map_err(failed)?.into_iter().map(|entry| entry.path());
    let is_mailbox = |path: &PathBuf| {
        let name = path.file_stem().and_then(OsStr::to_str);
        name.is_some_and(|name| name.starts_with("mailbox"))
            && path.extension().is_some_and(|kind| kind == "db")
    };
    // They are named after the time.
    match paths.filter(is_mailbox).max() {
        Some(file) => Err(RestoreError::Folder { folder: from.into(), file }),
        None => Err(BackupError::Missing(from.join(MAILBOX_FILE)).into()),
    }
}

/// Whoever restores the copy some day is to have mailboxes.
fn expect_mailbox(from: &Path) -> Result<(), BackupError> {
    let connection = open_to_read(from)?;
    let looked = schema::version(&connection)
        .and_then(|version| Ok((version, schema::has_tables(&connection)?)));
    let not = |problem: String| BackupError::NotAMailbox { path: from.into(), problem };
    match looked {
        Ok((version, true)) if version > schema::NEWEST => {
            Err(BackupError::Newer { version, newest: schema::NEWEST })
        }
        Ok((_, true)) => Ok(()),
        Ok((_, false)) => Err(not("it has other tables, or none".to_owned())),
        Err(error) if schema::is_damage(&error) => Err(not(error.to_string())),
        Err(source) => Err(BackupError::Sqlite { path: from.into(), source }),
    }
}

/// `from` is what the operator named.
fn begin_another_history(from: &Path, path: &Path) -> Result<(), RestoreError> {
    let mut connection = schema::connect(path).map_err(OpenError::from)?;
    let sqlite = |source| BackupError::Sqlite { path: from.into(), source };
    if !schema::has_tables(&connection).map_err(sqlite)? {
        return Err(RestoreError::NotAMailbox(from.into()));
    }
    schema::migrate(&mut connection)?;
    schema::renew_epoch(&connection).map_err(sqlite)?;
    // This folds the log in and takes it away.
    connection.close().map_err(|(_, source)| sqlite(source))?;
    file::sync(path).map_err(|source| BackupError::File { path: path.into(), source })?;
    Ok(())
}
