//! Positions that are in memory, on their way into the file's index, and on their way out of it.

use super::{file::File, *};
use crate::store::{
    Delivery, Resumed, Standing, fresh_id,
    sqlite::{
        aging::Span,
        cursors::{Position, Positions},
        index::{MAILBOX_FOLD_AT, POSITIONS_IN_MEMORY_MAX},
        trim::{Budget, trim, trim_by_age},
    },
};

/// A writer without its thread.
struct Desk {
    connection: rusqlite::Connection,
    recents: Recents,
    index: Index,
    file: File,
}

const COUNTS: Counts = Counts::up_to(POSITIONS_IN_MEMORY_MAX);
const ROOM: Room = Room { messages: 10_000, bytes: 1 << 20 };

impl Desk {
    fn new() -> Self {
        let file = File::new();
        let connection = file.connect();
        let recents = Recents::default();
        let index = Index::load(&connection, &recents, COUNTS).unwrap();
        Self { connection, recents, index, file }
    }

    /// As after a crash: what is in memory is gone.
    fn restart(&mut self) {
        self.connection = self.file.connect();
        self.recents = Recents::default();
        self.index = Index::load(&self.connection, &self.recents, COUNTS).unwrap();
    }

    fn commit(&mut self) {
        self.index.committed(&self.recents);
    }

    fn append(&mut self, name: &str) -> Seq {
        let (name, connection) = (user(name), &self.connection);
        let recent = self.recents.of(&name);
        let mailbox = view::mailbox(connection, &name, &recent).unwrap();
        let seq = mailbox.head.next().unwrap();
        let appended = Appended { id: fresh_id(), seq, repeated: false, created_at_ms: 1 };
        let number = self.index.give(&name, mailbox.user, seq);
        let message = Message::parse(r#"{"type":"t"}"#).unwrap();
        messages::append(connection, number, mailbox.user, &appended, &message).unwrap();
        self.commit();
        seq
    }

    fn fold(&mut self) {
        self.index.fold(&self.connection, &self.recents).unwrap();
        self.commit();
    }

    fn fold_all(&mut self) {
        self.index.fold_all(&self.recents);
        while self.index.wants_fold() {
            self.fold();
        }
    }

    fn mailbox(&self, name: &str) -> Option<i64> {
        let recent = self.recents.of(&user(name));
        let known = view::known_mailbox(&self.connection, &user(name), &recent).unwrap();
        known.map(|mailbox| mailbox.user)
    }

    /// As somebody reads who has asked memory just now.
    fn read(&self, name: &str, after: u64) -> Vec<u64> {
        self.read_with(name, &self.recents.of_after(&user(name), seq(after)), after)
    }

    fn read_with(&self, name: &str, recent: &Recent, after: u64) -> Vec<u64> {
        let epoch = "SELECT epoch FROM users WHERE name = ?1";
        let epoch = self.connection.query_row(epoch, [name], |row| row.get(0)).unwrap();
        let found =
            messages::read(&self.connection, (&user(name), epoch), recent, seq(after), ROOM)
                .unwrap();
        numbers(&found)
    }

    fn resume_with(&self, name: &str, recent: &Recent, after: u64) -> Resumed {
        let connection = &self.connection;
        view::resume(connection, &user(name), recent, seq(after), ROOM, "e").unwrap()
    }

    fn trim(&self, name: &str, trimmed: u64, until: u64) {
        let (recent, mailbox) = (self.recents.of(&user(name)), self.mailbox(name).unwrap());
        let mailbox = (mailbox, seq(trimmed));
        trim(&self.connection, mailbox, &recent, seq(until), &mut Budget::full()).unwrap();
    }

    fn erase(&mut self, name: &str) {
        let recent = self.recents.of(&user(name));
        let known = view::known_mailbox(&self.connection, &user(name), &recent).unwrap();
        let known = known.unwrap();
        self.index.erase(&self.connection, &self.recents, (&user(name), known.user)).unwrap();
        upkeep::erase(&self.connection, known).unwrap();
        self.commit();
    }

    fn folded(&self) -> i64 {
        let count = "SELECT count(*) FROM positions";
        self.connection.query_row(count, [], |row| row.get(0)).unwrap()
    }
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

fn numbers(page: &[Delivery]) -> Vec<u64> {
    page.iter().map(|delivery| delivery.seq.get()).collect()
}

fn to(last: u64) -> Vec<u64> {
    (1..=last).collect()
}

#[test]
fn a_message_is_found_in_memory_while_it_is_folded_in_and_after() {
    let mut desk = Desk::new();
    let names = ["ada", "bob", "eve"];
    for n in 0..2_400 {
        desk.append(names[n % 3]);
    }
    let all_are_found = |desk: &Desk, last| {
        names.iter().all(|name| {
            desk.read(name, 0) == to(last)
                && desk.read(name, 799) == (800..=last).collect::<Vec<_>>()
        })
    };
    assert!(all_are_found(&desk, 800) && desk.folded() == 0);
    desk.index.fold_all(&desk.recents);
    desk.fold();
    assert!(desk.folded() > 0 && desk.folded() < 2_400, "a part");
    assert!(all_are_found(&desk, 800));
    desk.restart();
    assert!(all_are_found(&desk, 800), "what was not folded in is in memory again");
    for name in names {
        assert_eq!(desk.append(name), seq(801));
    }
    desk.fold_all();
    assert_eq!((desk.folded(), desk.recents.rows()), (2_403, 0));
    assert!(all_are_found(&desk, 801));
    desk.restart();
    assert_eq!(desk.recents.rows(), 0, "the file has all of it");
    assert!(all_are_found(&desk, 801));
    assert_eq!(desk.append("ada"), seq(802));
}

#[test]
fn whoever_asked_memory_before_a_fold_reads_after_it_as_before() {
    let mut desk = Desk::new();
    for _ in 0..3 {
        desk.append("ada");
    }
    let before = desk.recents.of_after(&user("ada"), seq(1));
    desk.append("ada");
    desk.fold_all();
    // The fourth came later than this reader: it is not there without the head that it belongs to.
    assert_eq!(desk.read_with("ada", &before, 1), [2, 3]);
    let resumed = desk.resume_with("ada", &before, 1);
    assert_eq!((resumed.head.seq, numbers(&resumed.messages)), (seq(3), vec![2, 3]));
    assert!(matches!(resumed.standing, Standing::Message(_)));
    assert_eq!(desk.read("ada", 1), [2, 3, 4]);
}

#[test]
fn a_cursor_that_moved_on_meanwhile_is_never_ahead_of_the_head() {
    let mut desk = Desk::new();
    desk.append("ada");
    let before = desk.recents.of(&user("ada"));
    desk.append("ada");
    let (mailbox, device) = (desk.mailbox("ada").unwrap(), "d".parse().unwrap());
    statements::greet(&desk.connection, mailbox, &device, 10, 0, 1).unwrap();
    let acknowledged = Positions::of_one(Some(&device), seq(2));
    statements::save_cursors(&desk.connection, mailbox, &acknowledged, 1).unwrap();
    let (ada, ahead) = (user("ada"), Position::default());
    let place = |recent: &Recent| {
        let device = Some(&device);
        view::place(&desk.connection, &ada, device, ahead, recent, "e").unwrap().0
    };
    let stale = place(&before);
    assert_eq!((stale.head.seq, stale.cursor, stale.floor), (seq(1), seq(1), seq(1)));
    assert!(stale.cursor_id.is_some() && stale.cursor_id == stale.head.id);
    let fresh = place(&desk.recents.of(&ada));
    assert_eq!((fresh.head.seq, fresh.cursor, fresh.floor), (seq(2), seq(2), seq(2)));
}

#[test]
fn a_mailbox_with_much_in_memory_is_folded_in_alone() {
    let mut desk = Desk::new();
    desk.append("bob");
    for _ in 1..MAILBOX_FOLD_AT {
        desk.append("ada");
    }
    assert!(!desk.index.wants_fold());
    desk.append("ada");
    assert!(desk.index.wants_fold());
    desk.fold();
    assert!(!desk.index.wants_fold());
    assert_eq!(desk.recents.rows(), 1, "bob's");
    assert_eq!(desk.read("ada", 0), to(MAILBOX_FOLD_AT as u64));
    desk.restart();
    assert_eq!(desk.read("ada", 0), to(MAILBOX_FOLD_AT as u64));
    assert_eq!(desk.read("bob", 0), [1]);
    desk.fold_all();
    assert_eq!(desk.read("ada", 0), to(MAILBOX_FOLD_AT as u64));
}

#[test]
fn a_fold_that_fails_and_a_commit_that_fails_are_begun_anew() {
    let mut desk = Desk::new();
    desk.append("ada");
    desk.index.fold_all(&desk.recents);
    desk.connection.execute_batch("BEGIN").unwrap();
    desk.index.fold(&desk.connection, &desk.recents).unwrap();
    assert_eq!(desk.folded(), 1);
    desk.connection.execute_batch("ROLLBACK").unwrap();
    desk.index.undone();
    assert_eq!((desk.read("ada", 0), desk.folded()), (vec![1], 0));
    let mailbox = desk.mailbox("ada").unwrap();
    desk.index.give(&user("ada"), mailbox, seq(2));
    desk.index.undone();
    desk.index.refresh(&desk.connection, &desk.recents).unwrap();
    assert_eq!(desk.append("ada"), seq(2));
    desk.fold_all();
    assert_eq!((desk.read("ada", 0), desk.folded()), (vec![1, 2], 2));
}

#[test]
fn what_is_trimmed_in_memory_is_not_folded_in_and_its_rows_do_not_come_again() {
    let mut desk = Desk::new();
    for _ in 0..5 {
        desk.append("ada");
    }
    desk.trim("ada", 0, 3);
    assert_eq!(desk.read("ada", 0), [4, 5]);
    desk.fold_all();
    assert_eq!((desk.read("ada", 0), desk.folded()), (vec![4, 5], 2));
    desk.trim("ada", 3, 5);
    assert!(desk.read("ada", 0).is_empty());
    // A table that was emptied counted from one again, and a start took its rows for folded in.
    desk.restart();
    assert_eq!(desk.append("ada"), seq(6));
    desk.restart();
    assert_eq!(desk.read("ada", 0), [6]);
}

#[test]
fn what_is_trimmed_leaves_the_index_some_at_a_time() {
    let mut desk = Desk::new();
    for _ in 0..300 {
        desk.append("ada");
    }
    desk.fold_all();
    desk.trim("ada", 0, 127);
    assert_eq!(desk.folded(), 300);
    desk.trim("ada", 127, 128);
    assert_eq!(desk.folded(), 172);
    desk.trim("ada", 128, 300);
    assert_eq!((desk.folded(), desk.read("ada", 0)), (0, vec![]));
    assert_eq!(desk.append("ada"), seq(301), "nobody counts back");
}

#[test]
fn as_long_as_there_may_be_more_to_trim_the_budget_is_spent() {
    // What is trimmed and still in the index cost nothing, so that an erased mailbox counted as empty.
    let mut desk = Desk::new();
    for _ in 0..300 {
        desk.append("ada");
    }
    desk.fold_all();
    desk.trim("ada", 0, 100);
    let mailbox = (desk.mailbox("ada").unwrap(), Seq::ZERO);
    let mut budget = Budget::full();
    budget.messages = 250;
    let nothing = Recent::default();
    trim(&desk.connection, mailbox, &nothing, Seq::MAX, &mut budget).unwrap();
    assert!(budget.is_spent());
    assert_eq!(desk.read("ada", 0), (251..=300).collect::<Vec<_>>());
}

#[test]
fn who_is_erased_has_no_position_left_and_nobody_reads_what_was_theirs() {
    let mut desk = Desk::new();
    for _ in 0..3 {
        desk.append("ada");
    }
    desk.fold_all();
    desk.append("ada");
    desk.append("bob");
    let (before, mailbox) = (desk.recents.of(&user("ada")), desk.mailbox("ada").unwrap());
    desk.erase("ada");
    assert_eq!(desk.folded(), 4, "so that whoever deletes them finds them");
    assert!(desk.read_with("ada", &before, 0).is_empty());
    assert_eq!(desk.append("ada"), seq(5), "positions go on");
    assert!(desk.read_with("ada", &before, 0).is_empty(), "it came later");
    assert_eq!((desk.read("ada", 0), desk.read("bob", 0)), (vec![5], vec![1]));
    let nothing = Recent::default();
    let mailbox = (mailbox, Seq::ZERO);
    trim(&desk.connection, mailbox, &nothing, Seq::MAX, &mut Budget::full()).unwrap();
    desk.restart();
    assert_eq!((desk.read("ada", 0), desk.read("bob", 0), desk.folded()), (vec![5], vec![1], 0));
}

#[test]
fn a_row_whose_position_the_disk_has_changed_takes_that_of_nobody_else() {
    // The head came from what the row said, and the next message got a position that had been given: a page
    // that had read on to there never saw it.
    for damaged in ["seq = 2", "seq = -7", "seq = 4000"] {
        let mut desk = Desk::new();
        for _ in 0..5 {
            desk.append("ada");
        }
        desk.append("bob");
        let damage = format!("UPDATE messages SET {damaged} WHERE number = 5");
        desk.connection.execute(&damage, []).unwrap();
        desk.restart();
        assert_eq!(desk.append("ada"), seq(6), "{damaged}");
        assert_eq!(desk.append("bob"), seq(2), "{damaged}");
        for () in [desk.restart(), desk.fold_all()] {
            let recent = desk.recents.of(&user("ada"));
            let page = desk.resume_with("ada", &recent, 0).messages;
            assert_eq!(numbers(&page), to(6), "{damaged}");
            // The rest of the row proves which message it is.
            assert!(!page.iter().any(Delivery::is_unreadable), "{damaged}");
        }
    }
}

#[test]
fn a_row_whose_position_or_user_the_disk_has_changed_trims_nothing_but_itself() {
    // By age a mailbox was trimmed up to what such a row said: nobody was shown what was published after that,
    // and with a position below zero nothing was forgotten any more.
    for damaged in ["seq = 4000", "seq = -7", "user = 2"] {
        let mut desk = Desk::new();
        for name in ["ada", "ada", "ada", "bob", "ada", "bob"] {
            desk.append(name);
        }
        desk.fold_all();
        let damage = format!("UPDATE messages SET {damaged} WHERE number = 3");
        desk.connection.execute(&damage, []).unwrap();
        let span = Span::of(i64::MAX, 1);
        trim_by_age(&desk.connection, 4, span, &mut Budget::full()).unwrap();
        let trimmed = |id: i64| -> i64 {
            let trimmed = "SELECT trimmed FROM users WHERE id = ?1";
            desk.connection.query_row(trimmed, [id], |row| row.get(0)).unwrap()
        };
        assert_eq!((trimmed(1), trimmed(2)), (2, 1), "{damaged}");
    }
}

#[test]
fn a_mailbox_that_cannot_be_folded_in_keeps_no_other_from_it() {
    // It was tried first again each time, until all memory was taken and every publish was refused.
    let mut desk = Desk::new();
    for name in ["ada", "bob", "eve"] {
        desk.append(name);
    }
    desk.connection
        .execute_batch(
            "CREATE TRIGGER damage BEFORE INSERT ON positions WHEN NEW.user = 2
             BEGIN SELECT RAISE(ABORT, 'damaged'); END",
        )
        .unwrap();
    desk.index.fold_all(&desk.recents);
    let mut failed = 0;
    while desk.index.wants_fold() {
        desk.connection.execute_batch("BEGIN").unwrap();
        if desk.index.fold(&desk.connection, &desk.recents).is_ok() {
            desk.connection.execute_batch("COMMIT").unwrap();
            desk.commit();
        } else {
            desk.connection.execute_batch("ROLLBACK").unwrap();
            desk.index.undone();
            failed += 1;
        }
    }
    assert_eq!((failed, desk.folded(), desk.recents.rows()), (1, 2, 1), "bob's is in memory");
    desk.restart();
    assert_eq!(desk.read("bob", 0), [1], "and is found again");
    desk.connection.execute_batch("DROP TRIGGER damage").unwrap();
    desk.fold_all();
    desk.restart();
    assert_eq!((desk.folded(), desk.recents.rows()), (3, 0));
}

fn counted(path: &Path, count: &str) -> i64 {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row(count, [], |row| row.get(0)).unwrap()
}

async fn append_many(store: &SqliteStore, name: &str, count: usize) {
    let message = Arc::new(Message::parse(r#"{"type":"t"}"#).unwrap());
    let publish = |_| crate::store::Publish::new(user(name), message.clone());
    let appended = store.append_many((0..count).map(publish).collect()).await;
    assert!(appended.iter().all(Result::is_ok));
}

#[tokio::test]
async fn who_is_erased_takes_nobody_elses_messages_along() {
    // A mailbox that was folded in by itself left trimmed positions in the index. After a start their rows were
    // given to somebody else, whose messages went when the first user was erased.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    append_many(&store, "ada", 1_100).await;
    eventually(async || store.memory.recents.rows() == 0).await;
    let mut limits = Limits::default();
    (limits.retention_messages_max, limits.retention_age_ms) = (70, 0);
    store.work_by(&limits);
    let messages = "SELECT count(*) FROM messages";
    eventually(async || counted(&path, messages) == 70).await;
    limits.retention_age_ms = 1;
    store.work_by(&limits);
    eventually(async || counted(&path, messages) == 0).await;
    assert!(counted(&path, "SELECT count(*) FROM positions") > 0, "or nothing is shown");
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    append_many(&store, "bob", 1_100).await;
    (limits.retention_messages_max, limits.retention_age_ms) = (0, 0);
    store.work_by(&limits);
    store.erase(&user("ada")).await.unwrap();
    eventually(async || counted(&path, "SELECT count(*) FROM erased") == 0).await;
    let read = store.resume(&user("bob"), Seq::ZERO, ROOM).await.unwrap();
    assert_eq!((read.head.seq, numbers(&read.messages)), (seq(1_100), to(1_100)));
}

#[tokio::test]
async fn what_a_start_has_to_read_is_bounded_however_few_the_mailboxes_are() {
    // A few that were folded in by themselves left the bound where it was, and a start after a kill read all.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let positions = Counts { fold_at: 5_000, max: 100_000 };
    let setup = Setup { positions, ..Setup::default() };
    let store = SqliteStore::open_with(&path, setup).unwrap();
    for n in 0..30 {
        append_many(&store, ["ada", "bob", "eve"][n % 3], 1_000).await;
    }
    let unfolded =
        "SELECT count(*) FROM messages WHERE number > (SELECT positions_folded FROM meta)";
    eventually(async || counted(&path, unfolded) <= 6_000).await;
    drop(store);
    assert_eq!(counted(&path, unfolded), 0, "after a stop nothing is left to read");
    assert_eq!(counted(&path, "SELECT count(*) FROM positions"), 20_000 + 10_000);
}

#[tokio::test]
async fn the_last_position_that_fits_into_memory_is_taken_and_one_more_publish_is_refused_alone() {
    // It was said as if the disk were full, and whatever shared its commit failed with it.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let positions = Counts { fold_at: 2, max: 3 };
    let store = SqliteStore::open_with(&path, Setup { positions, ..Setup::default() }).unwrap();
    let disk = rusqlite::Connection::open(&path).unwrap();
    disk.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON positions
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
    )
    .unwrap();
    let message = Arc::new(Message::parse(r#"{"type":"t"}"#).unwrap());
    let (ada, eve) = (user("ada"), user("eve"));
    let publish = || store.append(&ada, None, message.clone());
    for n in 1..=3 {
        assert_eq!(publish().await.unwrap().seq, seq(n));
    }
    let refused = async || matches!(publish().await, Err(AppendError::Store(_)));
    assert!(refused().await);
    let device = "laptop".parse().unwrap();
    let (published, located) = tokio::join!(publish(), store.locate(&eve, Some(&device)));
    assert!(published.is_err() && located.is_ok());
    disk.execute_batch("DROP TRIGGER full").unwrap();
    eventually(async || !refused().await).await;
    let read = store.resume(&ada, Seq::ZERO, ROOM).await.unwrap();
    assert_eq!(numbers(&read.messages), to(read.head.seq.get()));
}

#[tokio::test]
async fn after_a_commit_that_failed_memory_is_made_of_what_the_file_says() {
    // Numbers had been given, so that the row of another program collided with nothing, and its position was
    // given a second time. A key whose row another program had taken failed until the next start.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailbox.db");
    let store = SqliteStore::open(&path).unwrap();
    append(&store, "ada", Some("k1".into()), "x").await;
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER damage BEFORE INSERT ON messages WHEN NEW.kind = 'bad'
             BEGIN SELECT RAISE(ABORT, 'damaged'); END",
        )
        .unwrap();
    let bad = Arc::new(Message::parse(r#"{"type":"bad"}"#).unwrap());
    assert!(store.append(&user("ada"), None, bad).await.is_err());
    other
        .execute_batch(
            "INSERT INTO messages (user, seq, id, kind, created_at, fields)
             SELECT user, 2, 'theirs', kind, created_at, fields FROM messages;
             INSERT INTO publishes (user, key, digest, id, seq, created_at)
             SELECT user, 'theirs', digest, id, seq, created_at FROM publishes;",
        )
        .unwrap();
    assert_eq!(append(&store, "ada", Some("k2".into()), "x").await.seq, seq(3));
    assert!(append(&store, "ada", Some("k2".into()), "x").await.repeated);
    let read = store.resume(&user("ada"), Seq::ZERO, ROOM).await.unwrap();
    assert_eq!(numbers(&read.messages), to(3));
}
