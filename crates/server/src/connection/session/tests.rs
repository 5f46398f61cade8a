//! Sessions driven through virtual time, without a socket or a store.

mod kept;
mod misuse;
mod proof;
mod rates;
mod sends;
mod snapshots;
mod streams;

use tetherline_protocol::limits;

use super::*;
use crate::{
    May,
    rates::Meters,
    store::{Delivery, Place, Room},
};

struct Rig {
    session: Session,
    now: Instant,
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

fn place(head: u64, trimmed: u64) -> Place {
    let head = crate::store::Head { seq: seq(head), id: None, epoch: "e.0".parse().unwrap() };
    Place {
        head,
        cursor: Seq::ZERO,
        cursor_id: None,
        floor: Seq::ZERO,
        trimmed: seq(trimmed),
        trimmed_id: None,
    }
}

fn rig(wire: Wire, head: u64, change: impl FnOnce(&mut Limits)) -> Rig {
    let mut limits = Limits::default();
    change(&mut limits);
    rig_with(wire, head, limits, Arc::default(), Instant::now())
}

fn rig_with(wire: Wire, head: u64, limits: Limits, meters: Arc<Meters>, now: Instant) -> Rig {
    let opening = Opening {
        connection: "c".parse().unwrap(),
        user: "ada".parse().unwrap(),
        wire,
        place: place(head, 0),
        token_expires_in: Duration::from_hours(1),
        may: May::EVERYTHING,
        written_limits: WrittenLimits::new(&limits),
        limits: Arc::new(limits),
        meters,
        time_ms: 0,
    };
    let mut rig = Rig { session: Session::open(opening, now), now };
    assert!(matches!(rig.output(), Some(Output::Write(frames)) if frames.len() == 1));
    rig.input(Input::Written);
    rig
}

impl Rig {
    fn input(&mut self, input: Input<'_>) {
        self.session.handle(input, self.now);
    }

    fn output(&mut self) -> Option<Output> {
        self.session.poll_output(self.now)
    }

    /// Lets time pass as a driver would: alarm by alarm.
    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(alarm) = self.session.poll_timeout().filter(|alarm| *alarm <= end) {
            self.now = alarm;
            self.input(Input::Timeout);
            if self.session.closed || self.session.poll_timeout() == Some(alarm) {
                break;
            }
        }
        self.now = end;
    }

    fn page(&mut self, read_no: u32, numbers: std::ops::RangeInclusive<u64>, size: usize) {
        let page =
            numbers.map(|n| Delivery { seq: seq(n), text: "x".repeat(size).into() }).collect();
        self.input(Input::Page { read_no, page: Ok(page) });
    }

    fn read(&mut self) -> (u32, u64, Room) {
        match self.output() {
            Some(Output::Read { read_no, after, room }) => (read_no, after.get(), room),
            other => panic!("no read but {other:?}"),
        }
    }

    /// How many frames the next batch has; the socket takes it.
    fn written(&mut self) -> Vec<Outgoing> {
        match self.output() {
            Some(Output::Write(batch)) => {
                self.input(Input::Written);
                batch
            }
            other => panic!("nothing written but {other:?}"),
        }
    }

    /// Takes a batch that says in its first frame that nothing is left between these positions, and
    /// answers how many frames follow.
    fn written_after_gap(&mut self, after: u64, next: u64) -> usize {
        let batch = self.written();
        let gap = format!(r#"{{"type":"mailbox_gap","after":{after},"next":{next}}}"#);
        assert_eq!(batch[0], Outgoing::Text(gap.into()));
        batch.len() - 1
    }

    /// The head and `recovered` of each summary in the next batch, which has no message.
    fn summaries(&mut self) -> Vec<(u64, bool)> {
        let summary = |outgoing: Outgoing| {
            let Outgoing::Text(text) = outgoing else { panic!("{outgoing:?}") };
            let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(frame["type"], "pending_check_complete");
            assert_eq!(frame["data"]["delivered"], 0);
            let data = &frame["data"];
            (data["head"].as_u64().unwrap(), data["recovered"].as_bool().unwrap())
        };
        let is_gap = |outgoing: &Outgoing| matches!(outgoing, Outgoing::Text(text) if text.contains("mailbox_gap"));
        self.written().into_iter().filter(|outgoing| !is_gap(outgoing)).map(summary).collect()
    }

    fn close_code(&mut self) -> Option<CloseCode> {
        while let Some(output) = self.output() {
            if let Output::Close(code, _) = output {
                return Some(code);
            }
        }
        None
    }
}

#[test]
fn the_next_page_is_read_only_when_the_socket_took_the_last() {
    let mut rig = rig(Wire::V1, 30, |_| {});
    rig.input(Input::Text(r#"{"type":"get_pending","after":0}"#));
    let (read_no, after, room) = rig.read();
    assert_eq!((after, room.bytes), (0, limits::REPLAY_PIECE_BYTES_MAX));
    rig.page(read_no, 1..=10, 100);
    assert!(matches!(rig.output(), Some(Output::Write(batch)) if batch.len() == 10));
    rig.input(Input::Head(seq(31), None));
    assert_eq!(rig.output(), None, "the socket is still busy");
    rig.input(Input::Written);
    assert_eq!(rig.read().1, 10);
}

#[test]
fn a_page_for_a_position_that_was_given_up_is_dropped() {
    let mut rig = rig(Wire::V1, 30, |_| {});
    rig.input(Input::Text(r#"{"type":"get_pending","after":20}"#));
    let (stale, ..) = rig.read();
    rig.input(Input::Text(r#"{"type":"get_pending","after":5}"#));
    let (read_no, after, _) = rig.read();
    assert_eq!(after, 5);
    rig.page(stale, 21..=30, 10);
    assert_eq!(rig.output(), None);
    rig.page(read_no, 6..=7, 10);
    assert_eq!(rig.written().len(), 2);
}

#[test]
fn in_flight_bytes_bind_at_their_edge_and_one_message_always_passes() {
    let mut rig = rig(Wire::V1, 30, |limits| limits.in_flight_bytes_max = 250);
    rig.input(Input::Text(r#"{"type":"ack","seq":0}"#));
    rig.input(Input::Text(r#"{"type":"get_pending","after":0}"#));
    let (read_no, ..) = rig.read();
    rig.page(read_no, 1..=3, 125);
    assert_eq!(rig.written().len(), 2, "250 bytes fit exactly");
    assert_eq!(rig.output(), None);
    rig.input(Input::Text(r#"{"type":"ack","seq":2}"#));
    assert_eq!(rig.output(), Some(Output::Acknowledge(seq(2))));
    let (read_no, after, _) = rig.read();
    assert_eq!(after, 2);
    rig.page(read_no, 3..=4, 1_000);
    assert_eq!(rig.written().len(), 1, "too large, and alone");
}

#[test]
fn acknowledgements_on_their_way_to_the_store_become_one() {
    let mut rig = rig(Wire::V1, 30, |_| {});
    rig.input(Input::Text(r#"{"type":"get_pending","after":30}"#));
    assert_eq!(rig.summaries(), [(30, true)]);
    for n in [5, 9, 7, 12] {
        rig.input(Input::Text(&format!(r#"{{"type":"ack","seq":{n}}}"#)));
    }
    assert_eq!(rig.output(), Some(Output::Acknowledge(seq(5))));
    assert_eq!(rig.output(), None);
    rig.input(Input::Acknowledged);
    assert_eq!(rig.output(), Some(Output::Acknowledge(seq(12))));
}

#[test]
fn silence_is_answered_with_a_ping_and_then_with_a_close() {
    let mut rig = rig(Wire::V1, 0, |_| {});
    rig.pass(Duration::from_secs(44));
    assert_eq!(rig.output(), None);
    rig.pass(Duration::from_secs(2));
    assert_eq!(rig.written(), [Outgoing::Ping(Bytes::new())]);
    rig.input(Input::Pong(b""));
    rig.pass(Duration::from_secs(89));
    assert_eq!(rig.written(), [Outgoing::Ping(Bytes::new())]);
    assert_eq!(rig.close_code(), None);
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.close_code(), Some(CloseCode::Silent));
}

#[test]
fn a_reader_that_takes_nothing_is_closed_however_much_it_sends() {
    let mut rig = rig(Wire::V1, 0, |_| {});
    rig.input(Input::Text(r#"{"type":"ping"}"#));
    assert!(matches!(rig.output(), Some(Output::Write(_))));
    for _ in 0..29 {
        rig.pass(Duration::from_secs(1));
        rig.input(Input::Text(r#"{"type":"ping"}"#));
    }
    assert_eq!(rig.close_code(), None);
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.close_code(), Some(CloseCode::Stuck));
}

#[test]
fn a_reader_that_takes_something_is_not_stuck_however_long_it_takes() {
    // Whoever read evenly, and slower than 30 s for a batch, was closed as stuck.
    let mut rig = rig(Wire::V1, 0, |_| {});
    rig.input(Input::Text(r#"{"type":"ping"}"#));
    assert!(matches!(rig.output(), Some(Output::Write(_))));
    for _ in 0..5 {
        rig.pass(Duration::from_millis(29_999));
        rig.input(Input::Progress { left_bytes: 1 });
        rig.input(Input::Text(r#"{"type":"ping"}"#));
    }
    assert_eq!(rig.close_code(), None);
    rig.pass(Duration::from_millis(29_999));
    assert_eq!(rig.close_code(), None);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.close_code(), Some(CloseCode::Stuck));
}

#[test]
fn a_frame_whose_bytes_come_slowly_is_no_silence() {
    // One slow frame counted as silence: only whole frames were heard.
    let mut rig = rig(Wire::V1, 0, |_| {});
    for _ in 0..10 {
        rig.pass(Duration::from_secs(44));
        rig.input(Input::Heard);
    }
    assert_eq!(rig.output(), None);
}

#[test]
fn one_pong_is_owed_for_the_newest_ping() {
    let mut rig = rig(Wire::V1, 0, |_| {});
    rig.input(Input::Ping("1".into()));
    assert!(matches!(rig.output(), Some(Output::Write(_))));
    for n in 2..100 {
        assert!(rig.session.wants_input());
        rig.input(Input::Ping(n.to_string().into()));
    }
    rig.input(Input::Written);
    assert_eq!(rig.written(), [Outgoing::Pong("99".into())]);
}

#[test]
fn a_peer_that_reads_nothing_is_soon_not_read_either() {
    let mut rig = rig(Wire::V1, 0, |_| {});
    rig.input(Input::Text(r#"{"type":"ping"}"#));
    assert!(matches!(rig.output(), Some(Output::Write(_))));
    for _ in 0..FRAMES_WAITING_MAX {
        assert!(rig.session.wants_input());
        rig.input(Input::Text(r#"{"type":"ping"}"#));
    }
    assert!(!rig.session.wants_input());
    rig.input(Input::Written);
    assert_eq!(rig.written().len(), FRAMES_WAITING_MAX);
    assert!(rig.session.wants_input());
}

#[test]
fn silence_means_nothing_while_we_do_not_read() {
    let mut rig = rig(Wire::V1, 0, |limits| {
        limits.sends_waiting_max = 1;
        limits.idle_timeout_ms = 200;
    });
    rig.input(Input::Text(r#"{"type":"t","id":"a"}"#));
    assert!(matches!(rig.output(), Some(Output::Receive { .. })));
    rig.input(Input::Text(r#"{"type":"t","id":"b"}"#));
    assert!(!rig.session.wants_input());
    rig.pass(Duration::from_millis(1_499));
    assert_eq!(rig.output(), None);
    rig.pass(Duration::from_millis(1));
    assert!(rig.session.wants_input());
    rig.pass(Duration::from_millis(201));
    assert_eq!(rig.close_code(), Some(CloseCode::Silent));
}

#[test]
fn nothing_follows_the_end_of_a_token() {
    let mut rig = rig(Wire::V1, 5, |_| {});
    rig.input(Input::Text(r#"{"type":"get_pending","after":0}"#));
    let (read_no, ..) = rig.read();
    rig.now += Duration::from_hours(1);
    rig.input(Input::Timeout);
    rig.page(read_no, 1..=5, 10);
    assert!(matches!(rig.output(), Some(Output::Close(CloseCode::TokenExpired, _))));
    assert_eq!(rig.output(), None);
}

#[test]
fn a_store_that_fails_ends_the_connection_without_details() {
    let mut rig = rig(Wire::V1, 5, |_| {});
    rig.input(Input::Text(r#"{"type":"get_pending","after":0}"#));
    let (read_no, ..) = rig.read();
    rig.input(Input::Page { read_no, page: Err(StoreError::new("disk gone")) });
    assert_eq!(rig.output(), Some(Output::Close(CloseCode::Internal, "internal error".into())));
}

#[test]
fn a_batch_to_a_plain_client_ends_with_a_ping_that_carries_its_position() {
    let mut rig = rig(Wire::Plain, 0, |_| {});
    rig.input(Input::Head(seq(2), None));
    let (read_no, ..) = rig.read();
    rig.page(read_no, 1..=2, 10);
    let batch = rig.written();
    assert_eq!(batch.last(), Some(&Outgoing::Ping("2".into())));
    rig.input(Input::Pong(b"2"));
    assert_eq!(rig.output(), Some(Output::Acknowledge(seq(2))));
    rig.input(Input::Pong(b"3"));
    rig.input(Input::Acknowledged);
    assert_eq!(rig.output(), None, "nobody can handle what was not sent");
}

#[test]
fn a_plain_client_has_not_handled_older_messages_that_are_still_on_their_way() {
    // The Pong for a live message came after the server had sent the older ones, and before the
    // client had them: it moved the cursor over them.
    let mut rig = rig(Wire::Plain, 3, |_| {});
    rig.input(Input::Head(seq(4), None));
    let (read_no, ..) = rig.read();
    rig.page(read_no, 4..=4, 10);
    let live = rig.written();
    rig.input(Input::Text(r#"{"type":"get_pending"}"#));
    let (read_no, after, _) = rig.read();
    assert_eq!(after, 0);
    rig.page(read_no, 1..=4, 10);
    let older = rig.written();
    for outgoing in &live {
        if let Outgoing::Ping(payload) = outgoing {
            rig.input(Input::Pong(payload));
        }
    }
    assert_eq!(rig.output(), None, "1 to 3 are not handled yet");
    let Some(Outgoing::Ping(payload)) = older.iter().find(|it| matches!(it, Outgoing::Ping(_)))
    else {
        panic!("{older:?}")
    };
    rig.input(Input::Pong(payload));
    assert_eq!(rig.output(), Some(Output::Acknowledge(seq(4))));
}

#[test]
fn pings_as_large_as_messages_do_not_pile_up() {
    let mut rig = rig(Wire::V1, 0, |_| {});
    let large = format!(r#"{{"type":"ping","timestamp":"{}"}}"#, "x".repeat(60_000));
    rig.input(Input::Text(&large));
    assert!(matches!(rig.output(), Some(Output::Write(_))));
    let mut read = 0;
    while rig.session.wants_input() {
        rig.input(Input::Text(&large));
        read += 1;
    }
    assert_eq!(read, 3, "128 KiB wait for a socket that takes nothing, and no more");
}

#[test]
fn what_was_acknowledged_before_the_end_is_saved_after_it() {
    let mut rig = rig(Wire::V1, 30, |_| {});
    rig.input(Input::Text(r#"{"type":"get_pending","after":30}"#));
    assert_eq!(rig.summaries(), [(30, true)]);
    for n in [5, 9] {
        rig.input(Input::Text(&format!(r#"{{"type":"ack","seq":{n}}}"#)));
    }
    assert_eq!(rig.output(), Some(Output::Acknowledge(seq(5))));
    rig.input(Input::Notice(Notice::Drain { retry_after_ms: 1_500 }));
    assert!(matches!(rig.output(), Some(Output::Close(CloseCode::Restart, _))));
    rig.input(Input::Acknowledged);
    assert_eq!(rig.output(), Some(Output::Acknowledge(seq(9))));
}
