//! Streams, told as stories: what a page has of them, over losses, repeats and tabs.

use std::{collections::BTreeMap, iter};

use tetherline_engine::{
    ConnectionNo, Engine, EpochNo, Established, IdNo, Instant, Output, StreamDelta, StreamEnd,
    StreamNo, StreamStart, TabNo,
};
use tetherline_protocol::{Attempt, Seq, limits::STREAMS_KNOWN_MAX};

const ANSWER: StreamNo = StreamNo(1);
const FIRST: Attempt = Attempt::FIRST;
const LEADER: TabNo = TabNo(1);

/// A page as a driver makes it: the engine, and the text that it was told to keep.
struct Page {
    engine: Engine<()>,
    now: Instant,
    connection: ConnectionNo,
    texts: BTreeMap<StreamNo, (Attempt, String)>,
}

impl Page {
    fn new() -> Self {
        Self {
            engine: Engine::new(1),
            now: Instant::from_millis(1_000),
            connection: ConnectionNo(0),
            texts: BTreeMap::new(),
        }
    }

    /// Connected, with everything answered that it has asked.
    fn connected() -> Self {
        let mut page = Self::new();
        page.engine.sign_in(page.now);
        page.connect(1);
        page.engine.handle_complete(page.connection, page.now);
        page
    }

    /// Goes through the tab that leads.
    fn joined() -> Self {
        let mut page = Self::new();
        page.engine.sign_in_among_tabs(true, page.now);
        page.engine.handle_welcome(LEADER, established(1), None, true, page.now);
        page.questions();
        page
    }

    fn connect(&mut self, epoch: u32) {
        self.engine.handle_token(self.now);
        self.questions();
        self.engine.handle_opened(self.connection, self.now);
        self.engine.handle_established(self.connection, established(epoch), self.now);
        assert_eq!(self.questions(), 1, "a connection asks for what waits");
    }

    fn lose_connection(&mut self) {
        self.engine.handle_closed(self.connection, 1006, None, self.now);
        self.now = self.engine.retry_at().expect("it tries again");
        self.engine.handle_timeout(self.now);
    }

    /// Does what the engine wants, and answers how often it asks for what is missing.
    fn questions(&mut self) -> usize {
        let outputs: Vec<_> = iter::from_fn(|| self.engine.poll_output()).collect();
        let mut questions = 0;
        for output in outputs {
            match output {
                Output::Open(connection) | Output::Join(connection, _) => {
                    self.connection = connection;
                }
                Output::GetPending { .. } => questions += 1,
                Output::StreamsDropped => self.texts.clear(),
                Output::StreamDropped(stream) => drop(self.texts.remove(&stream)),
                _ => {}
            }
        }
        questions
    }

    fn start(&mut self, stream: StreamNo, attempt: Attempt) -> StreamStart {
        let start = self.engine.handle_stream_start(self.connection, stream, attempt);
        if start == StreamStart::Begin {
            self.texts.insert(stream, (attempt, String::new()));
        }
        start
    }

    fn piece(&mut self, attempt: Attempt, offset: u64, text: &str) -> StreamDelta {
        let length = text.len() as u64;
        let delta =
            self.engine.handle_stream_delta(self.connection, ANSWER, attempt, offset, length);
        if let StreamDelta::Append { skip } = delta {
            let (_, kept) = self.texts.get_mut(&ANSWER).expect("text of what has begun");
            kept.push_str(&text[usize::try_from(skip).expect("short")..]);
        }
        delta
    }

    fn end(&mut self, attempt: Attempt) -> StreamEnd {
        self.engine.handle_stream_end(self.connection, ANSWER, attempt)
    }

    fn text(&self) -> &str {
        self.texts.get(&ANSWER).map_or("", |(_, text)| text)
    }
}

fn established(epoch: u32) -> Established {
    Established {
        epoch: EpochNo(epoch),
        head: Seq::default(),
        cursor: Seq::default().into(),
        checks_positions: false,
        heartbeat_interval_ms: 30_000,
        token_expires_in_ms: 3_600_000,
    }
}

fn attempt(number: u32) -> Attempt {
    Attempt::new(number).expect("from 1 on")
}

#[test]
fn a_stream_takes_what_comes_next_and_ends_once() {
    let mut page = Page::connected();
    assert_eq!(page.start(ANSWER, FIRST), StreamStart::Begin);
    assert_eq!(page.piece(FIRST, 0, "Hello"), StreamDelta::Append { skip: 0 });
    assert_eq!(page.piece(FIRST, 5, ", you"), StreamDelta::Append { skip: 0 });
    assert_eq!(page.text(), "Hello, you");
    assert_eq!(page.end(FIRST), StreamEnd::Finish);
    assert_eq!(page.end(FIRST), StreamEnd::Drop, "it is replayed");
    assert_eq!(page.questions(), 0);
}

#[test]
fn what_is_there_is_dropped_and_an_overlap_trimmed() {
    let mut page = Page::connected();
    page.start(ANSWER, FIRST);
    page.piece(FIRST, 0, "Hello");
    assert_eq!(page.start(ANSWER, FIRST), StreamStart::Known);
    assert_eq!(page.piece(FIRST, 0, "Hello"), StreamDelta::Drop);
    assert_eq!(page.piece(FIRST, 1, "ell"), StreamDelta::Drop);
    assert_eq!(page.piece(FIRST, 3, "lo, you"), StreamDelta::Append { skip: 2 });
    assert_eq!(page.text(), "Hello, you");
}

#[test]
fn a_hole_asks_once_and_is_mended_by_the_answer() {
    let mut page = Page::connected();
    page.start(ANSWER, FIRST);
    page.piece(FIRST, 0, "ab");
    assert_eq!(page.piece(FIRST, 4, "ef"), StreamDelta::Drop);
    assert_eq!(page.questions(), 1);
    assert_eq!(page.piece(FIRST, 6, "gh"), StreamDelta::Drop);
    assert_eq!(page.questions(), 0, "that is under way");
    page.piece(FIRST, 2, "cdefgh");
    page.engine.handle_complete(page.connection, page.now);
    assert_eq!(page.piece(FIRST, 8, "i"), StreamDelta::Append { skip: 0 });
    assert_eq!((page.questions(), page.text()), (0, "abcdefghi"));
}

#[test]
fn a_hole_that_an_answer_did_not_mend_asks_again() {
    let mut page = Page::connected();
    page.start(ANSWER, FIRST);
    page.piece(FIRST, 4, "ef");
    assert_eq!(page.questions(), 1);
    page.engine.handle_complete(page.connection, page.now);
    assert_eq!(page.questions(), 0, "only what comes shows that there is a hole");
    page.piece(FIRST, 6, "gh");
    assert_eq!(page.questions(), 1);
}

#[test]
fn text_whose_start_is_missing_asks_for_it() {
    let mut page = Page::connected();
    assert_eq!(page.piece(FIRST, 0, "ab"), StreamDelta::Drop);
    assert_eq!(page.questions(), 1);
    assert_eq!(page.piece(FIRST, 2, "cd"), StreamDelta::Drop);
    assert_eq!(page.questions(), 0);
    assert_eq!(page.start(ANSWER, FIRST), StreamStart::Begin);
    assert_eq!(page.piece(FIRST, 0, "abcd"), StreamDelta::Append { skip: 0 });
    assert_eq!(page.text(), "abcd");
}

#[test]
fn a_later_attempt_of_which_nothing_was_shown_keeps_none_of_a_restored_backup_away() {
    // The page had forgotten all text at a gap, and a piece of attempt 2 came before its start. Then a backup came
    // back by hand in which there was the first attempt: as an earlier one it was never shown.
    let mut page = Page::connected();
    assert_eq!(page.piece(attempt(2), 3, "ab"), StreamDelta::Drop);
    page.lose_connection();
    page.connect(1);
    assert_eq!(page.start(ANSWER, FIRST), StreamStart::Begin);
    assert_eq!(page.piece(FIRST, 0, "ab"), StreamDelta::Append { skip: 0 });
}

#[test]
fn a_later_attempt_starts_over_and_an_earlier_one_is_not_heard_any_more() {
    let mut page = Page::connected();
    page.start(ANSWER, FIRST);
    page.piece(FIRST, 0, "a wrong beg");
    assert_eq!(page.start(ANSWER, attempt(2)), StreamStart::Begin);
    assert_eq!(page.text(), "");
    assert_eq!(page.piece(FIRST, 11, "inning"), StreamDelta::Drop);
    assert_eq!(page.start(ANSWER, FIRST), StreamStart::Drop);
    assert_eq!(page.end(FIRST), StreamEnd::Drop);
    assert_eq!(page.piece(attempt(2), 0, "right"), StreamDelta::Append { skip: 0 });
    assert_eq!((page.questions(), page.text()), (0, "right"));
}

#[test]
fn nothing_of_an_attempt_is_heard_after_its_end() {
    let mut page = Page::connected();
    // Nothing of it was shown here: its end is all that the page gets to see.
    assert_eq!(page.end(FIRST), StreamEnd::Finish);
    assert_eq!(page.start(ANSWER, FIRST), StreamStart::Drop);
    assert_eq!(page.piece(FIRST, 0, "late"), StreamDelta::Drop);
    assert_eq!(page.piece(FIRST, 9, "later"), StreamDelta::Drop);
    assert_eq!(page.questions(), 0);
    assert_eq!(page.start(ANSWER, attempt(2)), StreamStart::Begin, "somebody tries again");
}

#[test]
fn a_reconnect_keeps_the_text_and_asks_for_the_rest_of_it() {
    let mut page = Page::connected();
    page.start(ANSWER, FIRST);
    page.piece(FIRST, 0, "Hel");
    let lost = page.connection;
    page.lose_connection();
    page.connect(1);
    assert_ne!(page.connection, lost);
    // Whatever comes before the answer to that question shows no new hole.
    assert_eq!(page.piece(FIRST, 5, "!"), StreamDelta::Drop);
    assert_eq!(page.questions(), 0);
    assert_eq!(page.piece(FIRST, 3, "lo!"), StreamDelta::Append { skip: 0 });
    assert_eq!(page.text(), "Hello!");
    let late = page.engine.handle_stream_delta(lost, ANSWER, FIRST, 6, 1);
    assert_eq!(late, StreamDelta::Drop, "that connection is gone");
}

#[test]
fn a_restored_backup_and_signing_out_forget_all_text() {
    let mut page = Page::connected();
    page.start(ANSWER, FIRST);
    page.piece(FIRST, 0, "Hello");
    page.lose_connection();
    page.connect(2);
    assert!(page.texts.is_empty());
    assert_eq!(page.start(ANSWER, FIRST), StreamStart::Begin);
    page.engine.sign_out(page.now);
    page.questions();
    assert!(page.texts.is_empty());
    assert_eq!(page.start(ANSWER, FIRST), StreamStart::Drop, "nobody is signed in");
}

#[test]
fn a_stream_whose_end_was_trimmed_does_not_stay_for_ever() {
    // A page was away for so long that retention took the message that its answer had become. It
    // heard of a gap, and showed the stream as open from then on.
    let mut page = Page::connected();
    page.start(ANSWER, FIRST);
    page.piece(FIRST, 0, "Hello");
    page.start(StreamNo(2), FIRST);
    page.lose_connection();
    page.connect(1);
    let next = Seq::new(51).expect("small");
    page.engine.handle_gap(page.connection, Seq::default(), next, IdNo::NONE, page.now);
    assert_eq!(page.questions(), 1, "what is still open is asked for");
    assert!(page.texts.is_empty());
    assert_eq!(page.start(StreamNo(2), FIRST), StreamStart::Begin, "and comes again");
}

#[test]
fn a_tab_does_not_keep_what_the_leading_one_showed_it_before_a_gap() {
    // The leading tab came back, passed on what it had of an answer to a tab that had just joined, and
    // was told of a gap in which the answer had ended. The gap was before that tab's own beginning.
    let mut page = Page::joined();
    page.start(ANSWER, FIRST);
    page.piece(FIRST, 0, "Hello");
    let (after, next) = (Seq::default(), Seq::new(1).expect("small"));
    page.engine.handle_gap(page.connection, after, next, IdNo::NONE, page.now);
    assert_eq!(page.questions(), 1);
    assert!(page.texts.is_empty());
}

#[test]
fn a_gap_is_no_reason_to_ask_while_there_are_no_streams() {
    let mut page = Page::connected();
    page.end(FIRST);
    page.engine.handle_gap(
        page.connection,
        Seq::default(),
        Seq::new(9).expect("small"),
        IdNo::NONE,
        page.now,
    );
    assert_eq!(page.questions(), 0);
    assert_eq!(page.start(ANSWER, FIRST), StreamStart::Drop, "it is over all the same");
}

#[test]
fn as_many_answers_are_known_as_may_be_and_the_finished_ones_make_room_first() {
    let mut page = Page::connected();
    page.start(ANSWER, FIRST);
    for no in 2..=STREAMS_KNOWN_MAX {
        page.start(StreamNo(u32::try_from(no).expect("few")), FIRST);
    }
    page.questions();
    assert_eq!(page.texts.len(), STREAMS_KNOWN_MAX, "the last that fits");
    page.engine.handle_stream_end(page.connection, StreamNo(9), FIRST);
    for (stream, gone) in [(1_000, StreamNo(9)), (1_001, ANSWER)] {
        page.start(StreamNo(stream), FIRST);
        page.questions();
        assert_eq!(page.texts.len(), STREAMS_KNOWN_MAX);
        assert!(!page.texts.contains_key(&gone), "{gone:?} makes room");
    }
}

#[test]
fn a_tab_that_has_joined_late_gets_the_beginning_from_the_one_that_leads() {
    let mut page = Page::joined();
    // The leading tab passes on what comes, before it has answered what the join asked.
    assert_eq!(page.piece(FIRST, 5, ", you"), StreamDelta::Drop);
    assert_eq!(page.questions(), 1);
    page.start(ANSWER, FIRST);
    page.piece(FIRST, 0, "Hello, you");
    assert_eq!(page.start(ANSWER, FIRST), StreamStart::Known, "both questions are answered");
    assert_eq!(page.piece(FIRST, 0, "Hello, you"), StreamDelta::Drop);
    assert_eq!(page.piece(FIRST, 10, "."), StreamDelta::Append { skip: 0 });
    assert_eq!((page.questions(), page.text()), (0, "Hello, you."));
}
