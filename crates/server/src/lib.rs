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

mod application;
mod auth;
mod chain;
mod clock;
mod config;
mod driver;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod hub;
mod origin;
#[cfg(feature = "webhook")]
mod outbound;
mod reception;
mod secret;
mod serve;
mod server;
mod session;
#[cfg(feature = "simulation")]
pub mod simulation;
mod socket;
pub mod store;
mod streams;
mod to_the_end;
mod trouble;
#[cfg(feature = "webhook")]
mod webhook;

pub use application::{Application, Incoming, Refusal, Stop};
pub use auth::{ApiKey, JwtKeys, SECRET_BYTES_MIN, WeakSecret, issue_token};
pub use chain::chain;
pub use config::Config;
pub use http::{
    BODY_PROGRESS_BYTES_MIN, BODY_PROGRESS_TIMEOUT, BodyError, REQUEST_BODIES_BYTES_MAX,
};
pub use origin::{InvalidOrigin, Origin};
#[cfg(feature = "webhook")]
pub use outbound::{NoHttpClient, http_client};
#[cfg(feature = "webhook")]
pub use secret::webhook_secret_file;
pub use secret::{SecretFileError, secret_file};
pub use serve::{
    ANSWER_STUCK_TIMEOUT, HEADER_BYTES_MAX, HEADER_READ_TIMEOUT, LINGER_BYTES_MAX, LINGER_TIMEOUT,
    LINGER_UNANNOUNCED_TIMEOUT, LISTEN_BACKLOG, listen, serve,
};
pub use server::{PublishError, Published, Server};
pub use store::{Head, StoreError, backup};
pub use streams::{PipeError, StreamWriter};
pub use tetherline_protocol::frame::{InvalidAnswer, SendAnswer};
#[cfg(feature = "webhook")]
pub use webhook::{
    InvalidWebhook, WEBHOOK_ANSWER_BYTES_MAX, WEBHOOK_ATTEMPTS_MAX, WEBHOOK_BYTES_MAX,
    WEBHOOK_REQUESTS_MAX, WEBHOOK_TIMEOUT, WEBHOOK_TURN_TIMEOUT, Webhook, WebhookOptions,
};
