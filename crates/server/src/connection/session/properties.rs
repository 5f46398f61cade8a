//! Sessions between a client, a store and a socket that do what they like, in any order.
//!
//! The seed is fixed, so that a run can be repeated; ARCHITECTURE.md says how to look further. A
//! failure prints the shortest list of events that leads to it: it becomes a test of its own.

mod events;
mod streams;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value;

use super::kept_streams::KeptStreams;
use super::*;
use crate::{
    May,
    repeatable::repeatable,
    store::{Delivery, Head, Place, Room},
};
use events::{Event, event, limits};

/// What the session waits for, at most one of each.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owed {
    Written,
    Outcome,
    Verdict,
}

/// Everything around a session, and what its client has seen.
struct Rig {
    session: Session,
    now: Instant,
    limits: Limits,
    /// The mailbox: the sizes of its messages by position.
    kept: BTreeMap<u64, usize>,
    head: u64,
    cursor: u64,
    page: Option<(u32, u64, Room)>,
    locating: usize,
    saving: Option<u64>,
    owed: BTreeSet<Owed>,
    /// The client's side: where its stream is, and what it has not acknowledged since it began to.
    stream: Option<u64>,
    /// Messages that were on their way when it asked anew, and belong to what it had asked before.
    overtaken: usize,
    /// Messages that were on their way when it acknowledged for the first time: no limit bound them.
    unbound: usize,
    acked: Option<u64>,
    in_flight: BTreeMap<u64, usize>,
    streams: KeptStreams,
    /// What the client has of streams: which attempt, and its text.
    shown: BTreeMap<String, (u64, Vec<u16>)>,
    goodbye: bool,
}

impl Rig {
    fn new(wire: Wire, limits: Limits, head: u64, cursor: u64) -> Self {
        let now = Instant::now();
        let kept: BTreeMap<u64, usize> = (1..=head).map(|number| (number, 100)).collect();
        let mut rig = Self {
            session: Session::open(opening(wire, &limits, head, cursor), now),
            now,
            limits,
            kept,
            head,
            cursor,
            page: None,
            locating: 0,
            saving: None,
            owed: BTreeSet::new(),
            stream: None,
            overtaken: 0,
            unbound: 0,
            acked: None,
            in_flight: BTreeMap::new(),
            streams: KeptStreams::default(),
            shown: BTreeMap::new(),
            goodbye: false,
        };
        rig.perform();
        rig
    }

    fn input(&mut self, input: Input<'_>) {
        self.session.handle(input, self.now);
        self.perform();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Publish { count, size, wakes } => {
                let end = self.head + count;
                self.kept.extend((self.head + 1..=end).map(|number| (number, size)));
                self.head = end;
                if wakes {
                    self.input(Input::Head(seq(self.head), None));
                }
            }
            Event::Trim(keep) => {
                let head = self.head;
                self.kept.retain(|number, _| *number + keep > head);
            }
            Event::Open(name) => {
                self.streams.open(name);
                self.input(Input::Streamed);
            }
            Event::Append(name, text) => {
                self.streams.append(name, &text);
                self.input(Input::Streamed);
            }
            Event::Finish(name) => self.streams.finish(name),
            Event::Pass(ms) => self.pass(ms),
            Event::Drain => self.input(Input::Notice(Notice::Drain { retry_after_ms: 7 })),
            Event::SignedOut => self.input(Input::Notice(Notice::SignedOut)),
            Event::Written
            | Event::Page { .. }
            | Event::Located { .. }
            | Event::Acknowledged
            | Event::Settled(_)
            | Event::Verified(..) => self.answer(&event),
            event => self.hear(&event),
        }
    }

    /// The driver reads on only when the session lets it.
    fn hear(&mut self, event: &Event) {
        if !self.session.wants_input() {
            return;
        }
        let text = match event {
            Event::Ack(number) => {
                let number = number % Seq::MAX.get();
                // The client speaks of what it has: then the limits bind.
                let acked = number.min(self.head).max(self.cursor);
                if self.acked.is_none() {
                    self.unbound = self.on_their_way();
                }
                self.acked = Some(self.acked.unwrap_or_default().max(acked));
                let acked = self.acked.unwrap_or_default();
                self.in_flight.retain(|number, _| *number > acked);
                format!(r#"{{"type":"ack","seq":{number}}}"#)
            }
            Event::GetPending(after, is_known) => {
                let epoch = if *is_known { "e.0" } else { "e.1" };
                let after = after.map_or("null".into(), |after| after.to_string());
                let have = self.have();
                format!(
                    r#"{{"type":"get_pending","after":{after},"epoch":"{epoch}","have":[{have}]}}"#
                )
            }
            Event::Send(Some(id)) => format!(r#"{{"type":"t","id":"m{id}"}}"#),
            Event::Send(None) => r#"{"type":"t"}"#.into(),
            Event::Ping(size) => {
                format!(r#"{{"type":"ping","timestamp":"{}"}}"#, "x".repeat(*size))
            }
            Event::Authenticate => r#"{"type":"authenticate","token":"t"}"#.into(),
            Event::Text(text) => text.clone(),
            Event::Pong(number) => return self.input(Input::Pong(number.to_string().as_bytes())),
            _ => return self.input(Input::Unreadable(CloseCode::Unsupported)),
        };
        if matches!(event, Event::GetPending(..)) && !self.session.closed {
            // Whatever comes from here on may come again.
            self.stream = None;
            self.in_flight.clear();
            self.overtaken = self.on_their_way();
        }
        self.input(Input::Text(&text));
    }

    fn answer(&mut self, event: &Event) {
        match event {
            Event::Written if self.owed.remove(&Owed::Written) => self.input(Input::Written),
            Event::Page { fails, stale } => self.page(*fails, *stale),
            Event::Located { fails, elsewhere } if self.locating > 0 => {
                self.locating -= 1;
                let mut place = place(self.head, self.cursor, self.trimmed());
                if *elsewhere {
                    place.head.epoch = "e.1".parse().expect("an epoch");
                }
                let failed = StoreError::new("the disk is gone");
                self.input(Input::Located(if *fails { Err(failed) } else { Ok(place) }));
            }
            Event::Acknowledged => {
                if let Some(saved) = self.saving.take() {
                    self.cursor = self.cursor.max(saved);
                    self.input(Input::Acknowledged);
                }
            }
            Event::Settled(refusal) if self.owed.remove(&Owed::Outcome) => {
                let refusal = refusal.map(|code| Refusal::new(code, "no"));
                self.input(Input::Settled(refusal.map_or(Ok(None), Err)));
            }
            Event::Verified(refusal, same) if self.owed.remove(&Owed::Verdict) => {
                let user = if *same { "ada" } else { "eve" }.parse().expect("a user");
                let expires_in = Duration::from_mins(1);
                let identity = Identity {
                    user,
                    session: None,
                    made_ms: None,
                    expires_in,
                    may: May::EVERYTHING,
                };
                self.input(Input::Verified(refusal.clone().map_or(Ok(identity), Err)));
            }
            _ => {}
        }
    }

    fn on_their_way(&self) -> usize {
        self.session.frames.iter().filter_map(position_of).count()
    }

    /// The store answers what was asked last, or something that was asked before.
    fn page(&mut self, fails: bool, stale: bool) {
        let Some((read_no, after, room)) = self.page else { return };
        let page = if fails {
            Err(StoreError::new("the disk is gone"))
        } else {
            Ok(self.read(after, room))
        };
        if stale {
            return self.input(Input::Page { read_no: read_no.wrapping_sub(1), page });
        }
        self.page = None;
        self.input(Input::Page { read_no, page });
    }

    fn read(&self, after: u64, room: Room) -> Vec<Delivery> {
        let mut bytes = 0;
        let fits = |(index, (_, size)): &(usize, (&u64, &usize))| {
            bytes += **size;
            *index == 0 || (*index < room.messages && bytes <= room.bytes)
        };
        let page = self.kept.range(after + 1..).enumerate().take_while(fits);
        page.map(|(_, (number, size))| delivery(*number, *size)).collect()
    }

    fn trimmed(&self) -> u64 {
        self.kept.first_key_value().map_or(self.head, |(first, _)| first - 1)
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(alarm) = self.session.poll_timeout().filter(|alarm| *alarm <= end) {
            self.now = self.now.max(alarm);
            self.input(Input::Timeout);
            let next = self.session.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "an alarm that rings for ever");
        }
        self.now = end;
    }

    fn perform(&mut self) {
        while let Some(output) = self.session.poll_output(self.now) {
            let is_ack = matches!(output, Output::Acknowledge(_));
            assert!(!self.goodbye || is_ack, "{output:?} after the goodbye");
            match output {
                Output::Write(batch) => {
                    assert!(self.owed.insert(Owed::Written), "the socket is busy");
                    for frame in &batch {
                        self.receive(frame);
                    }
                }
                Output::Read { read_no, after, room } => {
                    assert!(room.messages > 0 && room.bytes > 0);
                    self.page = Some((read_no, after.get(), room));
                }
                // No client here says which message it knows.
                Output::Resume { .. } => unreachable!("nobody asks for a proof"),
                Output::Locate => self.locating += 1,
                Output::Acknowledge(position) => {
                    assert!(position.get() <= self.head, "{position} is beyond the head");
                    let before = self.saving.replace(position.get());
                    assert_eq!(before, None, "one acknowledgement at a time");
                }
                Output::Receive { .. } => {
                    assert!(self.owed.insert(Owed::Outcome), "one send at a time");
                }
                Output::Verify(_) => {
                    self.owed.insert(Owed::Verdict);
                }
                Output::ReadStreams(places) => {
                    let page = self.streams.read(&places, 20);
                    self.session.handle(Input::StreamPage(page), self.now);
                }
                Output::Report(error) => panic!("{error}"),
                Output::Close(..) => self.goodbye = true,
                Output::ReadLive(_) => {}
            }
        }
        let (frames, sends) = (self.session.frames.len(), self.session.sends.waiting());
        assert!(frames <= FRAMES_WAITING_MAX + 256 + 8, "{frames} frames wait");
        assert!(sends <= self.limits.sends_waiting_max, "{sends} sends wait");
    }

    /// What the client gets to see.
    fn receive(&mut self, frame: &Outgoing) {
        if let Outgoing::Text(text) = frame {
            let frame: Value = serde_json::from_str(text).expect("frames are JSON");
            if let Some("message_start" | "message_delta") = frame["type"].as_str() {
                return self.see_streams(&frame);
            }
        }
        let Some(number) = position_of(frame) else { return };
        assert!(number <= self.head, "{number} is beyond the head");
        let is_unbound = self.unbound > 0;
        self.unbound = self.unbound.saturating_sub(1);
        if self.overtaken > 0 {
            self.overtaken -= 1;
            return;
        }
        assert!(self.stream.is_none_or(|stream| number > stream), "{number} comes again");
        self.stream = Some(number);
        if !is_unbound && self.acked.is_some_and(|acked| number > acked) {
            self.in_flight.insert(number, frame.len());
            let bytes: usize = self.in_flight.values().sum();
            let messages = self.in_flight.len();
            let fits = messages <= self.limits.in_flight_messages_max
                && bytes <= self.limits.in_flight_bytes_max;
            assert!(fits || messages == 1, "{messages} messages with {bytes} bytes in flight");
        }
    }
}

fn position_of(frame: &Outgoing) -> Option<u64> {
    let Outgoing::Text(text) = frame else { return None };
    let frame: Value = serde_json::from_str(text).expect("frames are JSON");
    frame["seq"].as_u64().filter(|_| frame["type"] == "m")
}

fn seq(number: u64) -> Seq {
    Seq::new(number).expect("in bounds")
}

fn delivery(number: u64, size: usize) -> Delivery {
    let text = format!(r#"{{"type":"m","seq":{number},"x":"{}"}}"#, "x".repeat(size));
    Delivery { seq: seq(number), text: text.into() }
}

fn place(head: u64, cursor: u64, trimmed: u64) -> Place {
    let head = Head { seq: seq(head), id: None, epoch: "e.0".parse().expect("an epoch") };
    Place {
        head,
        cursor: seq(cursor),
        cursor_id: None,
        floor: seq(cursor),
        trimmed: seq(trimmed),
        trimmed_id: None,
    }
}

fn opening(wire: Wire, limits: &Limits, head: u64, cursor: u64) -> Opening {
    Opening {
        connection: "c".parse().expect("an id"),
        user: "ada".parse().expect("a user"),
        wire,
        place: place(head, cursor, 0),
        token_expires_in: Duration::from_mins(2),
        may: May::EVERYTHING,
        written_limits: WrittenLimits::new(limits),
        limits: Arc::new(limits.clone()),
        meters: Arc::default(),
        time_ms: 0,
    }
}

proptest! {
    #![proptest_config(repeatable())]

    #[test]
    fn whatever_happens_nothing_is_sent_twice_and_every_limit_holds(
        limits in limits(),
        head in 0..50_u64,
        cursor in 0..50_u64,
        events in proptest::collection::vec(event(), 1..200),
    ) {
        let mut rig = Rig::new(Wire::V1, limits, head, cursor.min(head));
        for event in events {
            rig.happen(event);
        }
    }

    #[test]
    fn whatever_happens_to_a_plain_client_its_session_keeps_its_limits(
        limits in limits(),
        head in 0..50_u64,
        cursor in 0..50_u64,
        events in proptest::collection::vec(event(), 1..200),
    ) {
        let mut rig = Rig::new(Wire::Plain, limits, head, cursor.min(head));
        for event in events {
            rig.happen(event);
        }
    }
}
