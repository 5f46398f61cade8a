//! What a store promises about streams.

use std::sync::Arc;

use bytestring::ByteString;
use futures_util::future::BoxFuture;
use tetherline_protocol::{
    Attempt, MessageId, Seq, StopTarget, StreamPosition, StreamStatus, UserId,
    frame::{StreamEnding, StreamOpening},
};

use super::{AppendError, StoreError};

/// Answers that are written bit by bit. Text is shown to nobody before it is durable, and what was shown
/// never changes within an attempt.
///
/// An attempt is *open* until it is stopped or finished, *stopped* until it is finished, and finished
/// for good: its text has become a message of the mailbox then. Only an open one takes text.
pub trait Streams: Send + Sync + 'static {
    /// Begins another attempt at a stream, the first if there was none, and ends whatever attempt was
    /// going on: that one takes nothing any more. Durable once this answers.
    fn open_stream(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
        opening: Arc<StreamOpening>,
    ) -> BoxFuture<'_, Result<OpenedStream, OpenStreamError>>;

    /// Adds text, durably, and answers where it ends now. `offset` says where the text belongs, and
    /// makes a repeat recognisable: what is there already is compared and not added again. Without it,
    /// it is added at the end.
    fn append_text(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
        attempt: Attempt,
        offset: Option<u64>,
        text: Box<str>,
    ) -> BoxFuture<'_, Result<u64, AppendTextError>>;

    /// Ends an attempt: in one commit it takes no text any more, and the message that it has become is
    /// appended to the mailbox. One that somebody has stopped ends as stopped, whatever the ending says.
    /// A repeat is answered as the first time.
    fn finish_stream(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
        attempt: Attempt,
        ending: Arc<StreamEnding>,
    ) -> BoxFuture<'_, Result<FinishedStream, FinishStreamError>>;

    /// Has a stream take no text any more. For a send whose stream has not begun, that is remembered
    /// until it does, for as long as sends are.
    fn stop_stream(
        &self,
        user: &UserId,
        target: &StopTarget,
    ) -> BoxFuture<'_, Result<StoppedStream, StoreError>>;

    /// What there is of a stream: its newest attempt. `None` if it was never opened, or was forgotten.
    fn stream(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
    ) -> BoxFuture<'_, Result<Option<StreamState>, StoreError>>;

    /// Attempts that are open and got no text for as long as `stream_idle_ms`, or that were stopped and
    /// not finished for as long as `stream_stop_grace_ms`; at most a hundred, the others next time.
    fn overdue_streams(&self) -> BoxFuture<'_, Result<Vec<OverdueStream>, StoreError>>;

    /// What a reader who has got this far has not got yet, at once if it is in memory: one entry for every
    /// attempt of the user that is not finished, oldest first, with at most `room_bytes` of text
    /// together. A place with a hash counts only if the text up to there is that text, and one that is
    /// only checked counts for nothing else. Nothing of an attempt is ever answered once the message that
    /// it became can be read.
    fn read_streams(
        &self,
        user: &UserId,
        places: &[StreamPosition],
        room_bytes: usize,
    ) -> StreamRead;
}

/// A look at the unfinished streams of a user.
pub enum StreamRead {
    /// From memory, as of this moment: nothing is in it whose message anybody can have read.
    Now(StreamPage),
    /// From elsewhere.
    Later(BoxFuture<'static, Result<StreamSnapshot, StoreError>>),
}

/// What there was at one moment, which may have passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSnapshot {
    /// Where the mailbox ended then: no attempt is in the page whose message stands here or before.
    pub as_of: Seq,
    /// What there was of unfinished streams.
    pub page: StreamPage,
}

impl StreamRead {
    /// What there was, whenever that was: for who reads no messages beside it.
    pub async fn page(self) -> Result<StreamPage, StoreError> {
        match self {
            Self::Now(page) => Ok(page),
            Self::Later(snapshot) => Ok(snapshot.await?.page),
        }
    }
}

/// An attempt that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedStream {
    /// Its number.
    pub attempt: Attempt,
    /// Somebody stopped it before it began: it takes no text.
    pub is_stopped: bool,
}

/// An attempt that is over, and the message that it became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedStream {
    /// How it ended.
    pub status: StreamStatus,
    /// The message's id.
    pub id: MessageId,
    /// The message's position.
    pub seq: Seq,
    /// Whether the attempt had been finished before.
    pub repeated: bool,
}

/// What a stop did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoppedStream {
    /// The attempt takes no text any more.
    Stopped,
    /// There is nothing to stop any more: the stream is finished, or was stopped before.
    Already,
    /// The stream has not begun. It will be stopped when it does.
    Remembered,
    /// This user has no stream of that name.
    Unknown,
}

/// A stream as far as it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamState {
    /// The newest attempt.
    pub attempt: Attempt,
    /// Whether it takes text, and what became of it if not.
    pub phase: StreamPhase,
    /// Where its text ends, in UTF-16 units.
    pub next_offset: u64,
    /// Its text. Once it is finished, the message has it, and here it is empty.
    pub text: Box<str>,
}

/// What an attempt is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamPhase {
    /// It takes text.
    Open,
    /// Somebody stopped it; its writer has not ended it yet.
    Stopped,
    /// It is over.
    Finished(StreamStatus),
}

/// An attempt whose writer is late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverdueStream {
    /// Whose stream it is.
    pub user: UserId,
    /// Its name.
    pub message_uuid: MessageId,
    /// Which attempt.
    pub attempt: Attempt,
    /// What it is to be ended as.
    pub status: StreamStatus,
}

/// What a reader has not got yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamPage {
    /// One for every attempt that is not finished, with or without news.
    pub pieces: Vec<StreamPiece>,
    /// The places with a hash that are none of any unfinished stream: whoever is there has the text of
    /// another history, or the end of the stream comes as a message.
    pub lost: Vec<StreamPosition>,
    /// Not everything fitted.
    pub has_more: bool,
}

/// The news about one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPiece {
    /// Where the reader is once it has this piece.
    pub position: StreamPosition,
    /// The `message_start`, for a reader who has not heard of this attempt.
    pub start: Option<ByteString>,
    /// The text up to `position`; empty if there is nothing new, or no room for it.
    pub text: Box<str>,
}

/// Why an attempt was not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenStreamError {
    /// This user has as many unfinished streams as may be.
    #[error(
        "streams_per_user_max ({streams_max}) answers of this user are not finished; end one first, or try again later"
    )]
    TooMany {
        /// The limit.
        streams_max: usize,
    },
    /// All unfinished streams together are as large as they may be.
    #[error(
        "all unfinished answers together have reached streams_bytes_max; try again in a moment"
    )]
    Crowded,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why text was not added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendTextError {
    /// This user has no stream of that name.
    #[error("no answer of this name was opened for this user")]
    Unknown,
    /// There is a later attempt.
    #[error("attempt {attempt} has begun; this one takes nothing any more")]
    Superseded {
        /// The newest.
        attempt: Attempt,
    },
    /// The person does not want more of it.
    #[error("the answer was stopped; end it")]
    Stopped {
        /// Where its text ends for good.
        next_offset: u64,
    },
    /// It is over.
    #[error("the answer is over: {}", status.as_str())]
    Finished {
        /// How it ended.
        status: StreamStatus,
    },
    /// What is there at that offset is another text, or the offset is within a surrogate pair.
    #[error("another text is there already; it ends at {next_offset}")]
    Conflict {
        /// Where the text ends.
        next_offset: u64,
    },
    /// Something before it is missing.
    #[error("the text ends at {next_offset}; what comes between is missing")]
    Gap {
        /// Where the text ends.
        next_offset: u64,
    },
    /// The stream would be too long.
    #[error("the answer would be longer than stream_bytes_max ({bytes_max} bytes)")]
    TooLong {
        /// The limit.
        bytes_max: usize,
        /// Where the text ends.
        next_offset: u64,
    },
    /// All unfinished streams together are as large as they may be.
    #[error(
        "all unfinished answers together have reached streams_bytes_max; try again in a moment"
    )]
    Crowded,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an attempt was not ended.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FinishStreamError {
    /// This user has no stream of that name.
    #[error("no answer of this name was opened for this user")]
    Unknown,
    /// There is a later attempt.
    #[error("attempt {attempt} has begun; this one is over")]
    Superseded {
        /// The newest.
        attempt: Attempt,
    },
    /// The mailbox did not take the message.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl From<StoreError> for FinishStreamError {
    fn from(error: StoreError) -> Self {
        Self::Append(error.into())
    }
}
