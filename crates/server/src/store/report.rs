//! What is known of one user, for whoever looks why something did not arrive: never what a message says.

use tetherline_protocol::{Attempt, DeviceId, MessageId, Seq};

use super::Head;

/// The newest sends that are reported of a user.
pub const REPORTED_SENDS_MAX: usize = 20;
/// The newest sign-outs that are reported of a user.
pub const REPORTED_SIGN_OUTS_MAX: usize = 20;

/// What a store knows of one user at one moment. Times are in ms since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The newest position.
    pub head: Head,
    /// Up to here messages are not kept any more.
    pub trimmed: Seq,
    /// Where each device is, as many as may be known of a user.
    pub devices: Vec<DeviceReport>,
    /// The message that was asked for, if it is kept.
    pub message: Option<MessageReport>,
    /// What became of the newest sends, the newest first, at most [`REPORTED_SENDS_MAX`].
    pub sends: Vec<SendReport>,
    /// Sign-ins that have ended before their tokens, the newest first, at most [`REPORTED_SIGN_OUTS_MAX`].
    pub sign_outs: Vec<SignOutReport>,
    /// Streams that are not finished, by the beginning of their newest attempts, the oldest first.
    pub streams: Vec<StreamReport>,
}

/// Where a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceReport {
    /// Which one.
    pub device: DeviceId,
    /// Up to here it has handled messages.
    pub cursor: Seq,
    /// When it was last used, as of the last hours.
    pub seen_at: i64,
}

/// A message without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageReport {
    /// Its id.
    pub id: MessageId,
    /// Its `type`.
    pub kind: String,
    /// When it was published.
    pub published_at: i64,
}

/// What became of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendReport {
    /// The id that the client gave it.
    pub id: String,
    /// When it was decided.
    pub decided_at: i64,
    /// The code of the refusal; none if it was accepted.
    pub refused: Option<String>,
}

/// An end of sign-ins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignOutReport {
    /// Whether it was all of them; if not, it was one session.
    pub everywhere: bool,
    /// When.
    pub at: i64,
}

/// A stream that is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamReport {
    /// Its message.
    pub message_uuid: String,
    /// The newest attempt.
    pub attempt: Attempt,
    /// When that began.
    pub opened_at: i64,
}
