use std::{
    io,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use rusqlite::Connection;

use super::{OpenError, schema};

/// A write-ahead log of this size is copied into the file.
const CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;
/// At this size writers wait for the copy to be complete, so that the log starts over.
const CHECKPOINT_HARD_BYTES: u64 = 256 * 1024 * 1024;

/// Starts the thread that copies the log into the file, off the commit path. Every message says
/// that something was committed; it ends when the sender is dropped.
pub(super) fn start(path: &Path) -> Result<SyncSender<()>, OpenError> {
    let connection = schema::connect(path)?;
    let log = schema::write_ahead_log(path);
    let (sender, commits) = sync_channel(1);
    thread::Builder::new()
        .name("tetherline-checkpoint".into())
        .spawn(move || run(&connection, &log, &commits))
        .map_err(|source| OpenError::File { path: path.into(), source })?;
    Ok(sender)
}

fn run(connection: &Connection, log: &Path, commits: &Receiver<()>) {
    let mut copied_at = 0;
    while commits.recv().is_ok() {
        let bytes = size(log).unwrap_or(0);
        if bytes < copied_at {
            copied_at = 0;
        }
        if bytes >= CHECKPOINT_HARD_BYTES {
            copy(connection, "TRUNCATE");
        } else if bytes >= copied_at + CHECKPOINT_BYTES {
            copy(connection, "PASSIVE");
            copied_at = bytes;
        }
    }
    copy(connection, "TRUNCATE");
}

fn copy(connection: &Connection, mode: &str) {
    let done = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
    if let Err(error) = done {
        tracing::warn!(%error, "the write-ahead log was not copied into the mailbox file");
    }
}

fn size(path: &Path) -> io::Result<u64> {
    Ok(std::fs::metadata(path)?.len())
}
