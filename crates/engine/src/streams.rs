use alloc::vec::Vec;

use tetherline_protocol::{Attempt, limits::STREAMS_KNOWN_MAX};

/// The driver's own number for the name of a stream; equal names have equal numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamNo(pub u32);

/// What to do with a `message_start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStart {
    /// Forget what there was of this stream: it begins from nothing.
    Begin,
    /// It has begun already. What there is stays.
    Known,
    /// It is of an attempt that is over, or of no connection of this page.
    Drop,
}

/// What to do with a `message_delta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamDelta {
    /// Append the piece without its first `skip` UTF-16 units, which are there already.
    Append {
        /// Never within a surrogate pair, as no offset is.
        skip: u64,
    },
    /// All of it is there, or something before it is not, or its attempt is over.
    Drop,
}

/// What to do with the durable message that ends an attempt, beside delivering it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// The stream, if there is anything of it, is over.
    Finish,
    /// Nothing: it was known, or a later attempt has begun.
    Drop,
}

/// How far each stream is, as far as this page has seen it.
///
/// Of an answer only the latest attempt counts, and of that attempt only a prefix without holes.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// In the order in which they began or finished; at most [`STREAMS_KNOWN_MAX`].
    known: Vec<Stream>,
    /// What this connection has asked the server and was not answered.
    questions: u32,
}

#[derive(Debug)]
struct Stream {
    no: StreamNo,
    attempt: Attempt,
    progress: Progress,
    /// What comes next was asked for and has not come: one hole is one question.
    is_asked_for: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Open {
        length: u64,
    },
    /// Remembered, so that what comes late does not begin it anew.
    Finished,
}

/// What a piece of text is to an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Fits {
        skip: u64,
    },
    Stale,
    /// Something before it is missing, and was not asked for.
    Hole,
}

impl Streams {
    pub(crate) fn start(&mut self, no: StreamNo, attempt: Attempt) -> StreamStart {
        match self.find(no, attempt) {
            Found::Older => StreamStart::Drop,
            Found::Same(stream) => match stream.progress {
                Progress::Open { .. } => StreamStart::Known,
                Progress::Finished => StreamStart::Drop,
            },
            Found::News => {
                self.insert(no, attempt, Progress::Open { length: 0 });
                StreamStart::Begin
            }
        }
    }

    pub(crate) fn add(
        &mut self,
        no: StreamNo,
        attempt: Attempt,
        offset: u64,
        length: u64,
    ) -> Piece {
        let is_asked = self.questions > 0;
        match self.find(no, attempt) {
            Found::Older => Piece::Stale,
            Found::Same(stream) => stream.add(offset, length),
            // Its start comes with the answer. It is not remembered: nobody has any text of it that a server
            // could compare, and in a history that was replaced it may be ahead of what there is.
            Found::News if is_asked => Piece::Stale,
            Found::News => Piece::Hole,
        }
    }

    pub(crate) fn end(&mut self, no: StreamNo, attempt: Attempt) -> StreamEnd {
        match self.find(no, attempt) {
            Found::Older => StreamEnd::Drop,
            Found::Same(stream) if stream.progress == Progress::Finished => StreamEnd::Drop,
            Found::Same(_) | Found::News => {
                self.insert(no, attempt, Progress::Finished);
                StreamEnd::Finish
            }
        }
    }

    /// What there is of an attempt is another text. Answers whether it was one that is known and has not
    /// ended.
    pub(crate) fn lose(&mut self, no: StreamNo, attempt: Attempt) -> bool {
        let before = self.known.len();
        self.known.retain(|stream| {
            stream.no != no || stream.attempt != attempt || stream.progress == Progress::Finished
        });
        self.known.len() < before
    }

    /// Takes out one answer while more are known than may be: one that is finished, if there is one,
    /// and the oldest of those.
    pub(crate) fn pop_over_limit(&mut self) -> Option<StreamNo> {
        if self.known.len() <= STREAMS_KNOWN_MAX {
            return None;
        }
        let finished = self.known.iter().position(|stream| stream.progress == Progress::Finished);
        Some(self.known.remove(finished.unwrap_or(0)).no)
    }

    /// Forgets everything. Answers whether there was anything.
    pub(crate) fn forget(&mut self) -> bool {
        let was_empty = self.known.is_empty();
        self.known.clear();
        !was_empty
    }

    /// Whether the end of anything is still to come.
    pub(crate) fn has_unfinished(&self) -> bool {
        self.known.iter().any(|stream| stream.progress != Progress::Finished)
    }

    /// A new connection was asked nothing.
    pub(crate) fn connect(&mut self) {
        self.questions = 0;
    }

    /// The server is being asked, or the tab that leads, for what is missing of every answer.
    pub(crate) fn ask(&mut self, of_server: bool) {
        self.questions += u32::from(of_server);
        for stream in &mut self.known {
            stream.is_asked_for = true;
        }
    }

    /// The server has answered one question. After the last one, what is missing still may be asked
    /// for again.
    pub(crate) fn answered(&mut self) {
        self.questions = self.questions.saturating_sub(1);
        if self.questions == 0 {
            for stream in &mut self.known {
                stream.is_asked_for = false;
            }
        }
    }

    fn find(&mut self, no: StreamNo, attempt: Attempt) -> Found<'_> {
        match self.known.iter_mut().find(|stream| stream.no == no) {
            Some(stream) if attempt < stream.attempt => Found::Older,
            Some(stream) if attempt == stream.attempt => Found::Same(stream),
            _ => Found::News,
        }
    }

    fn insert(&mut self, no: StreamNo, attempt: Attempt, progress: Progress) {
        if let Some(index) = self.known.iter().position(|stream| stream.no == no) {
            self.known.remove(index);
        }
        self.known.push(Stream { no, attempt, progress, is_asked_for: false });
    }
}

/// What is known of an attempt.
enum Found<'a> {
    /// A later one.
    Older,
    Same(&'a mut Stream),
    /// Nothing, or an earlier one.
    News,
}

impl Stream {
    fn add(&mut self, offset: u64, length: u64) -> Piece {
        let known = match &mut self.progress {
            Progress::Open { length: known } if offset <= *known => known,
            Progress::Finished => return Piece::Stale,
            Progress::Open { .. } if self.is_asked_for => return Piece::Stale,
            Progress::Open { .. } => return Piece::Hole,
        };
        let end = offset.saturating_add(length);
        if end <= *known {
            return Piece::Stale;
        }
        let skip = *known - offset;
        *known = end;
        self.is_asked_for = false;
        Piece::Fits { skip }
    }
}
