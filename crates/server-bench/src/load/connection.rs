//! A subscriber's WebSocket. An idle one has no buffer: ten thousand of them share one core with the
//! publishers.

use std::{
    cell::RefCell,
    io::{Error, ErrorKind, Result},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use super::{
    dialect::{Dialect, Step},
    ledger::Ledger,
    wire::{self, Outbox, each_frame},
};

const READ_BYTES: usize = 64 * 1024;
/// So many connections leave one address's ports some room.
const CONNECTIONS_PER_ADDRESS: u32 = 12_000;

thread_local!(static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]));

/// What all connections share.
pub(super) struct Subscribing {
    pub(super) server: SocketAddr,
    pub(super) dialect: Arc<dyn Dialect>,
    pub(super) ledger: Arc<Ledger>,
}

pub(super) struct Connection {
    stream: TcpStream,
    user: u32,
    /// The beginning of a frame whose end has not come.
    cut: Vec<u8>,
    outbox: Outbox,
}

impl Connection {
    /// Connects and subscribes; returns when what is published from now on arrives.
    pub(super) async fn open(shared: &Subscribing, user: u32) -> Result<Self> {
        let mut stream = dial(shared.server, user / CONNECTIONS_PER_ADDRESS).await?;
        let upgrade = shared.dialect.upgrade(user);
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{}\r\n",
            upgrade.path, upgrade.headers
        );
        stream.write_all(request.as_bytes()).await?;
        let first = upgraded(&mut stream).await?;
        let mut connection = Self { stream, user, cut: Vec::new(), outbox: Outbox::default() };
        let mut is_live = shared.dialect.opened(user, &mut connection.outbox) == Step::Live;
        is_live |= connection.take(shared, &first)?;
        connection.send().await?;
        while !is_live {
            is_live = connection.read(shared).await?;
        }
        Ok(connection)
    }

    /// Reads until the server ends it; the reason is the error.
    pub(super) async fn pump(mut self, shared: &Subscribing) -> Error {
        loop {
            if let Err(error) = self.read(shared).await {
                return error;
            }
        }
    }

    /// Takes what has come and answers it; true once the subscription is live.
    async fn read(&mut self, shared: &Subscribing) -> Result<bool> {
        loop {
            self.stream.readable().await?;
            let read = READ.with_borrow_mut(|buffer| match self.stream.try_read(buffer) {
                Ok(0) => Err(Error::new(ErrorKind::UnexpectedEof, "closed")),
                Ok(length) => self.take(shared, &buffer[..length]),
                Err(error) => Err(error),
            });
            match read {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
                Ok(is_live) => {
                    self.send().await?;
                    return Ok(is_live);
                }
            }
        }
    }

    fn take(&mut self, shared: &Subscribing, bytes: &[u8]) -> Result<bool> {
        let Self { user, cut, outbox, .. } = self;
        let (mut is_live, mut end) = (false, None);
        let take = |opcode, frame: &[u8]| match opcode {
            wire::PING => outbox.frame(wire::PONG, frame),
            wire::CLOSE => end = Some(words(frame.get(2..).unwrap_or_default())),
            wire::PONG => {}
            _ => {
                shared.ledger.received(*user, frame);
                match shared.dialect.frame(*user, frame, outbox) {
                    Step::Live => is_live = true,
                    Step::Refused => end = Some(words(frame)),
                    Step::Going => {}
                }
            }
        };
        if cut.is_empty() {
            let used = each_frame(bytes, take);
            cut.extend_from_slice(&bytes[used..]);
        } else {
            cut.extend_from_slice(bytes);
            let used = each_frame(cut, take);
            cut.drain(..used);
        }
        if cut.is_empty() {
            *cut = Vec::new();
        }
        end.map_or(Ok(is_live), |words| Err(invalid(words)))
    }

    async fn send(&mut self) -> Result<()> {
        let bytes = self.outbox.take();
        if bytes.is_empty() { Ok(()) } else { self.stream.write_all(&bytes).await }
    }
}

/// Reads the answer to an upgrade, and returns what came behind it.
async fn upgraded(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut answer = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(invalid("closed while upgrading".to_owned()));
        }
        if let Some(end) = memmem::find(&answer, b"\r\n\r\n") {
            let first = answer.split_off(end + 4);
            // What the key above has to be answered with.
            let accepts = memmem::find(&answer, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=").is_some();
            if answer.starts_with(b"HTTP/1.1 101 ") && accepts {
                return Ok(first);
            }
            return Err(invalid(words(&answer)));
        }
    }
}

/// Connects, from one of several addresses of this machine.
pub(super) async fn dial(server: SocketAddr, from: u32) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if from > 0 {
        socket.bind((Ipv4Addr::new(127, 0, 0, 1 + from as u8), 0).into())?;
    }
    let stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(super) fn invalid(words: String) -> Error {
    Error::new(ErrorKind::InvalidData, words)
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}
