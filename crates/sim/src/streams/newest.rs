//! One attempt at a stream.

use std::sync::Arc;

use tetherline_protocol::{
    Attempt, MessageId, StreamPosition, StreamStatus,
    frame::{Message, StreamEnding, StreamOpening},
    utf16,
};
use tetherline_server::store::StreamPiece;

use super::{Bounds, Reply, StreamNo, Target};
use crate::{
    Mutant,
    world::{PublishNo, SendNo},
    writers::WriterNo,
};

/// What a stream counts besides its text and its fields.
const STREAM_BYTES: usize = 1_024;

/// The newest attempt at a stream.
#[derive(Clone)]
pub(crate) struct Newest {
    pub(crate) attempt: Attempt,
    pub(crate) writer: WriterNo,
    pub(crate) publish: PublishNo,
    pub(crate) phase: Phase,
    pub(crate) text: String,
    pub(crate) whole: Arc<[u16]>,
    pub(super) uuid: MessageId,
    pub(super) reference: Option<SendNo>,
    pub(super) opening: Arc<StreamOpening>,
    pub(super) order: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Open { heard_at: u64 },
    Stopped { at: u64 },
    Finished { status: StreamStatus },
}

impl Newest {
    pub(crate) fn is_unfinished(&self) -> bool {
        !matches!(self.phase, Phase::Finished { .. })
    }

    pub(super) fn bytes(&self) -> usize {
        bytes_of(&self.opening) + self.text.len()
    }

    /// How an attempt ends that is to end as `status`.
    pub(crate) fn ends_as(&self, status: StreamStatus) -> StreamStatus {
        if let Phase::Stopped { .. } = self.phase { StreamStatus::Stopped } else { status }
    }

    /// The message that it becomes.
    pub(crate) fn message(&self, status: StreamStatus, ending: &StreamEnding) -> Message {
        self.opening.message(&self.uuid, self.attempt, status, &self.text, ending)
    }

    pub(super) fn is_meant(&self, stream: StreamNo, target: Target) -> bool {
        match target {
            Target::Stream(meant) => stream == meant,
            Target::Send(send) => self.reference == Some(send),
        }
    }

    pub(super) fn is_shown(&self, mutant: Option<Mutant>) -> bool {
        self.is_unfinished() || mutant == Some(Mutant::ShownAfterItsEnd)
    }

    /// What is there already is compared, and not added again.
    pub(super) fn add(
        &mut self,
        offset: Option<u64>,
        text: &str,
        now: u64,
        bounds: Bounds,
        mutant: Option<Mutant>,
    ) -> Reply {
        match &mut self.phase {
            Phase::Finished { .. } => return Reply::Finished,
            Phase::Stopped { .. } => return Reply::Stopped,
            Phase::Open { heard_at } => *heard_at = now,
        }
        let end = utf16::length(&self.text);
        let offset = offset.unwrap_or(end);
        if offset > end {
            return Reply::Gap { end };
        }
        let Some(index) = utf16::byte_index(&self.text, offset) else { return Reply::Conflict };
        let there = &self.text[index..];
        let news = if mutant == Some(Mutant::RepeatAddedAgain) {
            text
        } else if there.starts_with(text) {
            ""
        } else if let Some(news) = text.strip_prefix(there) {
            news
        } else {
            return Reply::Conflict;
        };
        if !news.is_empty() && self.text.len() + news.len() > bounds.bytes_max {
            return Reply::TooLong;
        }
        if news.len() > bounds.room_bytes {
            return Reply::Crowded;
        }
        self.text.push_str(news);
        Reply::Added { end: utf16::length(&self.text) }
    }

    fn has(&self, place: &StreamPosition) -> bool {
        place.message_uuid == self.uuid && place.attempt == self.attempt
    }

    /// Whether a reader's text up to its place can be this one.
    fn agrees_with(&self, place: &StreamPosition) -> bool {
        let there = utf16::byte_index(&self.text, place.offset);
        let hash = |index| utf16::TextHash::of(&self.text[..index]).get();
        there.is_some_and(|index| place.hash.is_none_or(|told| told == hash(index)))
    }

    /// Whether a reader at this place reads what is written here, or will hear of a later attempt.
    pub(super) fn goes_on_from(&self, place: &StreamPosition) -> bool {
        place.message_uuid == self.uuid
            && (place.attempt < self.attempt || (self.has(place) && self.agrees_with(place)))
    }

    pub(super) fn piece(
        &self,
        places: &[StreamPosition],
        room: usize,
        mutant: Option<Mutant>,
    ) -> StreamPiece {
        let message_uuid = self.uuid.clone();
        let place = places
            .iter()
            .filter(|place| !place.is_only_checked && self.has(place) && self.agrees_with(place))
            .min_by_key(|place| place.offset);
        let known = place.and_then(|place| utf16::byte_index(&self.text, place.offset));
        let rest = &self.text[known.unwrap_or_default()..];
        let mut text = rest[..rest.floor_char_boundary(room)].to_owned();
        if mutant == Some(Mutant::PairSplit) {
            let units: Vec<u16> = text.encode_utf16().collect();
            text = String::from_utf16_lossy(&units[..units.len().min(7)]);
        }
        let start =
            known.is_none().then(|| self.opening.start_frame(&message_uuid, self.attempt).into());
        let offset = place.filter(|_| known.is_some()).map_or(0, |place| place.offset)
            + utf16::length(&text);
        let position = StreamPosition {
            message_uuid,
            attempt: self.attempt,
            offset,
            hash: None,
            is_only_checked: false,
        };
        StreamPiece { position, start, text: text.into() }
    }
}

pub(super) fn bytes_of(opening: &StreamOpening) -> usize {
    STREAM_BYTES + opening.fields().len()
}
