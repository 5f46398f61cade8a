use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use super::{
    Stream, Written,
    frame::{Frame, FrameHeader},
};

/// How many frames are handed to the kernel at once.
const FRAMES_AT_ONCE_MAX: usize = 32;

/// Frames on their way to the peer: shared bytes, each behind its own header.
#[derive(Default)]
pub(super) struct Writer {
    frames: VecDeque<Frame>,
    /// How much of the first is written, its header included.
    written: usize,
}

impl Writer {
    pub(super) fn extend(&mut self, frames: impl Iterator<Item = Frame>) {
        self.frames.extend(frames);
    }

    /// What is still to be written, in bytes.
    pub(super) fn left_bytes(&self) -> usize {
        let whole = |frame: &Frame| frame.header().as_bytes().len() + frame.payload().len();
        self.frames.iter().map(whole).sum::<usize>() - self.written
    }

    /// Forgets what was not begun: only whole frames can be followed by another.
    pub(super) fn finish_begun(&mut self) {
        self.frames.truncate(usize::from(self.written > 0));
    }

    /// Is ready when the peer took some, and when it has taken all.
    pub(super) fn poll(
        &mut self,
        stream: &mut dyn Stream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Written>> {
        let mut has_taken = false;
        while !self.frames.is_empty() {
            match self.poll_once(stream, context) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(bytes)) => {
                    self.advance(bytes);
                    has_taken = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if has_taken => return Poll::Ready(Ok(Written::Some)),
                Poll::Pending => return Poll::Pending,
            }
        }
        // TLS may have taken more than the peer has.
        match Pin::new(stream).poll_flush(context) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending if has_taken => return Poll::Ready(Ok(Written::Some)),
            Poll::Pending => return Poll::Pending,
        }
        // A long batch leaves no room behind.
        self.frames = VecDeque::new();
        Poll::Ready(Ok(Written::All))
    }

    fn poll_once(
        &self,
        stream: &mut dyn Stream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut headers = [FrameHeader::default(); FRAMES_AT_ONCE_MAX];
        for (header, frame) in headers.iter_mut().zip(&self.frames) {
            *header = frame.header();
        }
        let mut slices = [IoSlice::new(&[]); 2 * FRAMES_AT_ONCE_MAX];
        let mut skip = self.written;
        let mut end = 0;
        for (header, frame) in headers.iter().zip(&self.frames) {
            for part in [header.as_bytes(), frame.payload()] {
                let rest = &part[skip.min(part.len())..];
                skip -= part.len() - rest.len();
                if !rest.is_empty() {
                    slices[end] = IoSlice::new(rest);
                    end += 1;
                }
            }
        }
        Pin::new(stream).poll_write_vectored(context, &slices[..end])
    }

    fn advance(&mut self, bytes: usize) {
        self.written += bytes;
        while let Some(first) = self.frames.front() {
            let length = first.header().as_bytes().len() + first.payload().len();
            if self.written < length {
                return;
            }
            self.written -= length;
            self.frames.pop_front();
        }
    }
}
