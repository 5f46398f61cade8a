//! Outputs as a kind and two numbers.

use tetherline_engine::{Output, SendOutcome};

/// The kind, and its arguments `a` and `b`.
pub(crate) fn encode(output: Output) -> (u32, [f64; 2]) {
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
