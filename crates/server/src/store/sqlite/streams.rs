//! Answers while they grow. The writer checks, commits and only then shows; readers find what is shown
//! in memory.

mod answers;
mod commands;
mod log;
mod rows;
mod table;
#[cfg(test)]
mod tests;
mod text;

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
    commands::Command,
    times,
};
pub(super) use answers::Answers;
pub(super) use commands::{StreamCommand, StreamDone};
pub(super) use log::keep_needed_log;
pub(super) use table::Table;

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
        let overdue = self.growing.overdue(&self.rules.get(), times::uptime_ms((self.clock)().1));
        Box::pin(async move { Ok(overdue) })
    }

    fn read_streams(
        &self,
        user: &UserId,
        places: &[StreamPosition],
        room_bytes: usize,
    ) -> StreamRead {
        StreamRead::Now(self.growing.read(user, places, room_bytes))
    }
}
