//! Copying one SQLite file while others use it, and putting one in another's place.

use std::{
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use super::{
    super::paths::{Identity, sibling},
    partial::Partial,
    room,
};
use crate::clock;

/// How long to wait for somebody who has the file for themselves, such as a checkpoint of another
/// program.
const BUSY_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is told how far a copy has come, and after how long first.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// How far a backup has come. It is told every two seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many bytes of about so many are written.
    Copying {
        /// In the new file.
        bytes: u64,
        /// As many as it will have, more or less.
        bytes_total: u64,
    },
    /// All is written, and is read again.
    Checking,
}

impl fmt::Display for Progress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Copying { bytes, bytes_total } => {
                let (done, total) = (megabytes(bytes), megabytes(bytes_total));
                write!(formatter, "copying: {done} of {total} MB")
            }
            Self::Checking => formatter.write_str("checking the file"),
        }
    }
}

/// For people, such as `12.3`.
pub(super) fn megabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100_000);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Why there is no copy. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is nothing to copy.
    #[error("there is no {}; name the folder or file that has it", .0.display())]
    Missing(PathBuf),
    /// It would overwrite something.
    #[error("{} is there already, and is not overwritten; name another file", .0.display())]
    Exists(PathBuf),
    /// It would overwrite what it is to copy.
    #[error("{} is what is to be copied; name another place for the copy", .0.display())]
    IsTheSource(PathBuf),
    /// It would lie where the next start, or restore, deletes what is not its own.
    #[error("{} is a name that the mailboxes themselves use; name another file for the copy", .0.display())]
    IsItsOwn(PathBuf),
    /// It is some other file.
    #[error("{} is no mailbox ({problem}); name the server's data folder", path.display())]
    NotAMailbox {
        /// Which file.
        path: PathBuf,
        /// What it is instead.
        problem: String,
    },
    /// A newer version of this program wrote it.
    #[error(
        "the file has format {version}, but this program knows only {newest}; back it up with the newer one"
    )]
    Newer {
        /// The file's format.
        version: usize,
        /// The newest that is known here.
        newest: usize,
    },
    /// Its pages would be read as those of the file.
    #[error(
        "{}-wal is not its own log: the mailbox was closed in order, or is a backup. Nothing was read of it; move that file \
         away, and try again", .0.display()
    )]
    AnothersLog(PathBuf),
    /// Another one is under way.
    #[error("another backup is writing {}; wait for it, or name another file", .0.display())]
    UnderWay(PathBuf),
    /// The copy would not fit. Nothing of it was written.
    #[error(
        "{} takes about {} MB, and its disk has room for {} MB: make room, or name a place on another disk",
        path.display(), megabytes(*needed_bytes), megabytes(free_bytes.saturating_sub(99_999))
    )]
    NoRoom {
        /// Where it was to be.
        path: PathBuf,
        /// As many as it would have, more or less: what is in the file and in its log.
        needed_bytes: u64,
        /// As many as may be written there.
        free_bytes: u64,
    },
    /// A file cannot be read or written.
    #[error("cannot use {}: {source}; choose a place that can be written, with room enough", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// SQLite cannot read the one or write the other.
    #[error("cannot copy {}: {source}; check the file and the disk's room", path.display())]
    Sqlite {
        /// What is to be copied.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// What is to be copied is broken.
    #[error("{} is damaged ({problem}); no copy of it is kept", path.display())]
    Damaged {
        /// What is to be copied.
        path: PathBuf,
        /// The first thing that SQLite found.
        problem: String,
    },
}

/// Where a file is kept whose place another one took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced(pub PathBuf);

/// Copies an SQLite file to a new one as it is at this moment, its log included, while others read and
/// write it. The copy is its owner's only, has nothing of what was deleted, and is checked and on the
/// disk when this returns; until then it has another name. Answers its bytes.
///
/// Whoever writes the file meanwhile is not held up. Their log grows until the copy is done.
pub fn copy(
    from: &Path,
    to: &Path,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<u64, BackupError> {
    copy_with(from, to, progress, |_| Ok(false), |_| Ok(())).map(|(bytes, ())| bytes)
}

/// The same for a file of which more is known: `delete` takes out of the copy what is not to be in it,
/// and answers whether there was anything; `check` reads what is left.
pub(super) fn copy_with<T>(
    from: &Path,
    to: &Path,
    progress: &(dyn Fn(Progress) + Sync),
    delete: impl FnOnce(&Connection) -> rusqlite::Result<bool>,
    check: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<(u64, T), BackupError> {
    let (from, to) = (absolute(from)?, absolute(to)?);
    if !from.is_file() {
        return Err(BackupError::Missing(from));
    }
    if to.exists() {
        let is_same = same_file(&from, &to);
        return Err(if is_same { BackupError::IsTheSource(to) } else { BackupError::Exists(to) });
    }
    if is_its_own(&from, &to) {
        return Err(BackupError::IsItsOwn(to));
    }
    let partial = Partial::create(&to)?;
    let sqlite = |source| BackupError::Sqlite { path: from.clone(), source };
    let source = open_source(&from).map_err(sqlite)?;
    let bytes_total = size_of(&source).map_err(sqlite)?;
    // Not before: what was left there of one that was killed is gone now.
    room::expect(&to, bytes_total)?;
    let written = || fs::metadata(&partial.path).map_or(0, |metadata| metadata.len());
    telling(
        progress,
        || Progress::Copying { bytes: written(), bytes_total },
        || {
            // Not the online backup API: that starts over whenever somebody writes, or copies what was
            // deleted as well.
            vacuum(&source, &partial.path).map_err(sqlite)?;
            drop(source);
            let copy = scratch(&partial.path).map_err(sqlite)?;
            if delete(&copy).map_err(sqlite)? {
                let next = partial.create_next()?;
                vacuum(&copy, &next).map_err(sqlite)?;
                drop(copy);
                partial.replace(&next)?;
            }
            Ok(())
        },
    )?;
    let checked = telling(
        progress,
        || Progress::Checking,
        || {
            let copy = read_only(&partial.path).map_err(sqlite)?;
            is_whole(&copy, &from)?;
            check(&copy).map_err(sqlite)
        },
    )?;
    let bytes = written();
    partial.finish(&to)?;
    Ok((bytes, checked))
}

/// For whoever reads a whole file, as it is at this moment.
pub(in crate::store::sqlite) fn open_to_read(path: &Path) -> Result<Connection, BackupError> {
    let path = absolute(path)?;
    if !path.is_file() {
        return Err(BackupError::Missing(path));
    }
    open_source(&path).map_err(|source| BackupError::Sqlite { path, source })
}

/// Says that it is being read for as long as that takes.
pub(in crate::store::sqlite) fn checking<T>(
    progress: &(dyn Fn(Progress) + Sync),
    task: impl FnOnce() -> T,
) -> T {
    telling(progress, || Progress::Checking, task)
}

/// Gives a file that nobody has open the name of another, which keeps its content under a new one.
pub fn put_in_place(new: &Path, path: &Path) -> Result<Option<Replaced>, BackupError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::File { path, source }
    };
    let aside = sibling(path, &format!(".replaced-{}", stamp()));
    let mut replaced = None;
    // The file first: its log alone says nothing, and a new file must never meet an old log.
    for suffix in ["", "-wal"] {
        let (old, kept) = (sibling(path, suffix), sibling(&aside, suffix));
        match fs::rename(&old, &kept) {
            Ok(()) => replaced = Some(Replaced(aside.clone())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&old)(error)),
        }
    }
    discard(&sibling(path, "-shm"))?;
    fs::rename(new, path).map_err(failed(path))?;
    sync_folder_of(path).map_err(failed(path))?;
    Ok(replaced)
}

/// Deletes a file and what SQLite has beside it, if they are there.
pub fn discard(path: &Path) -> Result<(), BackupError> {
    for suffix in ["", "-wal", "-shm", "-journal", "-next", ".partial", ".partial-next"] {
        let path = sibling(path, suffix);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(BackupError::File { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The time for a file's name, such as `20261130T021500.123Z`.
#[must_use]
pub fn stamp() -> String {
    clock::rfc3339(clock::now_ms()).as_str().replace(['-', ':'], "")
}

pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => sync(folder),
        None => Ok(()),
    }
}

/// A file that nobody has open has no log. Reading it makes one, and only who may write takes it away
/// again; there is nothing in it to fold in.
fn open_source(path: &Path) -> rusqlite::Result<Connection> {
    if sibling(path, "-wal").exists() {
        return read_only(path);
    }
    // Who may not write gets one to read.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_PATIENCE)?;
    Ok(connection)
}

/// A copy that is thrown away if anything fails, so nothing has to be undone.
fn scratch(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    Ok(connection)
}

fn vacuum(connection: &Connection, into: &Path) -> rusqlite::Result<()> {
    connection.execute("VACUUM INTO ?1", [into.to_str()]).map(drop)
}

fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_PATIENCE)?;
    Ok(connection)
}

fn size_of(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
    let pages = number("page_count")?.saturating_sub(number("freelist_count")?);
    Ok(u64::from(pages) * u64::from(number("page_size")?))
}

/// Whether a name is one of those that lie beside a mailbox: its log, its lock, what a restore is about to put in place.
fn is_its_own(from: &Path, to: &Path) -> bool {
    const BESIDE: [&str; 6] = ["-wal", "-shm", "-journal", "-lock", "-next", ".restoring"];
    BESIDE.iter().any(|suffix| sibling(from, suffix) == to)
}

/// `from` is what somebody has to look at if the copy is not whole.
fn is_whole(copy: &Connection, from: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Sqlite { path: from.into(), source };
    let said: String =
        copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if said == "ok" {
        return Ok(());
    }
    Err(BackupError::Damaged { path: from.into(), problem: said })
}

/// Says how far it is for as long as `task` takes.
fn telling<T>(
    progress: &(dyn Fn(Progress) + Sync),
    now: impl Fn() -> Progress + Send,
    task: impl FnOnce() -> T,
) -> T {
    let (done, waits) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while waits.recv_timeout(TELL_EVERY) == Err(RecvTimeoutError::Timeout) {
                progress(now());
            }
        });
        let outcome = task();
        drop(done);
        outcome
    })
}

fn absolute(path: &Path) -> Result<PathBuf, BackupError> {
    let failed = |source| BackupError::File { path: path.into(), source };
    let absolute = std::path::absolute(path).map_err(failed)?;
    // SQLite takes its names as text.
    if absolute.to_str().is_none() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidFilename, "it is not UTF-8")));
    }
    Ok(absolute)
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (Identity::at(one), Identity::at(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
