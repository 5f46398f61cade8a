use std::collections::VecDeque;

use tetherline_protocol::{Limits, frame::ServerFrame};

/// What has been read and the application has not asked for. The engine has not seen it either, so
/// that losing it with its connection loses nothing.
///
/// There is room for what a server keeps in flight: it stops by itself for a client that does not
/// acknowledge, and what settles a send still comes through behind it. Beyond that the socket is
/// not read.
#[derive(Debug)]
pub(super) struct HeldBack {
    frames: VecDeque<(ServerFrame, Box<str>)>,
    bytes: usize,
    frames_max: usize,
    bytes_max: usize,
}

impl Default for HeldBack {
    fn default() -> Self {
        let mut empty = Self { frames: VecDeque::new(), bytes: 0, frames_max: 0, bytes_max: 0 };
        empty.adopt(&Limits::default());
        empty
    }
}

impl HeldBack {
    /// Takes over what the server announced.
    pub(super) fn adopt(&mut self, limits: &Limits) {
        // One more each for the frames between the messages.
        self.frames_max = limits.in_flight_messages_max + 1;
        self.bytes_max = limits.in_flight_bytes_max + limits.publish_bytes_max;
    }

    pub(super) fn has_room(&self) -> bool {
        self.frames.len() < self.frames_max && self.bytes < self.bytes_max
    }

    pub(super) fn push(&mut self, frame: ServerFrame, text: Box<str>) {
        self.bytes += text.len();
        self.frames.push_back((frame, text));
    }

    pub(super) fn pop(&mut self) -> Option<(ServerFrame, Box<str>)> {
        let (frame, text) = self.frames.pop_front()?;
        self.bytes -= text.len();
        Some((frame, text))
    }

    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }
}
