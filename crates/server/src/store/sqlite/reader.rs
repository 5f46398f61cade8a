use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{
    super::StoreError,
    presence::{Absence, Files},
    schema,
};
use crate::trouble::{SharedTrouble, Word};

/// Reads at a time; the rest waits without a thread.
const READERS_MAX: usize = 8;

/// Connections for reading, opened when first needed.
pub(super) struct Readers {
    shared: Arc<Shared>,
}

struct Shared {
    path: Box<Path>,
    files: Arc<Files>,
    epoch: Arc<str>,
    idle: Mutex<Option<Vec<Connection>>>,
    permits: Arc<Semaphore>,
    trouble: SharedTrouble,
}

impl Readers {
    pub(super) fn new(path: &Path, files: Arc<Files>, epoch: Arc<str>) -> Self {
        let idle = Mutex::new(Some(Vec::new()));
        let permits = Arc::new(Semaphore::new(READERS_MAX));
        Self {
            shared: Arc::new(Shared {
                path: path.into(),
                files,
                epoch,
                idle,
                permits,
                trouble: SharedTrouble::default(),
            }),
        }
    }

    /// Runs `read` on a blocking thread; it gets the store's epoch, too.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection, &str) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = self.shared.clone();
        let permit =
            shared.permits.clone().acquire_owned().await.map_err(StoreError::from_reader)?;
        let reading = tokio::task::spawn_blocking(move || {
            let answer = shared.read(read);
            // Here, because the read goes on when nobody waits for it any more.
            drop(permit);
            answer
        });
        reading.await.map_err(StoreError::from_reader)?
    }
}

impl Drop for Readers {
    /// Reads that are under way close their connection themselves.
    fn drop(&mut self) {
        *self.shared.idle() = None;
    }
}

impl Shared {
    /// `None` once the store is closed.
    fn idle(&self) -> MutexGuard<'_, Option<Vec<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Connection, &str) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let answer = self.attempt(read);
        match &answer {
            Ok(_) => {
                if let Some(Word::Works { times }) = self.trouble.worked_now() {
                    tracing::info!(failed_again = times, "the store can be read again");
                }
            }
            Err(error) => {
                if let Some(Word::Fails { times }) = self.trouble.failed_now() {
                    tracing::error!(%error, times, "the store could not be read");
                }
            }
        }
        answer
    }

    fn attempt<T>(
        &self,
        read: impl FnOnce(&Connection, &str) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = self.idle().as_mut().and_then(Vec::pop);
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let answer = read(&connection, &self.epoch)?;
        // A connection that failed is not used again.
        if let Some(idle) = self.idle().as_mut() {
            idle.push(connection);
        }
        Ok(answer)
    }
}

impl Shared {
    /// Of the very files that the writer has: another file read with the log of this one is neither.
    fn connect(&self) -> Result<Connection, StoreError> {
        let absent = |absence: Absence| StoreError::new(absence.to_string());
        // Before, too: SQLite makes a log that is missing, and then the lost one cannot come back.
        self.files.check().map_err(absent)?;
        let connection = schema::connect(&self.path)?;
        self.files.check().map_err(absent)?;
        Ok(connection)
    }
}

impl StoreError {
    fn from_reader(error: impl std::fmt::Display) -> Self {
        Self::new(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_any_more_still_counts() {
        // Whoever connected and left in a hurry had as many readers as they liked.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mailbox.db");
        super::super::presence::create(&path).unwrap();
        let mut connection = schema::connect(&path).unwrap();
        schema::migrate(&mut connection).unwrap();
        let files = Arc::new(Files::of(&path).unwrap());
        let readers = Readers::new(&path, files, "epoch".into());
        let mut held = Vec::new();
        for _ in 0..READERS_MAX {
            let (release, signal) = mpsc::channel::<()>();
            held.push(release);
            let reading = readers.run(move |_, _| {
                // Ends when the sender is dropped.
                let _ = signal.recv();
                Ok(())
            });
            assert!(reading.now_or_never().is_none());
        }
        assert_eq!(readers.shared.permits.available_permits(), 0);
        drop(held);
        readers.run(|_, _| Ok(())).await.unwrap();
    }
}
