use tetherline_protocol::{ErrorCode, Seq};

use crate::{SendNo, StreamNo, TabMessage, TabNo};

/// One attempt at a connection. Events of any but the current one are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionNo(pub u32);

/// The driver's own number for an epoch; equal texts have equal numbers. 0 stands for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochNo(pub u32);

/// The driver's own number for a message's id. Equal texts have equal numbers, as long as they are of the
/// position that the page has now or of the frame that is being told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IdNo(pub u32);

impl IdNo {
    /// Nobody knows which message it is.
    pub const NONE: Self = Self(0);

    /// Whether these are known to be two messages.
    pub(crate) fn differs_from(self, other: Self) -> bool {
        self != other && self != Self::NONE && other != Self::NONE
    }
}

/// A position, and which message stands there: by that a history is told from another in which the
/// same positions are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// The position.
    pub seq: Seq,
    /// The message there.
    pub id: IdNo,
}

impl From<Seq> for Mark {
    /// A position of which the message is not known.
    fn from(seq: Seq) -> Self {
        Self { seq, id: IdNo::NONE }
    }
}

/// What an application may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Nobody is signed in; nothing is sent and nothing received.
    SignedOut,
    /// A token is being fetched or a socket opened.
    Connecting,
    /// `connection_established` has come.
    Connected,
    /// The next attempt waits for its moment.
    Waiting,
    /// Fresh tokens are refused, or the application says that nobody is signed in. In the first case
    /// there is a [`crate::Engine::retry_at`], or an attempt is under way.
    Refused,
}

/// What the driver has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Ask the application for a token; answer with `handle_token` or `handle_no_token`.
    ResolveToken {
        /// The last one was refused or runs out: a cached token will not do.
        fresh: bool,
    },
    /// Open a socket with the token last given.
    Open(ConnectionNo),
    /// The socket never opened: ask the same URL without an upgrade, answer `handle_probe`.
    Probe(ConnectionNo),
    /// Close the socket with this code and forget it, without waiting for its goodbye.
    Detach(ConnectionNo, u16),
    /// Send `ping`.
    Ping,
    /// Send `get_pending`, with what there is of each answer that has begun and not ended.
    GetPending {
        /// Read on after this position.
        after: Mark,
        /// Name the message there, or that it is not known, and answer
        /// [`crate::Engine::handle_checked`].
        proves: bool,
        /// In this epoch.
        epoch: EpochNo,
    },
    /// Send `ack`.
    Ack(Seq),
    /// Send `authenticate` with the token last given.
    Authenticate,
    /// Send the outbox's message with this number.
    Transmit(SendNo),
    /// This send is over.
    Settled(SendNo, SendOutcome),
    /// Status, attempt count or retry time are new.
    StatusChanged,
    /// Messages between these positions will never come. History must be read anew.
    Gap {
        /// The last position received before the gap.
        after: Seq,
        /// The first position after it.
        next: Seq,
    },
    /// The grace window is over: every parked message that is not held counts as handled by nobody.
    GraceOver,
    /// The history is another one now: drop the parked message at this position.
    ParkedDropped(Seq),
    /// More is parked than fits: the message at this position counts as handled by nobody.
    ParkedGivenUp(Seq),
    /// The history is another one now or has a hole, or nobody is signed in: forget the text of every
    /// answer.
    StreamsDropped,
    /// More answers are known than may be: forget the text of this one.
    StreamDropped(StreamNo),
    /// A handler did not settle in time. Its message counts as handled.
    HandlerTimedOut(Seq),
    /// A fresh token was refused too, said once until a connection lasts; or the application says that
    /// nobody is signed in.
    IdentityRefused {
        /// The latter: there are no further attempts.
        is_final: bool,
    },
    /// Ask for the lock that the leading tab of this user holds, and answer
    /// [`crate::Engine::handle_lock`] when it is granted; it replaces a request that waits.
    Lock {
        /// Take it from whoever holds it.
        steal: bool,
    },
    /// Let go of the lock, or stop waiting for it, and leave the channel.
    Unlock,
    /// Say this to the other tabs of this user, or to one of them.
    Post(Option<TabNo>, TabMessage),
    /// Say `connection_established` to the other tabs, or to one of them, as the server did, but
    /// with this head and cursor.
    Welcome {
        /// Whom.
        to: Option<TabNo>,
        /// The newest message.
        head: Seq,
        /// Up to where this device has acknowledged.
        cursor: Seq,
        /// Where this tab is, as far as it is proved; `None` if the server checks none.
        position: Option<Mark>,
    },
    /// From now on, until it is detached, this connection goes through that tab.
    Join(ConnectionNo, TabNo),
    /// The person signed out in another tab.
    SignedOutElsewhere,
}

/// How a send ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendOutcome {
    /// The application took it.
    Accepted,
    /// The server or the application refused it for good.
    Refused,
    /// It was not settled within its time to live.
    Expired,
    /// The person signed out first.
    SignedOut,
}

/// What to do with a message that has just come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// A duplicate, or a live-only message that nobody wants, or more than may be held: it comes again.
    Drop,
    /// Call the handlers now. It counts as handled, unless [`crate::Engine::hold`] follows.
    Deliver {
        /// It was in the mailbox before this connection asked: no news.
        replayed: bool,
    },
    /// Keep it until a handler registers or, unless its type is held, [`Output::GraceOver`] comes.
    Park {
        /// As in [`Delivery::Deliver`].
        replayed: bool,
    },
    /// It is new, and nobody handles it. It counts as handled, as with [`Delivery::Deliver`].
    Unhandled {
        /// As in [`Delivery::Deliver`].
        replayed: bool,
    },
}

/// What a driver recognised in the URL's answer without an upgrade. A status alone proves nothing:
/// whatever stands in between says 401 and 403, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProbeAnswer {
    /// No answer, or somebody else's: a proxy's, a login page.
    Unreachable,
    /// 426: an upgrade would have been accepted.
    Acceptable,
    /// 429 or 503: whoever says so, it is obeyed.
    Busy {
        /// `Retry-After`, in ms.
        retry_after_ms: Option<u64>,
    },
    /// The server will take this token, or another one, later.
    TokenNotYetValid {
        /// `Retry-After`, in ms.
        retry_after_ms: Option<u64>,
    },
    /// 401 with the code `unauthorized` in its body.
    Unauthorized,
    /// 403 with the code `forbidden` in its body.
    Forbidden,
}

impl ProbeAnswer {
    /// What an HTTP answer means. `code` is the one that its body names, if it has the server's form
    /// and is about what was asked.
    #[must_use]
    pub const fn of(status: u16, code: Option<ErrorCode>, retry_after_ms: Option<u64>) -> Self {
        match (status, code) {
            (401, Some(ErrorCode::Unauthorized)) => Self::Unauthorized,
            (401, Some(ErrorCode::TokenNotYetValid)) => Self::TokenNotYetValid { retry_after_ms },
            (403, Some(ErrorCode::Forbidden)) => Self::Forbidden,
            (426, Some(_)) => Self::Acceptable,
            (429 | 503, _) => Self::Busy { retry_after_ms },
            _ => Self::Unreachable,
        }
    }
}

/// Why the next attempt waits for its moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitReason {
    /// The connection was lost, or closed.
    Lost,
    /// The application could not give a token.
    NoToken,
    /// Nobody answered, or somebody who is not the server.
    Unreachable,
    /// The server would take the connection, but the upgrade gets lost on the way.
    NoUpgrade,
    /// The server, or something in between, has too much to do, or restarts.
    Busy,
    /// The server says that the token is not valid yet.
    TokenNotYetValid,
    /// The server refuses even fresh tokens.
    Refused,
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoToken {
    /// The application says that nobody is signed in.
    SignedOut,
    /// The application could not say; it is worth another try.
    Failed,
}
