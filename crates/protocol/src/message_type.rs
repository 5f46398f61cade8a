//! The names in a frame's `type` field.
//!
//! Everything that is not reserved here is the application's own.

/// Server → client, first on every connection.
pub const CONNECTION_ESTABLISHED: &str = "connection_established";
/// Server → client, answers [`PING`].
pub const PONG: &str = "pong";
/// Server → client: everything that waited at [`GET_PENDING`] has been sent.
pub const PENDING_CHECK_COMPLETE: &str = "pending_check_complete";
/// Server → client: between two positions the mailbox has nothing any more.
pub const MAILBOX_GAP: &str = "mailbox_gap";
/// Server → client: whether the position that [`GET_PENDING`] named is one of this mailbox, and from
/// where is read.
pub const POSITION_CHECKED: &str = "position_checked";
/// Server → client: the application took the message that `ref` names.
pub const ACCEPTED: &str = "accepted";
/// Server → client: something failed; `ref` names the message it is about, if any.
pub const ERROR: &str = "error";

/// Server → client: a stream begins, or begins again.
pub const MESSAGE_START: &str = "message_start";
/// Server → client: a piece of stream text.
pub const MESSAGE_DELTA: &str = "message_delta";
/// Server → client: what a client has of a stream is not, or no more, what there is.
pub const MESSAGE_LOST: &str = "message_lost";

/// Client → server, the heartbeat.
pub const PING: &str = "ping";
/// Client → server: send what waits after a position.
pub const GET_PENDING: &str = "get_pending";
/// Client → server: everything up to `seq` is handled on this device.
pub const ACK: &str = "ack";
/// Client → server: a fresh token for the same user.
pub const AUTHENTICATE: &str = "authenticate";
/// Client → server: a stream shall stop.
pub const MESSAGE_STOP: &str = "message_stop";

/// The reference chat's answer; also what its client sends to ask.
pub const MESSAGE_GENERATE: &str = "message_generate";
/// The reference chat's answer, generated anew; also what its client sends to ask for that.
pub const MESSAGE_REGENERATE: &str = "message_regenerate";
/// The person's own message, for their other tabs and devices.
pub const MESSAGE_CREATED: &str = "message_created";

/// Frames that the server alone may originate.
pub const SERVER_CONTROL: [&str; 10] = [
    CONNECTION_ESTABLISHED,
    PONG,
    PENDING_CHECK_COMPLETE,
    MAILBOX_GAP,
    POSITION_CHECKED,
    ACCEPTED,
    ERROR,
    MESSAGE_START,
    MESSAGE_DELTA,
    MESSAGE_LOST,
];
/// Frames that the client alone may originate.
pub const CLIENT_CONTROL: [&str; 5] = [PING, GET_PENDING, ACK, AUTHENTICATE, MESSAGE_STOP];
/// The reference chat's vocabulary: ordinary application types that a first user meets at once.
pub const CHAT: [&str; 3] = [MESSAGE_GENERATE, MESSAGE_REGENERATE, MESSAGE_CREATED];

/// Whether the protocol keeps this name for itself, so that no application may publish or send it.
///
/// ```
/// use tetherline_protocol::message_type::is_reserved;
/// assert!(is_reserved("pong"));
/// assert!(!is_reserved("message_generate"));
/// ```
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    SERVER_CONTROL.contains(&name) || CLIENT_CONTROL.contains(&name)
}

/// Whether a text can be a `type` at all: 1–64 of `A–Z a–z 0–9 _ - . : /`.
#[must_use]
pub fn is_well_formed(name: &str) -> bool {
    (1..=crate::limits::TYPE_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'/')
        })
}
