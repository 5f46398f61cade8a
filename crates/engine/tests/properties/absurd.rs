//! Any call at any time, with any argument.

use proptest::sample::select;
use tetherline_engine::{
    ConnectionNo, Delivery, EpochNo, Established, IdNo, Lead, Mark, NoToken, Phase, ProbeAnswer,
    StreamNo, TabMessage, TabNo, WaitReason,
};
use tetherline_protocol::{Attempt, ErrorCode, limits::RETRY_AFTER_MS_MAX};

use super::super::*;

/// `performance.now()` counts no further.
const LATEST_MS: u64 = Seq::MAX.get();

#[derive(Debug, Clone, Copy)]
enum Call {
    /// Everything that it takes to be connected.
    Connect(Established),
    SignIn,
    SignOut,
    SetOnline(bool),
    Token,
    NoToken(NoToken),
    Opened(Whose),
    Established(Whose, Established),
    Received(Whose),
    Closed(Whose, u16),
    Probe(Whose, ProbeAnswer),
    Messages(Whose, Option<u64>, u32, usize, u64),
    /// The one that comes next.
    Next(u32, usize),
    Hold(u64),
    Handled(u64),
    Unpark(u64),
    RequestPending,
    HistoryAsOf(u64),
    Gap(Whose, u64, u64),
    StreamStart(Whose, u32, Attempt),
    StreamDelta(Whose, u32, Attempt, u64, u64),
    StreamEnd(Whose, u32, Attempt),
    Send {
        size: usize,
        ttl_ms: u64,
        restored: bool,
        count: usize,
    },
    HoldSends,
    ReleaseSends,
    SignInAmongTabs(bool),
    SetVisible(bool),
    Lock,
    LockLost,
    Tab(u32, TabMessage),
    Welcome(u32, Established, bool),
    Ask(u64, u32),
    Accepted(Whose, u32),
    Refused(Whose, u32, bool, Option<u64>),
    Timeout,
    Pass(u64),
}

#[derive(Debug, Clone, Copy)]
enum Whose {
    Current,
    Any(u32),
}

fn whose() -> impl Strategy<Value = Whose> {
    prop_oneof![9 => Just(Whose::Current), 1 => any::<u32>().prop_map(Whose::Any)]
}

fn position() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..40_u64, 1 => any::<u64>(), 1 => Just(Seq::MAX.get())]
}

fn duration() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..2_000_u64, 4 => 0..60_000_u64, 1 => 0..200_000_000_u64, 1 => any::<u64>()]
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0..2_000_usize, 2 => 0..2_000_000_usize, 1 => Just(usize::MAX)]
}

fn established() -> impl Strategy<Value = Established> {
    (1..3_u32, position(), position(), duration(), duration()).prop_map(
        |(epoch, head, cursor, heartbeat_interval_ms, token_expires_in_ms)| Established {
            epoch: EpochNo(epoch),
            head: seq(head),
            cursor: seq(cursor).into(),
            checks_positions: false,
            heartbeat_interval_ms,
            token_expires_in_ms,
        },
    )
}

fn code() -> impl Strategy<Value = u16> {
    prop_oneof![select(vec![1000, 1006, 1008, 1012, 4401, 4403, 4408]), any::<u16>()]
}

fn answer() -> impl Strategy<Value = ProbeAnswer> {
    let status = prop_oneof![3 => select(vec![200, 401, 403, 426, 429, 503]), 1 => any::<u16>()];
    let code = proptest::option::of(select(ErrorCode::ALL.to_vec()));
    (status, code, proptest::option::of(duration()))
        .prop_map(|(status, code, retry_after_ms)| ProbeAnswer::of(status, code, retry_after_ms))
}

fn wait_reason() -> impl Strategy<Value = WaitReason> {
    select(vec![WaitReason::Lost, WaitReason::Unreachable, WaitReason::TokenNotYetValid])
}

fn tab_message() -> impl Strategy<Value = TabMessage> {
    let phase = prop_oneof![
        2 => Just(Phase::Connected),
        1 => any::<u32>().prop_map(|attempt| Phase::Connecting { attempt }),
        1 => (any::<u32>(), duration(), wait_reason()).prop_map(
            |(attempt, retry_in_ms, reason)| Phase::Waiting { attempt, retry_in_ms, reason },
        ),
    ];
    let lead = (0..4_u32, any::<bool>(), phase)
        .prop_map(|(version, visible, phase)| TabMessage::Lead(Lead { version, visible, phase }));
    prop_oneof![
        6 => lead,
        4 => select(vec![TabMessage::Hello, TabMessage::Ping, TabMessage::Pong]),
        1 => select(vec![TabMessage::TryNow, TabMessage::SignedOut, TabMessage::Refused]),
    ]
}

fn tabs() -> impl Strategy<Value = Call> {
    prop_oneof![
        4 => any::<bool>().prop_map(Call::SignInAmongTabs),
        1 => any::<bool>().prop_map(Call::SetVisible),
        2 => Just(Call::Lock),
        1 => Just(Call::LockLost),
        4 => (0..3_u32, tab_message()).prop_map(|(from, message)| Call::Tab(from, message)),
        3 => (0..3_u32, established(), any::<bool>())
            .prop_map(|(from, established, all)| Call::Welcome(from, established, all)),
        1 => (position(), 0..3_u32).prop_map(|(after, epoch)| Call::Ask(after, epoch)),
    ]
}

fn streams() -> impl Strategy<Value = Call> {
    let stream = || {
        let no = prop_oneof![4 => 0..3_u32, 1 => 0..90_u32];
        let attempt = prop_oneof![4 => 1..3_u32, 1 => 1..=u32::MAX];
        (whose(), no, attempt.prop_map(|number| Attempt::new(number).expect("from 1 on")))
    };
    prop_oneof![
        2 => stream().prop_map(|(c, no, attempt)| Call::StreamStart(c, no, attempt)),
        4 => (stream(), position(), duration()).prop_map(|((c, no, attempt), offset, length)| {
            Call::StreamDelta(c, no, attempt, offset, length)
        }),
        1 => stream().prop_map(|(c, no, attempt)| Call::StreamEnd(c, no, attempt)),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let no_token = select(vec![NoToken::SignedOut, NoToken::Failed]);
    let count = prop_oneof![9 => Just(1), 1 => 1..1_200_usize];
    let burst = prop_oneof![9 => 1..3_u64, 1 => 1..1_200_u64];
    let link = prop_oneof![
        8 => established().prop_map(Call::Connect),
        4 => Just(Call::SignIn),
        1 => Just(Call::SignOut),
        1 => any::<bool>().prop_map(Call::SetOnline),
        2 => Just(Call::Token),
        1 => no_token.prop_map(Call::NoToken),
        2 => whose().prop_map(Call::Opened),
        2 => (whose(), established()).prop_map(|(c, e)| Call::Established(c, e)),
        1 => whose().prop_map(Call::Received),
        2 => (whose(), code()).prop_map(|(c, code)| Call::Closed(c, code)),
        1 => (whose(), answer()).prop_map(|(c, answer)| Call::Probe(c, answer)),
        2 => Just(Call::Timeout),
        4 => duration().prop_map(Call::Pass),
    ];
    let delivery = prop_oneof![
        6 => (whose(), proptest::option::of(position()), 0..3_u32, size(), burst)
            .prop_map(|(c, seq, handlers, size, n)| Call::Messages(c, seq, handlers, size, n)),
        6 => (0..2_u32, size()).prop_map(|(handlers, size)| Call::Next(handlers, size)),
        2 => position().prop_map(Call::Hold),
        2 => position().prop_map(Call::Handled),
        1 => position().prop_map(Call::Unpark),
        1 => (whose(), position(), position())
            .prop_map(|(c, after, next)| Call::Gap(c, after, next)),
        1 => Just(Call::RequestPending),
        1 => position().prop_map(Call::HistoryAsOf),
    ];
    let sends = prop_oneof![
        4 => (size(), duration(), proptest::bool::weighted(0.2), count).prop_map(
            |(size, ttl_ms, restored, count)| Call::Send { size, ttl_ms, restored, count },
        ),
        1 => select(vec![Call::HoldSends, Call::ReleaseSends]),
        1 => (whose(), 0..20_u32).prop_map(|(c, send)| Call::Accepted(c, send)),
        1 => (whose(), 0..20_u32, any::<bool>(), proptest::option::of(duration()))
            .prop_map(|(c, send, retryable, after)| Call::Refused(c, send, retryable, after)),
    ];
    prop_oneof![3 => link, 2 => delivery, 1 => sends, 1 => tabs(), 1 => streams()]
}

struct Absurd {
    rig: Rig,
    current: ConnectionNo,
}

impl Absurd {
    fn connection(&self, whose: Whose) -> ConnectionNo {
        match whose {
            Whose::Current => self.current,
            Whose::Any(number) => ConnectionNo(number),
        }
    }

    fn make(&mut self, call: Call) {
        let now = self.rig.now;
        match call {
            Call::Connect(established) => {
                for call in [Call::SignIn, Call::SetOnline(true), Call::Token] {
                    self.make(call);
                }
                self.make(Call::Established(Whose::Current, established));
            }
            Call::Send { size, ttl_ms, restored, count } => {
                (0..count).for_each(|_| self.rig.send(size, ttl_ms, restored));
            }
            Call::Timeout => self.rig.ring(),
            Call::Pass(ms) => self.pass(ms),
            Call::Messages(whose, seq, handlers, size, count) => {
                let connection = self.connection(whose);
                self.messages(connection, seq, handlers, size, count);
            }
            Call::Next(handlers, size) => {
                let next = self.rig.engine.position().and_then(Seq::next).map(Seq::get);
                self.messages(self.current, next, handlers, size, 1);
            }
            Call::Probe(whose, answer) => {
                if let ProbeAnswer::Busy { retry_after_ms: Some(told) }
                | ProbeAnswer::TokenNotYetValid { retry_after_ms: Some(told) } = answer
                {
                    self.rig.told_ms = self.rig.told_ms.max(told.min(RETRY_AFTER_MS_MAX));
                }
                let connection = self.connection(whose);
                self.rig.engine.handle_probe(connection, answer, now);
            }
            Call::Opened(_)
            | Call::Established(..)
            | Call::Received(_)
            | Call::Closed(..)
            | Call::Accepted(..)
            | Call::Refused(..)
            | Call::Gap(..) => self.hear(call),
            Call::StreamStart(..) | Call::StreamDelta(..) | Call::StreamEnd(..) => {
                self.stream(call);
            }
            Call::SignInAmongTabs(_)
            | Call::SetVisible(_)
            | Call::Lock
            | Call::LockLost
            | Call::Tab(..)
            | Call::Welcome(..)
            | Call::Ask(..) => self.share(call),
            call => self.command(call),
        }
        self.perform();
    }

    fn hear(&mut self, call: Call) {
        let now = self.rig.now;
        let (Call::Opened(whose)
        | Call::Established(whose, _)
        | Call::Received(whose)
        | Call::Closed(whose, _)
        | Call::Accepted(whose, _)
        | Call::Refused(whose, ..)
        | Call::Gap(whose, ..)) = call
        else {
            return;
        };
        let connection = self.connection(whose);
        let engine = &mut self.rig.engine;
        match call {
            Call::Opened(_) => engine.handle_opened(connection, now),
            Call::Established(_, established) => {
                engine.handle_established(connection, established, now);
            }
            Call::Received(_) => engine.handle_received(connection),
            Call::Closed(_, code) => engine.handle_closed(connection, code, None, now),
            Call::Accepted(_, send) => engine.handle_accepted(connection, SendNo(send), now),
            Call::Refused(_, send, retryable, after) => {
                engine.handle_refused(connection, SendNo(send), retryable, after, now);
            }
            Call::Gap(_, after, next) => {
                engine.handle_gap(connection, seq(after), seq(next), IdNo::NONE, now);
            }
            _ => {}
        }
    }

    fn stream(&mut self, call: Call) {
        let (Call::StreamStart(whose, ..)
        | Call::StreamDelta(whose, ..)
        | Call::StreamEnd(whose, ..)) = call
        else {
            return;
        };
        let connection = self.connection(whose);
        let engine = &mut self.rig.engine;
        match call {
            Call::StreamStart(_, no, attempt) => {
                engine.handle_stream_start(connection, StreamNo(no), attempt);
            }
            Call::StreamDelta(_, no, attempt, offset, length) => {
                engine.handle_stream_delta(connection, StreamNo(no), attempt, offset, length);
            }
            Call::StreamEnd(_, no, attempt) => {
                engine.handle_stream_end(connection, StreamNo(no), attempt);
            }
            _ => {}
        }
    }

    fn command(&mut self, call: Call) {
        let now = self.rig.now;
        let engine = &mut self.rig.engine;
        match call {
            Call::SignIn => engine.sign_in(now),
            Call::SignOut => engine.sign_out(now),
            Call::SetOnline(online) => engine.set_online(online, now),
            Call::Token => engine.handle_token(now),
            Call::NoToken(reason) => engine.handle_no_token(reason, now),
            Call::Hold(number) => engine.hold(seq(number), now),
            Call::Handled(number) => engine.handled(seq(number), now),
            Call::Unpark(number) => engine.unpark(seq(number), now),
            Call::HoldSends => engine.hold_sends(),
            Call::ReleaseSends => engine.release_sends(now),
            Call::RequestPending => engine.request_pending(now),
            Call::HistoryAsOf(number) => engine.history_as_of(seq(number), now),
            _ => {}
        }
    }

    fn share(&mut self, call: Call) {
        let now = self.rig.now;
        if let Call::Tab(_, TabMessage::Lead(Lead { phase, .. })) = call
            && let Phase::Waiting { retry_in_ms, .. } = phase
        {
            self.rig.told_ms = self.rig.told_ms.max(retry_in_ms);
        }
        let engine = &mut self.rig.engine;
        match call {
            Call::SignInAmongTabs(is_visible) => engine.sign_in_among_tabs(is_visible, now),
            Call::SetVisible(is_visible) => engine.set_visible(is_visible, now),
            Call::Lock => engine.handle_lock(now),
            Call::LockLost => engine.handle_lock_lost(now),
            Call::Tab(from, message) => engine.handle_tab(TabNo(from), message, now),
            Call::Welcome(from, established, is_for_all) => {
                engine.handle_welcome(TabNo(from), established, None, is_for_all, now);
            }
            Call::Ask(after, epoch) => engine.handle_ask(seq(after).into(), EpochNo(epoch), now),
            _ => {}
        }
    }

    fn messages(
        &mut self,
        connection: ConnectionNo,
        first: Option<u64>,
        handlers: u32,
        size: usize,
        count: u64,
    ) {
        for offset in 0..count {
            let position = first.map(|first| seq(first.saturating_add(offset)));
            let may_deliver =
                self.rig.engine.status() == Status::Connected && connection == self.current;
            let verdict = self.rig.engine.handle_message(
                connection,
                position.map(Mark::from),
                handlers,
                size,
            );
            assert!(may_deliver || verdict == Delivery::Drop, "{verdict:?} while not connected");
            if matches!(verdict, Delivery::Deliver { .. }) {
                assert!(handlers > 0);
            }
            self.perform();
        }
    }

    /// Ten alarms, and then straight to the end, as a page does that was frozen in between.
    fn pass(&mut self, ms: u64) {
        let end = Instant::from_millis(self.rig.now.as_millis().saturating_add(ms).min(LATEST_MS));
        for _ in 0..10 {
            let Some(alarm) = self.rig.next_alarm(end) else { break };
            self.rig.now = alarm;
            self.rig.ring();
            self.perform();
        }
        self.rig.now = end;
    }

    fn perform(&mut self) {
        for output in self.rig.outputs() {
            if let Output::Open(connection) | Output::Join(connection, _) = output {
                self.current = connection;
            }
        }
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn whatever_is_called_every_bound_holds_and_every_send_settles_once(
        seed: u64,
        calls in proptest::collection::vec(call(), 1..150),
    ) {
        let mut absurd = Absurd { rig: Rig::new(seed), current: ConnectionNo(0) };
        for call in calls {
            absurd.make(call);
        }
        absurd.make(Call::SignOut);
        prop_assert!(absurd.rig.sends.is_empty(), "sends that never settled");
        prop_assert_eq!(absurd.rig.engine.poll_timeout(), None);
    }
}
