//! Copies the write-ahead log into the file, off the commit path, and never waits for anybody while
//! it does: whoever reads the file (a backup, a shell, a snapshot) keeps the log from starting over,
//! and nothing else.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::{Connection, hooks::Wal};

use super::{
    OpenError, schema,
    trouble::{Trouble, Word},
};
use crate::alarm::Alarm;

/// How often is looked whether a log that has grown large can start over, when nothing is committed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A page, and what the log says of it.
const FRAME_BYTES: u64 = 4_096 + 24;

/// Sizes of the write-ahead log, in bytes.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_field_names, reason = "units come last")]
pub(super) struct LogSizes {
    /// So much that was added is copied into the file.
    pub(super) copy_bytes: u64,
    /// At this size it has to start over, which under load needs the writer's help.
    pub(super) start_over_bytes: u64,
    /// So much of the file is kept when it starts over: a commit that need not make its file longer waits for
    /// one write of the disk less.
    pub(super) kept_bytes: u64,
    /// At this size it is said that it is large.
    pub(super) large_bytes: u64,
}

impl Default for LogSizes {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            // A commit's flush waits for the flush of a copy, and that takes as long as there is much of it.
            copy_bytes: MIB,
            start_over_bytes: 16 * MIB,
            kept_bytes: 16 * MIB,
            large_bytes: 256 * MIB,
        }
    }
}

impl LogSizes {
    /// For the connection that writes.
    fn keep_by(&self, writer: &Connection) -> rusqlite::Result<()> {
        writer.pragma_update(None, "journal_size_limit", self.kept_bytes.cast_signed())
    }
}

/// What the writer and the thread that copies know of the log, in bytes. Its file may be larger: a log that
/// starts over keeps a part of it.
#[derive(Default)]
struct Used {
    bytes: AtomicU64,
    /// How large it was when it was last copied.
    copied_bytes: AtomicU64,
}

impl Used {
    /// Whether there is enough to copy, or the log has started over since.
    fn is_due(&self, copy_bytes: u64) -> bool {
        let bytes = self.bytes.load(Ordering::Relaxed);
        let copied_bytes = self.copied_bytes.load(Ordering::Relaxed);
        bytes < copied_bytes || bytes >= copied_bytes + copy_bytes
    }
}

/// The thread that copies.
pub(super) struct Checkpoints {
    commits: Option<SyncSender<()>>,
    used: Arc<Used>,
    copy_bytes: u64,
    starts_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// For the log that `writer` writes, the only one that does.
    pub(super) fn start(
        path: &Path,
        writer: &mut Connection,
        sizes: LogSizes,
        alarm: &Alarm,
    ) -> Result<Self, OpenError> {
        sizes.keep_by(writer)?;
        let used = Arc::new(Used::default());
        let told = used.clone();
        // SQLite says it with every commit: nobody has to look.
        writer.wal_hook(Some(move |_: &mut Wal, frames| {
            let frames = u64::try_from(frames).unwrap_or(0);
            told.bytes.store(frames * FRAME_BYTES, Ordering::Relaxed);
            Ok(())
        }))?;
        let connection = schema::connect(path)?;
        connection.busy_timeout(Duration::ZERO)?;
        let (sender, commits) = sync_channel(1);
        let starts_over = Arc::new(AtomicBool::new(false));
        let mut log = Log {
            connection,
            sizes,
            used: used.clone(),
            starts_over: starts_over.clone(),
            is_large: false,
            trouble: Trouble::default(),
        };
        let watched = alarm.watch("the thread that copies the write-ahead log");
        let thread = thread::Builder::new()
            .name("tetherline-checkpoint".into())
            .spawn(move || watched.run(|| log.run(&commits)))
            .map_err(|source| OpenError::File { path: path.into(), source })?;
        let (commits, copy_bytes) = (Some(sender), sizes.copy_bytes);
        Ok(Self { commits, used, copy_bytes, starts_over, thread: Some(thread) })
    }

    /// Something was committed on this connection, which is the only one that writes.
    pub(super) fn committed(&self, writer: &Connection) {
        if self.starts_over.swap(false, Ordering::SeqCst) {
            // Nearly all is copied. With readers in the way it copies the rest and leaves it at that,
            // because this connection is told not to wait.
            let _ = writer.busy_timeout(Duration::ZERO);
            let _ = checkpoint(writer, "RESTART");
        }
        if let Some(commits) = &self.commits
            && self.used.is_due(self.copy_bytes)
        {
            // Full means that it is about to look anyway.
            let _ = commits.try_send(());
        }
    }
}

impl Drop for Checkpoints {
    /// Waits for it: a process that ends meanwhile would leave part of the file in the log.
    fn drop(&mut self) {
        self.commits = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, that was said.
            let _ = thread.join();
        }
    }
}

struct Log {
    connection: Connection,
    sizes: LogSizes,
    used: Arc<Used>,
    /// The writer is to have it start over.
    starts_over: Arc<AtomicBool>,
    is_large: bool,
    trouble: Trouble,
}

impl Log {
    fn run(&mut self, commits: &Receiver<()>) {
        loop {
            let look = if self.is_large { LOOK_EVERY } else { Duration::MAX };
            match commits.recv_timeout(look) {
                Err(RecvTimeoutError::Disconnected) => break,
                Ok(()) | Err(RecvTimeoutError::Timeout) => self.look(),
            }
        }
        // Nobody writes any more. The last connection that is closed takes the log away, unless
        // another program has the file open.
        let _ = checkpoint(&self.connection, "TRUNCATE");
    }

    fn look(&mut self) {
        let bytes = self.used.bytes.load(Ordering::Relaxed);
        if bytes < self.used.copied_bytes.load(Ordering::Relaxed) {
            self.used.copied_bytes.store(0, Ordering::Relaxed);
        }
        if self.is_large || self.used.is_due(self.sizes.copy_bytes) {
            self.copy(bytes);
        }
        self.watch(bytes);
    }

    fn copy(&mut self, bytes: u64) {
        match checkpoint(&self.connection, "PASSIVE") {
            Ok(Progress { frames, copied_frames }) => {
                self.used.copied_bytes.store(bytes, Ordering::Relaxed);
                let left_bytes = match frames {
                    0 => 0,
                    _ => bytes / frames * frames.saturating_sub(copied_frames),
                };
                if bytes >= self.sizes.start_over_bytes && left_bytes <= self.sizes.copy_bytes {
                    self.starts_over.store(true, Ordering::SeqCst);
                }
                if let Some(Word::Works { .. }) = self.trouble.worked(Instant::now()) {
                    tracing::info!("the write-ahead log is copied into the mailbox file again");
                }
            }
            Err(error) => {
                if let Some(Word::Fails { times }) = self.trouble.failed(Instant::now()) {
                    tracing::warn!(
                        %error,
                        times,
                        "the write-ahead log was not copied into the mailbox file"
                    );
                }
            }
        }
    }

    fn watch(&mut self, bytes: u64) {
        if !self.is_large && bytes >= self.sizes.large_bytes {
            self.is_large = true;
            tracing::warn!(
                bytes,
                "the write-ahead log is large and cannot start over: another program has been reading \
                 the mailbox file for long, or writing it is slow; end that program before the disk is \
                 full"
            );
        } else if self.is_large && bytes < self.sizes.start_over_bytes {
            self.is_large = false;
            tracing::info!(bytes, "the write-ahead log has started over");
        }
    }
}

struct Progress {
    frames: u64,
    copied_frames: u64,
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<Progress> {
    let pragma = format!("PRAGMA wal_checkpoint({mode})");
    connection.prepare_cached(&pragma)?.query_row([], |row| {
        // −1 when there is no log.
        let (frames, copied): (i64, i64) = (row.get(1)?, row.get(2)?);
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Progress { frames: count(frames), copied_frames: count(copied) })
    })
}
