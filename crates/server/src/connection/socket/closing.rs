use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tetherline_protocol::CloseCode;
use tokio::{
    io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf},
    time::timeout,
};

use super::{Read, Received, Socket, Written, frame::Frame};
use crate::connection::session::Reason;

/// How long a close may wait behind a frame that is half written, and as long again for the peer's
/// answer.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// After a breach the peer's bytes mean nothing. Hanging up on them at once would reset the connection
/// and take the close frame with it.
const LINGER: Duration = Duration::from_secs(1);

/// How a connection ends that is still there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goodbye {
    /// We close, and wait for the peer to say so, too.
    Ours(CloseCode, Reason),
    /// The peer can be read no more.
    Breach(CloseCode, Reason),
    /// The peer has closed, with this code.
    Answer(Option<u16>),
}

impl Socket {
    /// Says goodbye in bounded time, whatever the peer does.
    pub(crate) async fn close(&mut self, goodbye: Goodbye) {
        let frame = match goodbye {
            Goodbye::Ours(code, reason) | Goodbye::Breach(code, reason) => {
                Frame::close(code, &reason.to_string())
            }
            Goodbye::Answer(code) => Frame::closed(code),
        };
        self.writer.finish_begun();
        self.writer.extend([frame].into_iter());
        if !matches!(timeout(CLOSE_TIMEOUT, self.write_all()).await, Ok(Ok(()))) {
            tracing::debug!("the peer did not take the close");
            return;
        }
        match goodbye {
            Goodbye::Ours(..) => {
                if timeout(CLOSE_TIMEOUT, self.closed()).await.is_err() {
                    tracing::debug!("the peer did not answer the close");
                }
                self.shut_down().await;
            }
            Goodbye::Breach(..) => {
                self.shut_down().await;
                drop(timeout(LINGER, self.discard()).await);
            }
            Goodbye::Answer(_) => self.shut_down().await,
        }
    }

    pub(super) async fn write_all(&mut self) -> io::Result<()> {
        while poll_fn(|context| self.poll_write(context)).await? != Written::All {}
        Ok(())
    }

    /// The peer's close, or its end.
    async fn closed(&mut self) {
        loop {
            match poll_fn(|context| self.poll_read(context)).await {
                Read::Frame(Received::Close(_)) | Read::Unreadable(_) | Read::Gone => return,
                Read::Frame(_) | Read::Some => {}
            }
        }
    }

    /// Ends our side. The peer sees it, also when it goes on sending.
    async fn shut_down(&mut self) {
        drop(timeout(CLOSE_TIMEOUT, self.stream.shutdown()).await);
    }

    async fn discard(&mut self) {
        while poll_fn(|context| self.poll_discard(context)).await {}
    }

    /// The space is on the stack: within a future every connection would keep it from its beginning on.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let mut space = [0; super::READ_BYTES_MAX];
        let mut space = ReadBuf::new(&mut space);
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut space));
        Poll::Ready(read.is_ok() && !space.filled().is_empty())
    }
}
