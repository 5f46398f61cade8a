//! How each server is spoken to: subscribing as a user, and publishing to one.

mod mqtt;
mod path;
mod socketio;
mod tetherline;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use super::{ledger::Mark, wire::Outbox};

pub(super) use mqtt::connect as mqtt_connect;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// `/ws/user/{user}` and `POST /publish/{user}`, as bare, plain, nchan and `ws` have it here.
    Path,
    /// Socket.IO 4 over its WebSocket transport.
    SocketIo,
    /// MQTT 3.1.1 over WebSocket; published over TCP, to the next port.
    Mqtt,
    Tetherline,
}

/// What a dialect has to know beyond the address.
#[derive(Debug, Clone, Args)]
pub(crate) struct Manners {
    #[arg(long, value_enum)]
    pub(crate) dialect: Kind,
    /// Tetherline: a folder with `api.key` and `jwt.secret`.
    #[arg(long)]
    pub(crate) secrets: Option<PathBuf>,
    /// Tetherline: acknowledge every so many messages of a user; its own client does every 64th.
    #[arg(long, default_value_t = 64)]
    pub(crate) ack_every: u32,
    /// Every publish has an idempotency key of its own.
    #[arg(long)]
    pub(crate) keyed: bool,
    /// Tetherline: publish live-only messages.
    #[arg(long)]
    pub(crate) live_only: bool,
}

/// The request with which a connection begins.
#[derive(Debug)]
pub(super) struct Upgrade {
    pub(super) path: String,
    /// Lines, each with its end.
    pub(super) headers: String,
}

/// What a frame meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Going,
    /// From here on what is published arrives.
    Live,
    Refused,
}

/// One message to publish.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) mark: Mark,
    pub(super) payload: String,
}

impl Message {
    fn key(&self) -> String {
        format!("{:x}-{:x}", self.mark.publisher, self.mark.number)
    }
}

/// What carries publishes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Medium {
    Http,
    Mqtt,
}

pub(super) trait Dialect: Send + Sync {
    fn upgrade(&self, user: u32) -> Upgrade;

    /// Once, after the upgrade.
    fn opened(&self, _user: u32, _outbox: &mut Outbox) -> Step {
        Step::Live
    }

    /// For every text or binary frame, also when messages come: acknowledgements and the like.
    fn frame(&self, _user: u32, _frame: &[u8], _outbox: &mut Outbox) -> Step {
        Step::Going
    }

    /// Appends one whole request.
    fn publish(&self, message: &Message, request: &mut Vec<u8>);

    /// Appends one whole request for all of them.
    fn publish_together(&self, _messages: &[Message], _request: &mut Vec<u8>) -> Result<()> {
        anyhow::bail!("this server takes one message a request")
    }

    fn medium(&self) -> Medium {
        Medium::Http
    }

    /// Where publishes go.
    fn publishes_to(&self, server: SocketAddr) -> SocketAddr {
        server
    }

    /// Whether the server keeps nothing for somebody who was not there once, and got something.
    fn keeps_after_a_visit_only(&self) -> bool {
        false
    }

    /// From now on whoever connects asks for what was missed.
    fn ask_for_missed(&self) {}
}

pub(super) fn of(manners: &Manners, users: u32) -> Result<Arc<dyn Dialect>> {
    Ok(match manners.dialect {
        Kind::Path => Arc::new(path::Path::new(manners.keyed)),
        Kind::SocketIo => Arc::new(socketio::SocketIo::default()),
        Kind::Mqtt => Arc::new(mqtt::Mqtt),
        Kind::Tetherline => {
            let secrets = manners.secrets.as_deref().context("Tetherline needs --secrets")?;
            Arc::new(tetherline::Tetherline::new(manners, secrets, users)?)
        }
    })
}

/// As identity providers name people.
fn user_id(user: u32) -> String {
    format!("00000000-0000-4000-8000-{user:012x}")
}

fn http_post(path: &str, headers: &str, body: &str, request: &mut Vec<u8>) {
    let length = body.len();
    request.extend_from_slice(
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        )
        .as_bytes(),
    );
}

/// What stands between two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}
