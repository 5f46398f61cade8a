//! What the writer does about answers, one command at a time.

use std::{cmp::Ordering, sync::Arc};

use tetherline_protocol::{
    Attempt, MessageId, StopTarget, StreamStatus, UserId,
    frame::{StreamEnding, StreamOpening},
};

use super::{
    super::{
        super::{
            AppendError, AppendTextError, FinishStreamError, FinishedStream, OpenStreamError,
            OpenedStream, StoppedStream, StoreError, StreamPhase, StreamState,
        },
        commands::Reply,
        rules::Rule,
        statements::Mailbox,
        times::Moment,
        told::Finish,
        writer::Desk,
    },
    rows::{self, Finished},
    table::{Growing, Phase},
    text::Misfit,
};

pub(in super::super) enum StreamCommand {
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
pub(in super::super) enum StreamDone {
    Open(Result<OpenedStream, OpenStreamError>),
    Append(Result<u64, AppendTextError>),
    Finish(Result<Finish, FinishStreamError>),
    Stop(StoppedStream),
    Tell(Option<StreamState>),
}

impl StreamCommand {
    pub(in super::super) fn succeed(self, done: StreamDone) {
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

    pub(in super::super) fn fail(self, error: StoreError) {
        match self {
            Self::Open { reply, .. } => reply.send(Err(error.into())),
            Self::Append { reply, .. } => reply.send(Err(error.into())),
            Self::Finish { reply, .. } => reply.send(Err(error.into())),
            Self::Stop { reply, .. } => reply.send(Err(error)),
            Self::Tell { reply, .. } => reply.send(Err(error)),
        }
    }
}

/// The newest attempt at an answer.
enum Newest {
    Growing(Arc<Growing>),
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
    pub(in super::super) fn execute_stream(
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
                StopTarget::Message(message_uuid) => self.stop_answer(user, message_uuid, now),
                StopTarget::Send(id) => self.stop_answers_to(user, id, now),
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
        let before = self.answers.table.find(user, message_uuid);
        let others = self.answers.table.of(user).len() - usize::from(before.is_some());
        if others >= rule.streams_per_user_max {
            let streams_max = rule.streams_per_user_max;
            return Ok(Err(OpenStreamError::TooMany { streams_max }));
        }
        let freed = before.as_ref().map_or(0, |before| before.cost());
        let bytes = self.answers.bytes - freed + Growing::cost_of(opening);
        if bytes > rule.streams_bytes_max {
            return Ok(Err(OpenStreamError::Crowded));
        }
        let number = self.mailbox(user)?.user;
        let last = match &before {
            Some(before) => Some(before.attempt),
            None => rows::finished(&self.connection, number, message_uuid)?.map(|it| it.attempt),
        };
        if let Some(before) = before {
            self.answers.left(before);
        }
        if last.is_some() {
            rows::delete(&self.connection, number, message_uuid)?;
        }
        let since = now.age_ms.saturating_sub(rule.dedupe_window_ms);
        let is_stopped = opening.reference().map_or(Ok(false), |reference| {
            rows::is_stopped(&self.connection, number, reference, since)
        })?;
        let at = now.uptime_ms;
        let phase = if is_stopped { Phase::Stopped { at } } else { Phase::Open { heard_at: at } };
        let attempt = last.map_or(Attempt::FIRST, Attempt::next);
        let (name, uuid) = (user.clone(), message_uuid.clone());
        let row = self.answers.next_number();
        let growing = Growing::new(row, name, uuid, attempt, opening.clone(), phase);
        rows::insert(
            &self.connection,
            number,
            &growing,
            self.answers.log.newest(),
            now.created_ms,
        )?;
        self.answers.opened(growing);
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
        let growing = match newest {
            Newest::Growing(growing) => growing,
            Newest::Finished(Finished { status, .. }) => {
                return Ok(Err(AppendTextError::Finished { status }));
            }
        };
        let news = {
            let mut state = growing.state();
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
        if self.answers.bytes + news.len() > rule.streams_bytes_max {
            return Ok(Err(AppendTextError::Crowded));
        }
        self.answers.grew(&self.connection, &growing, news)?;
        Ok(Ok(growing.state().text.length()))
    }

    fn finish_stream(
        &mut self,
        newest: Newest,
        ending: &StreamEnding,
        now: Moment,
    ) -> rusqlite::Result<Result<Finish, FinishStreamError>> {
        let growing = match newest {
            Newest::Growing(growing) => growing,
            Newest::Finished(Finished { status, id, seq, .. }) => {
                let before = FinishedStream { status, id, seq, repeated: true };
                return Ok(Ok(Finish::Before(before)));
            }
        };
        let (message, status, length) = {
            let state = growing.state();
            let status = match state.phase {
                Phase::Open { .. } => ending.status,
                Phase::Stopped { .. } => StreamStatus::Stopped,
            };
            let (uuid, text) = (&growing.message_uuid, state.text.as_str());
            let message = growing.opening.message(uuid, growing.attempt, status, text, ending);
            (message, status, state.text.length())
        };
        let appended = match self.append(&growing.user, None, &message, now)? {
            Ok(appended) => appended,
            Err(error) => return Ok(Err(AppendError::into(error))),
        };
        rows::finish(&self.connection, growing.number, status, &appended, length)?;
        self.answers.left(growing);
        Ok(Ok(Finish::Now { status, appended, message: Arc::new(message) }))
    }

    fn stop_answer(
        &mut self,
        user: &UserId,
        message_uuid: &MessageId,
        now: Moment,
    ) -> rusqlite::Result<StoppedStream> {
        match self.newest(user, message_uuid)? {
            Some(Newest::Growing(growing)) => self.stop_all([growing], now),
            Some(Newest::Finished(_)) => Ok(StoppedStream::Already),
            None => Ok(StoppedStream::Unknown),
        }
    }

    fn stop_answers_to(
        &mut self,
        user: &UserId,
        send: &MessageId,
        now: Moment,
    ) -> rusqlite::Result<StoppedStream> {
        let answers = self.answers.answering(user, send);
        if !answers.is_empty() {
            return self.stop_all(answers, now);
        }
        let number = self.mailbox(user)?.user;
        if rows::is_answered(&self.connection, number, send)? {
            return Ok(StoppedStream::Already);
        }
        rows::remember_stop(&self.connection, number, send, now.created_ms)?;
        Ok(StoppedStream::Remembered)
    }

    fn stop_all(
        &mut self,
        answers: impl IntoIterator<Item = Arc<Growing>>,
        now: Moment,
    ) -> rusqlite::Result<StoppedStream> {
        let mut stopped = StoppedStream::Already;
        for growing in answers {
            let phase = growing.state().phase;
            if let Phase::Open { .. } = phase {
                rows::stop(&self.connection, growing.number, now.created_ms)?;
                self.answers.stopped(growing, now.uptime_ms);
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
            Newest::Growing(growing) => {
                let state = growing.state();
                let phase = match state.phase {
                    Phase::Open { .. } => StreamPhase::Open,
                    Phase::Stopped { .. } => StreamPhase::Stopped,
                };
                let (next_offset, text) = (state.text.length(), state.text.as_str().into());
                StreamState { attempt: growing.attempt, phase, next_offset, text }
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
            Newest::Growing(growing) => growing.attempt,
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
        if let Some(growing) = self.answers.table.find(user, message_uuid) {
            return Ok(Some(Newest::Growing(growing)));
        }
        let Some(Mailbox { user, .. }) = self.known_mailbox(user)? else { return Ok(None) };
        let finished = rows::finished(&self.connection, user, message_uuid)?;
        Ok(finished.map(Newest::Finished))
    }
}
