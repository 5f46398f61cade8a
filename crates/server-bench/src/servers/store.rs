//! The table that *plain* has, with one thread that writes it: whatever waits goes into one commit.

use std::{
    path::Path,
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use axum::extract::ws::Utf8Bytes;
use rusqlite::{Connection, OptionalExtension as _};
use tetherline_process::note;
use tokio::sync::oneshot;

use super::{Feed, Subscribers};

const TOGETHER_MAX: usize = 2_048;
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
/// As durable as it gets, and as fast as that allows: checkpoints are rare, and the cache is large.
const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 4000;
    PRAGMA cache_size = -32768;
    CREATE TABLE IF NOT EXISTS message(
        seq INTEGER PRIMARY KEY, user TEXT NOT NULL, text TEXT NOT NULL);";
const INDEX: &str = "CREATE INDEX IF NOT EXISTS message_of_user ON message(user, seq);";
const KEYS: &str = "
    CREATE TABLE IF NOT EXISTS key(
        user TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL,
        PRIMARY KEY (user, key)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS key_at ON key(at_ms);";

#[derive(Debug)]
pub(super) enum Command {
    Publish(Publish),
    Subscribe { user: String, after: Option<i64>, feed: Feed },
}

#[derive(Debug)]
pub(super) struct Publish {
    pub(super) user: String,
    pub(super) text: Utf8Bytes,
    pub(super) key: Option<String>,
    /// Told when it is durable.
    pub(super) done: oneshot::Sender<()>,
}

/// Opens the file, and starts the thread.
pub(super) fn start(
    file: &Path,
    is_indexed: bool,
    keys_s: Option<u32>,
) -> Result<mpsc::Sender<Command>> {
    let database = Connection::open(file)?;
    database.execute_batch(SETTINGS)?;
    if is_indexed {
        database.execute_batch(INDEX)?;
    }
    if keys_s.is_some() {
        database.execute_batch(KEYS)?;
    }
    let subscribers = Subscribers::default();
    let writer = Writer { database, keys_s, subscribers, expired_at: Instant::now() };
    let (commands, received) = mpsc::channel();
    thread::spawn(move || {
        if let Err(problem) = writer.run(&received) {
            note!("the writer has ended: {problem}");
        }
    });
    Ok(commands)
}

struct Writer {
    database: Connection,
    /// How long keys are kept; without it there are none.
    keys_s: Option<u32>,
    subscribers: Subscribers,
    expired_at: Instant,
}

impl Writer {
    fn run(mut self, commands: &mpsc::Receiver<Command>) -> Result<()> {
        while let Ok(first) = commands.recv() {
            let (mut publishes, mut subscribes) = (Vec::new(), Vec::new());
            for command in std::iter::once(first).chain(commands.try_iter()) {
                match command {
                    Command::Publish(publish) => publishes.push(publish),
                    Command::Subscribe { user, after, feed } => {
                        subscribes.push((user, after, feed));
                    }
                }
                if publishes.len() == TOGETHER_MAX {
                    break;
                }
            }
            if !publishes.is_empty() {
                self.commit(publishes)?;
            }
            for (user, after, feed) in subscribes {
                self.subscribe(user, after, feed)?;
            }
        }
        Ok(())
    }

    fn commit(&mut self, publishes: Vec<Publish>) -> Result<()> {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
        self.database.execute_batch("BEGIN IMMEDIATE")?;
        self.expire(now_ms)?;
        let mut is_new = Vec::with_capacity(publishes.len());
        for publish in &publishes {
            is_new.push(self.insert(publish, now_ms)?);
        }
        self.database.execute_batch("COMMIT")?;
        for (Publish { user, text, done, .. }, is_new) in publishes.into_iter().zip(is_new) {
            if is_new {
                self.subscribers.send(&user, &text);
            }
            // Whoever does not wait for it any more has it all the same.
            let _ = done.send(());
        }
        Ok(())
    }

    /// Whether it was new.
    fn insert(&self, publish: &Publish, now_ms: i64) -> Result<bool> {
        let Publish { user, text, key, .. } = publish;
        let key = key.as_ref().filter(|_| self.keys_s.is_some());
        if let Some(key) = key {
            let known = "SELECT seq FROM key WHERE user = ?1 AND key = ?2";
            let mut known = self.database.prepare_cached(known)?;
            if known.query_row((user, key), |row| row.get::<_, i64>(0)).optional()?.is_some() {
                return Ok(false);
            }
        }
        let message = "INSERT INTO message(user, text) VALUES (?1, ?2)";
        self.database.prepare_cached(message)?.execute((user, text.as_str()))?;
        if let Some(key) = key {
            let seq = self.database.last_insert_rowid();
            let insert = "INSERT INTO key(user, key, seq, at_ms) VALUES (?1, ?2, ?3, ?4)";
            self.database.prepare_cached(insert)?.execute((user, key, seq, now_ms))?;
        }
        Ok(true)
    }

    fn expire(&mut self, now_ms: i64) -> Result<()> {
        let Some(keys_s) = self.keys_s.filter(|_| self.expired_at.elapsed() >= EXPIRE_EVERY) else {
            return Ok(());
        };
        self.expired_at = Instant::now();
        let expire = "DELETE FROM key WHERE at_ms < ?1";
        self.database.prepare_cached(expire)?.execute([now_ms - i64::from(keys_s) * 1_000])?;
        Ok(())
    }

    fn subscribe(&mut self, user: String, after: Option<i64>, feed: Feed) -> Result<()> {
        if let Some(after) = after {
            let missed = "SELECT text FROM message WHERE user = ?1 AND seq > ?2 ORDER BY seq";
            let mut missed = self.database.prepare_cached(missed)?;
            let texts = missed.query_map((&user, after), |row| row.get::<_, String>(0))?;
            for text in texts {
                let _ = feed.send(text?.into());
            }
        }
        self.subscribers.add(user, feed);
        Ok(())
    }
}
