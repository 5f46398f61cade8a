//! Frames in and out.

use tetherline_engine::{ConnectionNo, Delivery, EpochNo, Established, Instant};
use tetherline_protocol::{
    Epoch, Seq,
    frame::{ErrorFrame, MailboxGap, PositionChecked, ServerFrame},
};

use super::{Driver, History};
use crate::{Acknowledge, Event, Message, Receipt};

impl Driver {
    pub(super) fn frame(&mut self, connection: ConnectionNo, text: Box<str>) {
        let now = self.now();
        match ServerFrame::parse(&text) {
            Ok(ServerFrame::ConnectionEstablished(established)) => {
                self.held_back.adopt(&established.limits);
                let cursor = self.ids.mark(established.cursor, established.cursor_id.as_ref());
                let epoch = self.epochs.number(established.epoch);
                self.in_hand.enter(epoch);
                let established = Established {
                    epoch,
                    head: established.head,
                    cursor,
                    checks_positions: established.checks_positions,
                    heartbeat_interval_ms: established.heartbeat_interval_ms,
                    token_expires_in_ms: established.token_expires_in_ms,
                };
                self.engine.handle_established(connection, established, now);
                self.ids.keep(self.engine.position_id());
            }
            Ok(ServerFrame::Accepted(accepted)) => {
                self.engine.handle_received(connection);
                if let Some(send) = self.sends.find(&accepted.reference) {
                    self.sends.note_answer(send, accepted.answer);
                    self.engine.handle_accepted(connection, send, now);
                }
            }
            Ok(ServerFrame::Error(error)) if self.is_about_a_send(&error) => {
                self.refused(connection, error, now);
            }
            Ok(
                frame @ (ServerFrame::Application { .. }
                | ServerFrame::MessageStart(_)
                | ServerFrame::MessageDelta(_)
                | ServerFrame::PendingCheckComplete(_)
                | ServerFrame::MailboxGap(_)
                | ServerFrame::PositionChecked(_)
                | ServerFrame::MessageLost(_)
                | ServerFrame::Error(_)),
            ) => {
                self.engine.handle_received(connection);
                self.held_back.push(frame, text);
                self.release_held_back();
            }
            // A pong, or something newer than this client: the peer lives.
            _ => self.engine.handle_received(connection),
        }
    }

    /// Goes on with what waits, for as long as the application does.
    pub(super) fn release_held_back(&mut self) {
        let Some(connection) = self.link.as_ref().map(|link| link.connection) else { return };
        while self.asking.is_some()
            && let Some((frame, text)) = self.held_back.pop()
        {
            self.release(connection, frame, text);
            self.answer();
        }
    }

    fn release(&mut self, connection: ConnectionNo, frame: ServerFrame, text: Box<str>) {
        match frame {
            ServerFrame::Application { kind, seq, id, ends } => {
                if let Some((message_uuid, attempt)) = &ends {
                    self.stream_ended(connection, message_uuid, *attempt);
                }
                let mark = seq.map(|seq| self.ids.mark(seq, id.as_ref()));
                let delivery = self.engine.handle_message(connection, mark, 1, text.len());
                self.ids.keep(self.engine.position_id());
                if let Delivery::Deliver { replayed } = delivery {
                    let receipt = Receipt::new(seq);
                    self.deliver(Message { text, kind, seq, id, ends, replayed, receipt });
                }
            }
            ServerFrame::MessageStart(start) => self.stream_started(connection, start, text),
            ServerFrame::MessageDelta(delta) => self.stream_text(connection, delta),
            ServerFrame::PendingCheckComplete(summary) => {
                self.events.push_back(Event::CaughtUp { summary, text });
            }
            ServerFrame::MailboxGap(MailboxGap { after, next, passed_id }) => {
                let passed = self.ids.number(passed_id.as_ref());
                self.engine.handle_gap(connection, after, next, passed, self.now());
                self.ids.keep(self.engine.position_id());
            }
            ServerFrame::PositionChecked(checked) => self.checked(connection, checked),
            ServerFrame::MessageLost(lost) => self.stream_lost(connection, &lost),
            ServerFrame::Error(error) => self.events.push_back(Event::ServerError(error)),
            _ => {}
        }
    }

    fn checked(&mut self, connection: ConnectionNo, checked: PositionChecked) {
        let is_another = !checked.is_known();
        let PositionChecked { after, after_id, from, from_id } = checked;
        let after = self.ids.mark(after, after_id.as_ref());
        let from = self.ids.mark(from, from_id.as_ref());
        self.engine.handle_checked(connection, after, from, self.now());
        self.ids.keep(self.engine.position_id());
        if is_another {
            self.in_hand.forget();
            self.history = History::Another;
        }
    }

    fn deliver(&mut self, message: Message) {
        // In a renewed history the positions start over, and nothing is known of it.
        if let (Some(seq), Some(known)) = (message.seq, self.setup.start_after)
            && seq <= known
            && !self.epochs.was_renewed()
            && self.history == History::First
        {
            return;
        }
        if let Some(seq) = message.seq
            && self.setup.acknowledge != Acknowledge::Never
        {
            self.in_hand.hold(seq, message.receipt);
            self.engine.hold(seq, self.now());
        }
        self.events.push_back(Event::Message(message));
    }

    fn is_about_a_send(&self, error: &ErrorFrame) -> bool {
        error.reference.as_ref().is_some_and(|id| self.sends.find(id).is_some())
    }

    fn refused(&mut self, connection: ConnectionNo, error: ErrorFrame, now: Instant) {
        let Some(send) = error.reference.as_ref().and_then(|id| self.sends.find(id)) else {
            return;
        };
        let (retryable, retry_after_ms) = (error.retryable, error.retry_after_ms);
        self.sends.note_refusal(send, error);
        self.engine.handle_refused(connection, send, retryable, retry_after_ms, now);
    }
}

pub(super) fn ping(now: Instant) -> String {
    format!(r#"{{"type":"ping","timestamp":{}}}"#, now.as_millis())
}

/// `after_id` is JSON: which message stands there, if that is to be proved. `have` is JSON: what there is
/// of streams, if anybody follows them.
pub(super) fn get_pending(
    after: Seq,
    after_id: Option<String>,
    epoch: Option<&Epoch>,
    have: Option<String>,
) -> String {
    let after_id = after_id.map(|id| format!(r#","after_id":{id}"#)).unwrap_or_default();
    let epoch = epoch.map(|epoch| format!(r#","epoch":"{epoch}""#)).unwrap_or_default();
    let have = have.map(|have| format!(r#","have":{have}"#)).unwrap_or_default();
    format!(r#"{{"type":"get_pending","after":{after}{after_id}{epoch}{have}}}"#)
}

pub(super) fn ack(seq: Seq) -> String {
    format!(r#"{{"type":"ack","seq":{seq}}}"#)
}

/// A JWT is base64url and dots. What a provider gives instead is the server's to refuse, but must
/// not break out of its quotes.
pub(super) fn authenticate(token: &str) -> String {
    let safe: String =
        token.chars().filter(|c| !matches!(c, '"' | '\\') && !c.is_control()).collect();
    format!(r#"{{"type":"authenticate","token":"{safe}"}}"#)
}

/// The engine's numbers for epochs. Of the older ones only that they differ is of interest, so the
/// last one is all that is kept.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    last: u32,
    current: Option<Epoch>,
}

impl Epochs {
    fn number(&mut self, epoch: Epoch) -> EpochNo {
        if self.current.as_ref() != Some(&epoch) {
            self.last += 1;
            self.current = Some(epoch);
        }
        EpochNo(self.last)
    }

    fn was_renewed(&self) -> bool {
        self.last > 1
    }

    pub(super) fn text(&self, number: EpochNo) -> Option<&Epoch> {
        self.current.as_ref().filter(|_| number.0 == self.last)
    }
}
