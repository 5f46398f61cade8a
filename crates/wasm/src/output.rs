//! Outputs as a kind and four numbers.

use tetherline_engine::{Output, SendOutcome, StreamNo, TabNo};

use crate::tabs;

/// The kind of [`Output::Post`] is this and the message's own.
const POST: u32 = 100;

/// The kind, and its arguments `a` to `d`: at most 2⁵³.
pub(crate) fn encode(output: Output) -> (u32, [u64; 4]) {
    let (kind, a, b) = match output {
        Output::Post(to, message) => {
            let (kind, [a, b, c]) = tabs::encode(message);
            return (POST + kind, [a, b, c, tab(to)]);
        }
        Output::Welcome { to, head, cursor, position } => {
            // Behind 1, so that 0 says that there is none.
            let position = position.map_or(0, |position| position.seq.get() + 1);
            return (20, [head.get(), cursor.get(), position, tab(to)]);
        }
        Output::GetPending { after, proves, epoch } => {
            // The number of the message behind 1: 0 says that nothing is to be proved.
            let id = if proves { u64::from(after.id.0) + 1 } else { 0 };
            return (6, [after.seq.get(), epoch.0.into(), id, 0]);
        }
        Output::ResolveToken { fresh } => (1, fresh.into(), 0),
        Output::Open(connection) => (2, connection.0.into(), 0),
        Output::Probe(connection) => (3, connection.0.into(), 0),
        Output::Detach(connection, code) => (4, connection.0.into(), code.into()),
        Output::Ping => (5, 0, 0),
        Output::Ack(seq) => (7, seq.get(), 0),
        Output::Authenticate => (8, 0, 0),
        Output::Transmit(send) => (9, send.0.into(), 0),
        Output::Settled(send, outcome) => (10, send.0.into(), number(outcome)),
        Output::StatusChanged => (11, 0, 0),
        Output::Gap { after, next } => (12, after.get(), next.get()),
        Output::GraceOver => (13, 0, 0),
        Output::HandlerTimedOut(seq) => (14, seq.get(), 0),
        Output::IdentityRefused { is_final } => (15, is_final.into(), 0),
        Output::ParkedDropped(seq) => (16, seq.get(), 0),
        Output::ParkedGivenUp(seq) => (16, seq.get(), 1),
        Output::Lock { steal } => (17, steal.into(), 0),
        Output::Unlock => (18, 0, 0),
        Output::Join(connection, TabNo(tab)) => (19, connection.0.into(), tab.into()),
        Output::SignedOutElsewhere => (21, 0, 0),
        // JavaScript counts answers from 1: 0 stands for all of them.
        Output::StreamsDropped => (22, 0, 0),
        Output::StreamDropped(StreamNo(stream)) => (22, stream.into(), 0),
        // The engine is part of this workspace; a new output has to be given its number here.
        _ => unreachable!("an output without a number"),
    };
    (kind, [a, b, 0, 0])
}

/// 0 stands for all of them.
fn tab(to: Option<TabNo>) -> u64 {
    to.map_or(0, |TabNo(number)| number.into())
}

fn number(outcome: SendOutcome) -> u64 {
    match outcome {
        SendOutcome::Accepted => 0,
        SendOutcome::Refused => 1,
        SendOutcome::Expired => 2,
        _ => 3,
    }
}
