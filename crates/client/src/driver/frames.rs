//! Frames in and out.

use tetherline_engine::{ConnectionNo, Delivery, EpochNo, Established, Instant};
use tetherline_protocol::{
    Epoch, MessageId, Seq,
    frame::{ErrorFrame, ServerFrame},
};

use super::Driver;
use crate::{Acknowledge, Event, Message};

impl Driver {
    pub(super) fn frame(&mut self, connection: ConnectionNo, text: Box<str>) {
        let now = self.now();
        match ServerFrame::parse(&text) {
            Ok(ServerFrame::ConnectionEstablished(established)) => {
                let established = Established {
                    epoch: self.epochs.number(established.epoch),
                    head: established.head,
                    cursor: established.cursor,
                    heartbeat_interval_ms: established.heartbeat_interval_ms,
                    token_expires_in_ms: established.token_expires_in_ms,
                };
                self.engine.handle_established(connection, established, now);
            }
            Ok(ServerFrame::PendingCheckComplete(summary)) => {
                self.engine.handle_pending_complete(
                    connection,
                    summary.head,
                    summary.recovered,
                    now,
                );
                self.events.push_back(Event::CaughtUp { summary, text });
            }
            Ok(ServerFrame::Accepted(accepted)) => {
                self.engine.handle_received(connection);
                if let Some(send) = self.sends.find(&accepted.reference) {
                    self.engine.handle_accepted(connection, send, now);
                }
            }
            Ok(ServerFrame::Error(error)) => self.error(connection, error, now),
            Ok(ServerFrame::Application { .. }) => {
                self.held_back = Some(text);
                self.release_held_back();
            }
            // A pong, or something newer than this client: the peer lives.
            _ => self.engine.handle_received(connection),
        }
    }

    /// Gives the message that waits to the engine, once somebody waits for it.
    pub(super) fn release_held_back(&mut self) {
        let Some(connection) = self.link.as_ref().map(|link| link.connection) else { return };
        if self.asking.is_none() {
            return;
        }
        let Some(text) = self.held_back.take() else { return };
        let Ok(ServerFrame::Application { kind, seq, id }) = ServerFrame::parse(&text) else {
            return;
        };
        if let Delivery::Deliver { replayed } =
            self.engine.handle_message(connection, seq, 1, text.len())
        {
            self.deliver(text, kind, seq, id, replayed);
        }
    }

    fn deliver(
        &mut self,
        text: Box<str>,
        kind: Box<str>,
        seq: Option<Seq>,
        id: Option<MessageId>,
        replayed: bool,
    ) {
        // In a renewed history the positions start over, and nothing is known of it.
        if let (Some(seq), Some(known)) = (seq, self.setup.start_after)
            && seq <= known
            && !self.epochs.was_renewed()
        {
            return;
        }
        if let Some(seq) = seq.filter(|_| self.setup.acknowledge != Acknowledge::Never) {
            self.engine.hold(seq, self.now());
        }
        self.events.push_back(Event::Message(Message { text, kind, seq, id, replayed }));
    }

    fn error(&mut self, connection: ConnectionNo, error: ErrorFrame, now: Instant) {
        self.engine.handle_received(connection);
        let Some(send) = error.reference.as_ref().and_then(|id| self.sends.find(id)) else {
            self.events.push_back(Event::ServerError(error));
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

pub(super) fn get_pending(after: Seq, epoch: Option<&Epoch>) -> String {
    match epoch {
        Some(epoch) => format!(r#"{{"type":"get_pending","after":{after},"epoch":"{epoch}"}}"#),
        None => format!(r#"{{"type":"get_pending","after":{after}}}"#),
    }
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
