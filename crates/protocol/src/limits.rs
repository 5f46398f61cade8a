//! Every limit of the wire, with its unit in its name and its default.
//!
//! Constants are part of the protocol and the same everywhere. [`Limits`] holds what an operator
//! may change and the server announces in `connection_established`.

/// Longest user id, in bytes of UTF-8.
pub const USER_ID_BYTES_MAX: usize = 255;
/// Longest device or message id, in bytes.
pub const ID_BYTES_MAX: usize = 128;
/// Longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Items of one request that publishes many.
pub const PUBLISH_ITEMS_MAX: usize = 1_000;
/// Users of one such item.
pub const PUBLISH_USERS_MAX: usize = 1_000;
/// Largest request that publishes many, in bytes, or as large as its largest message has to be.
pub const PUBLISH_REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What one such request may put into mailboxes, in bytes: each message once for each of its users.
pub const PUBLISH_KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a message counts there besides its own bytes.
pub const PUBLISH_KEPT_BYTES_EACH: usize = 1_024;
/// Longest `type`, in bytes.
pub const TYPE_BYTES_MAX: usize = 64;
/// How deep arrays and objects may nest in a message, the message's own object included.
pub const NESTING_MAX: usize = 64;
/// Largest answer of an application to a send, in bytes of JSON.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Largest piece in which a session reads its mailbox, in bytes; one larger message goes alone.
pub const REPLAY_PIECE_BYTES_MAX: usize = 16 * 1024;
/// Frames that a client may get wrong before the connection is closed with 1008.
pub const BAD_FRAMES_MAX: u32 = 16;
/// So many good frames make up for a bad one.
pub const GOOD_FRAMES_PER_BAD: u32 = 64;
/// Tokens that a connection may offer in vain before it is closed with 1008. A good one makes up for a
/// bad one, and what cannot be decided just now does not count.
pub const TOKENS_REFUSED_MAX: u32 = 8;
/// How long a client waits for `connection_established`, token and TCP included, in ms.
pub const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// How long a client waits for the application's token callback, in ms.
pub const TOKEN_TIMEOUT_MS: u64 = 10_000;
/// How far the clocks of whoever signs tokens and of the server may be apart, in ms.
pub const TOKEN_LEEWAY_MS: u64 = 10_000;
/// How long a client waits for anything at all after its ping, in ms.
pub const PONG_TIMEOUT_MS: u64 = 10_000;
/// The same, when the operating system has just said that the network went away, in ms.
pub const SUSPECT_TIMEOUT_MS: u64 = 2_000;
/// Longest first reconnect delay, in ms; it doubles with every attempt.
pub const BACKOFF_BASE_MS: u64 = 500;
/// Longest reconnect delay, in ms. Below it every delay is drawn evenly from the whole range.
pub const BACKOFF_CAP_MS: u64 = 30_000;
/// Longest first delay after a fresh token was refused, in ms; it doubles with every refusal.
pub const REFUSED_BACKOFF_BASE_MS: u64 = 1_000;
/// Longest delay between two tokens that are refused, in ms.
pub const REFUSED_BACKOFF_CAP_MS: u64 = 5 * 60 * 1_000;
/// Longest `Retry-After` that a client keeps to, in ms: whoever says more is asked after an hour.
pub const RETRY_AFTER_MS_MAX: u64 = 60 * 60 * 1_000;
/// How much a client reads of an answer without an upgrade, in bytes. Ours are shorter by far.
pub const PROBE_ANSWER_BYTES_MAX: usize = 16 * 1024;
/// A connection that lived this long has earned a fresh backoff, in ms.
pub const STABLE_AFTER_MS: u64 = 10_000;
/// How long a client gathers acknowledgements before it sends one, in ms.
pub const ACK_DELAY_MS: u64 = 100;
/// How many handled messages make a client acknowledge without waiting.
pub const ACK_EVERY_MESSAGES: u64 = 64;
/// A handler that has not settled for this long counts as done, and is reported, in ms.
pub const HANDLER_TIMEOUT_MS: u64 = 30_000;
/// After the first connect, messages without a handler wait this long for one, in ms.
pub const UNHANDLED_GRACE_MS: u64 = 10_000;
/// How many messages wait so.
pub const UNHANDLED_MESSAGES_MAX: usize = 1_024;
/// How many bytes (UTF-16 units in the browser) wait so.
pub const UNHANDLED_BYTES_MAX: usize = 1024 * 1024;
/// How many messages of held types wait for their handler before a page reads no further.
pub const HELD_MESSAGES_MAX: usize = 1_024;
/// How many bytes of them (UTF-16 units in the browser); the message that reaches it still fits.
pub const HELD_BYTES_MAX: usize = 1024 * 1024;
/// How many sends a client keeps until they settle.
pub const OUTBOX_MESSAGES_MAX: usize = 1_000;
/// How many bytes of sends a client keeps (UTF-16 units in the browser).
pub const OUTBOX_BYTES_MAX: usize = 1024 * 1024;
/// How long a send waits to be settled, if its sender says nothing else, in ms: one day.
pub const OUTBOX_TTL_MS: u64 = 24 * 60 * 60 * 1_000;
/// The longest that a sender may ask for, in ms: three days.
pub const OUTBOX_TTL_MS_MAX: u64 = 3 * OUTBOX_TTL_MS;

/// How long a tab waits for the one that leads to answer, before it takes the lead, in ms.
pub const ELECTION_TIMEOUT_MS: u64 = 3_000;
/// How often a tab without a connection asks whether the one that leads is still there, in ms.
pub const LEADER_CHECK_MS: u64 = 10_000;
/// How long a visible tab lets a hidden one lead, in ms: switching to and fro moves nothing.
pub const TAKEOVER_AFTER_MS: u64 = 5_000;
/// How long a hand-over between tabs may take before they show that the connection is lost, in ms.
pub const HANDOVER_GRACE_MS: u64 = 3_000;

/// How often a connection shows what a stream has gained, in ms. Its first text goes out at once.
pub const STREAM_INTERVAL_MS: u64 = 40;
/// How long text may wait for other text to share a commit with, in ms.
pub const STREAM_COMMIT_MS_MAX: u64 = 20;
/// Largest piece of text in one `message_delta`, in bytes.
pub const STREAM_PIECE_BYTES_MAX: usize = 16 * 1024;
/// Largest set of fields that an answer is opened with, in bytes; the same at its end.
pub const STREAM_FIELDS_BYTES_MAX: usize = 16 * 1024;
/// Open and finished streams that a client remembers, and names in `get_pending`.
pub const STREAMS_KNOWN_MAX: usize = 64;
/// Stops of one user that came before the answer they are about, and wait for it.
pub const STREAM_STOPS_MAX: usize = 64;

/// What an operator may set. Announced to clients, so that both ends agree.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
#[non_exhaustive]
pub struct Limits {
    /// Largest message from a client, in bytes, fragments added up.
    pub message_bytes_max: usize,
    /// Largest message from a publisher, in bytes.
    pub publish_bytes_max: usize,
    /// Messages on their way to an acknowledging client, sent and not yet acknowledged.
    pub in_flight_messages_max: usize,
    /// The same in bytes. One message is always let through, whatever its size.
    pub in_flight_bytes_max: usize,
    /// Devices of one user whose cursors are kept.
    pub devices_max: usize,
    /// A device unused for this long gives its place to a new one, in ms.
    pub device_retention_ms: u64,
    /// Connections of one user at a time.
    pub connections_per_user_max: usize,
    /// Connections of one server at a time.
    pub connections_max: usize,
    /// Sends of one connection that wait for the application.
    pub sends_waiting_max: usize,
    /// How often a client pings, in ms.
    pub heartbeat_interval_ms: u64,
    /// Silence after which the server closes with 4408, in ms.
    pub idle_timeout_ms: u64,
    /// A reader that takes nothing for this long is closed with 4413, in ms.
    pub stuck_timeout_ms: u64,
    /// How long the server recognises a send or publish by its id or key, in ms.
    pub dedupe_window_ms: u64,
    /// How long a message is kept, in ms. 0: for ever.
    pub retention_age_ms: u64,
    /// How many of a user's newest messages are kept. 0: all.
    pub retention_messages_max: u64,
    /// Live-only messages of one user that wait for a slow connection; then the oldest is dropped.
    pub live_messages_max: usize,
    /// The same in bytes. The newest always waits, whatever its size.
    pub live_bytes_max: usize,
    /// Longest text of a streamed answer, in bytes.
    pub stream_bytes_max: usize,
    /// Streams of one user at a time.
    pub streams_per_user_max: usize,
    /// All streams of one server together, in bytes.
    pub streams_bytes_max: usize,
    /// An answer whose writer says nothing for this long is ended as interrupted, in ms.
    pub stream_idle_ms: u64,
    /// After a stop the writer has this long to end the answer, then the server does, in ms.
    pub stream_stop_grace_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 64 * 1024,
            publish_bytes_max: 1024 * 1024,
            in_flight_messages_max: 1_024,
            in_flight_bytes_max: 1024 * 1024,
            devices_max: 32,
            device_retention_ms: 30 * 24 * 60 * 60 * 1_000,
            connections_per_user_max: 64,
            connections_max: 100_000,
            sends_waiting_max: 32,
            heartbeat_interval_ms: 30_000,
            idle_timeout_ms: 90_000,
            stuck_timeout_ms: 30_000,
            dedupe_window_ms: 7 * 24 * 60 * 60 * 1_000,
            retention_age_ms: 30 * 24 * 60 * 60 * 1_000,
            retention_messages_max: 10_000,
            live_messages_max: 256,
            live_bytes_max: 256 * 1024,
            stream_bytes_max: 1024 * 1024,
            streams_per_user_max: 16,
            streams_bytes_max: 256 * 1024 * 1024,
            stream_idle_ms: 5 * 60 * 1_000,
            stream_stop_grace_ms: 10_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_recognises_a_send_for_longer_than_any_client_repeats_it() {
        assert!(Limits::default().dedupe_window_ms >= 2 * OUTBOX_TTL_MS_MAX);
    }

    #[test]
    fn a_hidden_tab_that_pings_once_a_minute_is_not_taken_for_dead() {
        assert!(Limits::default().idle_timeout_ms > 60_000 + PONG_TIMEOUT_MS);
    }

    #[test]
    fn a_client_acknowledges_well_before_the_server_stops_for_it() {
        assert!((ACK_EVERY_MESSAGES as usize) * 4 <= Limits::default().in_flight_messages_max);
    }
}
