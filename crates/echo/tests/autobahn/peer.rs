//! A client that writes what it is told, whatever that is.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{CLOSE, Cut, End, FIN, Frame, close};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The program, ended when it is dropped.
pub(crate) struct Echo {
    child: Child,
    address: String,
}

impl Echo {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tetherline-echo"))
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ws://").unwrap().to_owned();
        Self { child, address }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One frame of the server's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
}

pub(crate) struct Peer {
    number: String,
    stream: BufReader<TcpStream>,
    unsent: Vec<u8>,
}

impl Peer {
    pub(crate) fn connect(echo: &Echo, number: &str) -> Self {
        let mut stream = TcpStream::connect(&echo.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let request = format!(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).unwrap(), 0, "{number}: {head}");
        }
        let head = head.to_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{number}: {head}");
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        assert!(!head.contains("extensions"), "compression is declined: {head}");
        Self { number: number.to_owned(), stream, unsent: Vec::new() }
    }

    pub(crate) fn write(&mut self, frame: &Frame, cut: Cut) {
        let bytes = masked(frame);
        match cut {
            Cut::Not => self.unsent.extend(bytes),
            Cut::AfterEachFrame => self.send(&bytes),
            Cut::Every(size) => bytes.chunks(size).for_each(|chunk| self.send(chunk)),
        }
    }

    /// All of a frame but its last bytes.
    pub(crate) fn write_begin(&mut self, frame: &Frame, left: usize) {
        let bytes = masked(frame);
        self.send(&bytes[..bytes.len() - left]);
    }

    pub(crate) fn flush(&mut self) {
        let unsent = std::mem::take(&mut self.unsent);
        self.send(&unsent);
    }

    /// Whoever is refused need not be heard to the end.
    fn send(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.get_mut().write_all(bytes) {
            let is_gone = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
            assert!(is_gone.contains(&error.kind()), "{}: {error}", self.number);
        }
    }

    /// The next frame, which has no mask, no reserved bit, and is whole.
    pub(crate) fn next(&mut self) -> Said {
        let [first, second] = self.bytes();
        let length = match second {
            126 => u16::from_be_bytes(self.bytes()).into(),
            127 => u64::from_be_bytes(self.bytes()),
            short => short.into(),
        };
        assert!(second < 128, "{}: masked", self.number);
        let mut payload = vec![0; length.try_into().unwrap()];
        self.stream.read_exact(&mut payload).unwrap();
        match first.checked_sub(FIN) {
            Some(crate::TEXT) => Said::Text(payload),
            Some(crate::BINARY) => Said::Binary(payload),
            Some(crate::PONG) => Said::Pong(payload),
            Some(CLOSE) => Said::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
            _ => panic!("{}: {first:x} begins no frame of a server", self.number),
        }
    }

    pub(crate) fn ends(mut self, end: End) {
        let code = match end {
            End::Ours => {
                self.write(&close(1000, b""), Cut::Not);
                self.flush();
                Some(1000)
            }
            End::Answered(code) => code,
            End::Fails(code) => Some(code),
        };
        assert_eq!(self.next(), Said::Close(code), "{}", self.number);
        // Nothing comes after it. What was sent behind a close, and nobody read, may reset the connection.
        match self.stream.read(&mut [0]) {
            Ok(bytes) => assert_eq!(bytes, 0, "{}: more after the close", self.number),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{}", self.number),
        }
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let read = self.stream.read_exact(&mut bytes);
        read.unwrap_or_else(|error| panic!("{}: {error}", self.number));
        bytes
    }
}

fn masked(frame: &Frame) -> Vec<u8> {
    let Frame { first, payload } = frame;
    let mut bytes = vec![*first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length @ 126..65_536 => {
            bytes.push(0xfe);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0xff);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}
