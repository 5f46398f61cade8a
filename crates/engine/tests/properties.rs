//! What holds whatever happens, in whatever order: calls that no sane driver makes, and a careful
//! driver between a server and a network that do what they like.
//!
//! The seed is fixed, so that a run can be repeated; ARCHITECTURE.md says how to look further. A
//! failure prints the shortest list of calls that leads to it: it becomes a story.

mod properties {
    pub(super) mod absurd;
    pub(super) mod careful;
    pub(super) mod streams;
}

use std::collections::BTreeMap;

use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed},
};
use tetherline_engine::{Engine, Instant, Output, SendNo, SendRefused, Status, WaitReason};
use tetherline_protocol::{
    Seq,
    limits::{
        BACKOFF_BASE_MS, BACKOFF_CAP_MS, OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX, OUTBOX_TTL_MS_MAX,
        REFUSED_BACKOFF_CAP_MS, UNHANDLED_MESSAGES_MAX,
    },
};

/// What one call can ask for at most: a settled or transmitted send each, a dropped message each,
/// and a few words about the connection.
const OUTPUTS_MAX: usize = 2 * OUTBOX_MESSAGES_MAX + UNHANDLED_MESSAGES_MAX + 16;

fn config(cases: u32) -> Config {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    // What the environment says goes first.
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    config
}

fn seq(number: u64) -> Seq {
    Seq::new(number.min(Seq::MAX.get())).expect("in bounds")
}

/// An engine, and what every driver can count along.
struct Rig {
    engine: Engine<()>,
    now: Instant,
    sends: BTreeMap<SendNo, usize>,
    /// The longest wait that the server, or the tab that leads, spoke of.
    told_ms: u64,
}

impl Rig {
    fn new(seed: u64) -> Self {
        let now = Instant::from_millis(0);
        Self { engine: Engine::new(seed), now, sends: BTreeMap::new(), told_ms: 0 }
    }

    fn send(&mut self, size: usize, ttl_ms: u64, restored: bool) {
        let bytes: usize = self.sends.values().sum();
        let fits = self.sends.len() < OUTBOX_MESSAGES_MAX
            && bytes.checked_add(size).is_some_and(|sum| sum <= OUTBOX_BYTES_MAX);
        // While it is refused there may be further attempts, and sends wait for them.
        let status = self.engine.status();
        let sent = if restored {
            self.engine.restore((), size, ttl_ms, self.now)
        } else {
            self.engine.send_within((), size, ttl_ms, self.now)
        };
        match sent {
            Ok(no) => {
                assert!(status != Status::SignedOut && fits && ttl_ms <= OUTBOX_TTL_MS_MAX);
                assert_eq!(self.sends.insert(no, size), None, "a number was given twice");
            }
            Err(SendRefused::SignedOut) => {
                assert!(matches!(status, Status::SignedOut | Status::Refused));
            }
            Err(SendRefused::OutboxFull) => assert!(!fits),
            Err(SendRefused::TtlTooLong) => assert!(ttl_ms > OUTBOX_TTL_MS_MAX),
            Err(_) => unreachable!("a new refusal"),
        }
    }

    /// Everything that the engine wants done, and what has to hold of it.
    fn outputs(&mut self) -> Vec<Output> {
        let outputs: Vec<_> = std::iter::from_fn(|| self.engine.poll_output()).collect();
        assert!(outputs.len() <= OUTPUTS_MAX, "{} outputs", outputs.len());
        for output in &outputs {
            match output {
                Output::Settled(send, _) => {
                    assert!(self.sends.remove(send).is_some(), "{send:?} settled twice");
                }
                Output::Open(_) => self.told_ms = 0,
                _ => {}
            }
        }
        assert_eq!(self.engine.outbox_len(), self.sends.len());
        let ends = [self.sends.first_key_value(), self.sends.last_key_value()];
        assert!(ends.iter().flatten().all(|(send, _)| self.engine.payload(**send).is_some()));
        if self.engine.status() == Status::SignedOut {
            assert_eq!(self.engine.poll_timeout(), None, "nobody is there to wait for");
        }
        if let Some(until) = self.engine.retry_at() {
            let is_refused = self.engine.wait_reason() == Some(WaitReason::Refused);
            let (status, cap_ms) = if is_refused {
                (Status::Refused, REFUSED_BACKOFF_CAP_MS)
            } else {
                (Status::Waiting, BACKOFF_CAP_MS)
            };
            assert_eq!(self.engine.status(), status, "{until:?}");
            let longest = cap_ms.max(self.told_ms.saturating_add(BACKOFF_BASE_MS));
            assert!(until.millis_since(self.now) <= longest, "waits until {until:?}");
        }
        outputs
    }

    /// Lets the timer ring once. Nothing that is due is left over, so a driver never spins.
    fn ring(&mut self) {
        self.engine.handle_timeout(self.now);
        let next = self.engine.poll_timeout();
        assert!(next.is_none_or(|next| next > self.now), "{next:?} is due again");
    }

    /// The next moment, up to this one, at which the timer rings.
    fn next_alarm(&self, end: Instant) -> Option<Instant> {
        self.engine.poll_timeout().filter(|at| *at <= end).map(|at| at.max(self.now))
    }
}
