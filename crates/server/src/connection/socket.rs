//! One upgraded connection: RFC 6455 below, text frames above.
//!
//! Both halves are ours. A server's frames are not masked, so one is a header in front of bytes that
//! all sockets share: nothing is copied per socket, no buffer keeps its high-water mark, and no cap
//! stands between a legal message and its client. And only who counts bytes can tell a slow peer from
//! one that is stuck or silent; no library shows them.

mod closing;
#[cfg(feature = "echo")]
mod echo;
mod frame;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod handshake;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tetherline_protocol::CloseCode;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{
    connection::session::Outgoing,
    http::{Peer, Transport},
};
pub(crate) use closing::{CLOSE_TIMEOUT, Goodbye};
pub(crate) use handshake::{Handshake, NoHandshake};
use reader::Decoder;
pub(crate) use reader::Received;
use writer::Writer;

/// What may wait in the kernel without being on its way, in bytes. With the default send buffer a
/// reader that takes 15 kB/s shows no progress for more than a minute.
const NOT_SENT_BYTES_MAX: u32 = 64 * 1024;
/// How much is read at once, in bytes: on the stack, so that a connection keeps nothing of it.
const READ_BYTES_MAX: usize = 4 * 1024;

/// What carries the bytes: a TCP stream, with TLS or without, a Unix socket, and in tests or behind other layers anything else.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(crate) struct Socket {
    stream: Box<dyn Stream>,
    decoder: Decoder,
    /// What came behind the last frame that was handed out.
    unread: Bytes,
    writer: Writer,
}

/// What reading brought.
#[derive(Debug)]
pub(crate) enum Read {
    Frame(Received),
    /// Bytes of a frame that is not complete.
    Some,
    /// The peer broke the protocol: nothing more can be read.
    Unreadable(CloseCode),
    /// The peer is gone.
    Gone,
}

/// What writing brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// The peer took some bytes.
    Some,
    All,
}

/// Lets little wait in the kernel, so that a peer's progress can be seen.
pub(crate) fn show_progress(stream: &TcpStream) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_notsent_lowat(NOT_SENT_BYTES_MAX) {
        tracing::debug!(%error, "the kernel keeps as much for a connection as it likes");
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (stream, NOT_SENT_BYTES_MAX);
}

impl Socket {
    /// Takes over what HTTP has upgraded.
    pub(crate) fn of(upgraded: Upgraded, message_bytes_max: usize) -> Self {
        // Ours when `serve` accepted it, a plain stream when the router is served by something else.
        let (stream, unread) = match upgraded.downcast::<TokioIo<Peer>>() {
            Ok(parts) => (parts.io.into_inner().into_stream(), parts.read_buf),
            Err(other) => match other.downcast::<TokioIo<TcpStream>>() {
                Ok(parts) => (Transport::Tcp(parts.io.into_inner()), parts.read_buf),
                Err(other) => {
                    let stream = Box::new(TokioIo::new(other));
                    return Self::new(stream, &[], message_bytes_max);
                }
            },
        };
        if let Some(stream) = stream.tcp() {
            show_progress(stream);
        }
        let stream: Box<dyn Stream> = match stream {
            Transport::Tcp(stream) => Box::new(stream),
            Transport::Tls(stream) => stream,
            Transport::Unix(stream) => Box::new(stream),
        };
        Self::new(stream, &unread, message_bytes_max)
    }

    /// `unread`: what the peer has sent ahead.
    fn new(stream: Box<dyn Stream>, unread: &[u8], message_bytes_max: usize) -> Self {
        // A slice would keep the whole buffer that HTTP read into.
        let unread = Bytes::copy_from_slice(unread);
        let (decoder, writer) = (Decoder::new(message_bytes_max), Writer::default());
        Self { stream, decoder, unread, writer }
    }

    /// Takes a batch, once the last one is written.
    pub(crate) fn write(&mut self, batch: Vec<Outgoing>) {
        self.writer.extend(batch.into_iter().map(Into::into));
    }

    /// What of the last batch the peer has not taken, in bytes.
    pub(crate) fn left_bytes(&self) -> usize {
        self.writer.left_bytes()
    }

    /// Is ready as soon as the peer took anything.
    pub(crate) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Written>> {
        self.writer.poll(&mut *self.stream, context)
    }

    pub(crate) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Read> {
        if self.unread.is_empty() {
            // Not zeroed: it is polled with every message that is written, and nearly always in vain.
            let mut space = [const { MaybeUninit::uninit() }; READ_BYTES_MAX];
            let mut space = ReadBuf::uninit(&mut space);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut space));
            if read.is_err() || space.filled().is_empty() {
                return Poll::Ready(Read::Gone);
            }
            let mut bytes = space.filled();
            let read = self.decode(&mut bytes);
            self.unread = Bytes::copy_from_slice(bytes);
            return Poll::Ready(read);
        }
        let unread = std::mem::take(&mut self.unread);
        let mut bytes = &unread[..];
        let read = self.decode(&mut bytes);
        if !bytes.is_empty() {
            self.unread = unread.slice(unread.len() - bytes.len()..);
        }
        Poll::Ready(read)
    }

    fn decode(&mut self, bytes: &mut &[u8]) -> Read {
        match self.decoder.take(bytes) {
            Ok(Some(received)) => Read::Frame(received),
            Ok(None) => Read::Some,
            Err(code) => {
                *bytes = &[];
                Read::Unreadable(code)
            }
        }
    }
}
