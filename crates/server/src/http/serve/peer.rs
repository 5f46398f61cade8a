//! The other end of a connection, before and without a WebSocket: it may still be talking when it is
//! answered, and may never read what it is told.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::transport::Transport;
use crate::lock::lock;

/// Whoever takes no byte of an answer for so long is cut off.
pub const ANSWER_STUCK_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it is read on after an answer that came before the end of the request. Closed at once, a
/// peer that is still sending would see a reset instead of its answer.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for a request that does not say how long it is, and may have no end: whoever writes on without
/// reading an answer has to notice some day, too.
pub const LINGER_UNANNOUNCED_TIMEOUT: Duration = Duration::from_secs(5);
/// How much is read on, in bytes.
pub const LINGER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where the exchange on a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Every request that began has been read to its end.
    Quiet,
    /// The peer has not finished what it is saying. So long it may go on after an answer.
    Asking { linger: Duration },
    /// It is a WebSocket, whose driver has its own rules.
    Upgraded,
}

/// Shared by the socket, which sees bytes, and the service, which sees requests.
#[derive(Debug, Clone)]
pub(super) struct Exchange(Arc<Mutex<Phase>>);

impl Exchange {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Phase::Quiet)))
    }

    pub(super) fn request_ended(&self) {
        self.change(|_| Phase::Quiet);
    }

    pub(super) fn is_asking(&self) -> bool {
        matches!(self.phase(), Phase::Asking { .. })
    }

    /// The request that begins now does not say how long it is.
    pub(super) fn unannounced(&self) {
        self.change(|_| Phase::Asking { linger: LINGER_UNANNOUNCED_TIMEOUT });
    }

    pub(super) fn upgraded(&self) {
        self.change(|_| Phase::Upgraded);
    }

    fn heard(&self) {
        self.change(|phase| match phase {
            Phase::Quiet => Phase::Asking { linger: LINGER_TIMEOUT },
            Phase::Asking { .. } | Phase::Upgraded => phase,
        });
    }

    fn phase(&self) -> Phase {
        *lock(&self.0)
    }

    fn change(&self, next: impl FnOnce(Phase) -> Phase) {
        let mut phase = lock(&self.0);
        *phase = next(*phase);
    }
}

/// A socket that closes so that the answer arrives, and that gives up a peer that takes nothing.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: Transport,
    exchange: Exchange,
    /// Runs while the peer takes nothing.
    stuck: Option<Pin<Box<Sleep>>>,
    lingering: Option<Lingering>,
}

/// Our side is closed; what still comes is thrown away.
#[derive(Debug)]
struct Lingering {
    until: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl Peer {
    pub(super) fn new(stream: Transport, exchange: Exchange) -> Self {
        Self { stream, exchange, stuck: None, lingering: None }
    }

    /// Hands the socket on once it is no HTTP any more.
    pub(crate) fn into_stream(self) -> Transport {
        self.stream
    }

    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() || self.exchange.phase() == Phase::Upgraded {
            self.stuck = None;
            return written;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(ANSWER_STUCK_TIMEOUT)));
        ready!(stuck.as_mut().poll(context));
        // What nobody takes is not kept by the kernel either.
        let _ = self.stream.tcp().map(TcpStream::set_zero_linger);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer was not read")))
    }
}

impl Lingering {
    fn begin(timeout: Duration) -> Self {
        Self { until: Box::pin(sleep(timeout)), bytes_left: LINGER_BYTES_MAX }
    }

    /// Done when the peer is, or when it has had its time or its bytes.
    fn poll(&mut self, stream: &mut Transport, context: &mut Context<'_>) -> Poll<()> {
        let mut thrown_away = [0; 8 * 1024];
        while self.bytes_left > 0 && self.until.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut thrown_away);
            match ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    self.bytes_left = self.bytes_left.saturating_sub(buffer.filled().len());
                }
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if buffer.filled().len() > before {
            self.exchange.heard();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What TLS has taken, and the peer has not.
        match Pin::new(&mut self.stream).poll_flush(context) {
            Poll::Pending => self.watch(context, Poll::Pending),
            flushed @ Poll::Ready(_) => flushed,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            let shut = Pin::new(&mut this.stream).poll_shutdown(context);
            ready!(if shut.is_pending() { this.watch(context, shut) } else { shut })?;
            match this.exchange.phase() {
                Phase::Asking { linger } => this.lingering = Some(Lingering::begin(linger)),
                Phase::Quiet | Phase::Upgraded => return Poll::Ready(Ok(())),
            }
        }
        match &mut this.lingering {
            Some(lingering) => lingering.poll(&mut this.stream, context).map(Ok),
            None => Poll::Ready(Ok(())),
        }
    }
}
