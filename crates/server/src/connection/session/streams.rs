use std::time::{Duration, Instant};

use tetherline_protocol::{
    StreamPosition,
    frame::{MessageDelta, MessageLost, ServerFrame},
    limits::STREAM_INTERVAL_MS,
    utf16,
};

use super::Outgoing;
use crate::store::{StreamPage, StreamPiece};

/// Which streams a connection shows, and how far it has shown them. A slow reader is behind,
/// and costs no more than that: text is read when the socket is free, and never kept here.
pub(super) enum ShownStreams {
    /// The client has not asked, or does not want to see streams.
    Unseen,
    Seen {
        places: Vec<StreamPosition>,
        pace: Pace,
        /// A stream has begun, or has more text since it was asked for.
        has_news: bool,
    },
}

pub(super) enum Pace {
    /// What there is has to be shown before the backlog counts as sent.
    Owed,
    /// It was asked for.
    Asked,
    /// What is new is shown when it is time.
    Live { news: News, next_at: Instant },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    Nothing,
    /// A stream has begun, or has more text.
    Something,
    /// It was looked at before it was time, and is no first text.
    PutOff,
    /// It was asked for.
    Asked,
}

impl ShownStreams {
    /// A client asks for what waits, and says how far it has seen streams.
    pub(super) fn start(&mut self, have: Option<Vec<StreamPosition>>) {
        *self = match have {
            Some(places) => Self::Seen { places, pace: Pace::Owed, has_news: false },
            None => Self::Unseen,
        };
    }

    /// The client has seen streams of another history, and forgets them.
    pub(super) fn forget(&mut self) {
        if let Self::Seen { places, .. } = self {
            places.clear();
        }
    }

    /// A stream has begun, or has more text.
    pub(super) fn note_news(&mut self) {
        let Self::Seen { pace, has_news, .. } = self else { return };
        match pace {
            Pace::Owed => {}
            Pace::Asked | Pace::Live { news: News::Asked, .. } => *has_news = true,
            Pace::Live { news, .. } => *news = News::Something,
        }
    }

    /// How many streams are unfinished, once what there is of them has been shown.
    pub(super) fn resumed(&self) -> Option<u64> {
        match self {
            Self::Unseen => Some(0),
            Self::Seen { places, pace: Pace::Live { .. }, .. } => Some(places.len() as u64),
            Self::Seen { .. } => None,
        }
    }

    /// From where to read on now, with the socket free. While the backlog is being sent nothing is live.
    pub(super) fn ask(&mut self, now: Instant) -> Option<Vec<StreamPosition>> {
        let Self::Seen { places, pace, has_news } = self else { return None };
        match pace {
            Pace::Owed => *pace = Pace::Asked,
            Pace::Live { news: news @ News::Something, next_at }
                if now >= *next_at || has_unbegun(places) =>
            {
                *news = News::Asked;
            }
            Pace::Live { news: news @ News::PutOff, next_at } if now >= *next_at => {
                *news = News::Asked;
            }
            _ => return None,
        }
        *has_news = false;
        Some(places.clone())
    }

    /// Whether what the client asked for is still to be shown.
    pub(super) fn are_owed(&self) -> bool {
        matches!(self, Self::Seen { pace: Pace::Owed | Pace::Asked, .. })
    }

    /// Whether what was asked for has not come. So long no message is read, or its end could pass a text.
    pub(super) fn is_asked(&self) -> bool {
        let Self::Seen { pace, .. } = self else { return false };
        matches!(pace, Pace::Asked | Pace::Live { news: News::Asked, .. })
    }

    /// What has come is older than what was sent before it: it is asked for once more.
    pub(super) fn ask_again(&mut self) {
        let Self::Seen { pace, .. } = self else { return };
        match pace {
            Pace::Asked => *pace = Pace::Owed,
            Pace::Live { news: news @ News::Asked, .. } => *news = News::Something,
            Pace::Owed | Pace::Live { .. } => {}
        }
    }

    /// When to ask next, with the socket free.
    pub(super) fn next_at(&self) -> Option<Instant> {
        match self {
            Self::Seen {
                pace: Pace::Live { news: News::Something | News::PutOff, next_at },
                ..
            } => Some(*next_at),
            _ => None,
        }
    }

    /// What was read, as frames.
    pub(super) fn take(&mut self, page: StreamPage, now: Instant) -> Vec<Outgoing> {
        let Self::Seen { places, pace, has_news } = self else { return Vec::new() };
        let due_at = match pace {
            Pace::Asked => now,
            Pace::Live { news: News::Asked, next_at } => *next_at,
            _ => return Vec::new(),
        };
        let StreamPage { mut pieces, lost, has_more } = page;
        let has_put_off = now < due_at && put_off(&mut pieces, places);
        let news = match (std::mem::take(has_news), has_put_off) {
            (true, _) => News::Something,
            (false, true) => News::PutOff,
            (false, false) => News::Nothing,
        };
        *places = pieces.iter().map(|piece| piece.position.clone()).collect();
        let lost = lost.into_iter().filter_map(lost_frame);
        let frames: Vec<Outgoing> =
            lost.chain(pieces.into_iter().flat_map(in_frames)).map(Outgoing::Text).collect();
        *pace = match pace {
            Pace::Asked if has_more => Pace::Owed,
            // What did not fit follows at once: it is late already.
            _ if has_more => Pace::Live { news: News::Something, next_at: now },
            _ if has_put_off && frames.is_empty() => Pace::Live { news, next_at: due_at },
            _ => Pace::Live { news, next_at: now + Duration::from_millis(STREAM_INTERVAL_MS) },
        };
        frames
    }
}

/// Before it is time only first texts are shown: what else was read is read again. Answers whether
/// there is any.
fn put_off(pieces: &mut [StreamPiece], places: &[StreamPosition]) -> bool {
    let mut has_any = false;
    for StreamPiece { position, start, text } in pieces {
        let goes_on = |place: &&StreamPosition| {
            place.offset > 0
                && place.message_uuid == position.message_uuid
                && place.attempt == position.attempt
        };
        if start.is_none()
            && !text.is_empty()
            && let Some(place) = places.iter().find(goes_on)
        {
            position.offset = place.offset;
            *text = Box::default();
            has_any = true;
        }
    }
    has_any
}

/// A stream that has begun and shows no text yet: its first goes out at once.
fn has_unbegun(places: &[StreamPosition]) -> bool {
    places.iter().any(|place| place.offset == 0)
}

/// What a client has of an attempt is another text, or nothing is written there any more.
fn lost_frame(place: StreamPosition) -> Option<bytestring::ByteString> {
    let StreamPosition { message_uuid, attempt, offset, hash, .. } = place;
    let frame = MessageLost { message_uuid, attempt, offset, hash: hash? };
    ServerFrame::MessageLost(frame).to_text().map(Into::into)
}

fn in_frames(piece: StreamPiece) -> impl Iterator<Item = bytestring::ByteString> {
    let StreamPiece { position, start, text } = piece;
    let delta = (!text.is_empty()).then(|| {
        let StreamPosition { message_uuid, attempt, offset, .. } = position;
        let offset = offset - utf16::length(&text);
        let frame = MessageDelta { message_uuid, attempt, offset, text };
        ServerFrame::MessageDelta(frame).to_text().unwrap_or_default().into()
    });
    start.into_iter().chain(delta)
}
