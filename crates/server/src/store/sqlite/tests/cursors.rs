//! When cursors reach the file.

use super::*;
use crate::store::sqlite::cursors::SAVE_EVERY;

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

/// A store with one message, and a device that knows it.
async fn store_with_a_device(path: &Path) -> (SqliteStore, UserId, DeviceId) {
    let (ada, phone) = (user("ada"), "phone".parse().unwrap());
    let store = SqliteStore::open(path).unwrap();
    append(&store, "ada", None, "x").await;
    store.locate(&ada, Some(&phone)).await.unwrap();
    (store, ada, phone)
}

fn in_the_file(path: &Path) -> (i64, i64) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let asked = "SELECT floor, cursor FROM users JOIN devices ON devices.user = users.id";
    connection.query_row(asked, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_is_written_a_second_later_though_nobody_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let (store, ada, phone) = store_with_a_device(&path).await;
    let acknowledged = Instant::now();
    store.acknowledge(&ada, Some(&phone), seq(1)).await.unwrap();
    let first = in_the_file(&path);
    assert!(first == (0, 0) || acknowledged.elapsed() >= SAVE_EVERY, "{first:?}");
    eventually(async || in_the_file(&path) == (1, 1)).await;
    assert!(acknowledged.elapsed() >= SAVE_EVERY);
}

#[tokio::test]
async fn a_cursor_that_has_not_moved_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let (store, ada, phone) = store_with_a_device(&path).await;
    store.acknowledge(&ada, Some(&phone), seq(1)).await.unwrap();
    store.save_cursor(&ada, Some(&phone)).await.unwrap();
    assert_eq!(in_the_file(&path), (1, 1));
    let log = log_bytes(&path);
    store.acknowledge(&ada, Some(&phone), seq(1)).await.unwrap();
    store.save_cursor(&ada, Some(&phone)).await.unwrap();
    assert_eq!(log_bytes(&path), log);
}

#[tokio::test]
async fn a_store_that_was_lost_and_found_knows_what_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (here, away) = (folder.path().join("here"), folder.path().join("away"));
    let path = here.join("mailbox.db");
    let (store, ada, phone) = store_with_a_device(&path).await;
    store.acknowledge(&ada, Some(&phone), seq(1)).await.unwrap();
    let m1 = claim(&store, "ada", "m1").await;
    std::fs::rename(&here, &away).unwrap();
    store.record(&m1, &Ok(None)).await.unwrap_err();
    std::fs::rename(&away, &here).unwrap();
    // It would have been written by then, were it still known.
    let place = store.locate(&ada, Some(&phone)).await.unwrap();
    assert_eq!((place.cursor, place.floor), (Seq::ZERO, Seq::ZERO));
    store.acknowledge(&ada, Some(&phone), seq(1)).await.unwrap();
    assert_eq!(store.locate(&ada, Some(&phone)).await.unwrap().cursor, seq(1));
}
