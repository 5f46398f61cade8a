//! What is in the file itself.

use std::time::Duration;

use super::*;

fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

async fn append(store: &SqliteStore, name: &str, key: Option<String>, text: &str) -> Appended {
    let message = Message::parse(&format!(r#"{{"type":"t","text":"{text}"}}"#)).unwrap();
    let key = key.map(|key| key.parse().unwrap());
    store.append(&user(name), key.as_ref(), Arc::new(message)).await.unwrap()
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
async fn what_is_erased_leaves_the_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    let secret = "nobody-shall-read-this-again";
    let appends = (0..5_000).map(|n| append(&store, "eve", Some(format!("k{n}")), secret));
    futures_util::future::join_all(appends).await;
    store.record(&user("eve"), &"m1".parse().unwrap(), &Ok(())).await.unwrap();
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
    let head = store.head(&user("ada")).await.unwrap();
    drop(store);
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(
            "ALTER TABLE users DROP COLUMN trimmed; DROP TABLE erased; PRAGMA user_version = 1",
        )
        .unwrap();
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.head(&user("ada")).await.unwrap(), head);
    assert_eq!(append(&store, "ada", None, "y").await.seq.get(), 2);
}
