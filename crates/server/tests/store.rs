//! What every store promises, and what SQLite promises beyond it.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "store/file.rs"]
mod file;
#[path = "store/growing.rs"]
mod growing;
#[path = "store/streams.rs"]
mod streams;

use std::{os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration};

use tetherline_protocol::{
    Attempt, DeviceId, ErrorCode, IdempotencyKey, Limits, MessageId, Seq, StopTarget, StreamStatus,
    UserId,
    frame::{Message, StreamEnding, StreamOpening},
};
use tetherline_server::{
    Refusal,
    store::{
        AppendError, Appended, Inbox as _, Mailbox as _, OpenError, Room, SqliteStore, Store,
        Streams as _, Upkeep as _,
    },
};

const ROOM: Room = Room { messages: 1_000, bytes: 1 << 20 };

fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

fn device(name: &str) -> DeviceId {
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

/// Every promise of the traits. `open` opens the same store again and again; what was answered
/// before must be there after.
async fn conforms<S: Store>(open: impl AsyncFn() -> S) {
    let store = open().await;
    positions_are_dense_per_user(&store).await;
    reading_takes_what_fits_and_at_least_one(&store).await;
    keys_recognise_repeats(&store).await;
    cursors_only_move_forward(&store).await;
    the_first_outcome_stays(&store).await;
    concurrent_appends_leave_no_hole(&store).await;
    let epoch = store.head(&user("ada")).await.unwrap().epoch;
    drop(store);

    let store = open().await;
    let head = store.head(&user("ada")).await.unwrap();
    assert_eq!((head.seq, head.epoch), (seq(3), epoch));
    assert_eq!(store.read(&user("ada"), Seq::ZERO, ROOM).await.unwrap().len(), 3);
    let repeat = store.append(&user("kim"), Some(&key("k1")), message("once")).await.unwrap();
    assert!(repeat.repeated);
    let place = store.locate(&user("dee"), Some(&device("phone"))).await.unwrap();
    assert_eq!(place.cursor, seq(2));
    let outcome = store.outcome(&user("ina"), &"m1".parse().unwrap()).await.unwrap();
    assert_eq!(outcome, Some(Ok(())));
    assert_eq!(append(&store, "ada", "four").await.seq, seq(4));
    drop(store);

    streams::conform(open).await;
}

/// The same for what is forgotten. `open` opens the same store again and again.
async fn forgets_as_told<S: Store>(open: impl AsyncFn() -> S) {
    let store = open().await;
    trimming_takes_the_oldest_and_moves_nothing(&store).await;
    what_is_erased_is_gone_and_positions_go_on(&store).await;
    let erased = store.head(&user("eve")).await.unwrap();
    drop(store);

    let store = open().await;
    let place = store.locate(&user("tim"), None).await.unwrap();
    assert_eq!((place.head.seq, place.trimmed), (seq(11), seq(6)));
    assert_eq!(positions(&store, "tim").await, [7, 8, 9, 10, 11]);
    assert_eq!(store.head(&user("eve")).await.unwrap(), erased);
    assert_eq!(positions(&store, "eve").await, [4]);

    // Everything is older than this, once the clock has moved on; no head follows.
    tokio::time::sleep(Duration::from_millis(5)).await;
    store.work_by(&limits(|limits| limits.retention_age_ms = 1));
    eventually(async || positions(&store, "tim").await.is_empty()).await;
    let place = store.locate(&user("tim"), None).await.unwrap();
    assert_eq!((place.head.seq, place.trimmed), (seq(11), seq(11)));
    drop(store);

    let store = open().await;
    let place = store.locate(&user("tim"), None).await.unwrap();
    assert_eq!((place.head.seq, place.trimmed), (seq(11), seq(11)));
    assert_eq!(append(&store, "tim", "x").await.seq, seq(12));
}

async fn trimming_takes_the_oldest_and_moves_nothing(store: &impl Store) {
    let tim = user("tim");
    let first = store.append(&tim, Some(&key("k1")), message("once")).await.unwrap();
    for _ in 2..=5 {
        append(store, "tim", "x").await;
    }
    store.work_by(&limits(|limits| limits.retention_messages_max = 5));
    append(store, "bob", "x").await;
    assert_eq!(positions(store, "tim").await, [1, 2, 3, 4, 5], "the last number that fits");
    append(store, "tim", "x").await;
    eventually(async || positions(store, "tim").await == [2, 3, 4, 5, 6]).await;
    let place = store.locate(&tim, None).await.unwrap();
    assert_eq!((place.head.seq, place.floor, place.trimmed), (seq(6), Seq::ZERO, seq(1)));
    assert_eq!(positions(store, "bob").await, [1]);

    let again = store.append(&tim, Some(&key("k1")), message("once")).await.unwrap();
    assert_eq!((again.repeated, again.seq, again.id), (true, first.seq, first.id));
    let other = store.append(&tim, Some(&key("k1")), message("another")).await;
    assert!(matches!(other, Err(AppendError::Conflict)), "{other:?}");

    // A lower limit than before reaches mailboxes in which nothing happens, 0 none.
    store.work_by(&limits(|limits| limits.retention_messages_max = 0));
    for number in 7..=11 {
        assert_eq!(append(store, "tim", "x").await.seq, seq(number));
    }
    assert_eq!(positions(store, "tim").await.len(), 10);
    store.work_by(&limits(|limits| limits.retention_messages_max = 5));
    eventually(async || positions(store, "tim").await == [7, 8, 9, 10, 11]).await;
}

async fn what_is_erased_is_gone_and_positions_go_on(store: &impl Store) {
    let (eve, phone, m1) = (user("eve"), device("phone"), "m1".parse().unwrap());
    store.erase(&eve).await.unwrap();
    let unknown = store.head(&eve).await.unwrap();
    store.append(&eve, Some(&key("k1")), message("once")).await.unwrap();
    append(store, "eve", "x").await;
    store.locate(&eve, Some(&phone)).await.unwrap();
    store.acknowledge(&eve, Some(&phone), seq(1)).await.unwrap();
    store.record(&eve, &m1, &Ok(())).await.unwrap();
    let before = store.head(&eve).await.unwrap();
    assert_eq!(before.epoch, unknown.epoch, "nothing was erased");

    store.erase(&eve).await.unwrap();
    assert_eq!(positions(store, "eve").await, [0_u64; 0]);
    assert_eq!(store.outcome(&eve, &m1).await.unwrap(), None);
    let place = store.locate(&eve, Some(&phone)).await.unwrap();
    assert_ne!(place.head.epoch, before.epoch);
    let two = seq(2);
    assert_eq!((place.head.seq, place.cursor, place.floor, place.trimmed), (two, two, two, two));
    let anew = store.append(&eve, Some(&key("k1")), message("another")).await.unwrap();
    assert_eq!((anew.repeated, anew.seq), (false, seq(3)));
    // What is still on its way from before the erasure changes nothing.
    store.acknowledge(&eve, Some(&phone), seq(1)).await.unwrap();
    assert_eq!(store.locate(&eve, Some(&phone)).await.unwrap().cursor, two);

    let between = store.head(&eve).await.unwrap().epoch;
    store.erase(&eve).await.unwrap();
    store.erase(&eve).await.unwrap();
    let after = store.head(&eve).await.unwrap();
    assert_eq!(after.seq, seq(3));
    assert!(![&unknown.epoch, &between].contains(&&after.epoch), "{after:?}");
    assert_eq!(append(store, "eve", "x").await.seq, seq(4));
    assert_eq!(positions(store, "tim").await.len(), 5, "somebody else's stay");
}

async fn positions(store: &impl Store, name: &str) -> Vec<u64> {
    let page = store.read(&user(name), Seq::ZERO, ROOM).await.unwrap();
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

async fn positions_are_dense_per_user(store: &impl Store) {
    assert_eq!(store.head(&user("ada")).await.unwrap().seq, Seq::ZERO);
    for number in 1..=3 {
        assert_eq!(append(store, "ada", "x").await.seq, seq(number));
    }
    assert_eq!(append(store, "bob", "x").await.seq, seq(1));
    assert_eq!(store.head(&user("ada")).await.unwrap().seq, seq(3));
}

async fn reading_takes_what_fits_and_at_least_one(store: &impl Store) {
    for number in 1..=5 {
        append(store, "rea", &format!("{number}{}", "x".repeat(400))).await;
    }
    let read = async |after, room| -> Vec<u64> {
        let page = store.read(&user("rea"), seq(after), room).await.unwrap();
        page.iter().map(|delivery| delivery.seq.get()).collect()
    };
    assert_eq!(read(0, ROOM).await, [1, 2, 3, 4, 5]);
    assert_eq!(read(3, ROOM).await, [4, 5]);
    assert_eq!(read(5, ROOM).await, [0_u64; 0]);
    assert_eq!(read(1, Room { messages: 2, ..ROOM }).await, [2, 3]);
    assert_eq!(read(0, Room { bytes: 1, ..ROOM }).await, [1]);
    let one = store.read(&user("rea"), Seq::ZERO, Room { messages: 1, ..ROOM }).await.unwrap();
    let size = one[0].text.len();
    assert_eq!(read(0, Room { bytes: size * 2, ..ROOM }).await, [1, 2]);
    assert_eq!(read(0, Room { bytes: size * 2 - 1, ..ROOM }).await, [1]);
    let text: &str = one[0].text.as_ref();
    assert!(text.starts_with(r#"{"type":"t","id":""#) && text.contains(r#""seq":1,"#), "{text}");
}

async fn keys_recognise_repeats(store: &impl Store) {
    let kim = user("kim");
    let first = store.append(&kim, Some(&key("k1")), message("once")).await.unwrap();
    let again = store.append(&kim, Some(&key("k1")), message("once")).await.unwrap();
    assert_eq!((again.repeated, again.seq, &again.id), (true, first.seq, &first.id));
    let other = store.append(&kim, Some(&key("k1")), message("another")).await;
    assert!(matches!(other, Err(AppendError::Conflict)), "{other:?}");
    assert_eq!(store.head(&kim).await.unwrap().seq, seq(1));
    // Both at once is once, too.
    let key = key("k2");
    let (one, two) = tokio::join!(
        store.append(&kim, Some(&key), message("both")),
        store.append(&kim, Some(&key), message("both"))
    );
    assert_eq!(one.unwrap().seq, two.unwrap().seq);
}

async fn cursors_only_move_forward(store: &impl Store) {
    let dee = user("dee");
    for _ in 0..5 {
        append(store, "dee", "x").await;
    }
    let (phone, laptop) = (device("phone"), device("laptop"));
    assert_eq!(store.locate(&dee, Some(&phone)).await.unwrap().cursor, Seq::ZERO);
    store.acknowledge(&dee, Some(&laptop), seq(1)).await.unwrap();
    store.locate(&dee, Some(&laptop)).await.unwrap();
    store.acknowledge(&dee, Some(&laptop), seq(4)).await.unwrap();
    store.acknowledge(&dee, Some(&laptop), seq(2)).await.unwrap();
    store.acknowledge(&dee, Some(&phone), seq(2)).await.unwrap();
    let place = store.locate(&dee, Some(&laptop)).await.unwrap();
    assert_eq!((place.cursor, place.floor, place.head.seq), (seq(4), seq(4), seq(5)));
    let place = store.locate(&dee, Some(&phone)).await.unwrap();
    assert_eq!(place.cursor, seq(2));
    assert_eq!(store.locate(&dee, Some(&device("new"))).await.unwrap().cursor, seq(4));
    assert_eq!(store.locate(&dee, None).await.unwrap().cursor, seq(4));
    store.acknowledge(&dee, None, seq(99)).await.unwrap();
    assert_eq!(store.locate(&dee, None).await.unwrap().floor, seq(5), "never past the head");
    assert_eq!(store.locate(&dee, Some(&device("new"))).await.unwrap().cursor, seq(4));
}

async fn the_first_outcome_stays(store: &impl Store) {
    let (ina, m1, m2): (_, MessageId, MessageId) =
        (user("ina"), "m1".parse().unwrap(), "m2".parse().unwrap());
    assert_eq!(store.outcome(&ina, &m1).await.unwrap(), None);
    store.record(&ina, &m1, &Ok(())).await.unwrap();
    let refusal = Refusal::new(ErrorCode::Rejected, "No.");
    store.record(&ina, &m1, &Err(refusal.clone())).await.unwrap();
    store.record(&ina, &m2, &Err(refusal.clone())).await.unwrap();
    assert_eq!(store.outcome(&ina, &m1).await.unwrap(), Some(Ok(())));
    assert_eq!(store.outcome(&ina, &m2).await.unwrap(), Some(Err(refusal)));
    assert_eq!(store.outcome(&user("bob"), &m1).await.unwrap(), None);
}

async fn concurrent_appends_leave_no_hole(store: &impl Store) {
    let appends = (0..200).map(|_| append(store, "con", "x"));
    let mut seqs: Vec<u64> = futures_util::future::join_all(appends)
        .await
        .iter()
        .map(|appended| appended.seq.get())
        .collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn sqlite_keeps_every_promise_of_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    conforms(async || SqliteStore::open(&path).unwrap()).await;
}

#[tokio::test]
async fn sqlite_forgets_as_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    forgets_as_told(async || SqliteStore::open(&path).unwrap()).await;
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

#[tokio::test]
async fn a_device_that_only_connects_is_in_use() {
    // It had its place taken by a newer one, because it never had anything to acknowledge.
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("mailbox.db")).unwrap();
    let ada = user("ada");
    store.work_by(&limits(|limits| (limits.devices_max, limits.device_retention_ms) = (2, 0)));
    let connect = async |name: &str| {
        // Uses have to differ in ms.
        tokio::time::sleep(Duration::from_millis(3)).await;
        store.locate(&ada, Some(&device(name))).await.unwrap().cursor
    };
    for name in ["old", "idle", "old", "new"] {
        connect(name).await;
    }
    append(&store, "ada", "x").await;
    store.acknowledge(&ada, None, seq(1)).await.unwrap();
    store.work_by(&limits(|limits| limits.devices_max = 2));
    assert_eq!(connect("old").await, Seq::ZERO, "it kept its place");
    assert_eq!(connect("idle").await, seq(1), "it lost it");
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
    assert!(matches!(SqliteStore::open(&file), Err(OpenError::Sqlite(_))));
    assert!(matches!(SqliteStore::open(&file.join("mailbox.db")), Err(OpenError::File { .. })));
}

#[tokio::test]
async fn keys_and_ids_are_forgotten_after_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let (ada, id) = (user("ada"), "m1".parse().unwrap());
    let store = SqliteStore::open(&path).unwrap();
    store.append(&ada, Some(&key("k")), message("x")).await.unwrap();
    store.record(&ada, &id, &Ok(())).await.unwrap();
    drop(store);
    // A window of nothing, once the clock has moved on: everything is older.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let store = SqliteStore::open(&path).unwrap();
    store.work_by(&limits(|limits| limits.dedupe_window_ms = 0));
    eventually(async || store.outcome(&ada, &id).await.unwrap().is_none()).await;
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

#[tokio::test]
async fn one_device_too_many_starts_at_the_floor_until_an_unused_one_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let ada = user("ada");
    let store = SqliteStore::open(&path).unwrap();
    store.work_by(&limits(|limits| limits.devices_max = 2));
    let locate = async |store: &SqliteStore, name: &str| {
        store.locate(&ada, Some(&device(name))).await.unwrap().cursor
    };
    for name in ["one", "two", "three"] {
        assert_eq!(locate(&store, name).await, Seq::ZERO);
    }
    append(&store, "ada", "x").await;
    store.acknowledge(&ada, Some(&device("two")), seq(1)).await.unwrap();
    assert_eq!(locate(&store, "one").await, Seq::ZERO, "one of the two that have a place");
    assert_eq!(locate(&store, "three").await, seq(1), "no place: it starts at the floor");
    drop(store);

    tokio::time::sleep(Duration::from_millis(5)).await;
    let store = SqliteStore::open(&path).unwrap();
    store.work_by(&limits(|limits| (limits.devices_max, limits.device_retention_ms) = (2, 0)));
    locate(&store, "three").await;
    append(&store, "ada", "x").await;
    store.acknowledge(&ada, None, seq(2)).await.unwrap();
    assert_eq!(locate(&store, "three").await, seq(1), "it has the place of the least recent");
    assert_eq!(locate(&store, "two").await, seq(1));
}
