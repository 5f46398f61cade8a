use std::{io, path::PathBuf};

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A file of it cannot be created, read or written.
    #[error("cannot use {}: {source}; choose a data folder that can be written", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A store has one process at a time.
    #[error("{} is in use by another server; stop that one, or choose another folder", .0.display())]
    InUse(PathBuf),
    /// There was a mailbox here, and now there is nothing.
    #[error(
        "{} is missing or empty, although there was a mailbox: put it back, or restore a backup; only \
         to start anew without its messages, delete {}-lock", .0.display(), .0.display()
    )]
    Missing(PathBuf),
    /// A newer version of this program wrote it.
    #[error("the file has format {version}, but this program knows only {newest}; update it")]
    Newer {
        /// The file's format.
        version: usize,
        /// The newest that is known here.
        newest: usize,
    },
    /// It is some other file, or was damaged so much that it is none.
    #[error(
        "{} is no mailbox ({problem}), and is left as it is: put the right file there, or restore a backup with \
         `tetherline restore --replace`; what `sqlite3 FILE .recover` can still read of a damaged one is more than nothing",
        path.display()
    )]
    NotAMailbox {
        /// Which file.
        path: PathBuf,
        /// What it is instead.
        problem: String,
    },
    /// The file has no log of its own, and another's would replace its pages.
    #[error(
        "{}-wal is not its own log: the mailbox was closed in order, or is a backup. Nothing was read of it; end whatever \
         has the mailbox open, or move that file away, and start again", .0.display()
    )]
    AnothersLog(PathBuf),
    /// SQLite does not want to.
    #[error(
        "the mailbox file cannot be opened: {0}; `tetherline check` reads all of it and says what is wrong"
    )]
    Sqlite(#[from] rusqlite::Error),
}
