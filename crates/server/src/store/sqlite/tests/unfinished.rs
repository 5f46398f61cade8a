//! Streams between a change and its commit, and in the file.

use proptest::{prelude::*, test_runner::Config};
use rusqlite::Connection;
use tetherline_protocol::{Attempt, frame::StreamOpening};

use super::{file::File, *};
use crate::{
    repeatable::repeatable,
    store::{
        StreamPage,
        sqlite::{
            stream_log::{LOG_BYTES_MAX, LOG_ROWS_MAX},
            stream_rows,
            stream_table::{OVERDUE_MAX, Phase, STREAM_OVERHEAD_BYTES, Stream},
        },
    },
};

/// The writer's side alone, with its file.
struct Desk {
    connection: Connection,
    unfinished: Unfinished,
    file: File,
}

pub(super) fn opening() -> Arc<StreamOpening> {
    Arc::new(StreamOpening::parse("{}").unwrap())
}

impl Desk {
    fn new() -> Self {
        let file = File::new();
        let connection = file.connect();
        connection.execute("INSERT INTO users (id, name) VALUES (1, 'ada')", []).unwrap();
        let unfinished = Unfinished::load(&connection, 0).unwrap();
        Self { connection, unfinished, file }
    }

    fn open(&mut self, uuid: &str) {
        self.open_at(uuid, Phase::Open { heard_at: 0 });
    }

    fn open_at(&mut self, uuid: &str, phase: Phase) {
        let (ada, uuid) = (user("ada"), uuid.parse().unwrap());
        let number = self.unfinished.next_number();
        let stream = Stream::new(number, ada, uuid, Attempt::FIRST, opening(), phase);
        stream_rows::insert(&self.connection, 1, &stream, self.unfinished.log.newest(), 0).unwrap();
        self.unfinished.opened(stream);
    }

    fn find(&self, uuid: &str) -> Arc<Stream> {
        self.unfinished.table.find(&user("ada"), &uuid.parse().unwrap()).unwrap()
    }

    fn append(&mut self, uuid: &str, text: &str) {
        let stream = self.find(uuid);
        self.unfinished.appended(&self.connection, &stream, text).unwrap();
    }

    fn commit(&mut self) {
        self.unfinished.write(&self.connection).unwrap();
        self.unfinished.committed();
    }

    fn read(&self) -> StreamPage {
        self.unfinished.table.read(&user("ada"), &[], usize::MAX)
    }

    fn texts(&self) -> Vec<String> {
        self.read().pieces.iter().map(|piece| piece.text.to_string()).collect()
    }

    /// All that is known, in memory and in the file.
    fn everything(&self) -> String {
        let all: Vec<_> = self
            .unfinished
            .table
            .of(&user("ada"))
            .iter()
            .map(|stream| {
                let state = stream.state();
                let text = state.text.as_str().to_owned();
                (stream.number, text, state.phase, state.sight, state.pin)
            })
            .collect();
        let (bytes, newest) = (self.unfinished.bytes, self.unfinished.log.newest());
        let log = (newest, self.unfinished.log.is_too_long_from(newest), self.logged());
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

    fn reopened(&self) -> Unfinished {
        Unfinished::load(&self.file.connect(), 0).unwrap()
    }
}

#[test]
fn nothing_is_read_before_its_commit_and_nothing_of_an_end_after_it_began() {
    let mut desk = Desk::new();
    desk.open("a1");
    desk.append("a1", "a");
    assert_eq!(desk.read(), StreamPage::default(), "it may not come to be");
    desk.commit();
    assert_eq!(desk.texts(), ["a"]);
    desk.append("a1", "b");
    assert_eq!(desk.texts(), ["a"]);
    desk.commit();
    assert_eq!(desk.texts(), ["ab"]);
    desk.unfinished.left(desk.find("a1"));
    assert_eq!(desk.read(), StreamPage::default(), "its message may be read at any moment");
    desk.unfinished.undone();
    assert_eq!(desk.texts(), ["ab"], "it did not end");
}

/// What a transaction does that fails.
#[derive(Debug, Clone)]
enum Change {
    Open(u8),
    Append(u8, usize),
    Stop(u8),
    Leave(u8),
    Shorten,
}

fn change() -> impl Strategy<Value = Change> {
    let name = 0..4_u8;
    prop_oneof![
        name.clone().prop_map(Change::Open),
        (name.clone(), 1..150_000_usize).prop_map(|(name, length)| Change::Append(name, length)),
        name.clone().prop_map(Change::Stop),
        name.prop_map(Change::Leave),
        Just(Change::Shorten),
    ]
}

impl Desk {
    fn make(&mut self, change: &Change) {
        let (Change::Open(name)
        | Change::Append(name, _)
        | Change::Stop(name)
        | Change::Leave(name)) = change
        else {
            self.unfinished.write(&self.connection).unwrap();
            // As if somebody had been erased: everything is to go.
            self.unfinished.log.purge();
            self.unfinished.shorten_log(&self.connection).unwrap();
            return;
        };
        let uuid = format!("a{name}");
        let found = self.unfinished.table.find(&user("ada"), &uuid.parse().unwrap());
        match (change, found) {
            (Change::Open(_), None) => self.open(&uuid),
            (Change::Append(_, length), Some(_)) => self.append(&uuid, &"é".repeat(*length)),
            (Change::Stop(_), Some(stream)) => self.unfinished.stopped(stream, 7),
            (Change::Leave(_), Some(stream)) => {
                stream_rows::delete(&self.connection, 1, &stream.message_uuid).unwrap();
                self.unfinished.left(stream);
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 64, ..repeatable() })]

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
        desk.unfinished.write(&desk.connection).unwrap();
        desk.connection.execute_batch("ROLLBACK").unwrap();
        desk.unfinished.undone();
        prop_assert_eq!(&before, &desk.everything());
        // And nothing that a later one could stumble over.
        desk.commit();
        prop_assert_eq!(desk.read(), desk.reopened().table.read(&user("ada"), &[], usize::MAX));
    }
}

#[test]
fn all_unfinished_streams_together_have_a_limit() {
    let mut desk = Desk::new();
    desk.open("a1");
    assert_eq!(desk.unfinished.bytes, STREAM_OVERHEAD_BYTES);
    desk.append("a1", "12345678");
    assert_eq!(desk.unfinished.bytes, STREAM_OVERHEAD_BYTES + 8);
    desk.commit();
    let counted = desk.unfinished.bytes;
    assert_eq!(desk.reopened().bytes, counted);
    desk.unfinished.left(desk.find("a1"));
    assert_eq!(desk.unfinished.bytes, 0);
}

#[test]
fn what_nobody_needs_of_the_log_is_forgotten_and_the_rest_is_not() {
    let mut desk = Desk::new();
    for uuid in ["a1", "a2"] {
        desk.open(uuid);
        desk.commit();
        desk.append(uuid, "x");
        desk.commit();
    }
    desk.append("a1", "y");
    desk.commit();
    assert_eq!(desk.logged(), [1, 2, 3]);
    desk.unfinished.left(desk.find("a1"));
    stream_rows::delete(&desk.connection, 1, &"a1".parse().unwrap()).unwrap();
    desk.commit();
    desk.unfinished.shorten_log(&desk.connection).unwrap();
    desk.unfinished.committed();
    assert_eq!(desk.logged(), [2, 3], "what came after the first that is needed stays, too");
    assert_eq!(desk.reopened().table.read(&user("ada"), &[], 9), desk.read());
}

#[test]
fn text_that_is_in_its_own_row_and_in_the_log_is_there_once() {
    let mut desk = Desk::new();
    for uuid in ["a1", "a2"] {
        desk.open(uuid);
    }
    desk.append("a1", "x");
    desk.commit();
    // What there is so far has to go, so the first is written into its row; the second stays behind
    // in a row of the log that has text of both.
    desk.unfinished.log.purge();
    desk.append("a1", "y");
    desk.append("a2", "z");
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
        desk.append(uuid, "begin");
        desk.commit();
    }
    let megabyte = "x".repeat(1024 * 1024);
    for _ in 0..LOG_BYTES_MAX / (1024 * 1024) - 1 {
        desk.append("fast", &megabyte);
        desk.commit();
        assert_eq!(desk.logged()[0], 1, "it is needed, and not too long");
    }
    for _ in 0..8 {
        desk.append("fast", &megabyte);
        desk.commit();
        assert!(desk.log_bytes() <= LOG_BYTES_MAX + 2 * 1024 * 1024);
    }
    assert_eq!(desk.find("slow").state().pin, None, "its text is in its own row");
    let reopened = desk.reopened().table.read(&user("ada"), &[], usize::MAX);
    assert!(reopened == desk.read(), "the texts are the same");
    desk.append("slow", "end");
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
        desk.append("a1", "x");
        desk.unfinished.write(&desk.connection).unwrap();
        desk.unfinished.committed();
    }
    assert_eq!(desk.logged().len(), LOG_ROWS_MAX);
    desk.append("a1", "x");
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
        let late = desk.unfinished.table.overdue(&rules.get(), now);
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
