use std::sync::Arc;

use futures_util::future::BoxFuture;
use tetherline_protocol::{
    Attempt, MessageId, StopTarget, StreamPosition, UserId,
    frame::{StreamEnding, StreamOpening},
};

use super::{
    super::{
        AppendError, AppendTextError, FinishStreamError, FinishedStream, OpenStreamError,
        OpenedStream, OverdueStream, StoppedStream, StoreError, StreamPage, StreamState, Streams,
    },
    SqliteStore,
};

impl Streams for SqliteStore {
    fn open_stream(
        &self,
        _user: &UserId,
        _message_uuid: &MessageId,
        _opening: Arc<StreamOpening>,
    ) -> BoxFuture<'_, Result<OpenedStream, OpenStreamError>> {
        Box::pin(async { Err(missing().into()) })
    }

    fn append_text(
        &self,
        _user: &UserId,
        _message_uuid: &MessageId,
        _attempt: Attempt,
        _offset: Option<u64>,
        _text: Box<str>,
    ) -> BoxFuture<'_, Result<u64, AppendTextError>> {
        Box::pin(async { Err(missing().into()) })
    }

    fn finish_stream(
        &self,
        _user: &UserId,
        _message_uuid: &MessageId,
        _attempt: Attempt,
        _ending: Arc<StreamEnding>,
    ) -> BoxFuture<'_, Result<FinishedStream, FinishStreamError>> {
        Box::pin(async { Err(AppendError::from(missing()).into()) })
    }

    fn stop_stream(
        &self,
        _user: &UserId,
        _target: &StopTarget,
    ) -> BoxFuture<'_, Result<StoppedStream, StoreError>> {
        Box::pin(async { Err(missing()) })
    }

    fn stream(
        &self,
        _user: &UserId,
        _message_uuid: &MessageId,
    ) -> BoxFuture<'_, Result<Option<StreamState>, StoreError>> {
        Box::pin(async { Err(missing()) })
    }

    fn overdue_streams(&self) -> BoxFuture<'_, Result<Vec<OverdueStream>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn read_streams(
        &self,
        _user: &UserId,
        _places: &[StreamPosition],
        _room_bytes: usize,
    ) -> StreamPage {
        StreamPage::default()
    }
}

fn missing() -> StoreError {
    StoreError::new("this store keeps no growing answers yet")
}
