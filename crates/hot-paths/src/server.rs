//! The real server, on a thread of its own.

use std::{net::SocketAddr, thread, time::Duration};

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use tetherline_server::{
    ApiKey, Config, JwtKeys, Server, issue_token, listen, serve, store::SqliteStore,
};
use tokio::runtime;

use crate::wire::{Http, Socket};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const API_KEY: &str = "an-api-key-of-some-length";

pub(crate) struct RunningServer {
    address: SocketAddr,
    _folder: TempDir,
}

impl RunningServer {
    /// On one thread, as far as it is asynchronous: which of several takes a task is chance.
    pub(crate) fn open() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut config = Config::new(JwtKeys::from_secret(SECRET)?);
        config.api_key = Some(ApiKey::new(API_KEY)?);
        let store = SqliteStore::open(&folder.path().join("mailbox.db"))?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let listener = listen("127.0.0.1:0".parse()?)?;
        let address = listener.local_addr()?;
        let router = Server::open(config, store).router();
        drop(entered);
        thread::spawn(move || {
            runtime.block_on(serve(listener, router, std::future::pending())).expect("it serves");
        });
        Ok(Self { address, _folder: folder })
    }

    pub(crate) fn http(&self) -> Result<Http> {
        Http::connect(self.address)
    }

    /// A connection of a device, as the engine opens it, up to `connection_established`.
    pub(crate) fn connect(&self, upgrade: &[u8]) -> Result<Socket> {
        let mut socket = Socket::open(self.address, upgrade)?;
        socket.expect("connection_established")?;
        Ok(socket)
    }
}

/// The id of user number so-and-so.
pub(crate) fn user(number: u32) -> String {
    format!("user-{number}")
}

/// The request that opens a connection of `user`'s only device.
pub(crate) fn upgrade(user: &str) -> Result<Vec<u8>> {
    let keys = JwtKeys::from_secret(SECRET)?;
    let token = issue_token(&keys, &user.parse()?, None, Duration::from_hours(1));
    let head = format!(
        "GET /ws/user/{user}?device=device-1 HTTP/1.1\r\nHost: tetherline\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: tetherline.v1, bearer.{token}\r\n\r\n"
    );
    Ok(head.into_bytes())
}

/// A request of the application's. `more` are further header lines.
pub(crate) fn post(path: &str, more: &str, body: &str) -> Vec<u8> {
    let bytes = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: tetherline\r\nAuthorization: Bearer {API_KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {bytes}\r\n{more}\r\n{body}"
    )
    .into_bytes()
}

/// The head of a request whose lines come one by one.
pub(crate) fn post_lines(path: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: tetherline\r\nAuthorization: Bearer {API_KEY}\r\n\
         Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes()
}

/// A chat's message of 256 bytes.
pub(crate) fn message() -> String {
    let text = "So it was said, and so it shall be delivered. ".repeat(5);
    let mut message = format!(r#"{{"type":"chat","text":"{text}"#);
    message.truncate(254);
    message + r#""}"#
}

/// Says which request failed, and how.
pub(crate) fn succeed(http: &mut Http, request: &[u8]) -> Result<()> {
    let status = http.request(request)?;
    anyhow::ensure!((200..300).contains(&status), "answered {status}: {}", http.body());
    Ok(())
}

/// `name` in an answer of the server's; none of ours has an escaped character.
pub(crate) fn field<'a>(body: &'a str, name: &str) -> Result<&'a str> {
    let (_, after) = body.split_once(&format!("\"{name}\":\"")).context("the field is there")?;
    let (value, _) = after.split_once('"').context("the field ends")?;
    Ok(value)
}
