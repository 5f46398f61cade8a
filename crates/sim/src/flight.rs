//! What a server may have under way to one client, counted from what is written and acknowledged.

use std::collections::VecDeque;

use tetherline_protocol::{Limits, Seq, frame::ClientFrame, limits::REPLAY_PIECE_BYTES_MAX};
use tetherline_server::store::Room;

use crate::world::{LinkNo, World};

/// Messages of one read or one write, however small they are.
const PAGE_MESSAGES_MAX: usize = 256;

/// What was written to a connection and not acknowledged on it. Limits bind once something is.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    is_bound: bool,
    /// The next batch was let through before the first acknowledgement.
    is_early: bool,
    /// How often the client asked for another position, and what is written has not turned yet.
    turns: u32,
    cursor: u64,
    acked: u64,
    /// The last position written.
    last: u64,
    /// What was written and not acknowledged, with its size.
    sizes: VecDeque<(u64, usize)>,
}

impl Flight {
    pub(crate) fn new(cursor: u64) -> Self {
        Self { cursor, ..Self::default() }
    }

    /// A frame of the client is handed to the session, which may still have frames to write.
    pub(crate) fn heard(&mut self, text: &str, frames_waiting: usize) {
        match ClientFrame::parse(text) {
            Ok(ClientFrame::Ack { seq }) => {
                self.is_early |= !self.is_bound && frames_waiting > 0;
                self.acknowledged(seq.get());
            }
            Ok(ClientFrame::GetPending { after: Some(after), .. }) => self.restarts(after.get()),
            _ => {}
        }
    }

    /// The session goes on from where the store says.
    pub(crate) fn located(&mut self, cursor: u64) {
        self.cursor = self.cursor.max(cursor);
        self.restarts(cursor);
    }

    fn restarts(&mut self, after: u64) {
        self.turns += 1;
        self.acked = self.cursor.max(after);
        self.sizes.clear();
    }

    fn acknowledged(&mut self, seq: u64) {
        self.cursor = self.cursor.max(seq);
        self.acked = if self.is_bound { self.acked.max(self.cursor) } else { self.cursor };
        self.is_bound = true;
        let acked = self.acked;
        self.sizes.retain(|(sent, _)| *sent > acked);
    }

    /// Whether a message is news on this connection, unless the client asked for older ones.
    fn is_news(&mut self, seq: u64) -> bool {
        let is_news = seq > self.last;
        self.last = seq;
        if !is_news && self.turns > 0 {
            self.turns -= 1;
            return true;
        }
        is_news
    }

    /// Whether a message of this size would have to wait until something is acknowledged.
    pub(crate) fn is_full_for(&self, size: usize, limits: &Limits) -> bool {
        self.is_bound && !self.sizes.is_empty() && !self.fits(size, limits)
    }

    /// Whether so much may be under way together.
    fn fits(&self, size: usize, limits: &Limits) -> bool {
        let bytes: usize = self.sizes.iter().map(|(_, size)| size).sum();
        self.sizes.len() < limits.in_flight_messages_max
            && bytes + size <= limits.in_flight_bytes_max
    }

    /// The last position written.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Whether a message may follow what is under way: one always may.
    fn admits(&mut self, seq: u64, size: usize, limits: &Limits) -> bool {
        // What an earlier `get_pending` left waiting for the socket does not count any more.
        self.sizes.retain(|(sent, _)| *sent < seq);
        let admits = self.sizes.is_empty() || self.fits(size, limits);
        // What was let through before the first acknowledgement has no known size.
        let is_free = !self.is_bound || self.is_early;
        if seq > self.acked {
            self.sizes.push_back((seq, if is_free { 0 } else { size }));
        }
        is_free || admits
    }
}

impl World {
    /// A session reads: a piece of the mailbox, and no more.
    pub(crate) fn check_room(&mut self, link: LinkNo, room: Room) {
        if room.messages > PAGE_MESSAGES_MAX || room.bytes > REPLAY_PIECE_BYTES_MAX {
            self.fail(format!("link {link} reads {room:?} at once"));
        }
    }

    /// A session writes: one page at a time, and no more than may be under way.
    pub(crate) fn check_batch(&mut self, link: LinkNo, batch: &[Option<String>]) {
        let limits = self.limits.clone();
        if self.now > self.links[link].token.expires_at {
            return self.fail(format!("link {link} writes on after its token expired"));
        }
        let (mut messages, mut bytes) = (0, 0);
        for text in batch.iter().flatten() {
            let Some(seq) = position_in(text) else { continue };
            messages += 1;
            bytes += text.len();
            let Some(upstream) = &mut self.links[link].upstream else { return };
            if !upstream.flight.is_news(seq.get()) {
                return self.fail(format!("link {link} writes {} a second time", seq.get()));
            }
            if !upstream.flight.admits(seq.get(), text.len(), &limits) {
                let flight = format!("{:?}", upstream.flight);
                return self.fail(format!("link {link} has too much under way: {flight}"));
            }
        }
        if let Some(upstream) = self.links[link].upstream.as_mut().filter(|_| messages > 0) {
            upstream.flight.is_early = false;
        }
        if messages > PAGE_MESSAGES_MAX || (messages > 1 && bytes > REPLAY_PIECE_BYTES_MAX) {
            self.fail(format!("link {link} writes {messages} messages of {bytes} bytes at once"));
        }
    }
}

/// The position of a message, without reading all of it.
pub(crate) fn position_in(text: &str) -> Option<Seq> {
    let (_, rest) = text[..text.floor_char_boundary(160)].split_once(r#""seq":"#)?;
    let digits = rest.find(|next: char| !next.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok().and_then(Seq::new)
}
