//! What cannot be seen from outside: what is between a change and its commit, and in the file.

mod store;

use std::path::PathBuf;

use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed},
};
use rusqlite::Connection;
use tetherline_protocol::Limits;

use super::{
    super::{super::StreamPage, presence, rules::Rules, schema},
    log::{LOG_BYTES_MAX, LOG_ROWS_MAX},
    table::{GROWING_BYTES, Growing, OVERDUE_MAX, Phase},
    *,
};

/// So many cases, the same in every run unless the environment says otherwise.
pub(super) fn fixed_seed(cases: u32) -> Config {
    let mut config = Config { failure_persistence: None, cases, ..Config::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    config
}

/// The writer's side alone, with its file.
struct Desk {
    connection: Connection,
    answers: Answers,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

fn opening() -> Arc<StreamOpening> {
    Arc::new(StreamOpening::parse("{}").unwrap())
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mailbox.db");
        presence::create(&path).unwrap();
        let mut connection = schema::connect(&path).unwrap();
        schema::migrate(&mut connection).unwrap();
        // No disk is lost here, only transactions.
        connection.pragma_update(None, "synchronous", "OFF").unwrap();
        connection.execute("INSERT INTO users (id, name) VALUES (1, 'ada')", []).unwrap();
        let answers = Answers::load(&connection, 0).unwrap();
        Self { connection, answers, path, _folder: folder }
    }

    fn open(&mut self, uuid: &str) {
        self.open_at(uuid, Phase::Open { heard_at: 0 });
    }

    fn open_at(&mut self, uuid: &str, phase: Phase) {
        let (ada, uuid) = (user("ada"), uuid.parse().unwrap());
        let number = self.answers.next_number();
        let growing = Growing::new(number, ada, uuid, Attempt::FIRST, opening(), phase);
        rows::insert(&self.connection, 1, &growing, self.answers.log.newest(), 0).unwrap();
        self.answers.opened(growing);
    }

    fn find(&self, uuid: &str) -> Arc<Growing> {
        self.answers.table.find(&user("ada"), &uuid.parse().unwrap()).unwrap()
    }

    fn grow(&mut self, uuid: &str, text: &str) {
        let growing = self.find(uuid);
        self.answers.grew(&self.connection, &growing, text).unwrap();
    }

    fn commit(&mut self) {
        self.answers.write(&self.connection).unwrap();
        self.answers.committed();
    }

    fn read(&self) -> StreamPage {
        self.answers.table.read(&user("ada"), &[], usize::MAX)
    }

    fn texts(&self) -> Vec<String> {
        self.read().pieces.iter().map(|piece| piece.text.to_string()).collect()
    }

    /// All that is known, in memory and in the file.
    fn everything(&self) -> String {
        let all: Vec<_> = self
            .answers
            .table
            .of(&user("ada"))
            .iter()
            .map(|growing| {
                let state = growing.state();
                let text = state.text.as_str().to_owned();
                (growing.number, text, state.phase, state.sight, state.pin)
            })
            .collect();
        let (bytes, newest) = (self.answers.bytes, self.answers.log.newest());
        let log = (newest, self.answers.log.is_too_long_from(newest), self.logged());
        format!("{all:?} {:?} {bytes} {log:?}", self.read())
    }

    /// The numbers of the log's rows.
    fn logged(&self) -> Vec<i64> {
        let mut statement =
            self.connection.prepare("SELECT number FROM stream_log ORDER BY number").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    fn log_bytes(&self) -> u64 {
        let sum = "SELECT coalesce(sum(octet_length(pieces)), 0) FROM stream_log";
        self.connection.query_row(sum, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
    }

    fn reopened(&self) -> Answers {
        Answers::load(&schema::connect(&self.path).unwrap(), 0).unwrap()
    }
}

#[test]
fn nothing_is_read_before_its_commit_and_nothing_of_an_end_after_it_began() {
    let mut desk = Desk::new();
    desk.open("a1");
    desk.grow("a1", "a");
    assert_eq!(desk.read(), StreamPage::default(), "it may not come to be");
    desk.commit();
    assert_eq!(desk.texts(), ["a"]);
    desk.grow("a1", "b");
    assert_eq!(desk.texts(), ["a"]);
    desk.commit();
    assert_eq!(desk.texts(), ["ab"]);
    desk.answers.left(desk.find("a1"));
    assert_eq!(desk.read(), StreamPage::default(), "its message may be read at any moment");
    desk.answers.undone();
    assert_eq!(desk.texts(), ["ab"], "it did not end");
}

/// What a transaction does that fails.
#[derive(Debug, Clone)]
enum Change {
    Open(u8),
    Grow(u8, usize),
    Stop(u8),
    Leave(u8),
    Shorten,
}

fn change() -> impl Strategy<Value = Change> {
    let answer = 0..4_u8;
    prop_oneof![
        answer.clone().prop_map(Change::Open),
        (answer.clone(), 1..150_000_usize)
            .prop_map(|(answer, length)| Change::Grow(answer, length)),
        answer.clone().prop_map(Change::Stop),
        answer.prop_map(Change::Leave),
        Just(Change::Shorten),
    ]
}

impl Desk {
    fn make(&mut self, change: &Change) {
        let (Change::Open(answer)
        | Change::Grow(answer, _)
        | Change::Stop(answer)
        | Change::Leave(answer)) = change
        else {
            self.answers.write(&self.connection).unwrap();
            // As if somebody had been erased: everything is to go.
            self.answers.log.purge();
            self.answers.shorten_log(&self.connection).unwrap();
            return;
        };
        let uuid = format!("a{answer}");
        let found = self.answers.table.find(&user("ada"), &uuid.parse().unwrap());
        match (change, found) {
            (Change::Open(_), None) => self.open(&uuid),
            (Change::Grow(_, length), Some(_)) => self.grow(&uuid, &"é".repeat(*length)),
            (Change::Stop(_), Some(growing)) => self.answers.stopped(growing, 7),
            (Change::Leave(_), Some(growing)) => {
                rows::delete(&self.connection, 1, &growing.message_uuid).unwrap();
                self.answers.left(growing);
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(fixed_seed(64))]

    #[test]
    fn a_commit_that_fails_leaves_no_trace(
        done in prop::collection::vec(change(), 0..12),
        undone in prop::collection::vec(change(), 0..12),
    ) {
        let mut desk = Desk::new();
        for change in &done {
            desk.make(change);
            desk.commit();
        }
        let before = desk.everything();
        desk.connection.execute_batch("BEGIN").unwrap();
        for change in &undone {
            desk.make(change);
        }
        desk.answers.write(&desk.connection).unwrap();
        desk.connection.execute_batch("ROLLBACK").unwrap();
        desk.answers.undone();
        prop_assert_eq!(&before, &desk.everything());
        // And nothing that a later one could stumble over.
        desk.commit();
        prop_assert_eq!(desk.read(), desk.reopened().table.read(&user("ada"), &[], usize::MAX));
    }
}

#[test]
fn all_growing_answers_together_have_a_limit() {
    let mut desk = Desk::new();
    desk.open("a1");
    assert_eq!(desk.answers.bytes, GROWING_BYTES);
    desk.grow("a1", "12345678");
    assert_eq!(desk.answers.bytes, GROWING_BYTES + 8);
    desk.commit();
    let counted = desk.answers.bytes;
    assert_eq!(desk.reopened().bytes, counted);
    desk.answers.left(desk.find("a1"));
    assert_eq!(desk.answers.bytes, 0);
}

#[test]
fn what_nobody_needs_of_the_log_is_forgotten_and_the_rest_is_not() {
    let mut desk = Desk::new();
    for uuid in ["a1", "a2"] {
        desk.open(uuid);
        desk.commit();
        desk.grow(uuid, "x");
        desk.commit();
    }
    desk.grow("a1", "y");
    desk.commit();
    assert_eq!(desk.logged(), [1, 2, 3]);
    desk.answers.left(desk.find("a1"));
    rows::delete(&desk.connection, 1, &"a1".parse().unwrap()).unwrap();
    desk.commit();
    desk.answers.shorten_log(&desk.connection).unwrap();
    desk.answers.committed();
    assert_eq!(desk.logged(), [2, 3], "what came after the first that is needed stays, too");
    assert_eq!(desk.reopened().table.read(&user("ada"), &[], 9), desk.read());
}

#[test]
fn text_that_is_in_its_own_row_and_in_the_log_is_there_once() {
    let mut desk = Desk::new();
    for uuid in ["a1", "a2"] {
        desk.open(uuid);
    }
    desk.grow("a1", "x");
    desk.commit();
    // What there is so far has to go, so the first is written into its row; the second stays behind
    // in a row of the log that has text of both.
    desk.answers.log.purge();
    desk.grow("a1", "y");
    desk.grow("a2", "z");
    desk.commit();
    assert_eq!(desk.logged(), [2]);
    assert_eq!((desk.find("a1").state().pin, desk.find("a2").state().pin), (None, Some(2)));
    assert_eq!(desk.texts(), ["xy", "z"]);
    assert_eq!(desk.reopened().table.read(&user("ada"), &[], 9), desk.read());
}

#[test]
fn a_log_that_is_too_long_is_shortened_whatever_pins_it() {
    let mut desk = Desk::new();
    for uuid in ["slow", "fast"] {
        desk.open(uuid);
        desk.grow(uuid, "begin");
        desk.commit();
    }
    let megabyte = "x".repeat(1024 * 1024);
    for _ in 0..LOG_BYTES_MAX / (1024 * 1024) - 1 {
        desk.grow("fast", &megabyte);
        desk.commit();
        assert_eq!(desk.logged()[0], 1, "it is needed, and not too long");
    }
    for _ in 0..8 {
        desk.grow("fast", &megabyte);
        desk.commit();
        assert!(desk.log_bytes() <= LOG_BYTES_MAX + 2 * 1024 * 1024);
    }
    assert_eq!(desk.find("slow").state().pin, None, "its text is in its own row");
    let reopened = desk.reopened().table.read(&user("ada"), &[], usize::MAX);
    assert!(reopened == desk.read(), "the texts are the same");
    desk.grow("slow", "end");
    desk.commit();
    assert_eq!(desk.texts()[0], "beginend");
    let reopened = desk.reopened().table.read(&user("ada"), &[], 8);
    assert_eq!(&*reopened.pieces[0].text, "beginend");
}

#[test]
fn a_log_of_many_short_rows_is_shortened_too() {
    let mut desk = Desk::new();
    desk.open("a1");
    // Not one commit each: only their number counts here.
    desk.connection.execute_batch("BEGIN").unwrap();
    for _ in 0..LOG_ROWS_MAX {
        desk.grow("a1", "x");
        desk.answers.write(&desk.connection).unwrap();
        desk.answers.committed();
    }
    assert_eq!(desk.logged().len(), LOG_ROWS_MAX);
    desk.grow("a1", "x");
    desk.commit();
    assert!(desk.logged().len() < LOG_ROWS_MAX);
    desk.connection.execute_batch("COMMIT").unwrap();
    assert_eq!(desk.texts()[0].len(), LOG_ROWS_MAX + 1);
    assert!(desk.reopened().table.read(&user("ada"), &[], usize::MAX) == desk.read());
}

#[test]
fn a_writer_is_late_from_the_moment_on_at_which_its_time_is_over() {
    let mut desk = Desk::new();
    desk.open_at("open", Phase::Open { heard_at: 1_000 });
    desk.open_at("stopped", Phase::Stopped { at: 2_000 });
    let mut limits = Limits::default();
    (limits.stream_idle_ms, limits.stream_stop_grace_ms) = (500, 50);
    let rules = Rules::default();
    rules.set(&limits);
    let late = |desk: &Desk, now| {
        let late = desk.answers.table.overdue(&rules.get(), now);
        late.iter().map(|late| late.message_uuid.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert!(late(&desk, 9_000).is_empty(), "they have not begun");
    desk.commit();
    assert!(late(&desk, 1_499).is_empty());
    assert_eq!(late(&desk, 1_500), ["open"]);
    assert_eq!(late(&desk, 2_049), ["open"]);
    assert_eq!(late(&desk, 2_050), ["open", "stopped"]);
    for number in 0..OVERDUE_MAX {
        desk.open_at(&format!("a{number}"), Phase::Open { heard_at: 0 });
    }
    desk.commit();
    assert_eq!(late(&desk, 2_050).len(), OVERDUE_MAX, "the others next time");
}
