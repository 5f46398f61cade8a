use std::sync::Arc;

use futures_util::future::BoxFuture;
use tetherline_protocol::{
    Attempt, MessageId, Seq, StopTarget, StreamPosition, UserId,
    frame::{StreamEnding, StreamOpening},
    utf16,
};
use tetherline_server::store::{
    AppendTextError, Events, FinishStreamError, FinishedStream, OpenStreamError, OpenedStream,
    OverdueStream, StoppedStream, StoreError, StreamPhase, StreamRead, StreamSnapshot, StreamState,
    Streams, Subscription,
};

use super::{Adapter, id_of};
use crate::{
    streams::{Phase, Reply, Request},
    world::World,
};

impl Streams for Adapter {
    fn open_stream(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
        opening: Arc<StreamOpening>,
    ) -> BoxFuture<'_, Result<OpenedStream, OpenStreamError>> {
        let (user, uuid) = (user.clone(), message_uuid.clone());
        Box::pin(async move {
            let number = self.user(&user);
            let request = {
                let mut machine = self.machine();
                let stream = machine.streams.number((number, uuid.clone()));
                let reference =
                    opening.reference().map(|id| machine.sends.number((number, id.clone())));
                let publish = machine.content(&user, World::placeholder());
                let whole = Arc::default();
                Request::Open { stream, writer: 0, reference, publish, whole, uuid, opening }
            };
            let streams_max = self.machine().limits.streams_per_user_max;
            match self.order(number, request).await?.0 {
                Reply::Opened { attempt, is_stopped } => Ok(OpenedStream { attempt, is_stopped }),
                Reply::TooMany => Err(OpenStreamError::TooMany { streams_max }),
                Reply::Crowded => Err(OpenStreamError::Crowded),
                other => unreachable!("an opening is answered by {other:?}"),
            }
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
        let user = self.user(user);
        let stream = self.machine().streams.number((user, message_uuid.clone()));
        Box::pin(async move {
            let request = Request::Add { stream, attempt, offset, text: text.into() };
            let (reply, _) = self.order(user, request).await?;
            let machine = self.machine();
            if let Reply::Added { end } = reply {
                return Ok(end);
            }
            let Some(newest) = machine.newest(user, stream) else {
                return Err(AppendTextError::Unknown);
            };
            let next_offset = utf16::length(&newest.text);
            let bytes_max = machine.limits.stream_bytes_max;
            Err(match (reply, newest.phase) {
                (Reply::Superseded, _) => AppendTextError::Superseded { attempt: newest.attempt },
                (Reply::Stopped, _) => AppendTextError::Stopped { next_offset },
                (Reply::Finished, Phase::Finished { status }) => {
                    AppendTextError::Finished { status }
                }
                (Reply::Conflict, _) => AppendTextError::Conflict { next_offset },
                (Reply::Gap { end: next_offset }, _) => AppendTextError::Gap { next_offset },
                (Reply::TooLong, _) => AppendTextError::TooLong { bytes_max, next_offset },
                (Reply::Crowded, _) => AppendTextError::Crowded,
                _ => AppendTextError::Unknown,
            })
        })
    }

    fn finish_stream(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
        attempt: Attempt,
        ending: Arc<StreamEnding>,
    ) -> BoxFuture<'_, Result<FinishedStream, FinishStreamError>> {
        let user = self.user(user);
        let stream = self.machine().streams.number((user, message_uuid.clone()));
        Box::pin(async move {
            let request = Request::End { stream, attempt, ending };
            let (reply, is_new) = self.order(user, request).await?;
            let machine = self.machine();
            let newest = machine.newest(user, stream).ok_or(FinishStreamError::Unknown)?;
            match (reply, newest.phase) {
                (Reply::Ended(publish), Phase::Finished { status }) => {
                    let Some(ended) = machine.store.mailbox(user).find(publish) else {
                        unreachable!("m{publish} is not in the mailbox");
                    };
                    let (id, seq) = (id_of(ended), ended.seq);
                    Ok(FinishedStream { status, id, seq, repeated: !is_new })
                }
                (Reply::Superseded, _) => {
                    Err(FinishStreamError::Superseded { attempt: newest.attempt })
                }
                _ => Err(FinishStreamError::Unknown),
            }
        })
    }

    fn stop_stream(
        &self,
        user: &UserId,
        target: &StopTarget,
    ) -> BoxFuture<'_, Result<StoppedStream, StoreError>> {
        let user = self.user(user);
        let target = self.target(user, target);
        Box::pin(async move {
            match self.order(user, Request::Stop(target)).await?.0 {
                Reply::StopDone(stopped) => Ok(stopped),
                other => unreachable!("a stop is answered by {other:?}"),
            }
        })
    }

    fn stream(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
    ) -> BoxFuture<'_, Result<Option<StreamState>, StoreError>> {
        let user = self.user(user);
        let stream = self.machine().streams.number((user, message_uuid.clone()));
        Box::pin(async move {
            let machine = self.machine();
            Ok(machine.newest(user, stream).map(|newest| {
                let phase = match newest.phase {
                    Phase::Open { .. } => StreamPhase::Open,
                    Phase::Stopped { .. } => StreamPhase::Stopped,
                    Phase::Finished { status } => StreamPhase::Finished(status),
                };
                StreamState {
                    attempt: newest.attempt,
                    phase,
                    next_offset: utf16::length(&newest.text),
                    text: if newest.is_unfinished() {
                        newest.text.as_str().into()
                    } else {
                        "".into()
                    },
                }
            }))
        })
    }

    fn overdue_streams(&self) -> BoxFuture<'_, Result<Vec<OverdueStream>, StoreError>> {
        Box::pin(async move {
            let machine = self.machine();
            let orders = machine.store.overdue(machine.now, &machine.limits).into_iter();
            let named = orders.filter_map(|order| match order.request {
                Request::End { stream, attempt, ending } => Some(OverdueStream {
                    user: machine.users.0[order.user].clone(),
                    message_uuid: machine.streams.0[stream].1.clone(),
                    attempt,
                    status: ending.status,
                }),
                _ => None,
            });
            Ok(named.collect())
        })
    }

    fn read_streams(
        &self,
        user: &UserId,
        places: &[StreamPosition],
        room_bytes: usize,
    ) -> StreamRead {
        let user = self.user(user);
        let machine = self.machine();
        let as_of = Seq::new(machine.store.mailbox(user).head()).unwrap_or(Seq::MAX);
        let page = machine.store.read_streams(user, places, room_bytes);
        // As a store that has it elsewhere.
        StreamRead::Later(Box::pin(async move { Ok(StreamSnapshot { as_of, page }) }))
    }
}

impl Events for Adapter {
    fn events(&self) -> Subscription {
        self.machine().events.subscribe()
    }
}
