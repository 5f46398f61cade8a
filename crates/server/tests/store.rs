//! SQLite under what every store promises, and what it promises beyond that.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "store/file.rs"]
mod file;

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tetherline_protocol::{
    Attempt, IdempotencyKey, Limits, Seq, StopTarget, StreamStatus, UserId,
    frame::{Message, StreamEnding, StreamOpening},
};
use tetherline_server::{
    backup::{self, Existing},
    store::{
        AppendError, Appended, Event, Events as _, Mailbox as _, OpenError, Room, SqliteStore,
        Store, Streams as _, Upkeep as _,
    },
};
use tetherline_store_conformance::{
    Bench, Restored, forgets_as_told, keeps_every_promise, read, says_what_it_knows, sends,
    stream_model, survives_restores,
};

const ROOM: Room = Room { messages: 1_000, bytes: 1 << 20 };

/// A folder on the disk, and another one after each crash and restore: what had the one before open
/// may take a moment to let go of it.
struct Sqlite {
    folder: tempfile::TempDir,
    lives: u32,
    backup: PathBuf,
    /// How many positions wait in memory, unless as usual.
    fold_at: Option<usize>,
}

impl Sqlite {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let backup = folder.path().join("backup.db");
        Self { folder, lives: 0, backup, fold_at: None }
    }

    /// What usually is in memory is in the file at once, or together with a few others.
    fn folding_at(rows: usize) -> Self {
        Self { fold_at: Some(rows), ..Self::new() }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join(format!("data-{}", self.lives))
    }

    fn file(&self) -> PathBuf {
        self.data().join("mailbox.db")
    }

    /// Whatever has happened to it, it is a file in which nothing is wrong.
    fn is_whole(&self) {
        let checked = backup::check_mailbox(&self.file(), &|_| {}).unwrap();
        assert_eq!(checked.findings, []);
    }
}

/// Tells a story on a bench, after which its file is whole.
async fn on(mut bench: Sqlite, story: impl AsyncFnOnce(&mut Sqlite)) {
    story(&mut bench).await;
    bench.is_whole();
}

impl Bench for Sqlite {
    type Store = SqliteStore;

    fn open(&mut self) -> SqliteStore {
        match self.fold_at {
            Some(rows) => SqliteStore::open_folding_at(&self.file(), rows).unwrap(),
            None => SqliteStore::open(&self.file()).unwrap(),
        }
    }

    /// Goes on with the files as they are at this moment, the log not yet folded in.
    fn crash(&mut self, store: SqliteStore) -> SqliteStore {
        let before = self.data();
        self.lives += 1;
        std::fs::create_dir(self.data()).unwrap();
        let files = ["mailbox.db", "mailbox.db-wal"];
        let look = || files.map(|name| std::fs::read(before.join(name)).unwrap());
        // A checkpoint may come between the two.
        let mut found = look();
        while found != look() {
            found = look();
        }
        for (name, content) in files.iter().zip(found) {
            std::fs::write(self.data().join(name), content).unwrap();
        }
        drop(store);
        self.open()
    }

    async fn pass(&mut self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    async fn back_up(&mut self, _: &SqliteStore) {
        let _ = std::fs::remove_file(&self.backup);
        backup::back_up_mailbox(&self.data(), &self.backup, &|_| {}).unwrap();
    }

    async fn restore(&mut self, how: Restored) {
        self.lives += 1;
        match how {
            Restored::Announced => {
                let refuse = Existing::Refuse;
                backup::restore_mailbox(&self.backup, &self.data(), refuse, &|_| {}).unwrap();
            }
            Restored::ByHand => {
                std::fs::create_dir(self.data()).unwrap();
                std::fs::copy(&self.backup, self.file()).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn sqlite_keeps_every_promise_of_a_store() {
    on(Sqlite::new(), keeps_every_promise).await;
}

#[tokio::test]
async fn sqlite_keeps_every_promise_of_a_store_whose_positions_are_folded_in() {
    on(Sqlite::folding_at(1), keeps_every_promise).await;
    on(Sqlite::folding_at(3), keeps_every_promise).await;
}

#[tokio::test]
async fn sqlite_forgets_as_it_is_told() {
    on(Sqlite::new(), forgets_as_told).await;
    on(Sqlite::folding_at(2), forgets_as_told).await;
}

#[tokio::test]
async fn sqlite_comes_back_from_a_backup() {
    on(Sqlite::new(), survives_restores).await;
    on(Sqlite::folding_at(2), survives_restores).await;
}

#[tokio::test]
async fn sqlite_says_what_it_knows_of_a_user() {
    on(Sqlite::new(), says_what_it_knows).await;
    on(Sqlite::folding_at(2), says_what_it_knows).await;
}

#[test]
fn whatever_happens_a_stream_in_sqlite_is_what_its_writers_were_told() {
    stream_model::holds(Sqlite::new);
}

fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

fn message(text: &str) -> Arc<Message> {
    Arc::new(Message::parse(&format!(r#"{{"type":"t","text":"{text}"}}"#)).unwrap())
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

async fn append(store: &impl Store, name: &str, text: &str) -> Appended {
    store.append(&user(name), None, message(text)).await.unwrap()
}

async fn positions(store: &impl Store, name: &str) -> Vec<u64> {
    let page = read(store, &user(name), Seq::ZERO, ROOM).await.unwrap();
    page.iter().map(|delivery| delivery.seq.get()).collect()
}

/// Waits for what the store does in the background.
async fn eventually(mut condition: impl AsyncFnMut() -> bool) {
    let met = tokio::time::timeout(Duration::from_secs(20), async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    met.await.expect("the condition is met in time");
}

#[tokio::test]
async fn a_store_that_was_told_no_limits_trims_nothing() {
    // The default count would have been taken before the operator's word was known.
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("mailbox.db")).unwrap();
    let number = Limits::default().retention_messages_max + 1_000;
    futures_util::future::join_all((0..number).map(|_| append(&store, "ada", "x"))).await;
    assert_eq!(store.locate(&user("ada"), None).await.unwrap().trimmed, Seq::ZERO);
    // And by then it is much at once, in bits that let others in between.
    store.work_by(&limits(|limits| limits.retention_messages_max = 16));
    eventually(async || {
        append(&store, "bob", "x").await;
        positions(&store, "ada").await.len() == 16
    })
    .await;
    assert_eq!(store.locate(&user("ada"), None).await.unwrap().head.seq, seq(number));
}

/// The files as a crash would leave them: copied while the store is open, the log not yet folded in.
#[tokio::test]
async fn what_was_answered_is_in_the_files_at_that_moment() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("mailbox.db")).unwrap();
    for number in 1..=20 {
        assert_eq!(append(&store, "ada", "x").await.seq, seq(number));
        let crashed = tempfile::tempdir().unwrap();
        for name in ["mailbox.db", "mailbox.db-wal"] {
            std::fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
        }
        let copy = SqliteStore::open(&crashed.path().join("mailbox.db")).unwrap();
        assert_eq!(copy.head(&user("ada")).await.unwrap().seq, seq(number));
    }
    store.erase(&user("ada")).await.unwrap();
    let crashed = tempfile::tempdir().unwrap();
    for name in ["mailbox.db", "mailbox.db-wal"] {
        std::fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
    }
    let copy = SqliteStore::open(&crashed.path().join("mailbox.db")).unwrap();
    assert_eq!(positions(&copy, "ada").await, [0_u64; 0]);
    assert_eq!(copy.head(&user("ada")).await.unwrap(), store.head(&user("ada")).await.unwrap());
}

#[tokio::test]
async fn a_store_has_one_owner_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    let second = SqliteStore::open(&path).err().unwrap();
    assert!(matches!(second, OpenError::InUse(_)));
    assert!(second.to_string().contains("in use by another server"), "{second}");
    drop(store);
    assert!(SqliteStore::open(&path).is_ok());
}

#[tokio::test]
async fn its_files_are_the_owners_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    append(&store, "ada", "x").await;
    for name in ["mailbox.db", "mailbox.db-wal", "mailbox.db-lock"] {
        let mode = mode(&folder.path().join("new").join(name));
        assert_eq!(mode, 0o600, "{name}");
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "not a database, and not a folder either").unwrap();
    assert!(matches!(SqliteStore::open(&file), Err(OpenError::NotAMailbox { .. })));
    assert!(matches!(SqliteStore::open(&file.join("mailbox.db")), Err(OpenError::File { .. })));
}

#[tokio::test]
async fn keys_and_ids_are_forgotten_after_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let ada = user("ada");
    let store = SqliteStore::open(&path).unwrap();
    store.append(&ada, Some(&key("k")), message("x")).await.unwrap();
    sends::settle(&store, "ada", "m1", &Ok(None)).await;
    drop(store);
    // A window of nothing, once the clock has moved on: everything is older.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let store = SqliteStore::open(&path).unwrap();
    store.work_by(&limits(|limits| limits.dedupe_window_ms = 0));
    eventually(async || sends::outcome(&store, "ada", "m1").await.is_none()).await;
    let again = store.append(&ada, Some(&key("k")), message("y")).await.unwrap();
    assert_eq!((again.repeated, again.seq), (false, seq(2)));
}

#[tokio::test]
async fn what_became_of_an_answer_is_known_as_long_as_its_message_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let (ada, a1) = (user("ada"), "a1".parse().unwrap());
    let store = SqliteStore::open(&path).unwrap();
    let opening = Arc::new(StreamOpening::parse("{}").unwrap());
    store.open_stream(&ada, &a1, opening.clone()).await.unwrap();
    let ending = Arc::new(StreamEnding::plain(StreamStatus::Complete));
    store.finish_stream(&ada, &a1, Attempt::FIRST, ending).await.unwrap();
    let q1 = StopTarget::Send("q1".parse().unwrap());
    store.stop_stream(&ada, &q1).await.unwrap();
    drop(store);
    let reopened = |dedupe_window_ms, retention_age_ms| {
        let store = SqliteStore::open(&path).unwrap();
        store.work_by(&limits(|limits| {
            (limits.dedupe_window_ms, limits.retention_age_ms) =
                (dedupe_window_ms, retention_age_ms);
        }));
        store
    };
    let (none, hour) = (0, 3_600_000);
    // Nothing is kept for a shorter time than this, once the clock has moved on.
    tokio::time::sleep(Duration::from_millis(5)).await;
    for (dedupe_window_ms, retention_age_ms) in [(none, hour), (hour, 1), (none, 0)] {
        let store = reopened(dedupe_window_ms, retention_age_ms);
        assert!(store.stream(&ada, &a1).await.unwrap().is_some(), "0 keeps messages for ever");
    }
    let store = reopened(none, 1);
    eventually(async || store.stream(&ada, &a1).await.unwrap().is_none()).await;
    let opening = Arc::new(StreamOpening::parse(r#"{"ref":"q1"}"#).unwrap());
    let opened = store.open_stream(&ada, &a1, opening).await.unwrap();
    assert_eq!(opened.attempt, Attempt::FIRST);
    assert!(!opened.is_stopped, "stops are forgotten with the sends that they are about");
}

#[tokio::test]
async fn forgetting_keeps_up_however_many_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    let (ada, number) = (user("ada"), 10_000);
    let appends = (0..number).map(|n| {
        let (store, ada) = (&store, &ada);
        async move { store.append(ada, Some(&key(&format!("k{n}"))), message("m")).await.unwrap() }
    });
    futures_util::future::join_all(appends).await;
    drop(store);

    let store = SqliteStore::open(&path).unwrap();
    store.work_by(&limits(|limits| limits.dedupe_window_ms = 0));
    let connection = rusqlite::Connection::open(&path).unwrap();
    let known = || {
        let count = "SELECT count(*) FROM publishes";
        connection.query_row(count, [], |row| row.get::<_, u32>(0)).unwrap()
    };
    eventually(async || known() == 0).await;
}
