//! One connection's server half, as a pure state machine: no socket, no clock, no store.
//!
//! A session is a cursor plus a wake-up. It never holds messages of its own: it asks for the next
//! page when the socket has taken the last one.

mod allowance;
mod budget;
mod events;
mod feed;
mod frames;
mod in_flight;
#[cfg(test)]
mod kept_streams;
#[cfg(test)]
mod properties;
mod reading;
mod sends;
mod standing;
mod streams;
#[cfg(test)]
mod tests;
mod timers;

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tetherline_protocol::{
    CloseCode, Epoch, Limits, MessageId, PROTOCOL_VERSION, Seq, UserId,
    frame::{Accepted, ConnectionEstablished, ErrorFrame, ServerFrame},
    limits,
};

use crate::{
    May, Refusal, clock,
    connection::hub::Notice,
    security::auth::{Identity, InvalidToken},
    store::{Outcome, StoreError, StreamSnapshot},
};
use allowance::Allowance;
use budget::Budget;
pub(crate) use events::{Input, Opening, Outgoing, Output, Reason, Wire, WrittenLimits};
use feed::Feed;
pub(crate) use sends::Errand;
use sends::Sends;
use streams::ShownStreams;
use timers::{Hearing, Socket};

/// Control frames that wait for a slow socket; then the connection is not read on.
const FRAMES_WAITING_MAX: usize = 64;
/// The same in bytes: a `pong` is as large as its ping.
const FRAMES_WAITING_BYTES_MAX: usize = 128 * 1024;
/// The longest that a timer is set for the end of a token.
const TOKEN_TIMER_MAX: Duration = Duration::from_hours(365 * 24);

pub(crate) struct Session {
    connection: MessageId,
    user: UserId,
    wire: Wire,
    limits: Arc<Limits>,
    may: May,
    opened: (Instant, i64),
    expires_at: Instant,
    hearing: Hearing,
    socket: Socket,
    bad_frames: Budget,
    bad_tokens: Budget,
    allowance: Allowance,
    feed: Feed,
    /// A position that was told at this time, of which is measured how long it takes to go out.
    awaited: Option<(Seq, Instant)>,
    live: Live,
    streams: ShownStreams,
    /// Of messages and text, text was read last.
    text_came_last: bool,
    sends: Sends,
    requests: VecDeque<Output>,
    frames: VecDeque<Outgoing>,
    closed: bool,
}

/// Live-only messages. They have no position: they go out when the socket is free, between what the
/// feed reads.
enum Live {
    Heard,
    Waiting,
}

impl Session {
    pub(crate) fn open(opening: Opening, now: Instant) -> Self {
        let established = ConnectionEstablished {
            connection_id: opening.connection.clone(),
            user_uuid: opening.user.clone(),
            protocol: PROTOCOL_VERSION,
            epoch: opening.place.head.epoch.clone(),
            head: opening.place.head.seq,
            head_id: opening.place.head.id.clone(),
            cursor: opening.place.cursor,
            cursor_id: opening.place.cursor_id.clone(),
            checks_positions: true,
            heartbeat_interval_ms: opening.limits.heartbeat_interval_ms,
            token_expires_in_ms: millis(opening.token_expires_in),
            limits: &*opening.written_limits.0,
            timestamp: clock::rfc3339(opening.time_ms).as_str().into(),
        };
        let mut session = Self {
            feed: Feed::new(opening.wire, &opening.place, opening.limits.clone()),
            awaited: None,
            live: Live::Heard,
            streams: ShownStreams::Unseen,
            text_came_last: false,
            sends: Sends::new(opening.connection.clone(), opening.limits.sends_waiting_max),
            connection: opening.connection,
            user: opening.user,
            wire: opening.wire,
            limits: opening.limits,
            may: opening.may,
            opened: (now, opening.time_ms),
            expires_at: now + opening.token_expires_in.min(TOKEN_TIMER_MAX),
            hearing: Hearing::Silent { since: now },
            socket: Socket::Free,
            bad_frames: Budget::new(limits::BAD_FRAMES_MAX, limits::GOOD_FRAMES_PER_BAD),
            bad_tokens: Budget::new(limits::TOKENS_REFUSED_MAX, 1),
            allowance: Allowance::new(opening.meters, now),
            requests: VecDeque::new(),
            frames: VecDeque::new(),
            closed: false,
        };
        session.push(established.to_text());
        session
    }

    pub(crate) fn handle(&mut self, input: Input<'_>, now: Instant) {
        if self.closed {
            // What the client acknowledged before the end still counts.
            if matches!(input, Input::Acknowledged) {
                self.acknowledged();
            }
            return;
        }
        self.allowance.look(now);
        self.take(input, now);
        if self.closed {
            return;
        }
        self.go_on(now);
        let is_crowded = || self.allowance.is_crowded(&self.user, self.limits.message_bytes_max);
        self.sends.look(is_crowded, now);
        if !self.wants_input() {
            self.hearing = Hearing::Paused;
        } else if matches!(self.hearing, Hearing::Paused) {
            self.hearing = Hearing::Silent { since: now };
        }
    }

    pub(crate) fn user(&self) -> &UserId {
        &self.user
    }

    pub(crate) fn connection(&self) -> &MessageId {
        &self.connection
    }

    /// What its client may do from now on.
    pub(crate) fn may(&self) -> May {
        self.may
    }

    pub(crate) fn epoch(&self) -> &Epoch {
        self.feed.epoch()
    }

    /// Whether the next frame may be read from the socket.
    pub(crate) fn wants_input(&self) -> bool {
        self.closed
            || (self.frames.len() < FRAMES_WAITING_MAX
                && self.frames.iter().map(Outgoing::len).sum::<usize>() < FRAMES_WAITING_BYTES_MAX
                && self.sends.wants_more()
                && self.allowance.is_listened_to())
    }

    /// Frames that wait for the socket, and sends that wait for the application.
    #[cfg(feature = "simulation")]
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.frames.len(), self.sends.waiting())
    }

    pub(crate) fn poll_output(&mut self, now: Instant) -> Option<Output> {
        if let Some(request) = self.requests.pop_front() {
            return Some(request);
        }
        if self.frames.is_empty() || matches!(self.socket, Socket::Writing { .. }) {
            return None;
        }
        let left_bytes = self.frames.iter().map(Outgoing::len).sum();
        self.socket = Socket::Writing { since: now, left_bytes };
        Some(Output::Write(std::mem::take(&mut self.frames).into()))
    }

    /// The socket has taken what there was.
    fn delivered(&mut self, now: Instant) {
        if let Some((seq, told_at)) = self.awaited
            && self.feed.has_sent(seq)
        {
            self.awaited = None;
            self.allowance.metrics().delivery.observe(now.saturating_duration_since(told_at));
        }
    }

    fn take(&mut self, input: Input<'_>, now: Instant) {
        match input {
            Input::Text(text) => {
                self.heard(now);
                self.frame(text, now);
            }
            Input::Heard => self.heard(now),
            Input::Ping(payload) => {
                self.heard(now);
                self.owe_pong(payload);
                self.control(now);
            }
            Input::Pong(payload) => {
                self.heard(now);
                self.pong(payload, now);
            }
            Input::Unreadable(code) => self.close(code, unreadable(code)),
            Input::Head(head, told_at) => {
                if self.feed.awaits(head) {
                    self.awaited = told_at.map(|told_at| (head, told_at));
                }
                self.feed.note_head(head);
            }
            Input::Page { read_no, page } => self.page(read_no, page, now),
            Input::Resumed { read_no, resumed } => self.resumed(read_no, resumed, now),
            Input::Located(Ok(place)) => self.located(&place),
            Input::Located(Err(error)) | Input::StreamSnapshot(Err(error)) => {
                self.store_failed(&error);
            }
            Input::Acknowledged => self.acknowledged(),
            Input::Settled(outcome) => {
                self.allowance.metrics().settled(&outcome);
                for (id, outcome) in self.sends.settle(outcome) {
                    self.answer(id, outcome);
                }
            }
            Input::Verified(verified) => self.verified(verified, now),
            Input::Progress { left_bytes } => {
                if let Socket::Writing { .. } = self.socket {
                    self.socket = Socket::Writing { since: now, left_bytes };
                }
            }
            Input::Written => {
                self.socket = Socket::Free;
                self.delivered(now);
            }
            Input::Live => self.live = Live::Waiting,
            Input::LivePage { texts, more } => {
                self.frames.extend(texts.into_iter().map(Outgoing::Text));
                self.live = if more { Live::Waiting } else { Live::Heard };
            }
            Input::Streamed => self.streams.note_news(),
            Input::StreamPage(page) => self.stream_page(page, now),
            Input::StreamSnapshot(Ok(StreamSnapshot { as_of, page })) => {
                if self.feed.has_sent_beyond(as_of) {
                    self.streams.ask_again();
                } else {
                    self.stream_page(page, now);
                }
            }
            Input::Notice(Notice::Nothing) => {}
            Input::Notice(Notice::Erased) => self.erased(),
            Input::Notice(Notice::Disconnected) => {
                self.close(CloseCode::Restart, "disconnected by whoever looks after the server");
            }
            Input::Notice(Notice::Drain { retry_after_ms }) => {
                self.close(CloseCode::Restart, Reason::Restart { retry_after_ms });
            }
            Input::Notice(Notice::SignedOut) => self.close(CloseCode::TokenExpired, "signed out"),
            Input::Timeout => self.timeout(now),
        }
    }

    /// Whatever became possible: the next send, the end of the backlog, the next page.
    fn go_on(&mut self, now: Instant) {
        if let Some((id, named, errand, share)) = self.sends.next() {
            self.requests.push_back(Output::Receive { id, named, errand, share });
        }
        if self.feed.has_sent_backlog()
            && let Some(streams) = self.streams.resumed()
            && let Some(summary) = self.feed.complete(streams)
        {
            let metrics = self.allowance.metrics();
            metrics.replays.inc();
            metrics.replayed_messages.inc_by(summary.delivered);
            self.write(&ServerFrame::PendingCheckComplete(summary));
        }
        if !self.is_idle() {
            return;
        }
        if let Live::Waiting = std::mem::replace(&mut self.live, Live::Heard) {
            self.requests.push_back(Output::ReadLive(in_flight::PIECE));
        }
        self.read_on(now);
    }

    /// Nothing is on its way to the socket.
    fn is_idle(&self) -> bool {
        matches!(self.socket, Socket::Free) && self.frames.is_empty()
    }

    fn verified(&mut self, verified: Result<Identity, InvalidToken>, now: Instant) {
        match verified {
            Ok(identity) if identity.user == self.user => {
                self.bad_tokens.earn();
                self.expires_at = now + identity.expires_in.min(TOKEN_TIMER_MAX);
                self.may = identity.may;
            }
            Ok(_) | Err(InvalidToken::OtherUser) => {
                self.close(CloseCode::OtherUser, "the token is another user's");
            }
            Err(InvalidToken::SignedOut) => self.close(CloseCode::TokenExpired, "signed out"),
            Err(error) => {
                let message = match &error {
                    // The application's own sentence.
                    InvalidToken::Refused(refusal) => refusal.message().to_owned(),
                    error => format!("The new token was refused: {error}."),
                };
                let mut refusal = Refusal::new(error.code(), message);
                if let Some(wait) = error.wait() {
                    refusal = refusal.retry_after(wait);
                }
                if !refusal.is_retryable() && !self.bad_tokens.spend() {
                    return self.close(CloseCode::PolicyViolation, "too many tokens were refused");
                }
                self.answer(None, Err(refusal));
            }
        }
    }

    /// Tells the client what became of a send. Without an id there is nothing to refer to.
    fn answer(&mut self, id: Option<MessageId>, outcome: Outcome) {
        match (outcome, id) {
            (Ok(_), None) => {}
            (Ok(answer), Some(reference)) => {
                self.write(&ServerFrame::Accepted(Accepted { reference, answer }));
            }
            (Err(refusal), reference) => self.write(&ServerFrame::Error(ErrorFrame {
                code: refusal.code().into(),
                message: refusal.message().into(),
                reference,
                retryable: refusal.is_retryable(),
                retry_after_ms: refusal.wait().map(millis),
            })),
        }
    }

    /// One at a time, for the newest ping (RFC 6455, section 5.5.3).
    fn owe_pong(&mut self, payload: Bytes) {
        let owed = self.frames.iter_mut().find(|frame| matches!(frame, Outgoing::Pong(_)));
        match owed {
            Some(owed) => *owed = Outgoing::Pong(payload),
            None => self.frames.push_back(Outgoing::Pong(payload)),
        }
    }

    fn erased(&mut self) {
        self.close(CloseCode::Erased, "the mailbox was erased");
    }

    /// The peer learns nothing of it, and the log which connection it was.
    fn fault(&mut self, error: &dyn fmt::Display) {
        let error = error.to_string().into();
        self.close(CloseCode::Internal, "internal error");
        self.requests.push_front(Output::Report(error));
    }

    /// The store has said it, as often as is good: a line for each connection would fill a disk.
    fn store_failed(&mut self, error: &StoreError) {
        tracing::debug!(connection = %self.connection, %error, "this connection cannot go on");
        self.close(CloseCode::Internal, "internal error");
    }

    fn close(&mut self, code: CloseCode, reason: impl Into<Reason>) {
        self.closed = true;
        self.frames.clear();
        self.requests.clear();
        self.requests.push_back(Output::Close(code, reason.into()));
    }

    fn write(&mut self, frame: &ServerFrame) {
        self.push(frame.to_text());
    }

    fn push(&mut self, written: Option<String>) {
        match written {
            Some(text) => self.frames.push_back(Outgoing::Text(text.into())),
            None => self.fault(&"a frame cannot be written"),
        }
    }
}

fn unreadable(code: CloseCode) -> &'static str {
    match code {
        CloseCode::TooBig => "the message is larger than message_bytes_max",
        CloseCode::InvalidUtf8 => "text is UTF-8",
        CloseCode::Unsupported => "frames are text",
        _ => "not the WebSocket protocol",
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(Seq::MAX.get()).min(Seq::MAX.get())
}
