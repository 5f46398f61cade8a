//! As little of a client as can be: it looks for the end of what the server says, and for one word in
//! it.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

/// Under valgrind everything is some fifty times slower.
const PATIENCE: Duration = Duration::from_mins(1);
/// More than one read of anything here.
const BUFFER_BYTES: usize = 64 * 1024;

struct Stream {
    socket: TcpStream,
    buffer: Vec<u8>,
    /// What is in the buffer and was not looked at.
    begin: usize,
    end: usize,
}

impl Stream {
    fn connect(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, buffer: vec![0; BUFFER_BYTES], begin: 0, end: 0 })
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.begin..self.end]
    }

    fn read_more(&mut self) -> Result<()> {
        if self.begin > 0 {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        ensure!(self.end < self.buffer.len(), "more came than any answer here has");
        let bytes = self.socket.read(&mut self.buffer[self.end..]).context("waiting to read")?;
        ensure!(bytes > 0, "the server hung up");
        self.end += bytes;
        Ok(())
    }

    /// Reads a head of HTTP and answers its status and how long its body is.
    fn read_head(&mut self) -> Result<(u16, usize)> {
        let bytes = loop {
            match self.unread().windows(4).position(|four| four == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.read_more()?,
            }
        };
        let head = std::str::from_utf8(&self.unread()[..bytes])?;
        let status = head.get(9..12).and_then(|status| status.parse().ok()).context("a status")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(Ok(0), str::parse)?;
        self.begin += bytes;
        Ok((status, length))
    }
}

/// A connection that is kept alive.
pub(crate) struct Http {
    stream: Stream,
    body: Vec<u8>,
}

impl Http {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self { stream: Stream::connect(address)?, body: Vec::new() })
    }

    /// Sends a request and answers the status; [`Self::body`] is what came with it.
    pub(crate) fn request(&mut self, request: &[u8]) -> Result<u16> {
        self.write(request)?;
        let (status, length) = self.stream.read_head()?;
        while self.stream.unread().len() < length {
            self.stream.read_more()?;
        }
        self.body.clear();
        self.body.extend_from_slice(&self.stream.unread()[..length]);
        self.stream.begin += length;
        Ok(status)
    }

    /// Part of a request whose answer is not waited for.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.socket.write_all(bytes)?)
    }

    pub(crate) fn body(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or("(not text)")
    }
}

/// A WebSocket.
pub(crate) struct Socket {
    stream: Stream,
}

impl Socket {
    pub(crate) fn open(address: SocketAddr, upgrade: &[u8]) -> Result<Self> {
        let mut stream = Stream::connect(address)?;
        stream.socket.write_all(upgrade)?;
        let (status, _) = stream.read_head()?;
        ensure!(status == 101, "the upgrade was answered with {status}");
        Ok(Self { stream })
    }

    /// Reads the next frame, which has to be of this type. The server writes the type first.
    pub(crate) fn expect(&mut self, kind: &str) -> Result<()> {
        const BEFORE: &[u8] = br#"{"type":""#;
        let frame = self.frame()?;
        let after = frame.strip_prefix(BEFORE).and_then(|rest| rest.strip_prefix(kind.as_bytes()));
        if after.is_some_and(|rest| rest.starts_with(b"\"")) {
            return Ok(());
        }
        bail!("{kind} was expected, and there came {}", String::from_utf8_lossy(frame))
    }

    /// The payload of the next frame, whatever it is.
    pub(crate) fn frame(&mut self) -> Result<&[u8]> {
        let (head, length) = loop {
            match *self.stream.unread() {
                [_, 126, high, low, ..] => break (4, usize::from(u16::from_be_bytes([high, low]))),
                [_, length @ ..=125, ..] => break (2, usize::from(length)),
                [_, length, ..] if length > 126 => bail!("a frame that nothing here asks for"),
                _ => self.stream.read_more()?,
            }
        };
        while self.stream.unread().len() < head + length {
            self.stream.read_more()?;
        }
        let begin = self.stream.begin + head;
        self.stream.begin = begin + length;
        Ok(&self.stream.buffer[begin..begin + length])
    }

    pub(crate) fn send(&mut self, frame: &[u8]) -> Result<()> {
        Ok(self.stream.socket.write_all(frame)?)
    }

    /// Closes as a page does, and waits for the end.
    pub(crate) fn close(mut self) -> Result<()> {
        self.send(&client_frame(8, &1000_u16.to_be_bytes()))?;
        self.frame()?;
        while self.stream.socket.read(&mut self.stream.buffer)? > 0 {}
        Ok(())
    }
}

/// A text frame of a client's.
pub(crate) fn text(payload: &str) -> Vec<u8> {
    client_frame(1, payload.as_bytes())
}

/// Masked with zeros, which is a mask like any other.
fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short frame");
    assert!(length < 126, "a short frame");
    [&[0x80 | opcode, 0x80 | length, 0, 0, 0, 0][..], payload].concat()
}
