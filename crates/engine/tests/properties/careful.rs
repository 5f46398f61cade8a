//! A driver that keeps to the order of calls, a server that keeps the protocol, and between them
//! cuts, restored backups, other devices, and handlers that take their time.

use std::collections::BTreeSet;

use tetherline_engine::{ConnectionNo, Delivery, EpochNo, Established};
use tetherline_protocol::limits::UNHANDLED_BYTES_MAX;

use super::super::*;

#[derive(Debug, Clone, Copy)]
enum Event {
    /// The connection is lost, or there is none: another one, with what the server has by then.
    Reconnect {
        is_restored: bool,
        others_cursor: u64,
    },
    Publish(u64),
    /// The server sends what comes next.
    Deliver {
        count: u64,
        handlers: u32,
        size: usize,
        is_async: bool,
    },
    /// The oldest asynchronous handler settles, or the newest.
    Settle {
        oldest: bool,
    },
    /// A handler registers for everything that is parked.
    Register {
        is_async: bool,
    },
    RequestPending,
    /// History was read this much before the newest message.
    History(u64),
    Pass(u64),
    SignOut,
}

fn event() -> impl Strategy<Value = Event> {
    let size = prop_oneof![6 => 1..1_000_usize, 1 => 1..900_000_usize];
    let count = prop_oneof![8 => 1..10_u64, 1 => 1..1_300_u64];
    let others = prop_oneof![3 => Just(0), 1 => 0..60_u64];
    let deliver =
        (count, 0..2_u32, size, any::<bool>()).prop_map(|(count, handlers, size, is_async)| {
            Event::Deliver { count, handlers, size, is_async }
        });
    prop_oneof![
        3 => (proptest::bool::weighted(0.1), others).prop_map(|(is_restored, others_cursor)| {
            Event::Reconnect { is_restored, others_cursor }
        }),
        4 => prop_oneof![9 => 1..20_u64, 1 => 1..1_300_u64].prop_map(Event::Publish),
        8 => deliver,
        4 => any::<bool>().prop_map(|oldest| Event::Settle { oldest }),
        1 => any::<bool>().prop_map(|is_async| Event::Register { is_async }),
        1 => Just(Event::RequestPending),
        2 => (0..60_u64).prop_map(Event::History),
        3 => (0..40_000_u64).prop_map(Event::Pass),
        1 => Just(Event::SignOut),
    ]
}

struct Careful {
    rig: Rig,
    connection: Option<ConnectionNo>,
    epoch: u32,
    head: u64,
    /// What the server knows as the device's cursor.
    cursor: u64,
    /// Where the server's stream on this connection is.
    stream: Option<u64>,
    page: Page,
}

/// What the page saw of one mailbox in one epoch.
#[derive(Default)]
struct Page {
    epoch: Option<u32>,
    /// Everything from here on has to come; nothing did before.
    start: u64,
    /// All starts so far: what lies before an older one comes after what lies behind it.
    starts: BTreeSet<u64>,
    seen: BTreeSet<u64>,
    parked: BTreeMap<u64, usize>,
    running: Vec<u64>,
}

impl Page {
    fn takes(&mut self, number: u64) {
        assert!(self.seen.insert(number), "{number} came twice");
        assert!(number > self.start, "{number} is before the start, {}", self.start);
        let before = number - 1;
        assert!(
            self.seen.contains(&before) || self.starts.contains(&before),
            "{number} came before {before}"
        );
    }

    fn is_open(&self, up_to: u64) -> bool {
        self.parked.keys().chain(&self.running).any(|open| *open <= up_to)
    }
}

impl Careful {
    fn new(seed: u64) -> Self {
        let rig = Rig::new(seed);
        let page = Page::default();
        Self { rig, connection: None, epoch: 1, head: 0, cursor: 0, stream: None, page }
    }

    fn happen(&mut self, event: Event) {
        let now = self.rig.now;
        match event {
            Event::Reconnect { is_restored, others_cursor } => {
                self.reconnect(is_restored, others_cursor);
            }
            Event::Publish(count) => self.head += count,
            Event::Deliver { count, handlers, size, is_async } => {
                (0..count).for_each(|_| self.deliver(handlers, size, is_async));
            }
            Event::Settle { oldest } => self.settle(oldest),
            Event::Register { is_async } => self.register(is_async),
            Event::RequestPending => {
                self.rig.engine.request_pending(now);
                self.perform(None);
            }
            Event::History(back) => self.history(self.head.saturating_sub(back)),
            Event::Pass(ms) => self.pass(ms),
            Event::SignOut => {
                self.rig.engine.sign_out(now);
                self.perform(None);
                self.page = Page::default();
                self.connection = None;
                self.stream = None;
            }
        }
    }

    fn reconnect(&mut self, is_restored: bool, others_cursor: u64) {
        let now = self.rig.now;
        if is_restored {
            self.epoch += 1;
            self.head /= 2;
        }
        // A device's cursor can be ahead of this page: another page of it acknowledges too.
        self.cursor = self.cursor.max(others_cursor).min(self.head);
        if let Some(connection) = self.connection.take() {
            self.rig.engine.handle_closed(connection, 1006, None, now);
        }
        self.stream = None;
        self.rig.engine.sign_in(now);
        self.rig.engine.wake(now);
        self.rig.engine.handle_token(now);
        self.perform(None);
        let Some(connection) = self.connection else { return };
        let established = Established {
            epoch: EpochNo(self.epoch),
            head: seq(self.head),
            cursor: seq(self.cursor).into(),
            checks_positions: false,
            heartbeat_interval_ms: 1 << 40,
            token_expires_in_ms: 1 << 40,
        };
        self.rig.engine.handle_opened(connection, now);
        self.rig.engine.handle_established(connection, established, now);
        self.perform(None);
    }

    fn deliver(&mut self, handlers: u32, size: usize, is_async: bool) {
        let Some((connection, stream)) = self.connection.zip(self.stream) else { return };
        if stream >= self.head {
            return;
        }
        let number = stream + 1;
        self.stream = Some(number);
        let verdict =
            self.rig.engine.handle_message(connection, Some(seq(number).into()), handlers, size);
        match verdict {
            Delivery::Drop | Delivery::Unhandled { .. } => {
                let is_wanted = !self.page.seen.contains(&number) && number > self.page.start;
                // After the grace window nobody waits for a handler any more.
                assert!(!is_wanted || handlers == 0, "{number} was lost");
                if is_wanted {
                    self.page.takes(number);
                }
            }
            Delivery::Deliver { .. } => self.page.takes(number),
            Delivery::Park { .. } => {
                self.page.takes(number);
                self.page.parked.insert(number, size);
            }
        }
        let in_hand = matches!(verdict, Delivery::Deliver { .. }).then_some(number);
        self.perform(in_hand);
        if matches!(verdict, Delivery::Park { .. }) {
            let bytes: usize = self.page.parked.values().sum();
            let messages = self.page.parked.len();
            assert!(messages <= UNHANDLED_MESSAGES_MAX && bytes <= UNHANDLED_BYTES_MAX);
        }
        if is_async && in_hand.is_some() {
            self.hold(number);
        }
    }

    fn hold(&mut self, number: u64) {
        self.rig.engine.hold(seq(number), self.rig.now);
        self.page.running.push(number);
        self.perform(None);
    }

    fn settle(&mut self, oldest: bool) {
        let running = &mut self.page.running;
        let settled =
            if oldest && !running.is_empty() { Some(running.remove(0)) } else { running.pop() };
        if let Some(number) = settled {
            self.rig.engine.handled(seq(number), self.rig.now);
            self.perform(None);
        }
    }

    fn register(&mut self, is_async: bool) {
        while let Some((number, _)) = self.page.parked.pop_first() {
            self.rig.engine.unpark(seq(number), self.rig.now);
            self.perform(Some(number));
            if is_async {
                self.hold(number);
            }
        }
    }

    fn history(&mut self, as_of: u64) {
        if self.page.epoch.is_none() {
            return;
        }
        self.page.start = self.page.start.min(as_of);
        self.page.starts.insert(self.page.start);
        self.rig.engine.history_as_of(seq(as_of), self.rig.now);
        self.perform(None);
    }

    fn pass(&mut self, ms: u64) {
        let end = self.rig.now + ms;
        while let Some(alarm) = self.rig.next_alarm(end) {
            self.rig.now = alarm;
            self.rig.ring();
            self.perform(None);
        }
        self.rig.now = end;
    }

    /// Does what the engine wants. `in_hand` is being handled at this very moment.
    fn perform(&mut self, in_hand: Option<u64>) {
        for output in self.rig.outputs() {
            match output {
                Output::Open(connection) => self.connection = Some(connection),
                Output::Detach(connection, _) if self.connection == Some(connection) => {
                    self.connection = None;
                    self.stream = None;
                }
                Output::GetPending { after, epoch, .. } => self.asks(after.seq.get(), epoch),
                Output::Gap { .. } => {
                    assert_ne!(self.page.epoch, Some(self.epoch), "a gap for no reason");
                    self.page = Page::default();
                }
                Output::Ack(acked) => self.acknowledges(acked.get(), in_hand),
                Output::ParkedDropped(dropped) | Output::ParkedGivenUp(dropped) => {
                    assert!(self.page.parked.remove(&dropped.get()).is_some());
                }
                Output::GraceOver => self.page.parked.clear(),
                Output::HandlerTimedOut(late) => {
                    let running = self.page.running.iter().position(|run| *run == late.get());
                    self.page.running.remove(running.expect("it was running"));
                }
                _ => {}
            }
        }
    }

    fn asks(&mut self, after: u64, epoch: EpochNo) {
        assert_eq!(epoch, EpochNo(self.epoch));
        if self.page.epoch != Some(self.epoch) {
            assert_eq!(after, self.cursor, "a fresh page starts at the device's cursor");
            let (epoch, starts) = (Some(self.epoch), BTreeSet::from([after]));
            self.page = Page { epoch, start: after, starts, ..Page::default() };
        }
        self.stream = Some(after);
    }

    fn acknowledges(&mut self, acked: u64, in_hand: Option<u64>) {
        assert!(!self.page.is_open(acked), "{acked} was acknowledged over what is not handled");
        assert!(in_hand.is_none_or(|hand| acked < hand), "{acked} is in hand");
        assert!(acked <= self.head);
        let came = self.page.seen.range(..=acked).next_back().is_some();
        assert!(came || acked <= self.page.start, "{acked} never came");
        self.cursor = self.cursor.max(acked);
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn every_message_comes_once_in_order_and_is_acknowledged_when_it_is_handled(
        seed: u64,
        events in proptest::collection::vec(event(), 1..120),
    ) {
        let mut careful = Careful::new(seed);
        for event in events {
            careful.happen(event);
        }
        // Once there is a connection and time, everything has come.
        careful.happen(Event::Reconnect { is_restored: false, others_cursor: 0 });
        careful.happen(Event::Deliver { count: u64::from(u16::MAX), handlers: 1, size: 1, is_async: false });
        let missing = (careful.page.start + 1..=careful.head).find(|n| !careful.page.seen.contains(n));
        prop_assert_eq!(missing, None);
        careful.happen(Event::Pass(60_000));
        prop_assert_eq!(careful.cursor, careful.head, "all is handled, and not acknowledged");
    }
}
