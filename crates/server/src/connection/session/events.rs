use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use bytestring::ByteString;
use serde_json::value::RawValue;
use tetherline_protocol::{
    CloseCode, Limits, MessageId, RETRY_AFTER_IN_REASON, Seq, StreamPosition, UserId,
};

use super::sends::Errand;
use crate::{
    May,
    connection::{hub::Notice, sends_room::SendShare},
    rates::Meters,
    security::auth::{Identity, InvalidToken},
    store::{Delivery, Outcome, Place, Resumed, Room, StoreError, StreamPage, StreamSnapshot},
};

/// How the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// It negotiated `tetherline.v1`.
    V1,
    /// The quick start's wire, without positions and acknowledgements.
    Plain,
}

/// The limits as clients are told them: written once, and not for each connection.
#[derive(Debug, Clone)]
pub(crate) struct WrittenLimits(pub(super) Arc<RawValue>);

impl WrittenLimits {
    pub(crate) fn new(limits: &Limits) -> Self {
        let written = serde_json::value::to_raw_value(limits);
        Self(written.expect("numbers can be written as JSON").into())
    }
}

/// What is known when the connection opens.
pub(crate) struct Opening {
    pub(crate) connection: MessageId,
    pub(crate) user: UserId,
    pub(crate) wire: Wire,
    pub(crate) place: Place,
    pub(crate) token_expires_in: Duration,
    pub(crate) may: May,
    pub(crate) limits: Arc<Limits>,
    pub(crate) written_limits: WrittenLimits,
    pub(crate) meters: Arc<Meters>,
    /// The wall clock at `now`, in ms since 1970.
    pub(crate) time_ms: i64,
}

/// What happens to a session.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// A text frame came.
    Text(&'a str),
    /// Some bytes came, and no whole frame.
    Heard,
    /// A WebSocket Ping came.
    Ping(Bytes),
    /// A WebSocket Pong came.
    Pong(&'a [u8]),
    /// The transport cannot go on reading, for this reason.
    Unreadable(CloseCode),
    /// The newest position, as far as somebody heard, and when that was told, if somebody measures.
    Head(Seq, Option<Instant>),
    /// The answer to [`Output::Read`].
    Page { read_no: u32, page: Result<Vec<Delivery>, StoreError> },
    /// The answer to [`Output::Resume`].
    Resumed { read_no: u32, resumed: Result<Resumed, StoreError> },
    /// The answer to [`Output::Locate`].
    Located(Result<Place, StoreError>),
    /// The answer to [`Output::Acknowledge`].
    Acknowledged,
    /// The answer to [`Output::Receive`].
    Settled(Outcome),
    /// The answer to [`Output::Verify`].
    Verified(Result<Identity, InvalidToken>),
    /// The peer took some of the last [`Output::Write`], and not so many bytes of it.
    Progress { left_bytes: usize },
    /// It took everything of it.
    Written,
    /// There are live-only messages.
    Live,
    /// The answer to [`Output::ReadLive`], and whether there is more.
    LivePage { texts: Vec<ByteString>, more: bool },
    /// A stream has begun, or has more text.
    Streamed,
    /// The answer to [`Output::ReadStreams`], as of this moment.
    StreamPage(StreamPage),
    /// The same, as of a moment that may have passed.
    StreamSnapshot(Result<StreamSnapshot, StoreError>),
    /// The hub has something to say.
    Notice(Notice),
    /// The time of [`Session::poll_timeout`] has come, perhaps.
    Timeout,
}

/// What a session wants done.
#[derive(Debug, PartialEq)]
pub(crate) enum Output {
    /// Write these, flush once, then say [`Input::Written`].
    Write(Vec<Outgoing>),
    /// Read this page. A second one replaces the first.
    Read { read_no: u32, after: Seq, room: Room },
    /// Read this page, with what stands before it. It replaces what was to be read.
    Resume { read_no: u32, after: Seq, room: Room },
    /// Read live-only messages, at once: they are in memory.
    ReadLive(Room),
    /// Read what streams have after these places. A second one replaces the first.
    ReadStreams(Vec<StreamPosition>),
    /// Look up where the device stands now.
    Locate,
    /// Everything up to here is handled.
    Acknowledge(Seq),
    /// See to this. `named`: the id is the client's. `share`: to be held until it is settled.
    Receive { id: MessageId, named: bool, errand: Errand, share: SendShare },
    /// Check this token. A second one replaces the first.
    Verify(Box<str>),
    /// Say in the log what has gone wrong here.
    Report(Box<str>),
    /// Close; nothing follows.
    Close(CloseCode, Reason),
}

/// What a peer is told of a close besides its code. Every connection has room for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Words(&'static str),
    /// When to come back.
    Restart {
        retry_after_ms: u32,
    },
    /// The same, for who said too much again and again.
    TooFast {
        retry_after_ms: u32,
    },
}

impl From<&'static str> for Reason {
    fn from(words: &'static str) -> Self {
        Self::Words(words)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => formatter.write_str(words),
            Self::Restart { retry_after_ms } => {
                write!(formatter, "the server restarts; {RETRY_AFTER_IN_REASON}{retry_after_ms}")
            }
            Self::TooFast { retry_after_ms } => write!(
                formatter,
                "too much was said too fast, again and again; {RETRY_AFTER_IN_REASON}{retry_after_ms}"
            ),
        }
    }
}

/// One frame for the socket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outgoing {
    Text(ByteString),
    Ping(Bytes),
    Pong(Bytes),
}

impl Outgoing {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Ping(payload) | Self::Pong(payload) => payload.len(),
        }
    }
}
