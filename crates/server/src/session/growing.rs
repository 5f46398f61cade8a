use std::time::{Duration, Instant};

use tetherline_protocol::{
    StreamPosition,
    frame::{MessageDelta, ServerFrame},
    limits::STREAM_INTERVAL_MS,
    utf16,
};

use super::Outgoing;
use crate::store::{StreamPage, StreamPiece};

/// Which growing answers a connection shows, and how far it has shown them. A slow reader is behind,
/// and costs no more than that: text is read when the socket is free, and never kept here.
pub(super) enum Growing {
    /// The client has not asked, or does not want to see answers grow.
    Unseen,
    Seen {
        places: Vec<StreamPosition>,
        pace: Pace,
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
    /// Something has begun or grown.
    Something,
    /// The same, and it was asked for.
    Asked,
}

impl Growing {
    /// A client asks for what waits, and says how far it has seen answers grow.
    pub(super) fn start(&mut self, have: Option<Vec<StreamPosition>>) {
        *self = match have {
            Some(places) => Self::Seen { places, pace: Pace::Owed },
            None => Self::Unseen,
        };
    }

    /// Something has begun or grown.
    pub(super) fn note_news(&mut self) {
        if let Self::Seen { pace: Pace::Live { news, .. }, .. } = self {
            *news = News::Something;
        }
    }

    /// How many answers grow, once what there is of them has been shown.
    pub(super) fn resumed(&self) -> Option<u64> {
        match self {
            Self::Unseen => Some(0),
            Self::Seen { places, pace: Pace::Live { .. } } => Some(places.len() as u64),
            Self::Seen { .. } => None,
        }
    }

    /// From where to read on now, with the socket free. While the backlog is under way nothing is live.
    pub(super) fn ask(&mut self, now: Instant) -> Option<Vec<StreamPosition>> {
        let Self::Seen { places, pace } = self else { return None };
        match pace {
            Pace::Owed => *pace = Pace::Asked,
            Pace::Live { news: news @ News::Something, next_at }
                if now >= *next_at || has_unbegun(places) =>
            {
                *news = News::Asked;
            }
            _ => return None,
        }
        Some(places.clone())
    }

    /// When to ask next, with the socket free.
    pub(super) fn next_at(&self) -> Option<Instant> {
        match self {
            Self::Seen { pace: Pace::Live { news: News::Something, next_at }, .. } => {
                Some(*next_at)
            }
            _ => None,
        }
    }

    /// What was read, as frames.
    pub(super) fn take(&mut self, page: StreamPage, now: Instant) -> Vec<Outgoing> {
        let Self::Seen { places, pace } = self else { return Vec::new() };
        if !matches!(pace, Pace::Asked | Pace::Live { news: News::Asked, .. }) {
            return Vec::new();
        }
        *places = page.pieces.iter().map(|piece| piece.position.clone()).collect();
        *pace = match pace {
            Pace::Asked if page.has_more => Pace::Owed,
            // What did not fit follows at once: it is late already.
            _ if page.has_more => Pace::Live { news: News::Something, next_at: now },
            _ => {
                let next_at = now + Duration::from_millis(STREAM_INTERVAL_MS);
                Pace::Live { news: News::Nothing, next_at }
            }
        };
        page.pieces.into_iter().flat_map(in_frames).map(Outgoing::Text).collect()
    }
}

/// An answer that has begun and shows no text yet: its first goes out at once.
fn has_unbegun(places: &[StreamPosition]) -> bool {
    places.iter().any(|place| place.offset == 0)
}

fn in_frames(piece: StreamPiece) -> impl Iterator<Item = axum::extract::ws::Utf8Bytes> {
    let StreamPiece { position, start, text } = piece;
    let delta = (!text.is_empty()).then(|| {
        let StreamPosition { message_uuid, attempt, offset } = position;
        let offset = offset - utf16::length(&text);
        let frame = MessageDelta { message_uuid, attempt, offset, text };
        ServerFrame::MessageDelta(frame).to_text().unwrap_or_default().into()
    });
    start.into_iter().chain(delta)
}
