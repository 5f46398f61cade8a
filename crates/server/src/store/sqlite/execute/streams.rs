//! What each stream's command changes, within the transaction of its batch.

use std::{cmp::Ordering, sync::Arc};

use tetherline_protocol::{
    Attempt, MessageId, StopTarget, StreamStatus, UserId,
    frame::{StreamEnding, StreamOpening},
};

use super::super::{
    rules::Rule,
    stream_rows::{self, Finished},
    stream_table::{Phase, Stream},
    stream_text::Misfit,
    streams::{StreamCommand, StreamDone},
    times::Moment,
    told::Finish,
    view::Mailbox,
    writer::Desk,
};
use crate::store::{
    AppendError, AppendTextError, FinishStreamError, FinishedStream, OpenStreamError, OpenedStream,
    StoppedStream, StreamPhase, StreamState,
};

/// The newest attempt at a stream.
enum Newest {
    Unfinished(Arc<Stream>),
    Finished(Finished),
}

/// Why there is nothing of the attempt that a command names.
enum Missing {
    Unknown,
    Superseded { attempt: Attempt },
}

impl From<Missing> for AppendTextError {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Unknown => Self::Unknown,
            Missing::Superseded { attempt } => Self::Superseded { attempt },
        }
    }
}

impl From<Missing> for FinishStreamError {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Unknown => Self::Unknown,
            Missing::Superseded { attempt } => Self::Superseded { attempt },
        }
    }
}

impl Desk {
    pub(super) fn execute_stream(
        &mut self,
        command: &StreamCommand,
        rule: &Rule,
        now: Moment,
    ) -> rusqlite::Result<StreamDone> {
        match command {
            StreamCommand::Open { user, message_uuid, opening, .. } => {
                self.open_stream(user, message_uuid, opening, rule, now).map(StreamDone::Open)
            }
            StreamCommand::Append { user, message_uuid, attempt, offset, text, .. } => {
                let appended = match self.find(user, message_uuid, *attempt)? {
                    Ok(newest) => self.append_text(newest, *offset, text, rule, now)?,
                    Err(missing) => Err(missing.into()),
                };
                Ok(StreamDone::Append(appended))
            }
            StreamCommand::Finish { user, message_uuid, attempt, ending, .. } => {
                let finished = match self.find(user, message_uuid, *attempt)? {
                    Ok(newest) => self.finish_stream(newest, ending, now)?,
                    Err(missing) => Err(missing.into()),
                };
                Ok(StreamDone::Finish(finished))
            }
            StreamCommand::Stop { user, target, .. } => match target {
                StopTarget::Message(message_uuid) => self.stop_stream(user, message_uuid, now),
                StopTarget::Send(id) => self.stop_streams_for(user, id, now),
            }
            .map(StreamDone::Stop),
            StreamCommand::Tell { user, message_uuid, .. } => {
                self.tell_stream(user, message_uuid).map(StreamDone::Tell)
            }
        }
    }

    fn open_stream(
        &mut self,
        user: &UserId,
        message_uuid: &MessageId,
        opening: &Arc<StreamOpening>,
        rule: &Rule,
        now: Moment,
    ) -> rusqlite::Result<Result<OpenedStream, OpenStreamError>> {
        let before = self.unfinished.table.find(user, message_uuid);
        let others = self.unfinished.table.of(user).len() - usize::from(before.is_some());
        if others >= rule.streams_per_user_max {
            let streams_max = rule.streams_per_user_max;
            return Ok(Err(OpenStreamError::TooMany { streams_max }));
        }
        let freed = before.as_ref().map_or(0, |before| before.cost());
        let bytes = self.unfinished.bytes - freed + Stream::cost_of(opening);
        if bytes > rule.streams_bytes_max {
            return Ok(Err(OpenStreamError::Crowded));
        }
        let number = self.mailbox(user)?.user;
        let last = match &before {
            Some(before) => Some(before.attempt),
            None => {
                stream_rows::finished(&self.connection, number, message_uuid)?.map(|it| it.attempt)
            }
        };
        if let Some(before) = before {
            self.unfinished.left(before);
        }
        if last.is_some() {
            stream_rows::delete(&self.connection, number, message_uuid)?;
        }
        let since = now.age_ms.saturating_sub(rule.dedupe_window_ms);
        let is_stopped = opening.reference().map_or(Ok(false), |reference| {
            stream_rows::is_stopped(&self.connection, number, reference, since)
        })?;
        let at = now.uptime_ms;
        let phase = if is_stopped { Phase::Stopped { at } } else { Phase::Open { heard_at: at } };
        let attempt = last.map_or(Attempt::FIRST, Attempt::next);
        let (name, uuid) = (user.clone(), message_uuid.clone());
        let row = self.unfinished.next_number();
        let stream = Stream::new(row, name, uuid, attempt, opening.clone(), phase);
        stream_rows::insert(
            &self.connection,
            number,
            &stream,
            self.unfinished.log.newest(),
            now.created_ms,
        )?;
        self.unfinished.opened(stream);
        Ok(Ok(OpenedStream { attempt, is_stopped }))
    }

    fn append_text(
        &mut self,
        newest: Newest,
        offset: Option<u64>,
        text: &str,
        rule: &Rule,
        now: Moment,
    ) -> rusqlite::Result<Result<u64, AppendTextError>> {
        let stream = match newest {
            Newest::Unfinished(stream) => stream,
            Newest::Finished(Finished { status, .. }) => {
                return Ok(Err(AppendTextError::Finished { status }));
            }
        };
        let news = {
            let mut state = stream.state();
            let next_offset = state.text.length();
            let Phase::Open { heard_at } = &mut state.phase else {
                return Ok(Err(AppendTextError::Stopped { next_offset }));
            };
            *heard_at = now.uptime_ms;
            let news = match state.text.news(offset, text) {
                Ok("") => return Ok(Ok(next_offset)),
                Ok(news) => news,
                Err(Misfit::Conflict) => {
                    return Ok(Err(AppendTextError::Conflict { next_offset }));
                }
                Err(Misfit::Gap) => return Ok(Err(AppendTextError::Gap { next_offset })),
            };
            let bytes_max = rule.stream_bytes_max;
            if state.text.as_str().len() + news.len() > bytes_max {
                return Ok(Err(AppendTextError::TooLong { bytes_max, next_offset }));
            }
            news
        };
        if self.unfinished.bytes + news.len() > rule.streams_bytes_max {
            return Ok(Err(AppendTextError::Crowded));
        }
        self.unfinished.appended(&self.connection, &stream, news)?;
        Ok(Ok(stream.state().text.length()))
    }

    fn finish_stream(
        &mut self,
        newest: Newest,
        ending: &StreamEnding,
        now: Moment,
    ) -> rusqlite::Result<Result<Finish, FinishStreamError>> {
        let stream = match newest {
            Newest::Unfinished(stream) => stream,
            Newest::Finished(Finished { status, id, seq, .. }) => {
                let before = FinishedStream { status, id, seq, repeated: true };
                return Ok(Ok(Finish::Before(before)));
            }
        };
        let (message, status, length) = {
            let state = stream.state();
            let status = match state.phase {
                Phase::Open { .. } => ending.status,
                Phase::Stopped { .. } => StreamStatus::Stopped,
            };
            let (uuid, text) = (&stream.message_uuid, state.text.as_str());
            let message = stream.opening.message(uuid, stream.attempt, status, text, ending);
            (message, status, state.text.length())
        };
        let appended = match self.append(&stream.user, None, &message, now)? {
            Ok(appended) => appended,
            Err(error) => return Ok(Err(AppendError::into(error))),
        };
        stream_rows::finish(&self.connection, stream.number, status, &appended, length)?;
        self.unfinished.left(stream);
        Ok(Ok(Finish::Now { status, appended, message: Arc::new(message) }))
    }

    fn stop_stream(
        &mut self,
        user: &UserId,
        message_uuid: &MessageId,
        now: Moment,
    ) -> rusqlite::Result<StoppedStream> {
        match self.newest(user, message_uuid)? {
            Some(Newest::Unfinished(stream)) => self.stop_all([stream], now),
            Some(Newest::Finished(_)) => Ok(StoppedStream::Already),
            None => Ok(StoppedStream::Unknown),
        }
    }

    fn stop_streams_for(
        &mut self,
        user: &UserId,
        send: &MessageId,
        now: Moment,
    ) -> rusqlite::Result<StoppedStream> {
        let streams = self.unfinished.answering(user, send);
        if !streams.is_empty() {
            return self.stop_all(streams, now);
        }
        let number = self.mailbox(user)?.user;
        if stream_rows::is_answered(&self.connection, number, send)? {
            return Ok(StoppedStream::Already);
        }
        stream_rows::remember_stop(&self.connection, number, send, now.created_ms)?;
        Ok(StoppedStream::Remembered)
    }

    fn stop_all(
        &mut self,
        streams: impl IntoIterator<Item = Arc<Stream>>,
        now: Moment,
    ) -> rusqlite::Result<StoppedStream> {
        let mut stopped = StoppedStream::Already;
        for stream in streams {
            let phase = stream.state().phase;
            if let Phase::Open { .. } = phase {
                stream_rows::stop(&self.connection, stream.number, now.created_ms)?;
                self.unfinished.stopped(stream, now.uptime_ms);
                stopped = StoppedStream::Stopped;
            }
        }
        Ok(stopped)
    }

    fn tell_stream(
        &mut self,
        user: &UserId,
        message_uuid: &MessageId,
    ) -> rusqlite::Result<Option<StreamState>> {
        let newest = self.newest(user, message_uuid)?;
        Ok(newest.map(|newest| match newest {
            Newest::Unfinished(stream) => {
                let state = stream.state();
                let phase = match state.phase {
                    Phase::Open { .. } => StreamPhase::Open,
                    Phase::Stopped { .. } => StreamPhase::Stopped,
                };
                let (next_offset, text) = (state.text.length(), state.text.as_str().into());
                StreamState { attempt: stream.attempt, phase, next_offset, text }
            }
            Newest::Finished(Finished { attempt, status, length, .. }) => StreamState {
                attempt,
                phase: StreamPhase::Finished(status),
                next_offset: length,
                text: Box::default(),
            },
        }))
    }

    fn find(
        &mut self,
        user: &UserId,
        message_uuid: &MessageId,
        attempt: Attempt,
    ) -> rusqlite::Result<Result<Newest, Missing>> {
        let Some(newest) = self.newest(user, message_uuid)? else {
            return Ok(Err(Missing::Unknown));
        };
        let newest_attempt = match &newest {
            Newest::Unfinished(stream) => stream.attempt,
            Newest::Finished(finished) => finished.attempt,
        };
        Ok(match attempt.cmp(&newest_attempt) {
            Ordering::Less => Err(Missing::Superseded { attempt: newest_attempt }),
            Ordering::Equal => Ok(newest),
            // Nobody was ever told of such an attempt.
            Ordering::Greater => Err(Missing::Unknown),
        })
    }

    /// All attempts that are not finished are in memory.
    fn newest(
        &mut self,
        user: &UserId,
        message_uuid: &MessageId,
    ) -> rusqlite::Result<Option<Newest>> {
        if let Some(stream) = self.unfinished.table.find(user, message_uuid) {
            return Ok(Some(Newest::Unfinished(stream)));
        }
        let Some(Mailbox { user, .. }) = self.known_mailbox(user)? else { return Ok(None) };
        let finished = stream_rows::finished(&self.connection, user, message_uuid)?;
        Ok(finished.map(Newest::Finished))
    }
}
