//! Outputs as a kind and four numbers.

use tetherline_engine::{Output, SendOutcome, TabNo};

use crate::tabs;

/// The kind of [`Output::Post`] is this and the message's own.
const POST: u32 = 100;

/// The kind, and its arguments `a` to `d`.
pub(crate) fn encode(output: Output) -> (u32, [f64; 4]) {
    match output {
        Output::Post(to, message) => {
            let (kind, [a, b, c]) = tabs::encode(message);
            (POST + kind, [a, b, c, tab(to)])
        }
        Output::Welcome { to, head, cursor } => {
            (20, [head.get() as f64, cursor.get() as f64, 0.0, tab(to)])
        }
        output => {
            let (kind, [a, b]) = encode_short(output);
            (kind, [a, b, 0.0, 0.0])
        }
    }
}

/// 0 stands for all of them.
fn tab(to: Option<TabNo>) -> f64 {
    to.map_or(0.0, |TabNo(number)| f64::from(number))
}

fn encode_short(output: Output) -> (u32, [f64; 2]) {
    match output {
        Output::ResolveToken { fresh } => (1, [f64::from(u8::from(fresh)), 0.0]),
        Output::Open(connection) => (2, [f64::from(connection.0), 0.0]),
        Output::Probe(connection) => (3, [f64::from(connection.0), 0.0]),
        Output::Detach(connection, code) => (4, [f64::from(connection.0), f64::from(code)]),
        Output::Ping => (5, [0.0; 2]),
        Output::GetPending { after, epoch } => (6, [after.get() as f64, f64::from(epoch.0)]),
        Output::Ack(seq) => (7, [seq.get() as f64, 0.0]),
        Output::Authenticate => (8, [0.0; 2]),
        Output::Transmit(send) => (9, [f64::from(send.0), 0.0]),
        Output::Settled(send, outcome) => (10, [f64::from(send.0), f64::from(number(outcome))]),
        Output::StatusChanged => (11, [0.0; 2]),
        Output::Gap { after, next } => (12, [after.get() as f64, next.get() as f64]),
        Output::GraceOver => (13, [0.0; 2]),
        Output::HandlerTimedOut(seq) => (14, [seq.get() as f64, 0.0]),
        Output::IdentityRefused => (15, [0.0; 2]),
        Output::ParkedDropped(seq) => (16, [seq.get() as f64, 0.0]),
        Output::Lock { steal } => (17, [f64::from(u8::from(steal)), 0.0]),
        Output::Unlock => (18, [0.0; 2]),
        Output::Join(connection, TabNo(tab)) => (19, [f64::from(connection.0), f64::from(tab)]),
        Output::SignedOutElsewhere => (21, [0.0; 2]),
        // The engine is part of this workspace; a new output has to be given its number here.
        _ => unreachable!("an output without a number"),
    }
}

fn number(outcome: SendOutcome) -> u8 {
    match outcome {
        SendOutcome::Accepted => 0,
        SendOutcome::Refused => 1,
        SendOutcome::Expired => 2,
        _ => 3,
    }
}
