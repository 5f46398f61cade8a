//! Streams in a store as a whole, with a file that others look into.

use rusqlite::Connection;
use tetherline_protocol::{Attempt, StreamStatus, frame::StreamEnding};

use super::{unfinished::opening, *};
use crate::store::{
    AppendTextError, OpenStreamError, Streams as _, sqlite::stream_table::STREAM_OVERHEAD_BYTES,
};

#[tokio::test]
async fn the_last_byte_of_all_unfinished_streams_fits_and_one_more_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("mailbox.db")).unwrap();
    let mut limits = Limits::default();
    limits.streams_bytes_max = 2 * STREAM_OVERHEAD_BYTES + 9;
    store.work_by(&limits);
    let (ada, a1, a2) = (user("ada"), "a1".parse().unwrap(), "a2".parse().unwrap());
    let open = async |name: &str, uuid| store.open_stream(&user(name), uuid, opening()).await;
    let append =
        async |text: &str| store.append_text(&ada, &a1, Attempt::FIRST, None, text.into()).await;
    open("ada", &a1).await.unwrap();
    assert_eq!(append("1234567890").await, Ok(10), "there is no other stream");
    assert_eq!(open("bob", &a2).await, Err(OpenStreamError::Crowded), "one byte is missing");
    open("ada", &a1).await.unwrap();
    let second = async |text: &str| {
        let attempt = Attempt::FIRST.next();
        store.append_text(&ada, &a1, attempt, None, text.into()).await
    };
    assert_eq!(second("123456789").await, Ok(9));
    open("bob", &a2).await.unwrap();
    assert_eq!(second("0").await, Err(AppendTextError::Crowded));
    assert_eq!(open("bob", &a2).await.unwrap().attempt.get(), 2, "in the place of the one before");
    let ending = Arc::new(StreamEnding::plain(StreamStatus::Complete));
    store.finish_stream(&user("bob"), &a2, Attempt::FIRST.next(), ending).await.unwrap();
    assert_eq!(second("0").await, Ok(10));
}

#[tokio::test]
async fn an_erased_stream_leaves_the_file_too_whoever_else_needs_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    let secret = "nobody-shall-read-this-again".repeat(40);
    let open = async |name: &str, uuid: &str| {
        store.open_stream(&user(name), &uuid.parse().unwrap(), opening()).await.unwrap();
    };
    let append = async |name: &str, uuid: &str, text: &str| {
        let uuid = uuid.parse().unwrap();
        store.append_text(&user(name), &uuid, Attempt::FIRST, None, text.into()).await.unwrap();
    };
    // More than is written into rows in one go, so that a restart finds something left to do.
    let stays = "stays ".repeat(50_000);
    for uuid in ["a1", "a2", "a3"] {
        open("ada", uuid).await;
        append("ada", uuid, &stays).await;
    }
    for uuid in ["e1", "e2"] {
        open("eve", uuid).await;
        for _ in 0..50 {
            tokio::join!(append("ada", "a1", "stays "), append("eve", uuid, &secret));
        }
    }
    let ending = Arc::new(StreamEnding::plain(StreamStatus::Complete));
    store
        .finish_stream(&user("eve"), &"e1".parse().unwrap(), Attempt::FIRST, ending)
        .await
        .unwrap();
    store.erase(&user("eve")).await.unwrap();
    // A crash in between only means that it goes on later.
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    store.work_by(&Limits::default());
    let count = async |table: &str| {
        let connection = Connection::open(&path).unwrap();
        let count = format!("SELECT count(*) FROM {table}");
        connection.query_row(&count, [], |row| row.get::<_, u32>(0)).unwrap()
    };
    eventually(async || count("erased").await == 0).await;
    assert_eq!((count("stream_log").await, count("streams").await), (0, 3));
    assert_eq!(store.head(&user("eve")).await.unwrap().seq.get(), 1);
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    let page = store.read_streams(&user("ada"), &[], usize::MAX).page().await.unwrap();
    let texts: Vec<&str> = page.pieces.iter().map(|piece| &*piece.text).collect();
    assert_eq!(texts.iter().map(|text| text.len()).sum::<usize>(), 3 * stays.len() + 600);
    assert!(texts.concat().split(' ').all(|word| word == "stays" || word.is_empty()));
    drop(store);
    // What SQLite has moved before may leave a few behind until their place is used again.
    let part = &secret.as_bytes()[..28];
    let left = async || {
        let file = std::fs::read(&path).unwrap();
        file.windows(part.len()).filter(|window| *window == part).count()
    };
    eventually(async || left().await < 50).await;
}

#[tokio::test]
async fn text_that_could_not_be_committed_is_neither_shown_nor_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    let (ada, a1) = (user("ada"), "a1".parse().unwrap());
    store.open_stream(&ada, &a1, opening()).await.unwrap();
    let append =
        async |text: &str| store.append_text(&ada, &a1, Attempt::FIRST, Some(0), text.into()).await;
    let disk = Connection::open(&path).unwrap();
    disk.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON stream_log
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
    )
    .unwrap();
    let failed = append("one").await;
    assert!(matches!(failed, Err(AppendTextError::Store(_))), "{failed:?}");
    let text = async || {
        let page = store.read_streams(&ada, &[], 100).page().await.unwrap();
        page.pieces[0].text.to_string()
    };
    assert_eq!(text().await, "");
    assert_eq!(store.stream(&ada, &a1).await.unwrap().unwrap().next_offset, 0);
    disk.execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(append("another").await, Ok(7), "nothing was there");
    assert_eq!(text().await, "another");
}

#[tokio::test]
async fn a_stream_that_could_not_be_finished_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    let (ada, a1) = (user("ada"), "a1".parse().unwrap());
    store.open_stream(&ada, &a1, opening()).await.unwrap();
    let append = async |text: &str| {
        store.append_text(&ada, &a1, Attempt::FIRST, None, text.into()).await.unwrap()
    };
    append("a").await;
    let disk = Connection::open(&path).unwrap();
    disk.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON messages
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
    )
    .unwrap();
    let finish = async || {
        let ending = Arc::new(StreamEnding::plain(StreamStatus::Complete));
        store.finish_stream(&ada, &a1, Attempt::FIRST, ending).await
    };
    finish().await.unwrap_err();
    assert_eq!(append("b").await, 2);
    assert_eq!(&*store.read_streams(&ada, &[], 100).page().await.unwrap().pieces[0].text, "ab");
    disk.execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(finish().await.unwrap().seq.get(), 1);
}
