//! The Tetherline client as a pure state machine.
//!
//! Everything the client *decides* happens here: when to connect, when a peer is dead, where to
//! read on, what is a duplicate, what may be acknowledged, which send goes out when. There is no
//! socket, no clock and no randomness: the driver hands in the time with every call and a seed at
//! the start, does what [`Engine::poll_output`] says, and calls [`Engine::handle_timeout`] when
//! [`Engine::poll_timeout`] is due. The same code runs natively and, as WebAssembly, in browsers.
//!
//! # The order of calls
//!
//! 1. a command ([`Engine::sign_in`], [`Engine::send`], …) or an event (`handle_…`);
//! 2. [`Engine::poll_output`] until it answers `None`, doing each thing;
//! 3. one timer for [`Engine::poll_timeout`].
//!
//! Payloads never enter, except as the opaque `P` of a send. A driver that keeps payloads
//! elsewhere uses `()`.
//!
//! ```
//! use tetherline_engine::{Engine, Instant, Output, Status};
//!
//! let mut engine: Engine<&str> = Engine::new(42);
//! let now = Instant::from_millis(0);
//! engine.sign_in(now);
//! assert_eq!(engine.poll_output(), Some(Output::ResolveToken { fresh: false }));
//! engine.handle_token(now);
//! let outputs: Vec<_> = std::iter::from_fn(|| engine.poll_output()).collect();
//! assert!(matches!(outputs[..], [Output::StatusChanged, Output::Open(_)]));
//! assert_eq!(engine.status(), Status::Connecting);
//! ```
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod backoff;
mod engine;
mod outbox;
mod output;
mod reader;
mod streams;
mod tabs;
mod timer;

pub use engine::{Engine, Established};
pub use outbox::{SendNo, SendRefused};
pub use output::{
    ConnectionNo, Delivery, EpochNo, IdNo, Mark, NoToken, Output, ProbeAnswer, SendOutcome, Status,
    WaitReason,
};
pub use streams::{StreamDelta, StreamEnd, StreamNo, StreamStart};
pub use tabs::{Lead, Phase, TABS_VERSION, TabMessage, TabNo};
pub use timer::Instant;
