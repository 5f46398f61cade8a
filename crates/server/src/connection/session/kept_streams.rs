//! Streams as a store has them, for tests of sessions.

use tetherline_protocol::{Attempt, StreamPosition, frame::StreamOpening, utf16};

use crate::store::{StreamPage, StreamPiece};

#[derive(Default)]
pub(super) struct KeptStreams(Vec<KeptStream>);

pub(super) struct KeptStream {
    pub(super) name: u8,
    pub(super) attempt: u32,
    pub(super) text: String,
}

impl KeptStreams {
    /// Begins another attempt.
    pub(super) fn open(&mut self, name: u8) {
        let before = self.0.iter().position(|stream| stream.name == name);
        let attempt = before.map_or(1, |index| self.0.remove(index).attempt + 1);
        self.0.push(KeptStream { name, attempt, text: String::new() });
    }

    pub(super) fn append(&mut self, name: u8, text: &str) {
        if let Some(stream) = self.0.iter_mut().find(|stream| stream.name == name) {
            stream.text.push_str(text);
        }
    }

    pub(super) fn finish(&mut self, name: u8) {
        self.0.retain(|stream| stream.name != name);
    }

    pub(super) fn get(&self, name: u8) -> Option<&KeptStream> {
        self.0.iter().find(|stream| stream.name == name)
    }

    pub(super) fn read(&self, places: &[StreamPosition], room_bytes: usize) -> StreamPage {
        let mut page = StreamPage::default();
        let mut room = room_bytes;
        for stream in &self.0 {
            let message_uuid = uuid(stream.name);
            let attempt = Attempt::new(stream.attempt).expect("attempts count from 1");
            let known = places
                .iter()
                .find(|place| place.message_uuid == message_uuid && place.attempt == attempt)
                .and_then(|place| utf16::byte_index(&stream.text, place.offset));
            let rest = &stream.text[known.unwrap_or_default()..];
            let text = &rest[..rest.floor_char_boundary(room)];
            room -= text.len();
            page.has_more |= text.len() < rest.len();
            let end = stream.text.len() - rest.len() + text.len();
            let opening = StreamOpening::parse("{}").expect("an opening");
            page.pieces.push(StreamPiece {
                start: known.is_none().then(|| opening.start_frame(&message_uuid, attempt).into()),
                text: text.into(),
                position: StreamPosition {
                    message_uuid,
                    attempt,
                    offset: utf16::length(&stream.text[..end]),
                    hash: None,
                    is_only_checked: false,
                },
            });
        }
        page
    }
}

pub(super) fn uuid(name: u8) -> tetherline_protocol::MessageId {
    format!("a{name}").parse().expect("a letter and a number are an id")
}
