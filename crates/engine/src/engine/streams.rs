//! Streams: which piece of text comes next, and what is missing.

use tetherline_protocol::Attempt;

use super::Engine;
use crate::{ConnectionNo, Output, StreamDelta, StreamEnd, StreamNo, StreamStart, streams::Piece};

/// Streams. As with messages, these calls take no time and read no clock.
///
/// What the driver has of an answer is exactly what it was told to append since
/// [`StreamStart::Begin`], over any number of connections. With [`Output::GetPending`] it says how
/// much that is of each answer that has not ended.
impl<P> Engine<P> {
    /// `message_start` has come.
    pub fn handle_stream_start(
        &mut self,
        connection: ConnectionNo,
        stream: StreamNo,
        attempt: Attempt,
    ) -> StreamStart {
        if !self.reads_streams(connection) {
            return StreamStart::Drop;
        }
        self.heard = true;
        let start = self.streams.start(stream, attempt);
        self.drop_streams_over_limit();
        start
    }

    /// `message_delta` has come: a piece of `length` UTF-16 units that belongs at `offset`. If
    /// something before it is missing, that is asked for.
    pub fn handle_stream_delta(
        &mut self,
        connection: ConnectionNo,
        stream: StreamNo,
        attempt: Attempt,
        offset: u64,
        length: u64,
    ) -> StreamDelta {
        if !self.reads_streams(connection) {
            return StreamDelta::Drop;
        }
        self.heard = true;
        match self.streams.add(stream, attempt, offset, length) {
            Piece::Fits { skip } => StreamDelta::Append { skip },
            Piece::Stale => StreamDelta::Drop,
            Piece::Hole => {
                if let Some(resume) = self.reader.ask_again() {
                    self.ask(&resume);
                }
                StreamDelta::Drop
            }
        }
    }

    /// `message_lost` has come, for what the driver has of this attempt: it is another text than there
    /// is. Answers whether to forget it; what there is follows from its beginning, or is asked for.
    pub fn handle_stream_lost(
        &mut self,
        connection: ConnectionNo,
        stream: StreamNo,
        attempt: Attempt,
    ) -> bool {
        let is_lost = self.is_connected_by(connection) && self.streams.lose(stream, attempt);
        // The server goes on from what the leading tab has, and that has it.
        if is_lost
            && self.is_joined()
            && let Some(resume) = self.reader.ask_again()
        {
            self.ask(&resume);
        }
        is_lost
    }

    /// The durable message that ends this attempt has come, for the first time or again. It is
    /// delivered as any other, by [`Engine::handle_message`].
    pub fn handle_stream_end(
        &mut self,
        connection: ConnectionNo,
        stream: StreamNo,
        attempt: Attempt,
    ) -> StreamEnd {
        if !self.reads_streams(connection) {
            return StreamEnd::Drop;
        }
        let end = self.streams.end(stream, attempt);
        self.drop_streams_over_limit();
        end
    }
}

impl<P> Engine<P> {
    /// What comes before the position is proved may be of another history than what there is.
    fn reads_streams(&self, connection: ConnectionNo) -> bool {
        self.is_connected_by(connection) && self.reader.is_proved()
    }

    /// Their text belongs to a history that is no more, or to somebody who is gone.
    pub(super) fn forget_streams(&mut self) {
        if self.streams.forget() {
            self.outputs.push_back(Output::StreamsDropped);
        }
    }

    /// Messages are missing, and one of them may have ended a stream here. What is still open comes
    /// again, from its beginning.
    pub(super) fn doubt_streams(&mut self) {
        if self.streams.has_unfinished() {
            self.forget_streams();
            if let Some(resume) = self.reader.ask_again() {
                self.ask(&resume);
            }
        }
    }

    fn drop_streams_over_limit(&mut self) {
        if let Some(dropped) = self.streams.pop_over_limit() {
            self.outputs.push_back(Output::StreamDropped(dropped));
        }
    }
}
