//! Streams: what the application has of each, and what of a frame is news.

use std::{collections::HashMap, fmt::Write as _};

use tetherline_engine::{ConnectionNo, Status, StreamDelta, StreamEnd, StreamNo, StreamStart};
use tetherline_protocol::{
    Attempt, MessageId,
    frame::{MessageDelta, MessageLost, MessageStart},
    utf16::{self, TextHash},
};

use super::Driver;
use crate::{Event, StreamStarted, StreamText};

/// What the application has of the streams that the engine knows.
#[derive(Debug, Default)]
pub(super) struct Streams {
    known: HashMap<MessageId, Known>,
    last_no: u32,
}

#[derive(Debug)]
struct Known {
    no: StreamNo,
    /// None before it has begun, and when it has ended.
    open: Option<Open>,
}

/// So much of an attempt was handed out.
#[derive(Debug)]
struct Open {
    attempt: Attempt,
    offset: u64,
    hash: TextHash,
}

impl Streams {
    fn number(&mut self, uuid: &MessageId) -> StreamNo {
        if let Some(known) = self.known.get(uuid) {
            return known.no;
        }
        self.last_no += 1;
        let no = StreamNo(self.last_no);
        self.known.insert(uuid.clone(), Known { no, open: None });
        no
    }

    fn set(&mut self, uuid: &MessageId, open: Option<Open>) {
        if let Some(known) = self.known.get_mut(uuid) {
            known.open = open;
        }
    }

    /// Of the text that was handed out.
    fn hash(&self, uuid: &MessageId) -> TextHash {
        let open = self.known.get(uuid).and_then(|known| known.open.as_ref());
        open.map(|open| open.hash).unwrap_or_default()
    }

    pub(super) fn forget(&mut self, no: StreamNo) {
        self.known.retain(|_, known| known.no != no);
    }

    pub(super) fn forget_all(&mut self) {
        self.known.clear();
    }

    /// The `have` of a `get_pending`, as JSON. Ids need no escaping.
    pub(super) fn have(&self) -> String {
        let mut json = String::from("[");
        for (uuid, known) in &self.known {
            let Some(Open { attempt, offset, hash }) = &known.open else { continue };
            let hash = hash.get();
            let comma = if json.len() > 1 { "," } else { "" };
            // Writing to a `String` cannot fail, hence the `let _`.
            let _ = write!(
                json,
                r#"{comma}{{"message_uuid":"{uuid}","attempt":{attempt},"offset":{offset},"hash":{hash}}}"#
            );
        }
        json.push(']');
        json
    }
}

impl Driver {
    pub(super) fn stream_started(
        &mut self,
        connection: ConnectionNo,
        start: MessageStart,
        text: Box<str>,
    ) {
        let Some(no) = self.stream_no(&start.message_uuid) else { return };
        let MessageStart { message_uuid, attempt, reference } = start;
        if self.engine.handle_stream_start(connection, no, attempt) == StreamStart::Begin {
            self.streams
                .set(&message_uuid, Some(Open { attempt, offset: 0, hash: TextHash::default() }));
            let started = StreamStarted { message_uuid, attempt, reference, text };
            self.events.push_back(Event::StreamStarted(started));
        }
    }

    pub(super) fn stream_text(&mut self, connection: ConnectionNo, delta: MessageDelta) {
        let Some(no) = self.stream_no(&delta.message_uuid) else { return };
        let MessageDelta { message_uuid, attempt, offset, text } = delta;
        let length = utf16::length(&text);
        let news = self.engine.handle_stream_delta(connection, no, attempt, offset, length);
        let StreamDelta::Append { skip } = news else { return };
        let end = offset.saturating_add(length);
        // No offset of a server that keeps the protocol lies within a surrogate pair.
        let text: Box<str> =
            utf16::byte_index(&text, skip).map_or("", |index| &text[index..]).into();
        let hash = self.streams.hash(&message_uuid).and(&text);
        self.streams.set(&message_uuid, Some(Open { attempt, offset: end, hash }));
        let offset = offset.saturating_add(skip);
        self.events.push_back(Event::StreamText(StreamText {
            message_uuid,
            attempt,
            offset,
            text,
        }));
    }

    /// What was handed out is another text than there is, which comes from its beginning.
    pub(super) fn stream_lost(&mut self, connection: ConnectionNo, lost: &MessageLost) {
        let Some(no) = self.stream_no(&lost.message_uuid) else { return };
        if self.engine.handle_stream_lost(connection, no, lost.attempt) {
            self.streams.set(&lost.message_uuid, None);
        }
    }

    pub(super) fn stream_ended(
        &mut self,
        connection: ConnectionNo,
        message_uuid: &MessageId,
        attempt: Attempt,
    ) {
        let Some(no) = self.stream_no(message_uuid) else { return };
        if self.engine.handle_stream_end(connection, no, attempt) == StreamEnd::Finish {
            self.streams.set(message_uuid, None);
        }
    }

    /// None if nobody follows answers here. Without a connection the engine takes no notice, and would
    /// never say that it forgets.
    fn stream_no(&mut self, message_uuid: &MessageId) -> Option<StreamNo> {
        let follows = self.setup.follow_streams && self.engine.status() == Status::Connected;
        follows.then(|| self.streams.number(message_uuid))
    }
}
