//! The file itself, and what others may do to it: read it, copy it, lock it, move it away, delete it.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tetherline_server::StoreError;

use super::*;

/// A store in a folder of its own.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.data().join(name)
    }

    fn open(&self) -> Result<SqliteStore, OpenError> {
        SqliteStore::open(&self.file("mailbox.db"))
    }

    /// As another program would.
    fn connect(&self) -> Connection {
        Connection::open(self.file("mailbox.db")).unwrap()
    }
}

async fn attempt(store: &SqliteStore, text: &str) -> Result<Appended, AppendError> {
    store.append(&user("ada"), None, message(text)).await
}

async fn failed(store: &SqliteStore) -> StoreError {
    tokio::time::timeout(Duration::from_secs(30), store.failed()).await.expect("it fails for good")
}

#[tokio::test]
async fn a_lock_of_another_program_is_answered_in_time_and_over_when_it_is() {
    // Locked by another program for 25 s, publishes hung as long and then succeeded.
    let place = Place::new();
    let store = place.open().unwrap();
    let other = place.connect();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let started = Instant::now();
    let refused = futures_util::future::join_all((0..50).map(|_| attempt(&store, "x"))).await;
    assert!(refused.iter().all(Result::is_err));
    let words = refused[0].as_ref().unwrap_err().to_string();
    assert!(words.contains("database is locked"), "{words}");
    // Each of them was tried alone, for ten seconds each.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    read(&store, &user("ada"), Seq::ZERO, ROOM).await.expect("reading waits for nobody");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(
        attempt(&store, "x").await.unwrap().seq,
        seq(1),
        "and nothing was kept of the others"
    );
}

#[tokio::test]
async fn of_a_commit_that_failed_everybody_is_told_to_look() {
    // What was out of sight for it is there again, and only the file knows what became of the rest.
    let place = Place::new();
    let store = place.open().unwrap();
    let mut commits = store.events();
    let other = place.connect();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    attempt(&store, "x").await.unwrap_err();
    let told = commits.try_next();
    assert!(matches!(told[..], [Event::Missed]), "{told:?}");
    other.execute_batch("COMMIT").unwrap();
    let appended = attempt(&store, "x").await.unwrap();
    let told = commits.try_next();
    assert!(
        matches!(&told[..], [Event::Appended { appended: it, .. }] if *it == appended),
        "{told:?}"
    );
}

#[tokio::test]
async fn only_the_culprit_of_a_batch_fails() {
    let place = Place::new();
    let store = place.open().unwrap();
    append(&store, "ada", "x").await;
    // Somebody has written where this user's next message will be, and lets go of the file once three
    // publishes wait for it.
    let other = place.connect();
    let stray = "INSERT INTO messages (user, seq, id, kind, created_at, fields)
                 SELECT user, 2, id, kind, created_at, fields FROM messages";
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other.execute(stray, []).unwrap();
    let mut writing = Box::pin(async {
        tokio::join!(append(&store, "eve", "x"), attempt(&store, "y"), append(&store, "bob", "x"))
    });
    assert!(futures_util::FutureExt::now_or_never(&mut writing).is_none());
    other.execute_batch("COMMIT").unwrap();
    let (eve, ada, bob) = writing.await;
    assert_eq!((eve.seq, bob.seq), (seq(1), seq(1)));
    // Alone, and with a fresh look at the file, it finds its place.
    assert_eq!(ada.unwrap().seq, seq(3));
}

#[tokio::test]
async fn a_copy_of_the_file_after_a_clean_stop_has_everything() {
    // 2.8 MB lay in the log after a clean stop, and whoever copied the one file had half a backup.
    let place = Place::new();
    let store = place.open().unwrap();
    for _ in 0..100 {
        append(&store, "ada", &"x".repeat(10_000)).await;
    }
    assert_eq!(positions(&store, "ada").await.len(), 100);
    drop(store);
    assert!(!place.file("mailbox.db-wal").exists());
    let copied = Place::new();
    fs::create_dir(copied.data()).unwrap();
    fs::copy(place.file("mailbox.db"), copied.file("mailbox.db")).unwrap();
    let store = copied.open().unwrap();
    assert_eq!(positions(&store, "ada").await.len(), 100);
}

#[tokio::test]
async fn a_missing_or_empty_file_is_no_new_mailbox() {
    // It started, and everything that had been acknowledged was gone without a word.
    let place = Place::new();
    let store = place.open().unwrap();
    append(&store, "ada", "x").await;
    drop(store);
    let path = place.file("mailbox.db");
    let away = place.file("away.db");
    fs::rename(&path, &away).unwrap();
    for content in [None, Some("")] {
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let refused = place.open().err().unwrap();
        assert!(matches!(refused, OpenError::Missing(_)), "{refused}");
        let words = refused.to_string();
        assert!(words.contains("put it back") && words.contains("mailbox.db-lock"), "{words}");
    }
    // A database with nothing in it is no mailbox either.
    fs::remove_file(&path).unwrap();
    place.connect().execute_batch("PRAGMA user_version = 0; VACUUM").unwrap();
    assert!(matches!(place.open(), Err(OpenError::Missing(_))));

    fs::rename(&away, &path).unwrap();
    let store = place.open().unwrap();
    assert_eq!(positions(&store, "ada").await, [1]);
    drop(store);
    // What the sentence says is how to start anew.
    fs::remove_file(&path).unwrap();
    fs::remove_file(place.file("mailbox.db-lock")).unwrap();
    let store = place.open().unwrap();
    assert_eq!(append(&store, "ada", "x").await.seq, seq(1));
}

#[tokio::test]
async fn a_lock_file_of_before_says_that_there_was_a_mailbox_too() {
    let place = Place::new();
    fs::create_dir(place.data()).unwrap();
    fs::write(place.file("mailbox.db-lock"), "").unwrap();
    assert!(matches!(place.open(), Err(OpenError::Missing(_))));
}

#[tokio::test]
async fn a_first_start_that_was_cut_short_is_begun_again() {
    let place = Place::new();
    fs::create_dir(place.file("mailbox.db").parent().unwrap()).unwrap();
    fs::create_dir(place.file("mailbox.db")).unwrap();
    place.open().err().unwrap();
    fs::remove_dir(place.file("mailbox.db")).unwrap();
    let store = place.open().unwrap();
    assert_eq!(append(&store, "ada", "x").await.seq, seq(1));
}

#[tokio::test]
async fn nothing_is_acknowledged_while_the_folder_is_away_and_it_goes_on_when_it_is_back() {
    // It went on answering 201 to what nobody would ever find.
    let place = Place::new();
    let store = place.open().unwrap();
    append(&store, "ada", "x").await;
    store.answers().await.unwrap();
    let away = place.folder.path().join("away");
    fs::rename(place.data(), &away).unwrap();
    // Before anybody has published: nobody shall be sent here.
    store.answers().await.unwrap_err();
    let words = attempt(&store, "y").await.unwrap_err().to_string();
    assert!(words.contains("is not there any more"), "{words}");
    // It said "put it back, or restart": of a file that was deleted that ends the last copy.
    let process = std::process::id().to_string();
    assert!(words.contains("do not end it") && words.contains(&process), "{words}");
    fs::rename(&away, place.data()).unwrap();
    store.answers().await.unwrap();
    assert_eq!(attempt(&store, "y").await.unwrap().seq, seq(2));
}

#[tokio::test]
async fn after_a_commit_that_failed_a_store_answers_once_it_could_keep_something() {
    // On a full disk nothing but a write can tell whether there is room again.
    let place = Place::new();
    let store = place.open().unwrap();
    append(&store, "ada", "x").await;
    let full = "CREATE TRIGGER full BEFORE UPDATE ON meta BEGIN SELECT RAISE(ABORT, 'full'); END;
        CREATE TRIGGER fuller BEFORE INSERT ON messages BEGIN SELECT RAISE(ABORT, 'full'); END;";
    place.connect().execute_batch(full).unwrap();
    store.answers().await.unwrap();
    attempt(&store, "y").await.unwrap_err();
    store.answers().await.unwrap_err();
    store.answers().await.unwrap_err();
    place.connect().execute_batch("DROP TRIGGER full; DROP TRIGGER fuller").unwrap();
    store.answers().await.unwrap();
    assert_eq!(attempt(&store, "y").await.unwrap().seq, seq(2));
}

#[tokio::test]
async fn nothing_is_acknowledged_once_a_file_is_deleted() {
    for name in ["mailbox.db", "mailbox.db-wal"] {
        let place = Place::new();
        let store = place.open().unwrap();
        append(&store, "ada", "x").await;
        fs::remove_file(place.file(name)).unwrap();
        attempt(&store, "y").await.unwrap_err();
        attempt(&store, "y").await.unwrap_err();
    }
}

#[tokio::test]
async fn a_file_that_was_replaced_ends_the_store_for_good() {
    let place = Place::new();
    let store = place.open().unwrap();
    append(&store, "ada", "x").await;
    let copy = place.file("copy.db");
    fs::copy(place.file("mailbox.db"), &copy).unwrap();
    fs::rename(&copy, place.file("mailbox.db")).unwrap();
    attempt(&store, "y").await.unwrap_err();
    let reason = failed(&store).await.to_string();
    assert!(reason.contains("was replaced under the running server"), "{reason}");
    attempt(&store, "y").await.unwrap_err();
}

#[tokio::test]
async fn a_file_that_was_replaced_is_not_read_with_the_log_of_another() {
    // Only commits looked: a reader that was opened later mixed the one's pages with the other's log.
    let place = Place::new();
    let store = place.open().unwrap();
    append(&store, "ada", "x").await;
    let copy = place.file("copy.db");
    fs::copy(place.file("mailbox.db"), &copy).unwrap();
    fs::rename(&copy, place.file("mailbox.db")).unwrap();
    let words = read(&store, &user("ada"), Seq::ZERO, ROOM).await.unwrap_err().to_string();
    assert!(words.contains("was replaced under the running server"), "{words}");
}

#[tokio::test]
async fn a_log_that_was_deleted_is_not_made_anew_by_a_reader() {
    // It was, and so the store was over for good, with the last copy of what was committed.
    let place = Place::new();
    let store = place.open().unwrap();
    append(&store, "ada", "x").await;
    let (log, away) = (place.file("mailbox.db-wal"), place.file("away"));
    fs::rename(&log, &away).unwrap();
    read(&store, &user("ada"), Seq::ZERO, ROOM).await.unwrap_err();
    assert!(!log.exists());
    fs::rename(&away, &log).unwrap();
    assert_eq!(positions(&store, "ada").await, [1]);
    assert_eq!(attempt(&store, "y").await.unwrap().seq, seq(2));
}

#[tokio::test]
async fn a_lock_file_that_is_deleted_keeps_a_second_server_away_all_the_same() {
    // A second server started, and both wrote.
    let place = Place::new();
    let store = place.open().unwrap();
    append(&store, "ada", "x").await;
    fs::remove_file(place.file("mailbox.db-lock")).unwrap();
    append(&store, "ada", "y").await;
    assert!(matches!(place.open(), Err(OpenError::InUse(_))));
}

#[tokio::test]
async fn who_is_slower_than_a_second_server_ends_before_it_acknowledges_anything() {
    let place = Place::new();
    let first = place.open().unwrap();
    append(&first, "ada", "x").await;
    fs::remove_file(place.file("mailbox.db-lock")).unwrap();
    let second = place.open().unwrap();
    assert_eq!(append(&second, "ada", "y").await.seq, seq(2));
    attempt(&first, "z").await.unwrap_err();
    let reason = failed(&first).await.to_string();
    assert!(reason.contains("mailbox.db-lock was replaced"), "{reason}");
    drop(first);
    assert_eq!(append(&second, "ada", "z").await.seq, seq(3));
    assert_eq!(positions(&second, "ada").await, [1, 2, 3]);
}

/// Changes a byte inside a message, as a disk may.
fn flip(path: &std::path::Path, text: &str) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    bytes[at + 1] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_message_whose_bytes_were_changed_is_not_delivered_and_the_others_are() {
    // It was delivered as invalid JSON, or as another text.
    let place = Place::new();
    let store = place.open().unwrap();
    for text in ["first", "second-whole", "third", "fourth-whole"] {
        append(&store, "ada", text).await;
    }
    drop(store);
    flip(&place.file("mailbox.db"), "second-whole");
    flip(&place.file("mailbox.db"), "fourth-whole");
    let store = place.open().unwrap();
    let page = read(&store, &user("ada"), Seq::ZERO, ROOM).await.unwrap();
    let whole: Vec<bool> = page.iter().map(|delivery| !delivery.is_unreadable()).collect();
    assert_eq!(whole, [true, false, true, false]);
    assert_eq!(page.iter().map(|delivery| delivery.seq.get()).collect::<Vec<_>>(), [1, 2, 3, 4]);
    // One of a program that made no proofs counts as it is.
    let other = place.connect();
    other.execute("UPDATE messages SET checksum = NULL", []).unwrap();
    let page = read(&store, &user("ada"), Seq::ZERO, ROOM).await.unwrap();
    assert!(page.iter().all(|delivery| !delivery.is_unreadable()));
}
