//! Every stream that is not finished, in memory: the writer adds to them, readers look.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use bytestring::ByteString;
use tetherline_protocol::{
    Attempt, MessageId, StreamPosition, StreamStatus, UserId, frame::StreamOpening,
};

use super::{
    super::{OverdueStream, StreamPage, StreamPiece},
    rules::Rule,
    stream_text::Text,
};
use crate::lock::lock;

/// What a stream counts for `streams_bytes_max` besides its text and its fields, in bytes, so that
/// streams without either are bounded, too.
pub(super) const STREAM_OVERHEAD_BYTES: usize = 1_024;
/// Overdue attempts that are named at once.
pub(super) const OVERDUE_MAX: usize = 100;

/// An attempt that is not finished.
pub(super) struct Stream {
    /// Its row. Later attempts have larger ones.
    pub(super) number: i64,
    pub(super) user: UserId,
    pub(super) message_uuid: MessageId,
    pub(super) attempt: Attempt,
    pub(super) opening: Arc<StreamOpening>,
    start: ByteString,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) text: Text,
    pub(super) phase: Phase,
    pub(super) sight: Sight,
    /// The first row of the log that has text of it which its own row lacks. Only the writer looks.
    pub(super) pin: Option<i64>,
}

/// In ms of uptime: nobody is given up because a clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open { heard_at: i64 },
    Stopped { at: i64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// Its opening is not committed yet.
    Hidden,
    Shown,
}

impl Stream {
    pub(super) fn new(
        number: i64,
        user: UserId,
        message_uuid: MessageId,
        attempt: Attempt,
        opening: Arc<StreamOpening>,
        phase: Phase,
    ) -> Self {
        let start = opening.start_frame(&message_uuid, attempt).into();
        let state = State { text: Text::default(), phase, sight: Sight::Hidden, pin: None };
        Self { number, user, message_uuid, attempt, opening, start, state: Mutex::new(state) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// What an attempt without text counts for `streams_bytes_max`.
    pub(super) fn cost_of(opening: &StreamOpening) -> usize {
        STREAM_OVERHEAD_BYTES + opening.fields().len()
    }

    /// What it counts for `streams_bytes_max` as it is.
    pub(super) fn cost(&self) -> usize {
        Self::cost_of(&self.opening) + self.state().text.as_str().len()
    }

    fn piece(&self, places: &[StreamPosition], room_bytes: usize) -> Option<(StreamPiece, bool)> {
        let state = self.state();
        if state.sight == Sight::Hidden {
            return None;
        }
        let text = &state.text;
        // A place that is not in the text is one in another history of it: the reader starts over.
        let stands = |place: &&StreamPosition| {
            !place.is_only_checked && self.has(place) && text.agrees_with(place)
        };
        let place = places.iter().filter(stands).min_by_key(|place| place.offset);
        let resumed = place.and_then(|place| text.read(place.offset, room_bytes));
        let start = resumed.is_none().then(|| self.start.clone());
        let (piece, offset) = resumed.or_else(|| text.read(0, room_bytes))?;
        let position = StreamPosition {
            message_uuid: self.message_uuid.clone(),
            attempt: self.attempt,
            offset,
            hash: None,
            is_only_checked: false,
        };
        let has_more = text.goes_on_after(offset);
        Some((StreamPiece { position, start, text: piece.into() }, has_more))
    }

    fn has(&self, place: &StreamPosition) -> bool {
        place.message_uuid == self.message_uuid && place.attempt == self.attempt
    }

    /// Whether a reader at this place reads what is written here, or will see by a later attempt that it
    /// starts over.
    fn goes_on_from(&self, place: &StreamPosition) -> bool {
        let state = self.state();
        place.message_uuid == self.message_uuid
            && state.sight == Sight::Shown
            && (place.attempt < self.attempt || (self.has(place) && state.text.agrees_with(place)))
    }

    fn overdue(&self, rule: &Rule, now: i64) -> Option<OverdueStream> {
        let state = self.state();
        let (since, patience_ms, status) = match state.phase {
            Phase::Open { heard_at } => (heard_at, rule.stream_idle_ms, StreamStatus::Interrupted),
            Phase::Stopped { at } => (at, rule.stream_stop_grace_ms, StreamStatus::Stopped),
        };
        let is_overdue = state.sight == Sight::Shown && now.saturating_sub(since) >= patience_ms;
        is_overdue.then(|| OverdueStream {
            user: self.user.clone(),
            message_uuid: self.message_uuid.clone(),
            attempt: self.attempt,
            status,
        })
    }
}

/// The unfinished attempts of all users, of each the oldest first; nobody is in it without one.
///
/// An attempt leaves it before the commit that finishes it: nothing of it is read when its message
/// can be.
#[derive(Default)]
pub(super) struct StreamTable {
    users: RwLock<HashMap<UserId, Vec<Arc<Stream>>>>,
}

impl StreamTable {
    pub(super) fn find(&self, user: &UserId, message_uuid: &MessageId) -> Option<Arc<Stream>> {
        let users = self.look();
        let mut own = users.get(user)?.iter();
        own.find(|stream| stream.message_uuid == *message_uuid).cloned()
    }

    /// How many, and what they take, in bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        let users = self.look();
        let streams = users.values().flatten();
        streams.fold((0, 0), |(count, bytes), stream| (count + 1, bytes + stream.cost()))
    }

    pub(super) fn of(&self, user: &UserId) -> Vec<Arc<Stream>> {
        self.look().get(user).cloned().unwrap_or_default()
    }

    pub(super) fn all(&self) -> Vec<Arc<Stream>> {
        self.look().values().flatten().cloned().collect()
    }

    pub(super) fn add(&self, stream: Arc<Stream>) {
        let mut users = self.change();
        let own = users.entry(stream.user.clone()).or_default();
        let index = own.partition_point(|other| other.number < stream.number);
        own.insert(index, stream);
    }

    pub(super) fn remove(&self, stream: &Stream) {
        let mut users = self.change();
        if let Some(own) = users.get_mut(&stream.user) {
            own.retain(|other| other.number != stream.number);
            if own.is_empty() {
                users.remove(&stream.user);
            }
        }
    }

    pub(super) fn read(
        &self,
        user: &UserId,
        places: &[StreamPosition],
        mut room_bytes: usize,
    ) -> StreamPage {
        let users = self.look();
        let mut page = StreamPage::default();
        let own = users.get(user).map_or(&[][..], Vec::as_slice);
        let is_lost = |place: &&StreamPosition| {
            place.hash.is_some() && !own.iter().any(|stream| stream.goes_on_from(place))
        };
        page.lost = places.iter().filter(is_lost).cloned().collect();
        for stream in own {
            if let Some((piece, has_more)) = stream.piece(places, room_bytes) {
                room_bytes -= piece.text.len();
                page.has_more |= has_more;
                page.pieces.push(piece);
            }
        }
        page
    }

    pub(super) fn overdue(&self, rule: &Rule, now: i64) -> Vec<OverdueStream> {
        let users = self.look();
        let all = users.values().flatten();
        all.filter_map(|stream| stream.overdue(rule, now)).take(OVERDUE_MAX).collect()
    }

    fn look(&self) -> RwLockReadGuard<'_, HashMap<UserId, Vec<Arc<Stream>>>> {
        self.users.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, HashMap<UserId, Vec<Arc<Stream>>>> {
        self.users.write().unwrap_or_else(PoisonError::into_inner)
    }
}
