//! Keys that are in memory, on their way into the file, and on their way out of it.

use super::{file::File, *};
use crate::store::sqlite::{keys::KEYS_IN_MEMORY_MAX, rules::Rule, rules::Rules};

struct Desk {
    connection: rusqlite::Connection,
    keys: Keys,
    file: File,
}

/// One is as old as its number, by a clock that stands at [`NOW`].
const NOW: i64 = times::EARLIEST_MS + 1_000_000;

impl Desk {
    fn new() -> Self {
        let file = File::new();
        let connection = file.connect();
        let keys = Keys::load(&connection, Counts::up_to(KEYS_IN_MEMORY_MAX)).unwrap();
        Self { connection, keys, file }
    }

    /// As after a crash: what is in memory is gone.
    fn restart(&mut self) {
        self.connection = self.file.connect();
        self.keys = Keys::load(&self.connection, Counts::up_to(KEYS_IN_MEMORY_MAX)).unwrap();
    }

    fn remember(&mut self, user: i64, key: &str, at: i64) {
        let appended = Appended {
            id: "m1".parse().unwrap(),
            seq: Seq::new(1).unwrap(),
            repeated: false,
            created_at_ms: at,
        };
        let key = (key.parse().unwrap(), [7; 32]);
        self.keys.remember(&self.connection, user, &key, &appended).unwrap();
        self.keys.committed();
    }

    fn knows(&self, user: i64, key: &str) -> bool {
        self.keys.find(&self.connection, user, &key.parse().unwrap()).unwrap().is_some()
    }

    fn fold(&mut self) {
        self.keys.fold(&self.connection).unwrap();
        self.keys.committed();
    }

    fn count(&self, table: &str) -> i64 {
        let count = format!("SELECT count(*) FROM {table}");
        self.connection.query_row(&count, [], |row| row.get(0)).unwrap()
    }

    /// Forgets what is older than so much, until there is nothing more to do.
    fn expire(&mut self, kept_ms: u64) {
        let rules = Rules::default();
        let mut limits = Limits::default();
        limits.dedupe_window_ms = kept_ms;
        rules.set(&limits);
        let rule: Rule = rules.get();
        while self.keys.expire(&self.connection, &rule, NOW).unwrap() {
            self.keys.committed();
        }
        self.keys.committed();
    }
}

#[test]
fn a_key_is_known_in_memory_while_it_is_folded_in_and_after() {
    let mut desk = Desk::new();
    let names: Vec<String> = (0..3_000).map(|n| format!("k{}", n * 7_919 % 3_000)).collect();
    let users = || (0..7).cycle().zip(&names);
    for (user, name) in users() {
        desk.remember(user, name, NOW);
    }
    let all_are_known = |desk: &Desk| users().all(|(user, name)| desk.knows(user, name));
    assert!(all_are_known(&desk));
    desk.fold();
    assert!(desk.count("publish_keys") > 0 && desk.count("publish_keys") < 3_000, "a part");
    desk.remember(1, "later", NOW);
    assert!(all_are_known(&desk));
    assert!(!desk.knows(0, "k1") || !desk.knows(1, "k1"), "each is one user's");
    desk.restart();
    assert!(
        all_are_known(&desk) && desk.knows(1, "later"),
        "what was not folded in is in memory again"
    );
    while desk.count("publish_keys") < 3_001 {
        desk.fold();
    }
    assert!(all_are_known(&desk));
    desk.restart();
    assert!(all_are_known(&desk) && desk.knows(1, "later"));
}

#[test]
fn a_fold_that_fails_is_begun_anew() {
    let mut desk = Desk::new();
    desk.remember(1, "k1", NOW);
    desk.connection.execute_batch("BEGIN").unwrap();
    desk.keys.fold(&desk.connection).unwrap();
    desk.connection.execute_batch("ROLLBACK").unwrap();
    desk.keys.undone();
    assert!(desk.knows(1, "k1"));
    desk.fold();
    assert_eq!(desk.count("publish_keys"), 1);
    desk.restart();
    assert!(desk.knows(1, "k1"));
}

#[test]
fn a_key_whose_commit_fails_is_not_known() {
    let mut desk = Desk::new();
    desk.connection.execute_batch("BEGIN").unwrap();
    let appended = Appended {
        id: "m1".parse().unwrap(),
        seq: Seq::new(1).unwrap(),
        repeated: false,
        created_at_ms: NOW,
    };
    let key = ("k1".parse().unwrap(), [7; 32]);
    desk.keys.remember(&desk.connection, 1, &key, &appended).unwrap();
    desk.connection.execute_batch("ROLLBACK").unwrap();
    desk.keys.undone();
    assert!(!desk.knows(1, "k1"));
    desk.remember(1, "k1", NOW);
    assert!(desk.knows(1, "k1"));
}

#[test]
fn what_expires_leaves_the_index_and_the_rows_and_their_numbers_do_not_come_again() {
    let mut desk = Desk::new();
    for n in 0..5_000 {
        desk.remember(n % 3, &format!("k{n}"), NOW - 10_000 + n);
    }
    desk.expire(7_500);
    assert_eq!((desk.count("publishes"), desk.count("publish_keys")), (2_500, 2_500));
    assert!(!desk.knows(2_499 % 3, "k2499") && desk.knows(2_500 % 3, "k2500"));
    desk.expire(0);
    assert_eq!((desk.count("publishes"), desk.count("publish_keys")), (0, 0));
    // A table that was emptied counted from one again, and a start took its rows for folded in.
    desk.remember(1, "k1", NOW);
    desk.restart();
    assert!(desk.knows(1, "k1"));
}

#[test]
fn who_is_erased_has_no_key_left_anywhere() {
    let mut desk = Desk::new();
    for n in 0..10 {
        desk.remember(n % 2, &format!("k{n}"), NOW);
    }
    desk.fold();
    for n in 10..20 {
        desk.remember(n % 2, &format!("k{n}"), NOW);
    }
    desk.keys.erase(&desk.connection, 1).unwrap();
    desk.connection.execute("INSERT INTO erased (user) VALUES (1)", []).unwrap();
    desk.keys.committed();
    desk.restart();
    assert_eq!(crate::store::sqlite::keys::delete_erased(&desk.connection, 1, 4).unwrap(), 4);
    assert_eq!(crate::store::sqlite::keys::delete_erased(&desk.connection, 1, 100).unwrap(), 6);
    desk.fold();
    assert_eq!((desk.count("publishes"), desk.count("publish_keys")), (10, 10));
    assert!((0..20).all(|n| desk.knows(n % 2, &format!("k{n}")) == (n % 2 == 0)));
}

#[tokio::test]
async fn the_last_key_that_fits_into_memory_is_taken_and_one_more_waits_until_keys_are_folded_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let setup = Setup { keys: Counts { fold_at: 2, max: 3 }, ..Setup::default() };
    let store = SqliteStore::open_with(&path, setup).unwrap();
    let disk = rusqlite::Connection::open(&path).unwrap();
    disk.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON publish_keys
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
    )
    .unwrap();
    let publish = async |key: Option<&str>| {
        let key = key.map(|key| key.parse().unwrap());
        let message = Message::parse(r#"{"type":"t"}"#).unwrap();
        store.append(&user("ada"), key.as_ref(), Arc::new(message)).await
    };
    for key in ["k1", "k2", "k3"] {
        publish(Some(key)).await.unwrap();
    }
    let refused = async || matches!(publish(Some("k4")).await, Err(AppendError::Store(_)));
    assert!(refused().await);
    assert!(publish(Some("k3")).await.unwrap().repeated, "it is known");
    assert_eq!(publish(None).await.unwrap().seq.get(), 4, "it needs no room");
    // Together with one that has no room, too.
    let (keyed, keyless) = tokio::join!(publish(Some("k4")), publish(None));
    assert_eq!((keyed.is_err(), keyless.unwrap().seq.get()), (true, 5));
    disk.execute_batch("DROP TRIGGER full").unwrap();
    eventually(async || !refused().await).await;
    assert!(publish(Some("k1")).await.unwrap().repeated, "from the file");
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_who_never_pause_do_not_outrun_the_folding() {
    // As long as somebody waited a step of folding followed each round of commits, however many keys that
    // round had brought: publishing many at once filled the memory, and then was refused.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let setup = Setup { keys: Counts { fold_at: 256, max: 12_000 }, ..Setup::default() };
    let store = Arc::new(SqliteStore::open_with(&path, setup).unwrap());
    let message = Arc::new(Message::parse(r#"{"type":"t"}"#).unwrap());
    let publishers = (0..8).map(|publisher| {
        let (store, message) = (store.clone(), message.clone());
        tokio::spawn(async move {
            for round in 0..3 {
                let publish = |n| {
                    let key = format!("k{publisher}-{round}-{n}").parse().unwrap();
                    Publish::new(user("ada"), message.clone()).with_key(key)
                };
                let appended = store.append_many((0..1_000).map(publish).collect()).await;
                assert!(appended.iter().all(Result::is_ok), "round {round}");
            }
        })
    });
    for published in futures_util::future::join_all(publishers).await {
        published.unwrap();
    }
}
