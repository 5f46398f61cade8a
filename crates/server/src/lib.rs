//! The Tetherline delivery server as a library: one durable mailbox per user, delivered over one
//! authenticated WebSocket at `/ws/user/{user}`.
//!
//! ```no_run
//! use tetherline_server::{Config, JwtKeys, Server, listen, secret_file, serve, store::SqliteStore};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = secret_file("data/jwt.secret".as_ref())?;
//! let config = Config::new(JwtKeys::from_secret(secret.as_bytes())?);
//! let server = Server::open(config, SqliteStore::open("data/mailbox.db".as_ref())?);
//! serve(listen("127.0.0.1:8080".parse()?)?, server.router(), std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```

mod alarm;
mod application;
mod chain;
mod clock;
mod config;
mod connection;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod lock;
mod metrics;
mod rates;
#[cfg(test)]
mod repeatable;
mod security;
mod server;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod store;
mod streams;
pub mod trouble;

pub use application::{
    Application, ConnectHook, ConnectRefusal, ConnectRequest, ConnectionChange, ConnectionEnd,
    ConnectionEvent, ConnectionEvents, GRANT_AGE, GRANT_AGE_MAX, Grant, Incoming, May, Refusal,
    Stop,
    reception::{SEND_CLAIM, SEND_CLAIM_RENEWAL},
};
#[cfg(any(feature = "webhook", feature = "fuzzing"))]
pub use application::{CONNECT_HOOK_REFUSAL_BYTES_MAX, CONNECT_HOOK_SESSION_BYTES_MAX};
#[cfg(feature = "webhook")]
pub use application::{
    ConnectWebhook, ConnectWebhookOptions, InvalidWebhook, WEBHOOK_ANSWER_BYTES_MAX,
    WEBHOOK_ATTEMPTS_MAX, WEBHOOK_BYTES_MAX, WEBHOOK_REQUESTS_MAX, WEBHOOK_TIMEOUT,
    WEBHOOK_TURN_TIMEOUT, Webhook, WebhookOptions,
};
#[cfg(any(feature = "jwks", feature = "webhook"))]
pub use application::{NoHttpClient, http_client};
pub use chain::chain;
pub use config::{
    CONNECTIONS_PER_ADDRESS_MAX, Config, Contradiction, OUTCOME_BYTES_PER_USER_MAX,
    OUTCOMES_PER_USER_MAX,
};
pub use connection::bulletin::{CONNECTION_EVENTS_AT_ONCE_MAX, CONNECTION_EVENTS_MAX};
pub use connection::hub::{
    DRAIN_RETURN_MIN, DRAIN_RETURNS_PER_S, Drain, TRACE_EVENTS_MAX, TRACES_MAX,
};
pub use connection::sends_room::{SENDS_BYTES_MAX, SENDS_BYTES_PER_USER_MAX};
#[cfg(feature = "echo")]
#[doc(hidden)]
pub use http::echo;
pub use http::{
    ANSWER_STUCK_TIMEOUT, BODY_PROGRESS_BYTES_MIN, BODY_PROGRESS_TIMEOUT, BodyError,
    COOKIE_BYTES_MAX, DESCRIPTORS_RESERVED, HEADER_BYTES_MAX, HEADER_READ_TIMEOUT,
    KEY_REQUEST_BYTES_MAX, LINGER_BYTES_MAX, LINGER_TIMEOUT, LINGER_UNANNOUNCED_TIMEOUT,
    LISTEN_BACKLOG, Listener, PAGE_MESSAGES_MAX, PRESENCE_BYTES_MAX, PRESENCE_USERS_MAX,
    REQUEST_BODIES_BYTES_MAX, REQUESTS_GRACE, TICKET_REQUEST_BYTES_MAX, TLS_HANDSHAKE_TIMEOUT,
    TRACE_HEARTBEAT, UNAUTHENTICATED_CONNECTIONS_MAX, UNAUTHENTICATED_IDLE_GRACE,
    UNAUTHENTICATED_REQUEST_GRACE, listen, raise_descriptors, serve,
};
pub use rates::{
    DESCRIPTIONS_AT_ONCE, DESCRIPTIONS_PER_SECOND, HOLDS_MAX, HOLDS_PER_MINUTE, InvalidRate,
    RATE_KEYS_MAX, REFUSALS_MAX, REFUSALS_PER_SECOND, Rate, RateLimit, Rates, SEND_RETRY_MIN,
};
#[cfg(feature = "webhook")]
pub use security::webhook_secret_file;
pub use security::{
    API_KEYS_BYTES_MAX, API_KEYS_LOCK_WAIT, API_KEYS_MAX, AddressRange, ApiKey, ApiKeyFile,
    ApiKeyFileError, ApiKeyName, ApiKeys, CONNECT_HOOK_RENEWALS_PER_USER_MAX,
    CONNECT_HOOK_REQUESTS_MAX, CONNECT_HOOK_TIMEOUT, CONNECT_HOOK_TIMEOUT_MAX,
    CONNECT_HOOK_WAITING_MAX, Certificates, ConnectHookOptions, InvalidAddressRange,
    InvalidApiKeyName, InvalidCertificates, InvalidJwks, InvalidKey, InvalidOrigin, InvalidRule,
    InvalidScope, InvalidUserPrefix, JWKS_BYTES_MAX, JWKS_KEYS_MAX, JwtKeys, KEYS_TRIED_MAX,
    NamedApiKey, Network, Origin, Proxies, ProxyHeader, RSA_BITS_MAX, RSA_BITS_MIN,
    SECRET_BYTES_MIN, Scope, SecretFileError, TOKEN_LEEWAY_MAX, TOKEN_LIFE_MAX, TokenRules,
    UnusableKey, UserPrefix, VerifyingKey, WeakSecret, issue_token, secret_file,
};
#[cfg(feature = "jwks")]
pub use security::{
    InvalidJwksUrl, JWKS_AGE, JWKS_AGE_MAX, JWKS_AGE_MIN, JWKS_KEPT_MAX, JWKS_RETRY_BASE,
    JWKS_RETRY_MAX, JWKS_TIMEOUT, JWKS_UNKNOWN_KID_INTERVAL, Jwks, JwksOptions, JwksTimes,
};
pub use server::{
    DRAIN_TIMEOUT, DRAIN_WINDOW, PublishError, Published, Readiness, ReloadError, SPACE_BYTES_MIN,
    STORE_ANSWER_TIMEOUT, Server, TICKET_CONNECTION_TIMEOUT, TICKET_TIMEOUT,
};
pub use store::{
    Head, Publish, SIGN_OUTS_PER_USER_MAX, SignOutError, StoreError, TICKETS_MAX,
    TICKETS_PER_KEY_MAX, TICKETS_PER_USER_MAX, backup,
};
pub use streams::{PipeError, StreamWriter};
pub use tetherline_protocol::frame::{InvalidAnswer, SendAnswer};
