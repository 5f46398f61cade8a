//! The chat's own `SQLite` file, and the one thread that touches it.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::limits::DATABASE_QUEUE_MAX;

/// A handle to the database's thread. Cheap to clone; the last one to go ends the thread.
#[derive(Clone)]
pub(crate) struct Database {
    operations: mpsc::Sender<Operation>,
}

type Operation = Box<dyn FnOnce(&mut Connection) + Send>;

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenDatabaseError {
    /// Somebody else has the data folder.
    #[error(
        "the data folder {} is in use by another running chat; stop that one, or choose another \
         folder with --data", .0.display()
    )]
    InUse(PathBuf),
    /// The folder cannot be written.
    #[error("cannot write to {}: {source}; make it writable, or choose another folder with --data", path.display())]
    Unwritable {
        /// What could not be written.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A newer version of this program wrote the file.
    #[error(
        "{} was written by a newer version of this program (schema {found}, known up to \
         {}); start that version, or choose another folder with --data",
        path.display(), SCHEMA
    )]
    TooNew {
        /// The database's file.
        path: PathBuf,
        /// The schema's number in the file.
        found: u32,
    },
    /// `SQLite` cannot work with the file.
    #[error("cannot open {}: {source}; check the disk and the file's permissions, or choose another folder with --data", path.display())]
    Sqlite {
        /// The database's file.
        path: PathBuf,
        /// What `SQLite` said.
        source: rusqlite::Error,
    },
}

/// Why an operation failed. There is nobody to blame but the disk, or a bug of ours.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// `SQLite` failed.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The database's thread is gone.
    #[error("the database is closed")]
    Closed,
}

/// Each entry brings the schema to its number, from the one before.
const MIGRATIONS: [(u32, &str); 4] = [
    (1, include_str!("database/schema.sql")),
    (2, include_str!("database/schema_2.sql")),
    (3, include_str!("database/schema_3.sql")),
    (4, include_str!("database/schema_4.sql")),
];
/// The schema's number when all of them are applied.
const SCHEMA: u32 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// The database's file in a data folder.
pub(crate) const CHAT_FILE: &str = "chat.db";

/// How long a start waits for a predecessor that is just shutting down.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

impl Database {
    /// Opens `chat.db` in the folder, which must exist, and brings its schema up to date.
    pub(crate) fn open(folder: &Path) -> Result<Self, OpenDatabaseError> {
        let lock = lock(folder)?;
        let path = folder.join(CHAT_FILE);
        let connection = prepare(&path)?;
        let (operations, queue) = mpsc::channel(DATABASE_QUEUE_MAX);
        let thread = thread::Builder::new().name("chat-database".into());
        thread
            .spawn(move || run(connection, queue, &lock))
            .map_err(|source| OpenDatabaseError::Unwritable { path, source })?;
        Ok(Self { operations })
    }

    /// Runs a read (or several statements of which each stands for itself).
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        self.call(move |connection| operation(connection)).await
    }

    /// Runs a transaction. What it wrote is on the disk when this returns.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        self.call(move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let outcome = operation(&transaction)?;
            transaction.commit()?;
            Ok(outcome)
        })
        .await
    }

    /// Folds the log into the file and closes it, so that whoever copies that one file has everything.
    /// Nothing works after that.
    pub(crate) async fn close(&self) -> Result<(), DatabaseError> {
        self.call(|connection| {
            let nothing = Connection::open_in_memory()?;
            std::mem::replace(connection, nothing).close().map_err(|(_, error)| error)
        })
        .await
    }

    /// Resolves when the thread is gone, which it is when an operation has panicked.
    pub(crate) async fn ended(&self) {
        self.operations.closed().await;
    }

    async fn call<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let (answer, outcome) = oneshot::channel();
        let operation: Operation = Box::new(move |connection| {
            // Nobody waits any longer if the request was dropped; the effect stands all the same.
            let _ = answer.send(operation(connection));
        });
        self.operations.send(operation).await.map_err(|_| DatabaseError::Closed)?;
        Ok(outcome.await.map_err(|_| DatabaseError::Closed)??)
    }
}

fn run(mut connection: Connection, mut queue: mpsc::Receiver<Operation>, _lock: &File) {
    while let Some(operation) = queue.blocking_recv() {
        operation(&mut connection);
    }
}

/// Two processes on one folder would both answer every question.
pub(crate) fn lock(folder: &Path) -> Result<File, OpenDatabaseError> {
    let path = folder.join("chat.lock");
    let file = private_file(&path)?;
    let patience = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() < patience => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(OpenDatabaseError::InUse(folder.into()));
            }
            Err(std::fs::TryLockError::Error(source)) => {
                return Err(OpenDatabaseError::Unwritable { path, source });
            }
        }
    }
}

/// `SQLite` gives its journal the mode of the database itself, so all of them stay the owner's.
fn private_file(path: &Path) -> Result<File, OpenDatabaseError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| OpenDatabaseError::Unwritable { path: path.into(), source })
}

fn prepare(path: &Path) -> Result<Connection, OpenDatabaseError> {
    private_file(path)?;
    let sqlite = |source| OpenDatabaseError::Sqlite { path: path.into(), source };
    let mut connection = Connection::open(path).map_err(sqlite)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA busy_timeout = 5000;",
        )
        .map_err(sqlite)?;
    let found: u32 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
    if found > SCHEMA {
        return Err(OpenDatabaseError::TooNew { path: path.into(), found });
    }
    migrate(&mut connection, found).map_err(sqlite)?;
    Ok(connection)
}

/// Whether the file is a chat's, of a version that is known here.
pub(crate) fn is_a_chats(path: &Path) -> Result<bool, OpenDatabaseError> {
    let sqlite = |source| OpenDatabaseError::Sqlite { path: path.into(), source };
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(sqlite)?;
    let found: u32 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
    if found > SCHEMA {
        return Err(OpenDatabaseError::TooNew { path: path.into(), found });
    }
    let tables = "SELECT count(*) = 3 FROM sqlite_schema
                  WHERE type = 'table' AND name IN ('conversations', 'jobs', 'publications')";
    connection.query_row(tables, [], |row| row.get(0)).map_err(sqlite)
}

fn migrate(connection: &mut Connection, found: u32) -> rusqlite::Result<()> {
    for (number, migration) in MIGRATIONS.iter().filter(|(number, _)| *number > found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    // What runs is a matter of this process only: after a crash nothing does.
    connection.execute_batch(
        "CREATE TEMP TABLE running (job INTEGER PRIMARY KEY, user_uuid TEXT NOT NULL) STRICT;",
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A database in a folder that is removed with the returned guard.
    pub(crate) fn temporary() -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        (folder, database)
    }

    #[tokio::test]
    async fn what_was_written_is_there_after_opening_again() {
        let (folder, database) = temporary();
        database
            .write(|transaction| {
                transaction
                    .execute("INSERT INTO users VALUES ('u', 'a@example.org', 'Ada', 'x', 1)", [])
            })
            .await
            .unwrap();
        drop(database);
        let database = Database::open(folder.path()).unwrap();
        let name: String = database
            .read(|connection| connection.query_row("SELECT name FROM users", [], |row| row.get(0)))
            .await
            .unwrap();
        assert_eq!(name, "Ada");
    }

    #[tokio::test]
    async fn a_failed_transaction_leaves_nothing_behind() {
        let (_folder, database) = temporary();
        let outcome = database
            .write(|transaction| {
                transaction.execute(
                    "INSERT INTO users VALUES ('u', 'a@example.org', 'Ada', 'x', 1)",
                    [],
                )?;
                transaction.execute("INSERT INTO nowhere VALUES (1)", [])
            })
            .await;
        assert!(matches!(outcome, Err(DatabaseError::Sqlite(_))));
        let users: i64 = database
            .read(|connection| {
                connection.query_row("SELECT count(*) FROM users", [], |row| row.get(0))
            })
            .await
            .unwrap();
        assert_eq!(users, 0);
    }

    #[tokio::test]
    async fn a_conversation_from_before_there_were_trees_is_a_branch() {
        let folder = tempfile::tempdir().unwrap();
        let file = Connection::open(folder.path().join("chat.db")).unwrap();
        file.execute_batch(MIGRATIONS[0].1).unwrap();
        file.pragma_update(None, "user_version", 1).unwrap();
        // Two questions in one breath, an answer that failed, one that is still to come, and a
        // conversation of somebody else's with the same names.
        file.execute_batch(
            "INSERT INTO users VALUES ('ada', 'a', 'Ada', 'x', 1), ('bob', 'b', 'Bob', 'x', 1);
             INSERT INTO conversations VALUES ('ada', 'q1', 't', 1, 1), ('bob', 'q1', 't', 1, 1);
             INSERT INTO messages (user_uuid, uuid, conversation_uuid, role, content, error_code,
                                   error_message, reply_to, created_at)
             VALUES ('ada', 'q1', 'q1', 'user', '?', NULL, NULL, NULL, 1),
                    ('ada', 'q2', 'q1', 'user', '?', NULL, NULL, NULL, 1),
                    ('bob', 'q1', 'q1', 'user', '?', NULL, NULL, NULL, 1),
                    ('ada', 'a1', 'q1', 'assistant', '!', NULL, NULL, 'q1', 1),
                    ('ada', 'a2', 'q1', 'assistant', '', 'oops', 'Oops.', 'q2', 1),
                    ('ada', 'q3', 'q1', 'user', '?', NULL, NULL, NULL, 1),
                    ('ada', 'q4', 'q1', 'user', '?', NULL, NULL, NULL, 1);
             INSERT INTO jobs (user_uuid, send_id, kind, conversation_uuid, question_uuid,
                               answer_uuid, created_at)
             VALUES ('ada', 'q3', 'generate', 'q1', 'q3', 'a3', 1);",
        )
        .unwrap();
        drop(file);
        let database = Database::open(folder.path()).unwrap();
        let messages = |connection: &_| crate::history::messages(connection, "ada", "q1");
        let messages = database.read(messages).await.unwrap();
        let tree: Vec<_> = messages
            .iter()
            .map(|message| {
                let about = &message.about;
                let parent = about.parent.as_deref().unwrap_or("-");
                (message.uuid.as_str(), parent, about.version, message.status.as_str())
            })
            .collect();
        assert_eq!(
            tree,
            [
                ("q1", "-", 1, "complete"),
                ("q2", "a1", 1, "complete"),
                ("a1", "q1", 1, "complete"),
                ("a2", "q2", 1, "failed"),
                ("q3", "a2", 1, "complete"),
                ("q4", "a3", 1, "complete"),
            ]
        );
    }

    #[test]
    fn a_second_process_on_the_same_folder_is_turned_away() {
        let (folder, _database) = temporary();
        assert!(matches!(Database::open(folder.path()), Err(OpenDatabaseError::InUse(_))));
    }

    #[test]
    fn a_file_from_the_future_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = Connection::open(folder.path().join("chat.db")).unwrap();
        file.pragma_update(None, "user_version", 99).unwrap();
        drop(file);
        assert!(matches!(
            Database::open(folder.path()),
            Err(OpenDatabaseError::TooNew { found: 99, .. })
        ));
    }
}
