//! Where mailboxes live: [`SqliteStore`], and what an application meets of it.
//!
//! What a store has to promise to take its place is behind the feature `custom-store`, which is there for
//! the tests: until a second store exists, its traits change with any version.

#[cfg_attr(
    not(feature = "simulation"),
    allow(unreachable_pub, reason = "the simulator has them, too")
)]
pub(crate) mod claims;
#[cfg_attr(
    not(feature = "custom-store"),
    allow(unreachable_pub, reason = "other stores have them, too")
)]
mod credentials;
#[cfg_attr(
    not(feature = "custom-store"),
    allow(unreachable_pub, dead_code, reason = "other stores have them, too")
)]
mod events;
#[cfg_attr(
    not(feature = "custom-store"),
    allow(unreachable_pub, dead_code, reason = "other stores have them, too")
)]
mod promises;
mod report;
mod sqlite;
#[cfg_attr(
    not(feature = "custom-store"),
    allow(unreachable_pub, reason = "other stores have them, too")
)]
mod streams;
#[cfg_attr(
    not(feature = "simulation"),
    allow(unreachable_pub, reason = "the simulator has them, too")
)]
pub(crate) mod tickets;

use std::{cell::RefCell, sync::Arc};

use tetherline_protocol::{
    Epoch, IdempotencyKey, MessageId, Seq, UserId,
    frame::{Message, SendAnswer},
};
use uuid::{Builder, Uuid};

use crate::{Refusal, clock};
pub use credentials::{
    SIGN_OUTS_PER_USER_MAX, SignOutError, TICKETS_MAX, TICKETS_PER_KEY_MAX, TICKETS_PER_USER_MAX,
};
pub use report::{
    DeviceReport, MessageReport, REPORTED_SENDS_MAX, REPORTED_SIGN_OUTS_MAX, Report, SendReport,
    SignOutReport, StreamReport,
};
pub use sqlite::{OpenError, SqliteStore, backup};
pub use streams::{
    AppendTextError, FinishStreamError, FinishedStream, OpenStreamError, StoppedStream,
    StreamPhase, StreamState,
};

#[cfg(not(feature = "custom-store"))]
pub(crate) use self::{
    credentials::{Credentials, KeepTicketError, SignOut, SignOuts, Ticket},
    events::{CarriedOut, Event, EventQueue, Events, Subscription},
    promises::{
        Appended, Begun, Claim, ClaimError, Delivery, Figures, Inbox, Mailbox, Place, Resumed,
        Room, Standing, Store, Upkeep,
    },
    streams::{
        OpenedStream, OverdueStream, StreamPage, StreamPiece, StreamRead, StreamSnapshot, Streams,
    },
};
/// What a store promises, tells and answers, for whoever writes another one.
#[cfg(feature = "custom-store")]
pub use self::{
    credentials::{Credentials, KeepTicketError, SignOut, SignOuts, Ticket, TicketDigest},
    events::{CarriedOut, EVENTS_BYTES_MAX, EVENTS_MAX, Event, EventQueue, Events, Subscription},
    promises::{
        Appended, Begun, Claim, ClaimError, Delivery, Figures, Inbox, Mailbox, Place, Resumed,
        Room, Standing, Store, Upkeep,
    },
    streams::{
        OpenedStream, OverdueStream, StreamPage, StreamPiece, StreamRead, StreamSnapshot, Streams,
    },
};
#[cfg(feature = "custom-store")]
pub use crate::metrics::Latencies;

/// What is final about a send: taken, with what the application answered, or refused for good.
pub type Outcome = Result<Option<SendAnswer>, Refusal>;

/// The newest position of a user's mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The position; [`Seq::ZERO`] if nothing was ever published.
    pub seq: Seq,
    /// The message there; `None` in an empty mailbox, or if nobody knows any more.
    pub id: Option<MessageId>,
    /// The history that it counts in.
    pub epoch: Epoch,
}

/// One message for one user. Many users can share the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Whose mailbox.
    pub user: UserId,
    /// Published twice under the same key, it is in the mailbox once.
    pub key: Option<IdempotencyKey>,
    /// The message.
    pub message: Arc<Message>,
}

impl Publish {
    /// Without a key.
    #[must_use]
    pub fn new(user: UserId, message: impl Into<Arc<Message>>) -> Self {
        Self { user, key: None, message: message.into() }
    }

    /// Under this key.
    #[must_use]
    pub fn with_key(self, key: IdempotencyKey) -> Self {
        Self { key: Some(key), ..self }
    }
}

/// A name for a message that came without one, or for a connection.
pub(crate) fn fresh_id() -> MessageId {
    // Not `now_v7`, which panics when the clock is before 1970.
    let now_ms = clock::now_ms().unsigned_abs();
    let id = Builder::from_unix_timestamp_millis(now_ms, &random()).into_uuid();
    let mut text = Uuid::encode_buffer();
    let text: &str = id.hyphenated().encode_lower(&mut text);
    text.parse().expect("a UUID is a short id of URL-safe characters")
}

pub(crate) const RANDOM_BYTES: usize = 10;

/// Asks the system for a hundred at a time: each time is a call of the kernel.
pub(crate) fn random() -> [u8; RANDOM_BYTES] {
    thread_local! {
        static LEFT: RefCell<Vec<[u8; RANDOM_BYTES]>> = const { RefCell::new(Vec::new()) };
    }
    LEFT.with_borrow_mut(|left| {
        if left.is_empty() {
            left.resize(100, [0; RANDOM_BYTES]);
            getrandom::fill(left.as_flattened_mut())
                .expect("the system has random bytes, or no key was ever made");
        }
        left.pop().expect("it was filled just now")
    })
}

/// A store that cannot answer right now. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store is not available: {reason}")]
pub struct StoreError {
    reason: Arc<str>,
}

impl StoreError {
    /// The reason is for the operator's log.
    pub fn new(reason: impl AsRef<str>) -> Self {
        Self { reason: reason.as_ref().into() }
    }
}

/// Why a message was not appended.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The publisher used the key before, for another message.
    #[error("the idempotency key was used before, for another message")]
    Conflict,
    /// The mailbox counted to 2⁵³−1.
    #[error("the mailbox has reached its last position")]
    Full,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
