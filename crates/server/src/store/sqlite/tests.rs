//! What is in the file itself.

mod clock;
mod cursors;
pub(super) mod file;
mod growth;
mod keys;
mod positions;
mod pulse;
mod streams;
mod unfinished;

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::{
    super::{Begun, Claim, Inbox as _, Outcome},
    *,
};
use crate::Refusal;

fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

async fn append(store: &SqliteStore, name: &str, key: Option<String>, text: &str) -> Appended {
    let message = Message::parse(&format!(r#"{{"type":"t","text":"{text}"}}"#)).unwrap();
    let key = key.map(|key| key.parse().unwrap());
    store.append(&user(name), key.as_ref(), Arc::new(message)).await.unwrap()
}

/// Waits for what the store does in the background.
pub(super) async fn eventually(mut condition: impl AsyncFnMut() -> bool) {
    let met = tokio::time::timeout(Duration::from_secs(20), async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    met.await.expect("the condition is met in time");
}

const CLAIMED_FOR: Duration = Duration::from_mins(1);

async fn claim(store: &SqliteStore, name: &str, id: &str) -> Claim {
    match store.begin(&user(name), &id.parse().unwrap(), CLAIMED_FOR).await.unwrap() {
        Begun::Yours(claim) => claim,
        _ => panic!("{id} is settled"),
    }
}

async fn settle(store: &SqliteStore, name: &str, id: &str, outcome: &Outcome) {
    store.record(&claim(store, name, id).await, outcome).await.unwrap();
}

async fn outcome(store: &SqliteStore, name: &str, id: &str) -> Option<Outcome> {
    match store.begin(&user(name), &id.parse().unwrap(), CLAIMED_FOR).await.unwrap() {
        Begun::Settled(outcome) => Some(outcome),
        Begun::Yours(_) | Begun::Elsewhere { .. } => None,
    }
}

#[tokio::test]
async fn what_is_erased_leaves_the_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    let secret = "nobody-shall-read-this-again";
    let appends = (0..5_000).map(|n| append(&store, "eve", Some(format!("k{n}")), secret));
    futures_util::future::join_all(appends).await;
    settle(&store, "eve", "m1", &Ok(None)).await;
    append(&store, "ada", None, "stays").await;
    store.erase(&user("eve")).await.unwrap();
    // A crash in between only means that it goes on later.
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    store.work_by(&Limits::default());
    let count = async |table: &str| {
        let connection = rusqlite::Connection::open(&path).unwrap();
        let count = format!("SELECT count(*) FROM {table}");
        connection.query_row(&count, [], |row| row.get::<_, u32>(0)).unwrap()
    };
    eventually(async || count("erased").await == 0).await;
    assert_eq!((count("messages").await, count("publishes").await), (1, 0));
    assert_eq!((count("sends").await, count("devices").await), (0, 0));
    drop(store);
    // Unlinked pages would show nearly all of them. What SQLite has moved while it deleted may leave
    // a few behind until their place is used again.
    eventually(async || occurrences(&std::fs::read(&path).unwrap(), secret.as_bytes()) < 50).await;
}

fn occurrences(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).filter(|window| *window == part).count()
}

#[tokio::test]
async fn a_file_of_the_first_format_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    append(&store, "ada", None, "x").await;
    let refusal = Err(Refusal::with_own_code("no", "No."));
    settle(&store, "ada", "m1", &Ok(None)).await;
    settle(&store, "ada", "m2", &refusal).await;
    let head = store.head(&user("ada")).await.unwrap();
    drop(store);
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(
            "ALTER TABLE users DROP COLUMN trimmed; ALTER TABLE users DROP COLUMN trimmed_id;
             DROP INDEX sends_marked;
             ALTER TABLE sends DROP COLUMN marked; ALTER TABLE sends DROP COLUMN marked_bytes;
             ALTER TABLE sends DROP COLUMN answer;
             ALTER TABLE messages DROP COLUMN checksum; ALTER TABLE meta DROP COLUMN clock_ms; ALTER TABLE meta DROP COLUMN misdated_from;
             ALTER TABLE meta DROP COLUMN keys_folded; DROP TABLE publish_keys;
             CREATE UNIQUE INDEX publishes_by_key ON publishes (user, key);
             ALTER TABLE meta DROP COLUMN positions_folded; DROP TABLE positions;
             ALTER TABLE meta DROP COLUMN messages_numbered;
             CREATE UNIQUE INDEX messages_by_position ON messages (user, seq);
             DROP TABLE sign_outs;
             DROP TABLE erased;
             DROP TABLE streams; DROP TABLE stream_log; DROP TABLE stream_stops;
             PRAGMA user_version = 1",
        )
        .unwrap();
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.head(&user("ada")).await.unwrap(), head);
    assert_eq!(append(&store, "ada", None, "y").await.seq.get(), 2);
    assert_eq!(outcome(&store, "ada", "m1").await, Some(Ok(None)));
    assert_eq!(outcome(&store, "ada", "m2").await, Some(refusal));
}

#[tokio::test]
async fn a_user_who_can_be_none_any_more_gets_another_name() {
    // `.` was a user. Now it is none, and nobody could have erased what is kept for it.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    for name in ["ada", "dot", "dots"] {
        append(&store, name, None, "x").await;
    }
    drop(store);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "ALTER TABLE users DROP COLUMN trimmed_id;
             DROP INDEX sends_marked;
             ALTER TABLE sends DROP COLUMN marked; ALTER TABLE sends DROP COLUMN marked_bytes;
             ALTER TABLE sends DROP COLUMN answer;
             ALTER TABLE messages DROP COLUMN checksum; ALTER TABLE meta DROP COLUMN clock_ms; ALTER TABLE meta DROP COLUMN misdated_from;
             ALTER TABLE meta DROP COLUMN keys_folded; DROP TABLE publish_keys;
             CREATE UNIQUE INDEX publishes_by_key ON publishes (user, key);
             ALTER TABLE meta DROP COLUMN positions_folded; DROP TABLE positions;
             ALTER TABLE meta DROP COLUMN messages_numbered;
             CREATE UNIQUE INDEX messages_by_position ON messages (user, seq);
             DROP TABLE sign_outs;
             UPDATE users SET name = '.' WHERE name = 'dot';
             UPDATE users SET name = '..' WHERE name = 'dots';
             PRAGMA user_version = 3",
        )
        .unwrap();
    drop(connection);
    let store = SqliteStore::open(&path).unwrap();
    for name in ["ada", "%2E", "%2E%2E"] {
        assert_eq!(append(&store, name, None, "y").await.seq.get(), 2, "{name}");
    }
}

#[tokio::test]
async fn users_are_told_apart_by_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let names = ["zoe", "Zoe", "zoe ", "Zo\u{eb}", "Zoe\u{308}", "%5A", "Z", "a'--", "a\"b"];
    let store = SqliteStore::open(&path).unwrap();
    for name in names {
        assert_eq!(append(&store, name, None, "x").await.seq.get(), 1, "{name}");
    }
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    for name in names {
        assert_eq!(append(&store, name, None, "y").await.seq.get(), 2, "{name}");
    }
}

#[tokio::test]
async fn a_lower_count_reaches_every_mailbox_however_many_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    let users = i64::try_from(upkeep::SURVEY_USERS_MAX).unwrap() + 100;
    let names: Vec<String> = (0..users).map(|n| format!("u{n}")).collect();
    for _ in 0..2 {
        let appends = names.iter().map(|name| append(&store, name, None, "x"));
        futures_util::future::join_all(appends).await;
    }
    let mut limits = Limits::default();
    limits.retention_messages_max = 1;
    store.work_by(&limits);
    let connection = rusqlite::Connection::open(&path).unwrap();
    let left = || {
        let count = "SELECT count(*), min(seq) FROM messages";
        connection.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    eventually(async || left() == (users, 2_i64)).await;
}

#[tokio::test]
async fn what_came_between_two_changes_of_the_limits_is_found() {
    // The same count as before was taken for nothing new, whatever had been appended meanwhile.
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("mailbox.db")).unwrap();
    let (mut one, mut all) = (Limits::default(), Limits::default());
    (one.retention_messages_max, all.retention_messages_max) = (1, 0);
    let trimmed = async || store.locate(&user("ada"), None).await.unwrap().trimmed.get();
    append(&store, "ada", None, "x").await;
    append(&store, "ada", None, "x").await;
    store.work_by(&one);
    eventually(async || trimmed().await == 1).await;
    // Behind the writer's back, so that no look comes in between.
    store.rules.set(&all);
    append(&store, "ada", None, "x").await;
    store.work_by(&one);
    eventually(async || trimmed().await == 2).await;
}

/// A small log, so that it is large soon.
fn small_log() -> Setup {
    let (kept_bytes, start_over_bytes) = (1 << 17, 1 << 18);
    let log = LogSizes { copy_bytes: 1 << 16, start_over_bytes, kept_bytes, large_bytes: 1 << 19 };
    Setup { log, ..Setup::default() }
}

fn log_bytes(path: &Path) -> u64 {
    std::fs::metadata(paths::sibling(path, "-wal")).unwrap().len()
}

#[tokio::test]
async fn who_reads_the_file_for_long_stops_nobody_from_writing() {
    // From a certain size of the log on, a checkpoint held the writers up until the reader had gone.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open_with(&path, small_log()).unwrap();
    append(&store, "ada", None, "x").await;
    let reader = rusqlite::Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM messages").unwrap();
    let text = "x".repeat(10_000);
    let started = Instant::now();
    while log_bytes(&path) < 1 << 21 {
        append(&store, "ada", None, &text).await;
    }
    // One that waits for the reader waits for two seconds at the least, and again and again.
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
    reader.execute_batch("COMMIT").unwrap();
    // Somebody who writes, or looks for something to forget, has the log start over then.
    eventually(async || {
        append(&store, "ada", None, &text).await;
        log_bytes(&path) < 1 << 18
    })
    .await;
}

#[tokio::test]
async fn the_log_starts_over_under_a_load_that_never_pauses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open_with(&path, small_log()).unwrap();
    let text = "x".repeat(10_000);
    let (mut largest, mut over) = (0, 0);
    for _ in 0..1_000 {
        let writing = (0..4).map(|n| append(&store, ["a", "b", "c", "d"][n], None, &text));
        futures_util::future::join_all(writing).await;
        let bytes = log_bytes(&path);
        over += u32::from(bytes < largest);
        largest = bytes;
    }
    assert!(over > 1, "40 MB were written, and the log has {largest} bytes");
}

#[tokio::test]
async fn what_is_kept_of_the_log_is_copied_too() {
    // The size of the file says nothing once a part of it is used again.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open_with(&path, small_log()).unwrap();
    let text = "x".repeat(10_000);
    while log_bytes(&path) < 1 << 17 {
        append(&store, "ada", None, &text).await;
    }
    let file = || std::fs::metadata(&path).unwrap().len();
    let (before, mut appended) = (file(), 0_u64);
    eventually(async || {
        append(&store, "ada", None, &text).await;
        appended += text.len() as u64;
        file() > before + (1 << 20)
    })
    .await;
    assert!(appended < 1 << 22, "{appended} were appended for a megabyte of the file");
}

#[tokio::test]
async fn a_thread_that_dies_is_said_and_nothing_hangs() {
    // A process lived on that answered 503 for ever.
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("mailbox.db")).unwrap();
    append(&store, "ada", None, "x").await;
    assert!(store.failed().now_or_never().is_none());
    let failed = store.failed();
    let task = Box::new(|| panic!("as the test wants it"));
    let asked = store.writer.ask(0, |reply| Command::Run { task, reply });
    assert!(asked.await.is_err());
    let reason = tokio::time::timeout(Duration::from_secs(20), failed).await.unwrap().to_string();
    assert!(reason.contains("the store's writer has panicked"), "{reason}");
    let message = Arc::new(Message::parse(r#"{"type":"t"}"#).unwrap());
    store.append(&user("ada"), None, message).await.unwrap_err();
}

#[tokio::test]
async fn what_waits_to_be_written_is_bounded_in_bytes() {
    // A thousand commands of a megabyte each could wait.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    append(&store, "ada", None, "x").await;
    let text = |count| format!(r#"{{"type":"t","text":"{}"}}"#, "x".repeat(count));
    let carried = 2 * 1024 * 1024 - writer::COMMAND_BYTES;
    let around = Message::parse(&text(0)).unwrap().fields().len();
    let message = Arc::new(Message::parse(&text(carried - around)).unwrap());
    assert_eq!(message.fields().len(), carried);
    // Nothing is taken out of the queue meanwhile but what is being committed.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let most = writer::COMMANDS_BYTES_MAX / (2 * 1024 * 1024);
    let (ada, mut waiting) = (user("ada"), Vec::new());
    for _ in 0..most {
        let mut asked = store.append(&ada, None, message.clone());
        assert!(asked.as_mut().now_or_never().is_none(), "the last that fits waits");
        waiting.push(asked);
    }
    let refused = store.head(&ada).await.map(|head| head.seq.get());
    assert_eq!(refused.unwrap(), 1, "reading needs no room");
    let (m1, outcome) = (claim(&store, "ada", "m1").await, Ok(None));
    let refused = store.record(&m1, &outcome).now_or_never();
    let words = refused.expect("at once").unwrap_err().to_string();
    assert!(words.contains("too much waits"), "{words}");
    other.execute_batch("COMMIT").unwrap();
    for asked in waiting {
        asked.await.unwrap();
    }
    settle(&store, "ada", "m1", &outcome).await;
}
