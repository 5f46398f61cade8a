//! Threads that read. Whatever waits when one of them is free shares its next snapshot, so that a
//! thousand people who connect at once do not cost a thousand handovers between threads.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    super::StoreError,
    OpenError,
    presence::{Absence, Files},
    pulse::Pulse,
    schema,
    trouble::{Blame, Fault},
};
use crate::{
    alarm::Alarm,
    lock::lock,
    trouble::{SharedTrouble, Word},
};

/// Threads that read. One could do it; the others are for when a read takes long.
pub(super) const READERS_MAX: usize = 4;
/// Reads that wait for a thread; whoever comes later waits to be let in.
const READS_WAITING_MAX: usize = 1_024;
/// Reads that share one snapshot. The log cannot start over as long as one is held.
const BATCH_MAX: usize = 64;

/// Connections for reading, opened when first needed.
pub(super) struct Readers {
    reads: Option<mpsc::Sender<Read>>,
    epoch: Arc<str>,
    pulse: Arc<Pulse>,
    threads: Vec<JoinHandle<()>>,
}

/// Answers whoever asked, from a snapshot or with the reason why there is none.
type Read = Box<dyn FnOnce(Result<&Connection, &StoreError>) -> Result<(), Fault> + Send>;

impl Readers {
    pub(super) fn start(
        path: &Path,
        files: &Arc<Files>,
        epoch: Arc<str>,
        alarm: &Alarm,
    ) -> Result<Self, OpenError> {
        let (reads, waiting) = mpsc::channel(READS_WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let (trouble, pulse) = (Arc::new(SharedTrouble::default()), Arc::new(Pulse::default()));
        let start = |_| {
            let watched = alarm.watch("a thread that reads the store");
            let reader = Reader {
                path: path.into(),
                files: files.clone(),
                trouble: trouble.clone(),
                pulse: pulse.clone(),
                connection: None,
            };
            let waiting = waiting.clone();
            thread::Builder::new()
                .name("tetherline-reader".into())
                .spawn(move || watched.run(|| reader.run(&waiting)))
                .map_err(|source| OpenError::File { path: "a thread".into(), source })
        };
        let threads = (0..READERS_MAX).map(start).collect::<Result<_, _>>()?;
        Ok(Self { reads: Some(reads), epoch, pulse, threads })
    }

    /// Runs `read` on a snapshot, of a moment after this was called; it gets the store's epoch, too.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection, &str) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::new("the store is closed");
        let (reply, answer) = oneshot::channel();
        let epoch = self.epoch.clone();
        let read: Read = Box::new(move |snapshot| {
            if reply.is_closed() {
                return Ok(());
            }
            let read = snapshot.map(|connection| read(connection, &epoch).map_err(Fault::from));
            let (answer, done) = match read {
                Ok(Ok(found)) => (Ok(found), Ok(())),
                Ok(Err(fault)) => (Err(fault.error.clone()), Err(fault)),
                Err(error) => (Err(error.clone()), Ok(())),
            };
            // Whoever asked may be gone.
            let _ = reply.send(answer);
            done
        });
        let reads = self.reads.as_ref().ok_or_else(closed)?;
        reads.send(read).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Whether anything can be read.
    pub(super) async fn answer(&self) -> Result<(), StoreError> {
        let read = |connection: &Connection, _: &str| {
            connection.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))
        };
        self.pulse.answer(self.run(read)).await
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.reads = None;
        for thread in self.threads.drain(..) {
            // If it panicked, the alarm was raised.
            let _ = thread.join();
        }
    }
}

/// One thread.
struct Reader {
    path: Box<Path>,
    files: Arc<Files>,
    trouble: Arc<SharedTrouble>,
    pulse: Arc<Pulse>,
    connection: Option<Connection>,
}

impl Reader {
    /// Ends when nobody can ask any more.
    fn run(mut self, waiting: &Mutex<mpsc::Receiver<Read>>) {
        let mut batch = Vec::new();
        while take(waiting, &mut batch) > 0 {
            let mut reads = batch.drain(..);
            while reads.len() > 0 {
                let done = self.serve(&mut reads);
                self.note(done);
            }
        }
    }

    /// Answers them from one snapshot, up to the first that fails. If each would fail alike, all are told
    /// so: they would wait one after another for the same lock.
    fn serve(&mut self, reads: &mut impl Iterator<Item = Read>) -> Result<(), StoreError> {
        let connection = match self.connection.take().map_or_else(|| self.connect(), Ok) {
            Ok(connection) => connection,
            Err(error) => return self.refuse(reads, error),
        };
        for read in &mut *reads {
            match read(Ok(&connection)) {
                Ok(()) => self.pulse.ended(Ok(())),
                // A connection that failed is not used again.
                Err(Fault { blame: Blame::Command, error, .. }) => {
                    self.pulse.beat();
                    return Err(error);
                }
                Err(fault) => return self.refuse(reads, fault.error),
            }
        }
        if run(&connection, "COMMIT").and_then(|()| run(&connection, "BEGIN")).is_ok() {
            self.connection = Some(connection);
        }
        Ok(())
    }

    /// Of the very files that the writer has: another file read with the log of this one is neither.
    fn connect(&self) -> Result<Connection, StoreError> {
        let absent = |absence: Absence| StoreError::new(absence.to_string());
        // Before, too: SQLite makes a log that is missing, and then the lost one cannot come back.
        self.files.check().map_err(absent)?;
        let connection = schema::connect(&self.path)?;
        self.files.check().map_err(absent)?;
        // It takes its snapshot with the first read.
        run(&connection, "BEGIN")?;
        Ok(connection)
    }

    fn refuse(
        &self,
        reads: impl Iterator<Item = Read>,
        error: StoreError,
    ) -> Result<(), StoreError> {
        self.pulse.ended(Err(&error));
        for read in reads {
            // None of them is run, so none fails.
            let _ = read(Err(&error));
        }
        Err(error)
    }

    fn note(&self, done: Result<(), StoreError>) {
        match done {
            Ok(()) => {
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
    }
}

/// A statement without parameters, compiled once.
pub(super) fn run(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(|_| ())
}

/// Waits for one read, and takes what else waits with it. Answers how many, none at the end.
fn take(waiting: &Mutex<mpsc::Receiver<Read>>, batch: &mut Vec<Read>) -> usize {
    lock(waiting).blocking_recv_many(batch, BATCH_MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use futures_util::FutureExt as _;

    use super::*;

    struct Fixture {
        readers: Readers,
        // While it is open, the log stays.
        _writer: Connection,
        _folder: tempfile::TempDir,
    }

    fn readers() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mailbox.db");
        super::super::presence::create(&path).unwrap();
        let mut writer = schema::connect(&path).unwrap();
        schema::migrate(&mut writer).unwrap();
        let files = Arc::new(Files::of(&path).unwrap());
        let readers = Readers::start(&path, &files, "epoch".into(), &Alarm::new()).unwrap();
        Fixture { readers, _writer: writer, _folder: folder }
    }

    /// Keeps all threads busy until it is dropped.
    fn occupy(readers: &Readers) -> Vec<impl Sized> {
        let (begun, begins) = channel();
        let occupied = (0..READERS_MAX).map(|_| {
            let (release, released) = channel::<()>();
            let begun = begun.clone();
            let mut reading = Box::pin(readers.run(move |_, _| {
                begun.send(()).unwrap();
                // Ends when the sender is dropped.
                let _ = released.recv();
                Ok(())
            }));
            assert!(reading.as_mut().now_or_never().is_none());
            begins.recv().unwrap();
            (release, reading)
        });
        occupied.collect()
    }

    #[tokio::test]
    async fn what_waits_together_is_answered_from_one_snapshot() {
        let Fixture { readers, .. } = &readers();
        let held = occupy(readers);
        let count = |connection: &Connection, _: &str| {
            connection.query_row("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0))
        };
        let mut first = Box::pin(readers.run(count));
        let mut second = Box::pin(readers.run(move |connection, epoch| {
            // As another program would write between two reads.
            let other = Connection::open(connection.path().unwrap()).unwrap();
            other.execute("INSERT INTO users (name) VALUES ('ada')", []).unwrap();
            count(connection, epoch)
        }));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        drop(held);
        assert_eq!((first.await, second.await), (Ok(0), Ok(0)));
        assert_eq!(readers.run(count).await, Ok(1));
    }

    #[tokio::test]
    async fn a_read_that_fails_is_no_harm_to_those_that_wait_with_it() {
        let Fixture { readers, .. } = &readers();
        let held = occupy(readers);
        let mut bad = Box::pin(readers.run(|_, _| Err::<(), _>(rusqlite::Error::InvalidQuery)));
        let mut good =
            Box::pin(readers.run(|connection, _| {
                connection.query_row("SELECT 7", [], |row| row.get::<_, i64>(0))
            }));
        assert!(bad.as_mut().now_or_never().is_none());
        assert!(good.as_mut().now_or_never().is_none());
        drop(held);
        assert!(bad.await.is_err());
        assert_eq!(good.await, Ok(7));
    }

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_any_more_is_not_done() {
        // Whoever connected and left in a hurry had as many readers as they liked.
        let Fixture { readers, _writer, _folder } = readers();
        let held = occupy(&readers);
        let (done, is_done) = channel();
        let left = readers.run(move |_, _| {
            done.send(()).unwrap();
            Ok(())
        });
        assert!(left.now_or_never().is_none());
        drop(held);
        readers.run(|_, _| Ok(())).await.unwrap();
        drop(readers);
        assert!(is_done.recv().is_err());
    }
}
