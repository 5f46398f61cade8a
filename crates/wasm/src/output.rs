//! Outputs as a kind and four numbers.

use tetherline_engine::{Output, SendOutcome, StreamNo, TabNo};

use crate::{
    codes::{outcome, output},
    tabs,
};

/// The kind, and its arguments `a` to `d`: at most 2⁵³.
pub(crate) fn encode(next: Output) -> (u32, [u64; 4]) {
    let (kind, a, b) = match next {
        Output::Post(to, message) => {
            let (kind, [a, b, c]) = tabs::encode(message);
            return (output::POST + kind, [a, b, c, tab(to)]);
        }
        Output::Welcome { to, head, cursor, position } => {
            // Behind 1, so that 0 says that there is none.
            let position = position.map_or(0, |position| position.seq.get() + 1);
            return (output::WELCOME, [head.get(), cursor.get(), position, tab(to)]);
        }
        Output::GetPending { after, proves, epoch } => {
            // The number of the message behind 1: 0 says that nothing is to be proved.
            let id = if proves { u64::from(after.id.0) + 1 } else { 0 };
            return (output::GET_PENDING, [after.seq.get(), epoch.0.into(), id, 0]);
        }
        Output::ResolveToken { fresh } => (output::RESOLVE_TOKEN, fresh.into(), 0),
        Output::Open(connection) => (output::OPEN, connection.0.into(), 0),
        Output::Probe(connection) => (output::PROBE, connection.0.into(), 0),
        Output::Detach(connection, code) => (output::DETACH, connection.0.into(), code.into()),
        Output::Ping => (output::PING, 0, 0),
        Output::Ack(seq) => (output::ACK, seq.get(), 0),
        Output::Authenticate => (output::AUTHENTICATE, 0, 0),
        Output::Transmit(send) => (output::TRANSMIT, send.0.into(), 0),
        Output::Settled(send, ended) => (output::SETTLED, send.0.into(), number(ended).into()),
        Output::StatusChanged => (output::STATUS_CHANGED, 0, 0),
        Output::Gap { after, next } => (output::GAP, after.get(), next.get()),
        Output::GraceOver => (output::GRACE_OVER, 0, 0),
        Output::HandlerTimedOut(seq) => (output::HANDLER_TIMED_OUT, seq.get(), 0),
        Output::IdentityRefused { is_final } => (output::IDENTITY_REFUSED, is_final.into(), 0),
        Output::ParkedDropped(seq) => (output::PARKED_DROPPED, seq.get(), 0),
        Output::ParkedGivenUp(seq) => (output::PARKED_DROPPED, seq.get(), 1),
        Output::Lock { steal } => (output::LOCK, steal.into(), 0),
        Output::Unlock => (output::UNLOCK, 0, 0),
        Output::Join(connection, TabNo(tab)) => (output::JOIN, connection.0.into(), tab.into()),
        Output::SignedOutElsewhere => (output::SIGNED_OUT_ELSEWHERE, 0, 0),
        // JavaScript counts streams from 1: 0 stands for all of them.
        Output::StreamsDropped => (output::STREAM_DROPPED, 0, 0),
        Output::StreamDropped(StreamNo(stream)) => (output::STREAM_DROPPED, stream.into(), 0),
        // The engine is part of this workspace; a new output has to be given its number here.
        _ => unreachable!("an output without a number"),
    };
    (kind, [a, b, 0, 0])
}

/// 0 stands for all of them.
fn tab(to: Option<TabNo>) -> u64 {
    to.map_or(0, |TabNo(number)| number.into())
}

fn number(ended: SendOutcome) -> u32 {
    match ended {
        SendOutcome::Accepted => outcome::ACCEPTED,
        SendOutcome::Refused => outcome::REFUSED,
        SendOutcome::Expired => outcome::EXPIRED,
        _ => outcome::SIGNED_OUT,
    }
}
