//! Who connects and disconnects, told to an application that wants to hear it.

use std::borrow::Cow;

use tetherline_protocol::{CloseCode, DeviceId, MessageId, UserId};

/// Some of what happened to connections, in the order in which it happened.
///
/// It is told as well as can be, and no better: what waits is lost when the process dies, and the oldest of it when
/// there is more than [`CONNECTION_EVENTS_MAX`](crate::CONNECTION_EVENTS_MAX).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionEvents {
    /// Which life of the server this is. All connections of another one have ended, unless several servers run.
    pub server: MessageId,
    /// They are at least one, and at most
    /// [`CONNECTION_EVENTS_AT_ONCE_MAX`](crate::CONNECTION_EVENTS_AT_ONCE_MAX).
    pub events: Vec<ConnectionEvent>,
}

/// What happened to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionEvent {
    /// 1, 2, 3, … in this life of the server. What is missing was lost; what comes twice was told twice.
    pub number: u64,
    /// By the server's clock, in ms since 1970.
    pub at_ms: i64,
    /// The connection's own name, as its client has it in `connection_established`.
    pub connection: MessageId,
    /// Whose it is.
    pub user: UserId,
    /// From which device, if the client named one.
    pub device: Option<DeviceId>,
    /// What happened.
    pub change: ConnectionChange,
}

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionChange {
    /// It is open.
    Connected,
    /// It has ended, and nothing is delivered to it any more.
    Disconnected(ConnectionEnd),
}

/// Why a connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionEnd {
    /// The client closed it, perhaps with a code.
    Client(Option<u16>),
    /// The client was gone without a word.
    Gone,
    /// The server closed it.
    Server(CloseCode),
}

impl ConnectionEnd {
    /// The name of the close code, `client` or `gone`.
    #[must_use]
    pub fn reason(self) -> Cow<'static, str> {
        match self {
            Self::Client(_) => "client".into(),
            Self::Gone => "gone".into(),
            Self::Server(code) => code.name().to_ascii_lowercase().into(),
        }
    }

    /// The code of the close, if there was one.
    #[must_use]
    pub fn code(self) -> Option<u16> {
        match self {
            Self::Client(code) => code,
            Self::Gone => None,
            Self::Server(code) => Some(code.code()),
        }
    }
}
