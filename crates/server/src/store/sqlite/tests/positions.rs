//! Positions that are in memory, on their way into the file's index, and on their way out of it.

use super::{file::File, *};
use crate::store::{
    Delivery, Resumed, Standing, fresh_id,
    sqlite::{
        cursors::{Position, Positions},
        index::{MAILBOX_FOLD_AT, POSITIONS_IN_MEMORY_MAX},
        recent::Row,
        trim::{Budget, trim},
    },
};

/// A writer without its thread.
struct Desk {
    connection: rusqlite::Connection,
    recents: Recents,
    index: Index,
    file: File,
}

const ROOM: Room = Room { messages: 10_000, bytes: 1 << 20 };

impl Desk {
    fn new() -> Self {
        let file = File::new();
        let connection = file.connect();
        let recents = Recents::default();
        let index = Index::load(&connection, &recents, index::FOLD_AT).unwrap();
        Self { connection, recents, index, file }
    }

    /// As after a crash: what is in memory is gone.
    fn restart(&mut self) {
        self.connection = self.file.connect();
        self.recents = Recents::default();
        self.index = Index::load(&self.connection, &self.recents, index::FOLD_AT).unwrap();
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
        let row = self.index.appended(&self.recents, (&name, mailbox.user), seq).unwrap();
        let message = Message::parse(r#"{"type":"t"}"#).unwrap();
        messages::append(connection, row, mailbox.user, &appended, &message).unwrap();
        self.commit();
        seq
    }

    fn fold(&mut self) {
        self.index.fold(&self.connection, &self.recents).unwrap();
        self.commit();
    }

    fn fold_all(&mut self) {
        self.index.fold_all_from_now_on();
        while self.index.wants_fold(&self.recents) {
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
    assert!(!desk.index.wants_fold(&desk.recents));
    desk.append("ada");
    assert!(desk.index.wants_fold(&desk.recents));
    desk.fold();
    assert!(!desk.index.wants_fold(&desk.recents));
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
    desk.connection.execute_batch("BEGIN").unwrap();
    desk.index.fold(&desk.connection, &desk.recents).unwrap();
    desk.connection.execute_batch("ROLLBACK").unwrap();
    desk.index.undone();
    assert_eq!((desk.read("ada", 0), desk.folded()), (vec![1], 0));
    let mailbox = desk.mailbox("ada").unwrap();
    desk.index.appended(&desk.recents, (&user("ada"), mailbox), seq(2)).unwrap();
    desk.index.undone();
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
fn the_last_position_that_fits_into_memory_is_taken_and_one_more_is_not() {
    let mut desk = Desk::new();
    let (ada, many) = (user("ada"), POSITIONS_IN_MEMORY_MAX as u64);
    {
        let mut all = desk.recents.change();
        for n in 1..many {
            all.add(&ada, 1, Row { seq: seq(n), number: n.cast_signed() });
        }
    }
    desk.index.appended(&desk.recents, (&ada, 1), seq(many)).unwrap();
    let refused = desk.index.appended(&desk.recents, (&ada, 1), seq(many + 1));
    let code = refused.unwrap_err().sqlite_error_code();
    assert_eq!(code, Some(rusqlite::ErrorCode::DiskFull));
}
