//! A connection on which anything may be said.

use std::io;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::support::{PATIENCE, Server};

pub(crate) const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
pub(crate) const UPGRADE: &str =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";

pub(crate) struct Raw(pub(crate) TcpStream);

/// How a request was answered: the head in lower case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn error(&self) -> Value {
        serde_json::from_str::<Value>(&self.body).unwrap()["error"].clone()
    }

    /// Without what is different each time.
    pub(crate) fn at_any_time(mut self) -> Self {
        let is_of_now =
            |line: &&str| line.starts_with("date:") || line.starts_with("x-request-id:");
        self.head = self.head.lines().filter(|line| !is_of_now(line)).collect();
        self
    }
}

/// What a server says on a WebSocket.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    Frame(Value),
    Pong(Vec<u8>),
    Closed(u16, String),
}

impl Raw {
    pub(crate) async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Somebody for whom the system keeps next to nothing.
    pub(crate) async fn connect_narrow(server: &Server) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let address = server.url.trim_start_matches("http://").parse().unwrap();
        Self(socket.connect(address).await.unwrap())
    }

    /// Sends a request on a connection of its own, and takes the answer.
    pub(crate) async fn ask(server: &Server, request: &str) -> Answer {
        let mut raw = Self::connect(server).await;
        raw.say(request).await.unwrap();
        raw.answer().await
    }

    /// Becomes a WebSocket of a user's, up to its first frame.
    pub(crate) async fn upgrade(&mut self, user: &str, token: &str) -> Value {
        let protocol = "Sec-WebSocket-Protocol: tetherline.v1\r\n";
        let request = format!(
            "GET /ws/user/{user}?device=raw HTTP/1.1\r\nHost: h\r\n{UPGRADE}{KEY}{protocol}\
             Tetherline-Token: {token}\r\n\r\n"
        );
        self.say(&request).await.unwrap();
        let answer = self.answer().await;
        assert_eq!(answer.status, 101, "{answer:?}");
        let Said::Frame(first) = self.next().await else { panic!("a frame comes first") };
        assert_eq!(first["type"], "connection_established");
        first
    }

    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        timeout(PATIENCE, self.0.write_all(bytes.as_ref())).await.expect("it is taken in time")
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        timeout(PATIENCE, self.read_answer()).await.expect("an answer in time").unwrap()
    }

    async fn read_answer(&mut self) -> io::Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).await?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok(Answer { status, head, body: String::from_utf8(body).unwrap() })
    }

    /// The next frame, however it was cut.
    pub(crate) async fn next(&mut self) -> Said {
        timeout(PATIENCE, self.read_frame()).await.expect("a frame in time").unwrap()
    }

    async fn read_frame(&mut self) -> io::Result<Said> {
        loop {
            let first = self.0.read_u8().await?;
            let length = match self.0.read_u8().await? {
                126 => self.0.read_u16().await?.into(),
                127 => self.0.read_u64().await?,
                short => short.into(),
            };
            let mut payload = vec![0; length.try_into().unwrap()];
            self.0.read_exact(&mut payload).await?;
            match first {
                0x81 => return Ok(Said::Frame(serde_json::from_slice(&payload).unwrap())),
                0x8a => return Ok(Said::Pong(payload)),
                0x88 => {
                    let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    let reason = String::from_utf8(payload.split_off(2)).unwrap();
                    return Ok(Said::Closed(code, reason));
                }
                0x89 => {}
                other => panic!("{other:x} begins no frame of a server"),
            }
        }
    }

    /// The code of the close, whatever comes before it.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Said::Closed(code, _) = self.next().await {
                return code;
            }
        }
    }

    /// Waits until nobody is there any more: reset, or at its end.
    pub(crate) async fn gone(&mut self) {
        let gone =
            async { while self.0.read(&mut [0; 4096]).await.is_ok_and(|bytes| bytes > 0) {} };
        timeout(PATIENCE, gone).await.expect("an end in time");
    }
}

/// A client's frame, masked, with its length in the shortest form.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    const MASK: [u8; 4] = [7, 0, 255, 130];
    let payload = payload.as_ref();
    let mut bytes = header(first, payload.len() as u64);
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// What comes before the mask.
pub(crate) fn header(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(0x80 | length as u8),
        126..65_536 => {
            bytes.push(0xfe);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0xff);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes
}

pub(crate) fn text(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(0x81, payload)
}
