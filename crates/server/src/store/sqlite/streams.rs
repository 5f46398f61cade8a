//! What is asked of the store about streams. The writer checks, commits and only then shows; readers
//! find what is shown in memory.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tetherline_protocol::{
    Attempt, MessageId, StopTarget, StreamPosition, UserId,
    frame::{StreamEnding, StreamOpening},
};

use super::{
    super::{
        AppendTextError, FinishStreamError, FinishedStream, OpenStreamError, OpenedStream,
        OverdueStream, StoppedStream, StoreError, StreamRead, StreamState, Streams,
    },
    SqliteStore,
    commands::{Command, Reply},
    times,
    told::Finish,
};

impl Streams for SqliteStore {
    fn open_stream(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
        opening: Arc<StreamOpening>,
    ) -> BoxFuture<'_, Result<OpenedStream, OpenStreamError>> {
        let (user, message_uuid) = (user.clone(), message_uuid.clone());
        Box::pin(async move {
            self.writer
                .ask(opening.fields().len(), |reply| {
                    Command::Stream(StreamCommand::Open { user, message_uuid, opening, reply })
                })
                .await?
        })
    }

    fn append_text(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
        attempt: Attempt,
        offset: Option<u64>,
        text: Box<str>,
    ) -> BoxFuture<'_, Result<u64, AppendTextError>> {
        let (user, message_uuid) = (user.clone(), message_uuid.clone());
        Box::pin(async move {
            self.writer
                .ask(text.len(), |reply| {
                    Command::Stream(StreamCommand::Append {
                        user,
                        message_uuid,
                        attempt,
                        offset,
                        text,
                        reply,
                    })
                })
                .await?
        })
    }

    fn finish_stream(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
        attempt: Attempt,
        ending: Arc<StreamEnding>,
    ) -> BoxFuture<'_, Result<FinishedStream, FinishStreamError>> {
        let (user, message_uuid) = (user.clone(), message_uuid.clone());
        Box::pin(async move {
            self.writer
                .ask(ending.bytes(), |reply| {
                    Command::Stream(StreamCommand::Finish {
                        user,
                        message_uuid,
                        attempt,
                        ending,
                        reply,
                    })
                })
                .await?
        })
    }

    fn stop_stream(
        &self,
        user: &UserId,
        target: &StopTarget,
    ) -> BoxFuture<'_, Result<StoppedStream, StoreError>> {
        let (user, target) = (user.clone(), target.clone());
        Box::pin(async move {
            self.writer
                .ask(0, |reply| Command::Stream(StreamCommand::Stop { user, target, reply }))
                .await?
        })
    }

    /// Asks the writer, whose answer is in order with everything else that it does.
    fn stream(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
    ) -> BoxFuture<'_, Result<Option<StreamState>, StoreError>> {
        let (user, message_uuid) = (user.clone(), message_uuid.clone());
        Box::pin(async move {
            self.writer
                .ask(0, |reply| Command::Stream(StreamCommand::Tell { user, message_uuid, reply }))
                .await?
        })
    }

    fn overdue_streams(&self) -> BoxFuture<'_, Result<Vec<OverdueStream>, StoreError>> {
        let overdue = self.streams.overdue(&self.rules.get(), times::uptime_ms((self.clock)().1));
        Box::pin(async move { Ok(overdue) })
    }

    fn read_streams(
        &self,
        user: &UserId,
        places: &[StreamPosition],
        room_bytes: usize,
    ) -> StreamRead {
        StreamRead::Now(self.streams.read(user, places, room_bytes))
    }
}

pub(super) enum StreamCommand {
    Open {
        user: UserId,
        message_uuid: MessageId,
        opening: Arc<StreamOpening>,
        reply: Reply<Result<OpenedStream, OpenStreamError>>,
    },
    Append {
        user: UserId,
        message_uuid: MessageId,
        attempt: Attempt,
        offset: Option<u64>,
        text: Box<str>,
        reply: Reply<Result<u64, AppendTextError>>,
    },
    Finish {
        user: UserId,
        message_uuid: MessageId,
        attempt: Attempt,
        ending: Arc<StreamEnding>,
        reply: Reply<Result<FinishedStream, FinishStreamError>>,
    },
    Stop {
        user: UserId,
        target: StopTarget,
        reply: Reply<Result<StoppedStream, StoreError>>,
    },
    Tell {
        user: UserId,
        message_uuid: MessageId,
        reply: Reply<Result<Option<StreamState>, StoreError>>,
    },
}

/// What a command came to, kept back until the commit.
pub(super) enum StreamDone {
    Open(Result<OpenedStream, OpenStreamError>),
    Append(Result<u64, AppendTextError>),
    Finish(Result<Finish, FinishStreamError>),
    Stop(StoppedStream),
    Tell(Option<StreamState>),
}

impl StreamCommand {
    pub(super) fn succeed(self, done: StreamDone) {
        match (self, done) {
            (Self::Open { reply, .. }, StreamDone::Open(opened)) => reply.send(opened),
            (Self::Append { reply, .. }, StreamDone::Append(end)) => reply.send(end),
            (Self::Finish { reply, .. }, StreamDone::Finish(finished)) => {
                reply.send(finished.map(Finish::into));
            }
            (Self::Stop { reply, .. }, StreamDone::Stop(stopped)) => reply.send(Ok(stopped)),
            (Self::Tell { reply, .. }, StreamDone::Tell(state)) => reply.send(Ok(state)),
            (command, _) => command.fail(StoreError::new("an answer of the wrong kind")),
        }
    }

    pub(super) fn fail(self, error: StoreError) {
        match self {
            Self::Open { reply, .. } => reply.send(Err(error.into())),
            Self::Append { reply, .. } => reply.send(Err(error.into())),
            Self::Finish { reply, .. } => reply.send(Err(error.into())),
            Self::Stop { reply, .. } => reply.send(Err(error)),
            Self::Tell { reply, .. } => reply.send(Err(error)),
        }
    }
}
