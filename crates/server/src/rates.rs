//! How often things may happen: every rate has a name, a unit and a default that no well-behaved application meets.

mod bucket;
mod limit;
mod meters;
mod occupancy;
mod publishing;
mod rate;

use std::time::Duration;

pub(crate) use bucket::Bucket;
pub use limit::{RATE_KEYS_MAX, RateLimit};
pub(crate) use meters::{ConnectionRates, Meters, TooFast};
pub(crate) use occupancy::{Occupancy, Occupied};
pub(crate) use publishing::Amount;
pub use rate::{InvalidRate, Rate};

/// Sends of a connection that are refused for now at once; beyond that it is not listened to for a while.
pub const REFUSALS_MAX: u32 = 8_192;
/// So many more in every second after that: while an application is away, whole outboxes come again twice a second.
pub const REFUSALS_PER_SECOND: u32 = 8_192;
/// So often a connection may say too much at once before it is closed with 4429; each time it is not listened to for
/// a while.
pub const HOLDS_MAX: u32 = 8;
/// So often more in every minute after that.
pub const HOLDS_PER_MINUTE: u32 = 1;
/// Answers that describe the API, of 50 kB each, which one [`Network`](crate::Network) gets at once without any key.
pub const DESCRIPTIONS_AT_ONCE: u32 = 100;
/// So many more in every second after that.
pub const DESCRIPTIONS_PER_SECOND: u32 = 5;
/// When a send may come again, at the earliest, that was refused for its rate: nobody has to repeat a whole outbox
/// sooner than this.
pub const SEND_RETRY_MIN: Duration = Duration::from_secs(1);

/// What is allowed how often. `None`: as often as anybody likes.
///
/// Bytes and counts are limited alike: a message counts for one of the first, and for its length of the second.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rates {
    /// TCP connections from one [`Network`](crate::Network), by the peer's own address, unless it is a trusted proxy's. One
    /// more is cut at once. It counts where the server itself listens ([`Server::serve`](crate::Server::serve)).
    pub accepts_per_address: Option<Rate>,
    /// Attempts to connect from one [`Network`](crate::Network), whatever becomes of them, and its requests with a wrong
    /// key. One more is refused with 429.
    pub attempts_per_address: Option<Rate>,
    /// Connections that one user opens. One more is refused with 429.
    pub connects_per_user: Option<Rate>,
    /// Connections that are opened to one server. One more is refused with 503.
    pub connects_per_server: Option<Rate>,
    /// Messages that are published over HTTP with one key: one for each of its users, and one for a stream. One more is
    /// refused with 429.
    pub publishes_per_key: Option<Rate>,
    /// The same in bytes, with the text of streams that comes in pieces.
    pub publish_bytes_per_key: Option<Rate>,
    /// Messages that are published over HTTP from one [`Network`](crate::Network).
    pub publishes_per_address: Option<Rate>,
    /// The same in bytes.
    pub publish_bytes_per_address: Option<Rate>,
    /// Messages that are published over HTTP to one server.
    pub publishes_per_server: Option<Rate>,
    /// The same in bytes.
    pub publish_bytes_per_server: Option<Rate>,
    /// Sends and stops of one connection. One more is refused with `rate_limited`, and comes again.
    pub sends_per_connection: Option<Rate>,
    /// Sends of one connection, in bytes.
    pub send_bytes_per_connection: Option<Rate>,
    /// Sends and stops of one user, on all connections.
    pub sends_per_user: Option<Rate>,
    /// Sends of one user, in bytes.
    pub send_bytes_per_user: Option<Rate>,
    /// Everything else that a client says on one connection: pings, questions, tokens, and acknowledgements of what is
    /// acknowledged already. Whoever says more is not listened to for a while.
    pub controls_per_connection: Option<Rate>,
    /// The same for one user, on all connections.
    pub controls_per_user: Option<Rate>,
    /// What one connection is sent because it asked (`get_pending`), in bytes. More of it comes later.
    pub replay_bytes_per_connection: Option<Rate>,
    /// The same for one user, on all connections.
    pub replay_bytes_per_user: Option<Rate>,
}

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;

impl Default for Rates {
    fn default() -> Self {
        Self {
            // A proxy that nobody named may open a connection for each request that it hands on.
            accepts_per_address: Some(Rate::per_second(10_000).at_once(20_000)),
            // Ten thousand devices behind one address come back at once, and ask why they could not before.
            attempts_per_address: Some(Rate::per_second(1_000).at_once(20_000)),
            connects_per_user: Some(Rate::per_second(10).at_once(1_000)),
            connects_per_server: Some(Rate::per_second(10_000).at_once(200_000)),
            // Whoever has a key is the application itself, which may be as fast as its server can.
            publishes_per_key: None,
            publish_bytes_per_key: None,
            publishes_per_address: None,
            publish_bytes_per_address: None,
            publishes_per_server: None,
            publish_bytes_per_server: None,
            // A whole outbox at once, and one of another tab.
            sends_per_connection: Some(Rate::per_second(50).at_once(2_000)),
            send_bytes_per_connection: Some(Rate::per_second(256 * KIB).at_once(4 * MIB)),
            sends_per_user: Some(Rate::per_second(50).at_once(10_000)),
            send_bytes_per_user: Some(Rate::per_second(512 * KIB).at_once(16 * MIB)),
            controls_per_connection: Some(Rate::per_second(100).at_once(5_000)),
            controls_per_user: Some(Rate::per_second(1_000).at_once(50_000)),
            replay_bytes_per_connection: Some(Rate::per_second(MIB).at_once(64 * MIB)),
            replay_bytes_per_user: Some(Rate::per_second(4 * MIB).at_once(256 * MIB)),
        }
    }
}
