mod contradiction;

use std::time::Duration;

use tetherline_protocol::Limits;

use crate::{
    ApiKey, ApiKeys, DRAIN_WINDOW, Drain, Origin, Proxies, REQUEST_BODIES_BYTES_MAX, Rates,
    SENDS_BYTES_MAX, SENDS_BYTES_PER_USER_MAX, SPACE_BYTES_MIN, TokenRules,
};

/// What became of so many of a user's sends is kept. A send that is repeated after so many later ones counts as new.
pub const OUTCOMES_PER_USER_MAX: u64 = 250_000;
/// The same in bytes.
pub const OUTCOME_BYTES_PER_USER_MAX: u64 = 64 * 1024 * 1024;
/// Connections from one network at a time: more than a proxy can have open to one port with the ports that Linux
/// gives it.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 32_768;

pub use contradiction::Contradiction;

/// How a server is set up. Everything secret comes from the caller; nothing has a default key.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which tokens count. [`JwtKeys`](crate::JwtKeys) are such rules, too.
    pub jwt: TokenRules,
    /// What a publisher may show over HTTP: a key for everything and everybody. Without any key, publishing over HTTP
    /// is off.
    pub api_key: Option<ApiKey>,
    /// Keys with names, each for some things only.
    pub api_keys: ApiKeys,
    /// The pages that may connect, the embedding application's own included.
    pub allowed_origins: Vec<Origin>,
    /// Whether `?token=` is taken as a credential. It ends up in other people's logs.
    pub allow_query_token: bool,
    /// All requests that have not come to their end together, in bytes. Over it, 503.
    pub request_bodies_bytes_max: usize,
    /// How whoever is connected is sent away when the server ends.
    pub drain: Drain,
    /// Over how long they come back; with [`Drain::OneByOne`], over how long they are sent away.
    pub drain_window: Duration,
    /// One user's sends that wait for the application or are with it, in bytes. What is more comes again.
    pub sends_bytes_per_user_max: usize,
    /// The same of everybody together.
    pub sends_bytes_max: usize,
    /// What is announced to every client.
    pub limits: Limits,
    /// The proxies that are believed when they say whom they serve.
    pub proxies: Proxies,
    /// Connections from one [`Network`](crate::Network) at a time; one more is refused with 429.
    pub connections_per_address_max: usize,
    /// What became of so many of a user's sends is kept, the newest; see `dedupe_window_ms` of [`Limits`], too.
    pub outcomes_per_user_max: u64,
    /// The same in bytes: their ids, what was answered, and why they were refused.
    pub outcome_bytes_per_user_max: u64,
    /// A server with less left on the disk of its store, in bytes, is not ready; 0 for whatever is left.
    pub space_bytes_min: u64,
    /// What is allowed how often.
    pub rates: Rates,
}

impl Config {
    /// Tokens that `jwt` takes, everything else off or at its default.
    #[must_use]
    pub fn new(jwt: impl Into<TokenRules>) -> Self {
        Self {
            jwt: jwt.into(),
            api_key: None,
            api_keys: ApiKeys::default(),
            allowed_origins: Vec::new(),
            allow_query_token: false,
            request_bodies_bytes_max: REQUEST_BODIES_BYTES_MAX,
            drain: Drain::default(),
            drain_window: DRAIN_WINDOW,
            sends_bytes_per_user_max: SENDS_BYTES_PER_USER_MAX,
            sends_bytes_max: SENDS_BYTES_MAX,
            limits: Limits::default(),
            proxies: Proxies::default(),
            outcomes_per_user_max: OUTCOMES_PER_USER_MAX,
            outcome_bytes_per_user_max: OUTCOME_BYTES_PER_USER_MAX,
            connections_per_address_max: CONNECTIONS_PER_ADDRESS_MAX,
            space_bytes_min: SPACE_BYTES_MIN,
            rates: Rates::default(),
        }
    }

    /// Whether the limits can hold together. A server that is opened with others says so in its log, and keeps to
    /// them all the same; `tetherline serve` does not start.
    ///
    /// ```
    /// # use tetherline_server::{Config, JwtKeys};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut config = Config::new(JwtKeys::from_secret(&[7; 32])?);
    /// config.check()?;
    /// config.limits.idle_timeout_ms = config.limits.heartbeat_interval_ms;
    /// let contradiction = config.check().unwrap_err().to_string();
    /// assert!(contradiction.starts_with("idle_timeout_ms is 30000"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn check(&self) -> Result<(), Contradiction> {
        contradiction::of(self)
    }
}
