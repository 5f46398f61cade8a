//! What may happen to a session.

use std::time::Duration;

use proptest::{prelude::*, sample::select};
use tetherline_protocol::{ErrorCode, Limits};

use crate::security::auth::InvalidToken;

#[derive(Debug, Clone)]
pub(super) enum Event {
    /// The client says something.
    Ack(u64),
    GetPending(Option<u64>, bool),
    Send(Option<u8>),
    Ping(usize),
    Authenticate,
    Text(String),
    Pong(u64),
    Binary,
    /// So many messages of this size are published, and somebody may wake the session.
    Publish {
        count: u64,
        size: usize,
        wakes: bool,
    },
    /// Only so many messages are kept.
    Trim(u64),
    /// A stream begins, again perhaps; goes on; or ends.
    Open(u8),
    Append(u8, String),
    Finish(u8),
    /// The socket has taken everything.
    Written,
    /// What is outstanding is answered.
    Page {
        fails: bool,
        stale: bool,
    },
    Located {
        fails: bool,
        elsewhere: bool,
    },
    Acknowledged,
    Settled(Option<ErrorCode>),
    Verified(Option<InvalidToken>, bool),
    Pass(u64),
    Drain,
    SignedOut,
}

fn position() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..60_u64, 1 => any::<u64>()]
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let client = prop_oneof![
        4 => position().prop_map(Event::Ack),
        3 => (proptest::option::of(position()), proptest::bool::weighted(0.9))
            .prop_map(|(after, is_known)| Event::GetPending(after, is_known)),
        3 => proptest::option::of(0..4_u8).prop_map(Event::Send),
        1 => (0..9_000_usize).prop_map(Event::Ping),
        1 => Just(Event::Authenticate),
        1 => any::<String>().prop_map(Event::Text),
        2 => position().prop_map(Event::Pong),
    ];
    let size = prop_oneof![4 => 1..200_usize, 1 => 1..30_000_usize];
    let mailbox = prop_oneof![
        4 => (1..20_u64, size, proptest::bool::weighted(0.9))
            .prop_map(|(count, size, wakes)| Event::Publish { count, size, wakes }),
        1 => (0..40_u64).prop_map(Event::Trim),
        1 => (0..3_u8).prop_map(Event::Open),
        4 => (0..3_u8, "[a-c👍ü]{0,8}").prop_map(|(name, text)| Event::Append(name, text)),
        1 => (0..3_u8).prop_map(Event::Finish),
    ];
    let refusals =
        select(vec![ErrorCode::Unavailable, ErrorCode::Rejected, ErrorCode::RateLimited]);
    let invalid = select(vec![
        InvalidToken::Expired,
        InvalidToken::SignedOut,
        InvalidToken::NotYetValid { wait: Duration::from_secs(1) },
    ]);
    let streams = prop_oneof![
        8 => Just(Event::Written),
        8 => (proptest::bool::weighted(0.01), proptest::bool::weighted(0.1))
            .prop_map(|(fails, stale)| Event::Page { fails, stale }),
        4 => (proptest::bool::weighted(0.02), proptest::bool::weighted(0.02))
            .prop_map(|(fails, elsewhere)| Event::Located { fails, elsewhere }),
        3 => Just(Event::Acknowledged),
        3 => proptest::option::of(refusals).prop_map(Event::Settled),
        1 => (proptest::option::of(invalid), proptest::bool::weighted(0.9))
            .prop_map(|(refusal, same)| Event::Verified(refusal, same)),
        1 => (0..20_000_u64).prop_map(Event::Pass),
    ];
    let end = prop_oneof![Just(Event::Binary), Just(Event::Drain), Just(Event::SignedOut)];
    prop_oneof![40 => client, 20 => mailbox, 60 => streams, 1 => end]
}

pub(super) fn limits() -> impl Strategy<Value = Limits> {
    (1..12_usize, 1..3_000_usize, 1..5_usize).prop_map(|(messages, bytes, sends)| {
        let mut limits = Limits::default();
        limits.in_flight_messages_max = messages;
        limits.in_flight_bytes_max = bytes;
        limits.sends_waiting_max = sends;
        limits
    })
}
