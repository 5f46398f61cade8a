//! Streams in the store's model: what the trait `Streams` promises, for one user.

mod newest;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tetherline_protocol::{
    Attempt, MessageId, StreamPosition, StreamStatus,
    frame::{StreamEnding, StreamOpening},
    limits::STREAM_STOPS_MAX,
    utf16,
};
use tetherline_server::store::{StoppedStream, StreamPage};

pub(crate) use newest::{Newest, Phase};

use newest::bytes_of;

use crate::{
    Mutant,
    world::{PublishNo, SendNo, UserNo},
    writers::WriterNo,
};

/// A stream of a user, over all its attempts.
pub(crate) type StreamNo = usize;

/// What somebody asks about a stream, and in which history of it.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) user: UserNo,
    /// Backends are stopped before a backup is restored or a user erased: what they asked before
    /// does not arrive after it. `None` for what others ask.
    pub(crate) history: Option<u32>,
    pub(crate) asker: Asker,
    pub(crate) request: Request,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// With the number of the request.
    Writer(WriterNo, u32),
    /// A stop.
    Page(SendNo),
    /// The server itself, about a stream that nobody ends.
    Server,
}

#[derive(Debug, Clone)]
pub(crate) enum Request {
    Open {
        stream: StreamNo,
        writer: WriterNo,
        reference: Option<SendNo>,
        /// What the attempt becomes.
        publish: PublishNo,
        /// What its writer has to say, all of it: for who checks, and for nobody else.
        whole: Arc<[u16]>,
        uuid: MessageId,
        opening: Arc<StreamOpening>,
    },
    Add {
        stream: StreamNo,
        attempt: Attempt,
        /// At the end, if it is not said.
        offset: Option<u64>,
        text: String,
    },
    End {
        stream: StreamNo,
        attempt: Attempt,
        ending: Arc<StreamEnding>,
    },
    Stop(Target),
}

/// Which stream a stop is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Stream(StreamNo),
    Send(SendNo),
}

#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Opened {
        attempt: Attempt,
        is_stopped: bool,
    },
    TooMany,
    TooLong,
    Crowded,
    Added {
        end: u64,
    },
    /// The message is to be appended, or was before.
    Ended(PublishNo),
    StopDone(StoppedStream),
    Unknown,
    Superseded,
    Stopped,
    Finished,
    Conflict,
    Gap {
        end: u64,
    },
}

/// All streams of one user.
#[derive(Clone, Default)]
pub(crate) struct Streams {
    newest: BTreeMap<StreamNo, Newest>,
    /// Sends whose streams are stopped when they begin, the oldest first.
    stops: VecDeque<SendNo>,
    opened: u64,
}

/// How much there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Of one user.
    pub(crate) streams_max: usize,
    /// Of one stream.
    pub(crate) bytes_max: usize,
    /// By so much all of all users may still add.
    pub(crate) room_bytes: usize,
}

impl Streams {
    pub(crate) fn get(&self, stream: StreamNo) -> Option<&Newest> {
        self.newest.get(&stream)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (StreamNo, &Newest)> {
        self.newest.iter().map(|(stream, newest)| (*stream, newest))
    }

    pub(crate) fn unfinished(&self) -> impl Iterator<Item = (StreamNo, &Newest)> {
        self.all().filter(|(_, newest)| newest.is_unfinished())
    }

    /// What all unfinished ones count together.
    pub(crate) fn bytes(&self) -> usize {
        self.unfinished().map(|(_, newest)| newest.bytes()).sum()
    }

    pub(crate) fn stops(&self) -> impl Iterator<Item = SendNo> {
        self.stops.iter().copied()
    }

    /// Does what is asked, except that what an attempt becomes is appended by whoever calls.
    pub(crate) fn apply(
        &mut self,
        request: &Request,
        now: u64,
        bounds: Bounds,
        mutant: Option<Mutant>,
    ) -> Reply {
        match request {
            Request::Open { stream, writer, reference, publish, whole, uuid, opening } => {
                let others = self.unfinished().filter(|(other, _)| other != stream).count();
                if others >= bounds.streams_max {
                    return Reply::TooMany;
                }
                let left = self.get(*stream).filter(|before| before.is_unfinished());
                let freed = left.map_or(0, Newest::bytes);
                if bytes_of(opening) > bounds.room_bytes + freed {
                    return Reply::Crowded;
                }
                let attempt = self.get(*stream).map_or(Attempt::FIRST, |last| last.attempt.next());
                let is_stopped = reference.is_some_and(|send| self.stops.contains(&send));
                let phase = if is_stopped {
                    Phase::Stopped { at: now }
                } else {
                    Phase::Open { heard_at: now }
                };
                self.opened += 1;
                let newest = Newest {
                    attempt,
                    writer: *writer,
                    publish: *publish,
                    phase,
                    text: String::new(),
                    whole: whole.clone(),
                    uuid: uuid.clone(),
                    reference: *reference,
                    opening: opening.clone(),
                    order: self.opened,
                };
                self.newest.insert(*stream, newest);
                Reply::Opened { attempt, is_stopped }
            }
            Request::Add { stream, attempt, offset, text } => {
                match self.find(*stream, *attempt, mutant) {
                    Ok(newest) => newest.add(*offset, text, now, bounds, mutant),
                    Err(refusal) => refusal,
                }
            }
            Request::End { stream, attempt, .. } => match self.find(*stream, *attempt, mutant) {
                Ok(newest) => Reply::Ended(newest.publish),
                Err(refusal) => refusal,
            },
            Request::Stop(target) => Reply::StopDone(self.stop(*target, now, mutant)),
        }
    }

    /// In the same commit its message is appended.
    pub(crate) fn finish(&mut self, stream: StreamNo, status: StreamStatus) {
        if let Some(newest) = self.newest.get_mut(&stream) {
            newest.phase = Phase::Finished { status };
        }
    }

    /// The attempt becomes another message, and its text may go on otherwise.
    pub(crate) fn rewrite(
        &mut self,
        stream: StreamNo,
        publish: PublishNo,
        tail: Option<&str>,
    ) -> Option<&Newest> {
        let newest = self.newest.get_mut(&stream).filter(|newest| newest.is_unfinished())?;
        newest.publish = publish;
        if let Some(tail) = tail {
            newest.whole = newest.text.encode_utf16().chain(tail.encode_utf16()).collect();
        }
        Some(newest)
    }

    /// What a planted bug does in a crash.
    pub(crate) fn cut_short(&mut self) {
        for newest in self.newest.values_mut().filter(|newest| newest.is_unfinished()) {
            newest.text.pop();
        }
    }

    fn find(
        &mut self,
        stream: StreamNo,
        attempt: Attempt,
        mutant: Option<Mutant>,
    ) -> Result<&mut Newest, Reply> {
        let newest = self.newest.get_mut(&stream).ok_or(Reply::Unknown)?;
        if attempt < newest.attempt && mutant != Some(Mutant::ZombieAccepted) {
            return Err(Reply::Superseded);
        }
        if attempt > newest.attempt { Err(Reply::Unknown) } else { Ok(newest) }
    }

    /// The attempts that a stop is about.
    pub(crate) fn meant(&self, target: Target) -> Vec<(StreamNo, Attempt)> {
        let is_meant = |(stream, newest): &(StreamNo, &Newest)| newest.is_meant(*stream, target);
        self.all().filter(is_meant).map(|(stream, newest)| (stream, newest.attempt)).collect()
    }

    fn stop(&mut self, target: Target, now: u64, mutant: Option<Mutant>) -> StoppedStream {
        let mut is_known = false;
        let mut stopped = StoppedStream::Already;
        for (stream, newest) in &mut self.newest {
            if !newest.is_meant(*stream, target) {
                continue;
            }
            is_known = true;
            if let Phase::Open { .. } = newest.phase {
                stopped = StoppedStream::Stopped;
                if mutant != Some(Mutant::StopSealsNothing) {
                    newest.phase = Phase::Stopped { at: now };
                }
            }
        }
        match target {
            _ if is_known => stopped,
            Target::Stream(_) => StoppedStream::Unknown,
            Target::Send(send) => {
                if mutant != Some(Mutant::EarlyStopForgotten) && !self.stops.contains(&send) {
                    self.stops.push_back(send);
                    if self.stops.len() > STREAM_STOPS_MAX {
                        self.stops.pop_front();
                    }
                }
                StoppedStream::Remembered
            }
        }
    }

    /// `is_hidden`: a store takes an attempt out of sight a moment before it ends.
    pub(crate) fn read(
        &self,
        places: &[StreamPosition],
        mut room: usize,
        is_hidden: impl Fn(StreamNo) -> bool,
        mutant: Option<Mutant>,
    ) -> StreamPage {
        let mut unfinished: Vec<_> =
            self.all().filter(|(_, newest)| newest.is_shown(mutant)).collect();
        unfinished.retain(|(stream, _)| !is_hidden(*stream));
        unfinished.sort_by_key(|(_, newest)| newest.order);
        let mut page = StreamPage::default();
        let is_lost = |place: &&StreamPosition| {
            place.hash.is_some() && !unfinished.iter().any(|(_, newest)| newest.goes_on_from(place))
        };
        page.lost = places.iter().filter(is_lost).cloned().collect();
        for (_, newest) in unfinished {
            let piece = newest.piece(places, room, mutant);
            room = room.saturating_sub(piece.text.len());
            page.has_more |= piece.position.offset < utf16::length(&newest.text);
            page.pieces.push(piece);
        }
        page
    }
}

/// What the simulated backends begin a stream with.
pub(crate) fn opening(stream: StreamNo, reference: Option<SendNo>) -> Arc<StreamOpening> {
    let reference =
        reference.map(|send| format!("s{send}").parse().expect("a letter and a number are an id"));
    let fields = format!(r#""topic":{stream}"#).into();
    Arc::new(StreamOpening::from_stored("message_generate".into(), uuid(stream), reference, fields))
}

pub(crate) fn uuid(stream: StreamNo) -> MessageId {
    format!("a{stream}").parse().expect("a letter and a number are an id")
}
