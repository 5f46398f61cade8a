//! A page shows by the message at its position that its history is the mailbox's.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::iter;

use tetherline_engine::{
    ConnectionNo, Delivery, Engine, EpochNo, Established, IdNo, Instant, Lead, Mark, Output, Phase,
    StreamDelta, StreamNo, StreamStart, TABS_VERSION, TabMessage, TabNo,
};
use tetherline_protocol::{Attempt, Seq, limits::ACK_DELAY_MS};

const EPOCH: EpochNo = EpochNo(1);
const NEWS: Delivery = Delivery::Deliver { replayed: false };
const LEADER: TabNo = TabNo(7);
const OTHER: TabNo = TabNo(8);

struct Page {
    engine: Engine<()>,
    now: Instant,
}

/// The position `seq` in the history in which message `id` stands there.
fn mark(seq: u64, id: u32) -> Mark {
    Mark { seq: Seq::new(seq).expect("a position"), id: IdNo(id) }
}

fn established(head: Mark, cursor: Mark) -> Established {
    Established {
        epoch: EPOCH,
        head: head.seq,
        cursor,
        checks_positions: true,
        heartbeat_interval_ms: 30_000,
        token_expires_in_ms: 3_600_000,
    }
}

fn proof(after: Mark) -> Output {
    Output::GetPending { after, proves: true, epoch: EPOCH }
}

fn get_pending(after: u64) -> Output {
    Output::GetPending { after: mark(after, 0), proves: false, epoch: EPOCH }
}

impl Page {
    fn signed_in() -> Self {
        let mut page = Self { engine: Engine::new(1), now: Instant::from_millis(1_000) };
        page.engine.sign_in(page.now);
        page
    }

    fn among_tabs() -> Self {
        let mut page = Self { engine: Engine::new(1), now: Instant::from_millis(1_000) };
        page.engine.sign_in_among_tabs(true, page.now);
        page
    }

    fn connect(&mut self, head: Mark, cursor: Mark) -> ConnectionNo {
        while self.engine.retry_at().is_some() {
            self.now = self.engine.poll_timeout().expect("an attempt is due");
            self.engine.handle_timeout(self.now);
        }
        self.engine.handle_token(self.now);
        let open = |output| match output {
            Output::Open(connection) => Some(connection),
            _ => None,
        };
        let connection = self.outputs().into_iter().find_map(open).expect("an attempt");
        self.engine.handle_opened(connection, self.now);
        self.engine.handle_established(connection, established(head, cursor), self.now);
        connection
    }

    /// Connected, and at message 3 with all that there is.
    fn at_three() -> (Self, ConnectionNo) {
        let mut page = Self::signed_in();
        let connection = page.connect(mark(2, 2), mark(2, 2));
        assert!(page.outputs().contains(&proof(mark(2, 2))));
        page.checked(connection, mark(2, 2), mark(2, 2));
        assert_eq!(page.message(connection, mark(3, 3)), NEWS);
        page.pass(ACK_DELAY_MS);
        assert_eq!(page.outputs(), [Output::Ack(mark(3, 3).seq)]);
        (page, connection)
    }

    fn checked(&mut self, connection: ConnectionNo, after: Mark, from: Mark) {
        self.engine.handle_checked(connection, after, from, self.now);
    }

    fn message(&mut self, connection: ConnectionNo, mark: Mark) -> Delivery {
        self.engine.handle_message(connection, Some(mark), 1, 10)
    }

    fn lose(&mut self, connection: ConnectionNo) {
        self.engine.handle_closed(connection, 1006, None, self.now);
        self.outputs();
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now + millis;
        self.engine.handle_timeout(self.now);
    }

    fn outputs(&mut self) -> Vec<Output> {
        iter::from_fn(|| self.engine.poll_output()).collect()
    }

    fn hear(&mut self, leader: TabNo, phase: Phase) {
        let lead = Lead { version: TABS_VERSION, visible: true, phase };
        self.engine.handle_tab(leader, TabMessage::Lead(lead), self.now);
    }

    /// Another tab comes to lead, and connects.
    fn follow(&mut self, leader: TabNo, head: Mark, position: Mark) -> ConnectionNo {
        self.hear(leader, Phase::Connecting { attempt: 0 });
        let welcome = established(head, mark(0, 0));
        self.engine.handle_welcome(leader, welcome, Some(position), true, self.now);
        self.hear(leader, Phase::Connected);
        let join = |output| match output {
            Output::Join(connection, _) => Some(connection),
            _ => None,
        };
        self.outputs().into_iter().filter_map(join).next_back().expect("it joins")
    }
}

#[test]
fn a_page_names_its_message_and_goes_on_when_the_server_knows_it() {
    let (mut page, connection) = Page::at_three();
    page.lose(connection);
    let again = page.connect(mark(5, 5), mark(3, 3));
    assert!(page.outputs().contains(&proof(mark(3, 3))));
    assert_eq!(page.message(again, mark(4, 4)), Delivery::Drop, "nothing counts before the answer");
    page.checked(again, mark(3, 3), mark(3, 3));
    assert_eq!(page.message(again, mark(4, 4)), Delivery::Deliver { replayed: true });
    assert_eq!(page.outputs(), []);
}

#[test]
fn a_page_whose_message_is_another_one_starts_from_the_cursor_and_says_so() {
    // Only the epoch was looked at: whatever a restored backup had at the same positions was dropped
    // as known.
    let (mut page, connection) = Page::at_three();
    let (stream, attempt) = (StreamNo(1), Attempt::FIRST);
    assert_eq!(page.engine.handle_stream_start(connection, stream, attempt), StreamStart::Begin);
    page.lose(connection);
    let again = page.connect(mark(5, 15), mark(1, 1));
    assert!(page.outputs().contains(&proof(mark(3, 3))));
    page.checked(again, mark(3, 3), mark(1, 1));
    let gap = Output::Gap { after: mark(3, 3).seq, next: mark(1, 1).seq };
    assert_eq!(page.outputs(), [gap, Output::StreamsDropped]);
    for (seq, id) in [(2, 2), (3, 13), (4, 14), (5, 15)] {
        assert_eq!(page.message(again, mark(seq, id)), Delivery::Deliver { replayed: true });
    }
    assert_eq!(page.engine.position_id(), IdNo(15));
    page.pass(ACK_DELAY_MS);
    assert_eq!(page.outputs(), [Output::Ack(mark(5, 15).seq)]);
}

#[test]
fn nothing_is_acknowledged_before_the_answer() {
    let mut page = Page::signed_in();
    let connection = page.connect(mark(2, 2), mark(2, 2));
    page.checked(connection, mark(2, 2), mark(2, 2));
    page.message(connection, mark(3, 3));
    // It was not acknowledged when the connection was lost.
    page.lose(connection);
    let again = page.connect(mark(5, 5), mark(2, 2));
    page.outputs();
    page.pass(ACK_DELAY_MS);
    page.engine.request_pending(page.now);
    assert_eq!(page.outputs(), [proof(mark(3, 3))], "it asks the same again");
    page.checked(again, mark(3, 3), mark(3, 3));
    page.pass(ACK_DELAY_MS);
    assert_eq!(page.outputs(), [Output::Ack(mark(3, 3).seq)]);
}

#[test]
fn an_older_server_is_asked_as_before() {
    let mut page = Page::signed_in();
    let old = |head| Established { checks_positions: false, ..established(head, mark(1, 0)) };
    page.engine.handle_token(page.now);
    let open = page.outputs().into_iter().find_map(|output| match output {
        Output::Open(connection) => Some(connection),
        _ => None,
    });
    let connection = open.unwrap();
    page.engine.handle_opened(connection, page.now);
    page.engine.handle_established(connection, old(mark(3, 0)), page.now);
    assert!(page.outputs().contains(&get_pending(1)));
    assert_eq!(page.message(connection, mark(2, 2)), Delivery::Deliver { replayed: true });
}

#[test]
fn what_an_older_history_lacks_is_asked_for_after_the_proof_of_the_newest() {
    let (mut page, connection) = Page::at_three();
    page.engine.history_as_of(mark(0, 0).seq, page.now);
    assert_eq!(page.outputs(), [get_pending(0)]);
    page.message(connection, mark(1, 1));
    page.lose(connection);
    let again = page.connect(mark(3, 3), mark(3, 3));
    assert!(page.outputs().contains(&proof(mark(3, 3))), "the backfill proves nothing about 3");
    page.checked(again, mark(3, 3), mark(3, 3));
    assert_eq!(page.outputs(), [get_pending(1)]);
    assert_eq!(page.message(again, mark(2, 2)), Delivery::Deliver { replayed: true });
    assert_eq!(page.message(again, mark(3, 3)), Delivery::Drop);
}

#[test]
fn a_gap_names_the_message_before_its_end() {
    let (mut page, connection) = Page::at_three();
    page.engine.handle_gap(connection, mark(3, 3).seq, mark(6, 0).seq, IdNo(5), page.now);
    page.outputs();
    assert_eq!(
        (page.engine.position(), page.engine.position_id()),
        (Some(mark(5, 5).seq), IdNo(5))
    );
}

#[test]
fn a_leading_tab_vouches_for_nobody_before_it_is_proved_and_passes_the_question_of_others_on() {
    let mut leader = Page::among_tabs();
    leader.engine.handle_lock(leader.now);
    let connection = leader.connect(mark(5, 5), mark(3, 3));
    let is_welcome = |output: &Output| matches!(output, Output::Welcome { .. });
    assert!(!leader.outputs().iter().any(is_welcome));
    leader.engine.handle_tab(OTHER, TabMessage::Hello, leader.now);
    assert!(!leader.outputs().iter().any(is_welcome));

    leader.checked(connection, mark(3, 3), mark(3, 3));
    let (head, cursor) = (mark(5, 5).seq, mark(3, 3).seq);
    let welcome = Output::Welcome { to: None, head, cursor, position: Some(mark(3, 3)) };
    assert_eq!(leader.outputs(), [welcome]);
    leader.engine.handle_complete(connection, leader.now);

    // By its number the position would be fine.
    leader.message(connection, mark(4, 4));
    leader.engine.handle_ask(mark(4, 14), EPOCH, leader.now);
    assert_eq!(leader.outputs(), [proof(mark(4, 14))]);
    leader.engine.handle_ask(mark(3, 13), EPOCH, leader.now);
    assert_eq!(leader.outputs(), [], "one after the other");
    // That was another tab's: this one reads on from where it is.
    leader.checked(connection, mark(4, 14), mark(1, 1));
    assert_eq!(leader.message(connection, mark(2, 2)), Delivery::Drop);
    leader.engine.handle_complete(connection, leader.now);
    assert_eq!(leader.outputs(), [proof(mark(3, 13))]);
}

#[test]
fn a_question_that_another_tab_repeats_while_it_waits_is_asked_once() {
    // While the leading tab's own question waited for its handlers, the others repeated theirs with every
    // heartbeat. Then each repeat was answered with a gap and all that followed, one after the other, and
    // at each gap every tab forgot its text: for a long time no text was whole.
    let mut leader = Page::among_tabs();
    leader.engine.handle_lock(leader.now);
    let connection = leader.connect(mark(9, 9), mark(3, 3));
    leader.checked(connection, mark(3, 3), mark(3, 3));
    leader.outputs();
    for asked in [mark(5, 15), mark(6, 16), mark(5, 15), mark(6, 16)] {
        leader.engine.handle_ask(asked, EPOCH, leader.now);
    }
    assert_eq!(leader.outputs(), [], "one after the other");
    leader.engine.handle_complete(connection, leader.now);
    assert_eq!(leader.outputs(), [proof(mark(6, 16))]);
    leader.engine.handle_complete(connection, leader.now);
    assert_eq!(leader.outputs(), [proof(mark(5, 15))]);
    leader.engine.handle_complete(connection, leader.now);
    assert_eq!(leader.outputs(), [], "each once");
}

#[test]
fn what_comes_further_on_because_another_tab_is_there_is_no_hole() {
    let mut leader = Page::among_tabs();
    leader.engine.handle_lock(leader.now);
    let connection = leader.connect(mark(3, 3), mark(3, 3));
    leader.checked(connection, mark(3, 3), mark(3, 3));
    leader.engine.handle_complete(connection, leader.now);
    leader.outputs();
    leader.engine.handle_ask(mark(5, 5), EPOCH, leader.now);
    leader.outputs();
    leader.checked(connection, mark(5, 5), mark(5, 5));
    assert_eq!(leader.message(connection, mark(6, 6)), Delivery::Drop);
    leader.engine.handle_complete(connection, leader.now);
    assert_eq!(leader.outputs(), [get_pending(3)]);
    assert_eq!(leader.message(connection, mark(4, 4)), NEWS);
}

#[test]
fn a_leading_tab_does_not_wait_for_the_end_of_what_it_cannot_acknowledge() {
    // Another tab's question was answered from further on than the leading one had come, which dropped what
    // followed. The server waited for an acknowledgement of that, and the leading tab for the server to be
    // through before it asked for its own: no tab got anything any more on that connection.
    let mut leader = Page::among_tabs();
    leader.engine.handle_lock(leader.now);
    let connection = leader.connect(mark(9, 9), mark(3, 3));
    leader.checked(connection, mark(3, 3), mark(3, 3));
    leader.engine.handle_complete(connection, leader.now);
    leader.outputs();
    leader.engine.handle_ask(mark(5, 15), EPOCH, leader.now);
    leader.engine.handle_ask(mark(2, 0), EPOCH, leader.now);
    assert_eq!(leader.outputs(), [proof(mark(5, 15))]);
    leader.checked(connection, mark(5, 15), mark(6, 6));
    assert_eq!(leader.outputs(), [get_pending(2)], "at once, and for whoever needs more");
    assert_eq!(leader.message(connection, mark(7, 7)), Delivery::Drop, "that was on its way");
    assert_eq!(leader.message(connection, mark(3, 3)), Delivery::Drop);
    assert_eq!(leader.message(connection, mark(4, 4)), Delivery::Deliver { replayed: true });
}

#[test]
fn a_tab_at_the_leading_ones_position_needs_no_proof_and_any_other_does() {
    let mut tab = Page::among_tabs();
    let connection = tab.follow(LEADER, mark(0, 0), mark(0, 0));
    tab.message(connection, mark(1, 1));
    let connection = tab.follow(OTHER, mark(1, 1), mark(1, 1));
    assert_eq!(tab.message(connection, mark(2, 2)), NEWS);

    // The next leader has read further, or in another history.
    let connection = tab.follow(LEADER, mark(3, 13), mark(3, 13));
    assert_eq!(tab.message(connection, mark(3, 13)), Delivery::Drop);
    let stream = (StreamNo(1), Attempt::FIRST);
    let start = tab.engine.handle_stream_start(connection, stream.0, stream.1);
    assert_eq!(start, StreamStart::Drop);
    let delta = tab.engine.handle_stream_delta(connection, stream.0, stream.1, 0, 3);
    assert_eq!(delta, StreamDelta::Drop);
    tab.checked(connection, mark(1, 1), mark(1, 1));
    assert_eq!(tab.message(connection, mark(2, 12)), Delivery::Drop, "that was about another tab");
    tab.checked(connection, mark(2, 2), mark(1, 1));
    let gap = Output::Gap { after: mark(2, 2).seq, next: mark(1, 1).seq };
    assert_eq!(tab.outputs(), [gap, get_pending(1)]);
    assert_eq!(tab.message(connection, mark(2, 12)), Delivery::Deliver { replayed: true });
}

#[test]
fn a_tab_at_the_leading_ones_position_that_has_text_shows_nothing_behind_it_before_that_is_looked_at()
 {
    // A backup had come back by hand: both were at the same message of it, and what the next leader passed on
    // of an answer was put behind another text, in the middle of a surrogate pair.
    let mut tab = Page::among_tabs();
    let connection = tab.follow(LEADER, mark(0, 0), mark(0, 0));
    tab.message(connection, mark(1, 1));
    let (stream, attempt) = (StreamNo(1), Attempt::FIRST);
    tab.engine.handle_stream_start(connection, stream, attempt);
    tab.engine.handle_stream_delta(connection, stream, attempt, 0, 5);

    let connection = tab.follow(OTHER, mark(3, 13), mark(1, 1));
    tab.engine.handle_stream_start(connection, stream, attempt);
    let delta = tab.engine.handle_stream_delta(connection, stream, attempt, 0, 9);
    assert_eq!(delta, StreamDelta::Drop);
    tab.checked(connection, mark(1, 1), mark(1, 1));
    assert_eq!(tab.outputs(), [get_pending(1)], "for what it has passed over meanwhile");
    assert!(tab.engine.handle_stream_lost(connection, stream, attempt));
    let start = tab.engine.handle_stream_start(connection, stream, attempt);
    assert_eq!(start, StreamStart::Begin);
    let delta = tab.engine.handle_stream_delta(connection, stream, attempt, 0, 9);
    assert_eq!(delta, StreamDelta::Append { skip: 0 });
    assert_eq!(tab.message(connection, mark(2, 12)), Delivery::Deliver { replayed: true });
}

#[test]
fn a_question_that_was_lost_on_its_way_is_asked_again() {
    let mut tab = Page::among_tabs();
    let connection = tab.follow(LEADER, mark(0, 0), mark(0, 0));
    tab.message(connection, mark(1, 1));
    tab.follow(OTHER, mark(2, 2), mark(2, 2));
    tab.pass(30_000);
    assert!(tab.outputs().contains(&proof(mark(1, 1))));
}

#[test]
fn a_stream_that_is_another_text_is_forgotten_and_read_from_its_beginning() {
    let (mut page, connection) = Page::at_three();
    let (stream, attempt) = (StreamNo(1), Attempt::FIRST);
    page.engine.handle_stream_start(connection, stream, attempt);
    page.engine.handle_stream_delta(connection, stream, attempt, 0, 5);
    assert!(!page.engine.handle_stream_lost(connection, stream, attempt.next()));
    assert!(page.engine.handle_stream_lost(connection, stream, attempt));
    assert_eq!(page.engine.handle_stream_start(connection, stream, attempt), StreamStart::Begin);
    page.engine.handle_stream_end(connection, stream, attempt);
    assert!(!page.engine.handle_stream_lost(connection, stream, attempt), "it has ended");
}

#[test]
fn a_tab_whose_text_is_another_asks_the_leading_one_for_what_there_is() {
    // The server went on from what the leading tab had, and this one showed nothing until more came.
    let mut tab = Page::among_tabs();
    let connection = tab.follow(LEADER, mark(0, 0), mark(0, 0));
    let (stream, attempt) = (StreamNo(1), Attempt::FIRST);
    tab.engine.handle_stream_start(connection, stream, attempt);
    tab.engine.handle_stream_delta(connection, stream, attempt, 0, 5);
    assert_eq!(tab.outputs(), []);
    assert!(tab.engine.handle_stream_lost(connection, stream, attempt));
    assert_eq!(tab.outputs(), [get_pending(0)]);
}

#[test]
fn a_tab_that_got_nothing_and_knows_no_message_begins_where_the_device_is() {
    // It went on from the cursor of a history that was replaced, past what nobody had seen, and told
    // the tabs that came after it the same.
    let mut page = Page::among_tabs();
    let welcome = established(mark(9, 9), mark(5, 0));
    page.engine.handle_welcome(LEADER, welcome, Some(mark(9, 9)), true, page.now);
    assert!(page.outputs().contains(&get_pending(5)));
    page.engine.handle_lock(page.now);
    let connection = page.connect(mark(8, 18), mark(2, 2));
    assert!(page.outputs().contains(&proof(mark(2, 2))), "not 5");
    page.checked(connection, mark(2, 2), mark(2, 2));
    assert_eq!(page.message(connection, mark(3, 13)), Delivery::Deliver { replayed: true });
}

#[test]
fn a_tab_that_has_asked_for_older_history_and_got_nothing_begins_where_the_device_is_too() {
    // It had asked for 3 to 5 of a history that was replaced, and so counted as one that had something:
    // it waited for 6, past five messages that it never got.
    let mut page = Page::among_tabs();
    let welcome = established(mark(9, 9), mark(5, 0));
    page.engine.handle_welcome(LEADER, welcome, Some(mark(9, 9)), true, page.now);
    page.engine.history_as_of(mark(2, 0).seq, page.now);
    assert!(page.outputs().contains(&get_pending(2)));
    let connection = page.follow(OTHER, mark(1, 11), mark(1, 11));
    assert_eq!(page.outputs(), []);
    assert_eq!(page.message(connection, mark(1, 11)), Delivery::Deliver { replayed: true });
}

#[test]
fn a_tab_that_was_to_prove_itself_first_asks_for_older_history_when_it_need_not_any_more() {
    // What it had put off until it was proved it asked for with the next message, whenever that came.
    let mut page = Page::among_tabs();
    page.engine.handle_lock(page.now);
    page.connect(mark(3, 3), mark(3, 3));
    page.engine.history_as_of(mark(1, 0).seq, page.now);
    page.engine.handle_tab(LEADER, TabMessage::Hello, page.now);
    page.engine.handle_lock_lost(page.now);
    let welcome = established(mark(3, 3), mark(3, 0));
    page.outputs();
    page.engine.handle_welcome(LEADER, welcome, Some(mark(3, 3)), true, page.now);
    assert!(page.outputs().contains(&get_pending(1)));
}

#[test]
fn a_page_stands_where_it_knows_the_message_and_not_behind_a_gap_that_names_none() {
    // The connection broke between a gap and the message behind it. The page went on from there by the
    // number alone: in a backup that was copied back other messages stood up to it, which it never got.
    let (mut page, connection) = Page::at_three();
    let gap = |page: &mut Page, connection, passed| {
        page.engine.handle_gap(connection, mark(3, 3).seq, mark(9, 9).seq, passed, page.now);
        page.outputs().contains(&Output::Gap { after: mark(3, 3).seq, next: mark(9, 9).seq })
    };
    assert!(gap(&mut page, connection, IdNo::NONE));
    page.lose(connection);
    let connection = page.connect(mark(12, 12), mark(3, 3));
    assert!(page.outputs().contains(&proof(mark(3, 3))), "not 8");
    page.checked(connection, mark(3, 3), mark(3, 3));
    assert!(gap(&mut page, connection, IdNo(8)), "it is told once more");
    page.lose(connection);
    page.connect(mark(12, 12), mark(3, 3));
    assert!(page.outputs().contains(&proof(mark(8, 8))), "now it knows which message was there");
}

#[test]
fn a_page_that_was_getting_older_messages_stands_at_the_last_of_them() {
    // It had begun at 5 without knowing the message, and asked for what history lacked. When the
    // connection broke in the middle of that, it went on from 5, which proves nothing.
    let mut page = Page::signed_in();
    let connection = page.connect(mark(5, 5), mark(5, 0));
    page.checked(connection, mark(5, 0), mark(5, 0));
    page.engine.history_as_of(mark(2, 0).seq, page.now);
    for seq in [3, 4] {
        let mark = mark(seq, u32::try_from(seq).unwrap());
        assert_eq!(page.message(connection, mark), Delivery::Deliver { replayed: true });
    }
    page.lose(connection);
    let connection = page.connect(mark(6, 16), mark(1, 1));
    assert!(page.outputs().contains(&proof(mark(4, 4))), "not 5");
    page.checked(connection, mark(4, 4), mark(4, 4));
    assert_eq!(page.message(connection, mark(5, 15)), Delivery::Deliver { replayed: true });
}

#[test]
fn a_tab_that_cannot_prove_itself_shows_nothing_of_before_behind_what_another_leader_passes_on() {
    // What the next leader passed on of an answer was put behind the text of a history that was replaced.
    let mut page = Page::among_tabs();
    let connection = page.follow(LEADER, mark(9, 9), mark(9, 9));
    let (stream, attempt) = (StreamNo(1), Attempt::FIRST);
    assert_eq!(page.engine.handle_stream_start(connection, stream, attempt), StreamStart::Begin);
    page.engine.handle_stream_delta(connection, stream, attempt, 0, 5);
    page.hear(OTHER, Phase::Connecting { attempt: 0 });
    let welcome = established(mark(8, 18), mark(0, 0));
    page.engine.handle_welcome(OTHER, welcome, Some(mark(8, 18)), true, page.now);
    assert!(page.outputs().contains(&Output::StreamsDropped));
}
