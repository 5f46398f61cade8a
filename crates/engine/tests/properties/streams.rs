//! Frames of streams, true ones but in any order and any number of times, and a driver that
//! keeps the text that it is told to keep.

use std::collections::BTreeSet;

use tetherline_engine::{
    ConnectionNo, EpochNo, Established, StreamDelta, StreamEnd, StreamNo, StreamStart,
};
use tetherline_protocol::{Attempt, limits::STREAMS_KNOWN_MAX};

use super::super::*;

#[derive(Debug, Clone, Copy)]
enum Event {
    Start(StreamNo, Attempt),
    Delta {
        stream: StreamNo,
        attempt: Attempt,
        offset: u64,
        length: u64,
    },
    /// The piece that comes next, as a good server sends it.
    Next(StreamNo, u64),
    End(StreamNo, Attempt),
    /// `pending_check_complete`.
    Answered,
    Reconnect {
        is_restored: bool,
    },
    SignOut,
}

fn event() -> impl Strategy<Value = Event> {
    // Few, so that they meet; now and then more than may be known.
    let stream = || prop_oneof![20 => 0..3_u32, 3 => 0..200_u32].prop_map(StreamNo);
    let attempt = || (1..4_u32).prop_map(|number| Attempt::new(number).expect("from 1 on"));
    let delta = (stream(), attempt(), 0..30_u64, 0..12_u64).prop_map(
        |(stream, attempt, offset, length)| Event::Delta { stream, attempt, offset, length },
    );
    prop_oneof![
        12 => (stream(), attempt()).prop_map(|(stream, attempt)| Event::Start(stream, attempt)),
        12 => delta,
        12 => (stream(), 1..10_u64).prop_map(|(stream, length)| Event::Next(stream, length)),
        3 => (stream(), attempt()).prop_map(|(stream, attempt)| Event::End(stream, attempt)),
        4 => Just(Event::Answered),
        2 => proptest::bool::weighted(0.2).prop_map(|is_restored| Event::Reconnect { is_restored }),
        1 => Just(Event::SignOut),
    ]
}

/// What every reader of an attempt has to see, as far as it does.
fn truth(stream: StreamNo, attempt: Attempt, offset: u64, length: u64) -> String {
    let letter = |index: u64| {
        let mixed = index * 7 + u64::from(stream.0) * 11 + u64::from(attempt.get()) * 17;
        char::from(b'a' + u8::try_from(mixed % 26).expect("below 26"))
    };
    (offset..offset + length).map(letter).collect()
}

#[derive(Default)]
struct Known {
    attempt: Option<Attempt>,
    text: String,
    ended: Option<Attempt>,
}

struct Reader {
    rig: Rig,
    connection: ConnectionNo,
    epoch: u32,
    texts: BTreeMap<StreamNo, Known>,
    /// What this connection has asked and was not answered.
    unanswered: u32,
    /// For which holes it has asked meanwhile: after so much of an attempt.
    asked: BTreeSet<(StreamNo, Attempt, Option<usize>)>,
}

impl Reader {
    fn new(seed: u64) -> Self {
        let mut reader = Self {
            rig: Rig::new(seed),
            connection: ConnectionNo(0),
            epoch: 1,
            texts: BTreeMap::new(),
            unanswered: 0,
            asked: BTreeSet::new(),
        };
        reader.connect();
        reader
    }

    fn connect(&mut self) {
        let now = self.rig.now;
        self.rig.engine.sign_in(now);
        self.rig.engine.set_online(true, now);
        self.rig.engine.handle_token(now);
        self.perform();
        let established = Established {
            epoch: EpochNo(self.epoch),
            head: Seq::default(),
            cursor: Seq::default().into(),
            checks_positions: false,
            heartbeat_interval_ms: 30_000,
            token_expires_in_ms: 3_600_000,
        };
        self.rig.engine.handle_established(self.connection, established, now);
        self.asked.clear();
        self.unanswered = 0;
        assert_eq!(self.perform(), 1);
    }

    fn perform(&mut self) -> u32 {
        let mut questions = 0;
        for output in self.rig.outputs() {
            match output {
                Output::Open(connection) => self.connection = connection,
                Output::GetPending { .. } => questions += 1,
                Output::StreamsDropped => self.texts.clear(),
                Output::StreamDropped(stream) => drop(self.texts.remove(&stream)),
                _ => {}
            }
        }
        self.unanswered += questions;
        questions
    }

    fn happen(&mut self, event: Event) {
        let now = self.rig.now;
        match event {
            Event::Start(stream, attempt) => self.start(stream, attempt),
            Event::Delta { stream, attempt, offset, length } => {
                self.delta(stream, attempt, offset, length);
            }
            Event::Next(stream, length) => {
                let known = self.texts.get(&stream);
                if let Some((attempt, text)) =
                    known.and_then(|known| Some((known.attempt?, &known.text)))
                {
                    self.delta(stream, attempt, text.len() as u64, length);
                }
            }
            Event::End(stream, attempt) => self.end(stream, attempt),
            Event::Answered => {
                self.rig.engine.handle_complete(self.connection, now);
                self.unanswered = self.unanswered.saturating_sub(1);
                if self.unanswered == 0 {
                    self.asked.clear();
                }
                assert_eq!(self.perform(), 0, "an answer is no question");
            }
            Event::Reconnect { is_restored } => {
                self.epoch += u32::from(is_restored);
                let before = self.texts.len();
                self.rig.engine.handle_closed(self.connection, 1006, None, now);
                self.connect();
                let kept = if is_restored { 0 } else { before };
                assert_eq!(self.texts.len(), kept, "{event:?}");
            }
            Event::SignOut => {
                self.rig.engine.sign_out(now);
                self.perform();
                assert!(self.texts.is_empty());
                self.connect();
            }
        }
        assert!(self.texts.len() <= STREAMS_KNOWN_MAX, "{} answers", self.texts.len());
    }

    fn start(&mut self, stream: StreamNo, attempt: Attempt) {
        let start = self.rig.engine.handle_stream_start(self.connection, stream, attempt);
        if start == StreamStart::Begin {
            let known = self.texts.entry(stream).or_default();
            assert!(known.attempt < Some(attempt), "{attempt} begins after {:?}", known.attempt);
            assert!(known.ended < Some(attempt), "{attempt} begins after its end");
            known.attempt = Some(attempt);
            known.text.clear();
        }
        assert_eq!(self.perform(), 0, "a start asks for nothing");
    }

    fn delta(&mut self, stream: StreamNo, attempt: Attempt, offset: u64, length: u64) {
        let delta =
            self.rig.engine.handle_stream_delta(self.connection, stream, attempt, offset, length);
        if let StreamDelta::Append { skip } = delta {
            let known = self.texts.get_mut(&stream).expect("text of what has begun");
            assert_eq!(known.attempt, Some(attempt));
            assert!(known.ended < Some(attempt), "{attempt} goes on after its end");
            assert!(skip < length, "nothing is appended");
            let piece = truth(stream, attempt, offset, length);
            known.text.push_str(&piece[usize::try_from(skip).expect("short")..]);
            let whole = truth(stream, attempt, 0, known.text.len() as u64);
            assert_eq!(known.text, whole, "the text is no prefix");
        }
        let known = self.texts.get(&stream).filter(|known| known.attempt == Some(attempt));
        let hole = (stream, attempt, known.map(|known| known.text.len()));
        match self.perform() {
            0 => {}
            1 => {
                assert_eq!(delta, StreamDelta::Drop);
                assert!(self.asked.insert(hole), "{hole:?} was asked for already");
            }
            more => panic!("{more} questions at once"),
        }
    }

    fn end(&mut self, stream: StreamNo, attempt: Attempt) {
        let end = self.rig.engine.handle_stream_end(self.connection, stream, attempt);
        if end == StreamEnd::Finish {
            let known = self.texts.entry(stream).or_default();
            assert!(known.ended < Some(attempt), "{attempt} ends twice");
            assert!(known.attempt <= Some(attempt), "{attempt} ends what is later");
            known.ended = Some(attempt);
        }
        assert_eq!(self.perform(), 0, "an end asks for nothing");
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn the_text_of_a_stream_is_a_prefix_that_only_gets_longer_and_a_hole_is_one_question(
        seed: u64,
        events in proptest::collection::vec(event(), 1..300),
    ) {
        let mut reader = Reader::new(seed);
        for event in events {
            reader.happen(event);
        }
    }
}
