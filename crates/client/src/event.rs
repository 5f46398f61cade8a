use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tetherline_engine::{Status, WaitReason};
use tetherline_protocol::{
    Attempt, MessageId, Seq,
    frame::{ErrorFrame, PendingSummary},
};

/// What [`crate::Client::next`] answers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A message for the application.
    Message(Message),
    /// A stream begins, or begins again: forget what there was of it. Its
    /// end is the [`Event::Message`] that [`Message::ends`] it.
    StreamStarted(StreamStarted),
    /// A piece of stream text. Whatever the network does, the pieces of an attempt come in
    /// order, without holes, and none twice: append them.
    StreamText(StreamText),
    /// What waited has been delivered; what follows is live. `text` is the frame as it came.
    CaughtUp {
        /// The frame's `data`.
        summary: PendingSummary,
        /// The frame, JSON text.
        text: Box<str>,
    },
    /// Messages will never come; history has to be read anew. Where `next` is not behind `after`, the
    /// mailbox has another history now, as after a restored backup, and goes on from `next`.
    Gap {
        /// The last position before the gap.
        after: Seq,
        /// The first position after it.
        next: Seq,
    },
    /// The server reports an error that is about no send of this client.
    ServerError(ErrorFrame),
    /// The application kept the message at this position for too long; it counts as handled.
    HandlerTimedOut(Seq),
    /// A fresh token was refused, too: said once, until a connection lasts again. It is tried again with
    /// a fresh one, slower and slower.
    IdentityRefused {
        /// The provider has answered [`crate::NoToken::SignedOut`] instead: nothing follows.
        is_final: bool,
    },
}

/// A message for the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The whole frame as it came, JSON text.
    pub text: Box<str>,
    /// Its `type`.
    pub kind: Box<str>,
    /// Its position; none if it is live-only.
    pub seq: Option<Seq>,
    /// Its id.
    pub id: Option<MessageId>,
    /// Which attempt at which answer it is the end of, if it is one.
    pub ends: Option<(MessageId, Attempt)>,
    /// It was in the mailbox before this connection asked: no news.
    pub replayed: bool,
    /// What [`crate::Client::ack`] takes when it is handled.
    pub receipt: Receipt,
}

/// `message_start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStarted {
    /// The answer's name.
    pub message_uuid: MessageId,
    /// Which attempt at it.
    pub attempt: Attempt,
    /// The send that it answers.
    pub reference: Option<MessageId>,
    /// The whole frame as it came, JSON text, with the application's fields.
    pub text: Box<str>,
}

/// What of a `message_delta` is news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamText {
    /// The answer's name.
    pub message_uuid: MessageId,
    /// Which attempt at it.
    pub attempt: Attempt,
    /// How much there was of it before, in UTF-16 units.
    pub offset: u64,
    /// The piece.
    pub text: Box<str>,
}

/// Stands for one message that was handed out, and for no other.
///
/// A position could not: after a restored backup the server counts anew, and whoever is late with
/// an old message would acknowledge the new one at the same position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// None if the message is live-only: nobody waits for it to be handled.
    pub(crate) seq: Option<Seq>,
    no: u64,
}

impl Receipt {
    /// One that this process has not given out before.
    pub(crate) fn new(seq: Option<Seq>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { seq, no: NEXT.fetch_add(1, Ordering::Relaxed) }
    }
}

/// How the connection is doing. See [`crate::Client::connection`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// What an application may show.
    pub status: Status,
    /// Attempts since the last connection; 0 while connected.
    pub attempts: u32,
    /// How long until the next attempt, while [`Status::Waiting`].
    pub retry_in: Option<Duration>,
    /// What it waits for, while [`Status::Waiting`].
    pub reason: Option<WaitReason>,
    /// What the last attempt met, in words for people and with everything that led to it; the server's
    /// own words where it had any. None while connected.
    pub trouble: Option<Arc<str>>,
}
