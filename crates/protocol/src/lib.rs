//! The Tetherline wire: what client and server say to each other, and nothing else.
//!
//! `docs/protocol.md` is the normative text; this crate is where its names, codes and limits are
//! defined, once. TypeScript gets the same names from here by `cargo xtask codegen`.
//!
//! There is no I/O, no clock and no allocation beyond owned identifiers. JSON lives behind the
//! feature `serde` (on by default), so that the browser engine can leave it out.
//!
//! ```
//! use tetherline_protocol::{Seq, UserId};
//!
//! let user: UserId = "7b0e8a52-5a3c-4f43-9a55-0f6a9a3b9c11".parse()?;
//! assert_eq!(user.as_str().len(), 36);
//! assert_eq!(Seq::new(41).and_then(Seq::next), Seq::new(42));
//! # Ok::<(), tetherline_protocol::InvalidId>(())
//! ```
#![no_std]

extern crate alloc;

mod close;
mod error_code;
mod excerpt;
#[cfg(feature = "serde")]
pub mod frame;
mod id;
pub mod limits;
pub mod message_type;
#[cfg(feature = "serde")]
mod problem;
mod seq;
mod stream;
pub mod utf16;

pub use close::{CloseCode, RETRY_AFTER_IN_REASON, Reaction};
pub use error_code::ErrorCode;
pub use excerpt::{QUOTED_CHARACTERS_MAX, excerpt};
pub use id::{DeviceId, Epoch, IdempotencyKey, InvalidId, MessageId, UserId};
pub use limits::Limits;
#[cfg(feature = "serde")]
pub use problem::Problem;
pub use seq::Seq;
pub use stream::{Attempt, StopTarget, StreamPosition, StreamStatus};

/// The subprotocol a client offers, and the only one a server ever echoes.
pub const SUBPROTOCOL: &str = "tetherline.v1";

/// A client offers its token as a second subprotocol with this prefix: `bearer.<jwt>`.
///
/// A browser cannot set headers on a WebSocket, and a token in the URL ends up in logs.
pub const BEARER_PREFIX: &str = "bearer.";

/// The header that is only for a client's token, since `Authorization` may be taken by what stands
/// in between. It counts before any other place.
pub const TOKEN_HEADER: &str = "tetherline-token";

/// The `reason` of a 401 whose request had no token, as [`Problem`] has it: if its sender gave one,
/// something in between has taken it away.
pub const NO_TOKEN: &str = "no_token";

/// The protocol's number as `connection_established` announces it.
pub const PROTOCOL_VERSION: u32 = 1;
