//! What clients can make grow.

use tetherline_protocol::DeviceId;

use super::{
    super::super::Mailbox as _,
    clock::{DAY_MS, Hands, look},
    *,
};
use crate::SendAnswer;

fn count(path: &std::path::Path, table: &str) -> u32 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

fn names(path: &std::path::Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut names = connection.prepare("SELECT name FROM users ORDER BY name").unwrap();
    names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn of_a_users_sends_so_many_outcomes_are_kept_and_the_oldest_goes_for_one_more() {
    // One connection wrote 12 GB a day, each outcome kept for seven days.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    store.keep_outcomes(40, u64::MAX);
    settle(&store, "bob", "m0", &Ok(None)).await;
    for n in 0..40 {
        settle(&store, "ada", &format!("m{n}"), &Ok(None)).await;
    }
    look(&store).await;
    assert_eq!(outcome(&store, "ada", "m0").await, Some(Ok(None)), "the last that fits");
    settle(&store, "ada", "m40", &Ok(None)).await;
    look(&store).await;
    assert_eq!(outcome(&store, "ada", "m0").await, None);
    for n in 1..=40 {
        assert_eq!(outcome(&store, "ada", &format!("m{n}")).await, Some(Ok(None)));
    }
    assert_eq!(outcome(&store, "bob", "m0").await, Some(Ok(None)), "another's");
}

#[tokio::test]
async fn outcomes_are_counted_in_bytes_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("mailbox.db")).unwrap();
    let answer = SendAnswer::parse(&format!("\"{}\"", "x".repeat(9_996))).unwrap();
    // Ids of two bytes, answers of 9,998.
    store.keep_outcomes(60, 50_000);
    for n in 0..5 {
        settle(&store, "ada", &format!("m{n}"), &Ok(Some(answer.clone()))).await;
    }
    look(&store).await;
    assert!(outcome(&store, "ada", "m0").await.is_some(), "the last byte that fits");
    settle(&store, "ada", "m", &Ok(None)).await;
    look(&store).await;
    assert_eq!(outcome(&store, "ada", "m0").await, None);
    assert!(outcome(&store, "ada", "m1").await.is_some());
}

#[tokio::test]
async fn many_outcomes_are_forgotten_bit_by_bit_and_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    for name in ["ada", "bob"] {
        let settled = (0..3_000).map(|n| {
            let store = &store;
            async move { settle(store, name, &format!("m{n}"), &Ok(None)).await }
        });
        futures_util::future::join_all(settled).await;
    }
    // From one limit to a smaller one: whoever sends again is seen to.
    store.keep_outcomes(10, u64::MAX);
    settle(&store, "ada", "last", &Ok(None)).await;
    look(&store).await;
    let kept = count(&path, "sends") - 3_000;
    assert!((10..10 + 256).contains(&kept), "{kept}");
    assert_eq!(outcome(&store, "ada", "last").await, Some(Ok(None)));
}

#[tokio::test]
async fn who_only_ever_came_is_forgotten_when_none_of_their_devices_is_in_use() {
    // Whoever had a token was a row for ever.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let hands = Hands::new();
    let store = SqliteStore::open_with(&path, hands.setup()).unwrap();
    let mut limits = Limits::default();
    (limits.retention_age_ms, limits.retention_messages_max) = (0, 0);
    store.work_by(&limits);
    let device: DeviceId = "laptop".parse().unwrap();
    let come = async |store: &SqliteStore, name: &str| {
        store.locate(&user(name), Some(&device)).await.unwrap().head
    };
    for name in ["visitor", "reader", "sender", "erased", "lately"] {
        come(&store, name).await;
    }
    let head = come(&store, "visitor").await;
    append(&store, "reader", None, "x").await;
    append(&store, "erased", None, "x").await;
    store.erase(&user("erased")).await.unwrap();
    hands.pass(29 * DAY_MS);
    settle(&store, "sender", "m1", &Ok(None)).await;
    come(&store, "lately").await;
    hands.pass(DAY_MS - 1_000);
    drop(store);
    let store = SqliteStore::open_with(&path, hands.setup()).unwrap();
    store.work_by(&limits);
    look(&store).await;
    assert_eq!(names(&path), ["erased", "lately", "reader", "sender", "visitor"], "just in use");
    hands.pass(2_000);
    drop(store);
    let store = SqliteStore::open_with(&path, hands.setup()).unwrap();
    store.work_by(&limits);
    look(&store).await;
    assert_eq!(names(&path), ["erased", "lately", "reader", "sender"]);
    // Who comes again is new, at the same beginning, and nobody else's.
    assert_eq!(come(&store, "visitor").await, head);
    assert_eq!(append(&store, "newcomer", None, "y").await.seq.get(), 1);
    assert_eq!(append(&store, "visitor", None, "z").await.seq.get(), 1);
    assert_eq!(append(&store, "reader", None, "z").await.seq.get(), 2);
    assert_eq!(append(&store, "erased", None, "z").await.seq.get(), 2, "positions go on");
}

#[tokio::test]
async fn who_is_forgotten_while_connected_misses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    let device: DeviceId = "laptop".parse().unwrap();
    let place = store.locate(&user("ada"), Some(&device)).await.unwrap();
    let mut limits = Limits::default();
    limits.device_retention_ms = 0;
    eventually(async || {
        store.work_by(&limits);
        look(&store).await;
        names(&path).is_empty()
    })
    .await;
    append(&store, "ada", None, "x").await;
    store.acknowledge(&user("ada"), Some(&device), Seq::new(1).unwrap()).await.unwrap();
    append(&store, "ada", None, "y").await;
    let room = super::super::Room { messages: 10, bytes: 1 << 20 };
    let page = store.read(&user("ada"), &place.head.epoch, Seq::ZERO, room).await.unwrap();
    assert_eq!(page.len(), 2);
    let back = store.locate(&user("ada"), Some(&device)).await.unwrap();
    assert_eq!(back.head.epoch, place.head.epoch);
    assert_eq!(back.cursor.get(), 1, "its user's floor");
}
