use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{super::Figures, SqliteStore, paths::sibling};
use crate::metrics::Latency;

/// What the writer counts.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) commits: Latency,
    pub(super) failed: AtomicU64,
}

pub(super) fn of(store: &SqliteStore) -> Figures {
    let path = store.files.mailbox();
    let (streams, stream_bytes) = store.streams.size();
    Figures {
        mailbox_bytes: bytes_of(path),
        log_bytes: bytes_of(&sibling(path, "-wal")),
        free_bytes: free_bytes(store),
        streams,
        stream_bytes,
        commits: store.counted.commits.now(),
        failed_commits: store.counted.failed.load(Ordering::Relaxed),
    }
}

/// What whoever runs the server may still write: what is kept for root is not there.
pub(super) fn free_bytes(store: &SqliteStore) -> Option<u64> {
    let disk = rustix::fs::statvfs(store.files.mailbox()).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn bytes_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}
