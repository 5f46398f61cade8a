//! What a client says.

use std::time::Instant;

use serde_json::value::RawValue;
use tetherline_protocol::{
    CloseCode, ErrorCode, Seq,
    frame::{ClientFrame, ErrorFrame, FrameError, Pong, ServerFrame, id_in},
};

use super::{
    Output, Reason, Session, Wire,
    allowance::Excess,
    feed::{Feed, Located},
    millis,
};
use crate::clock;

impl Session {
    pub(super) fn frame(&mut self, text: &str, now: Instant) {
        let frame = match ClientFrame::parse(text) {
            Ok(frame) => frame,
            Err(error) => {
                self.bad_frame(text, &error);
                return self.control(now);
            }
        };
        self.bad_frames.earn();
        let bytes = text.len();
        let refused = match frame {
            ClientFrame::Stop(stop) => {
                self.sends.push_stop(stop, || self.allowance.send(&self.user, bytes, now))
            }
            ClientFrame::Application(message) => {
                self.sends.push(message, || self.allowance.send(&self.user, bytes, now))
            }
            ClientFrame::Ack { seq } => {
                return self.acknowledge(seq, now, Feed::acknowledge);
            }
            frame => {
                self.question(frame, now);
                return self.control(now);
            }
        };
        if let Some((id, refused)) = refused {
            self.answer(id, refused);
            let excess = self.allowance.refused(now).err();
            self.mind(excess);
        }
    }

    /// Whatever is neither a send nor an acknowledgement.
    fn question(&mut self, frame: ClientFrame, now: Instant) {
        match frame {
            ClientFrame::Ping { timestamp } => self.ping(timestamp, now),
            ClientFrame::GetPending { after, after_id, epoch, have } => {
                self.streams.start(have.filter(|_| self.wire == Wire::V1));
                // What was to be read for news a moment ago is from where this client no longer is.
                self.requests.retain(|request| !matches!(request, Output::ReadStreams(_)));
                if after.is_some() && self.feed.is_parked() {
                    self.allowance.metrics().reconnects.inc();
                }
                self.awaited = None;
                match self.feed.get_pending(after, after_id, epoch.as_ref()) {
                    Located::Here => {}
                    Located::AskTheStore => self.requests.push_back(Output::Locate),
                }
            }
            ClientFrame::Authenticate { token } => self.requests.push_back(Output::Verify(token)),
            _ => {}
        }
    }

    /// Once for each message it is free: the message was paid for. Another one may come again and again.
    fn acknowledge(&mut self, seq: Seq, now: Instant, save: fn(&mut Feed, Seq) -> Option<Seq>) {
        let is_first = self.feed.is_acknowledged_first(seq);
        self.requests.extend(save(&mut self.feed, seq).map(Output::Acknowledge));
        if !is_first {
            self.control(now);
        }
    }

    /// One frame that is no send that was taken. It was carried out, whatever follows: a client that does not
    /// count what it says has lost nothing by it.
    pub(super) fn control(&mut self, now: Instant) {
        let excess = self.allowance.control(&self.user, now).err();
        self.mind(excess);
    }

    fn mind(&mut self, excess: Option<Excess>) {
        match excess {
            _ if self.closed => {}
            None => {}
            Some(Excess::ForNow(wait)) => self.write(&ServerFrame::Error(ErrorFrame {
                code: ErrorCode::RateLimited.as_str().into(),
                message: "Frames come faster than the server takes them. It reads on in a while."
                    .into(),
                reference: None,
                retryable: true,
                retry_after_ms: Some(millis(wait)),
            })),
            Some(Excess::AgainAndAgain(wait)) => {
                let retry_after_ms = u32::try_from(millis(wait)).unwrap_or(u32::MAX);
                self.close(CloseCode::RateLimited, Reason::TooFast { retry_after_ms });
            }
        }
    }

    fn ping(&mut self, timestamp: Option<Box<str>>, now: Instant) {
        let timestamp = timestamp.and_then(|text| RawValue::from_string(text.into()).ok());
        let (opened, time_ms) = self.opened;
        let elapsed = clock::whole_ms(now.duration_since(opened));
        let server_time = clock::rfc3339(time_ms.saturating_add(elapsed)).as_str().into();
        self.write(&ServerFrame::Pong(Pong { timestamp, server_time }));
    }

    /// On the plain wire a batch ends with a Ping that carries its position.
    pub(super) fn pong(&mut self, payload: &[u8], now: Instant) {
        let position = std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok());
        match (self.wire, position.and_then(Seq::new)) {
            (Wire::Plain, Some(seq)) => self.acknowledge(seq, now, Feed::plain_handled),
            _ => self.control(now),
        }
    }

    fn bad_frame(&mut self, text: &str, error: &FrameError) {
        if !self.bad_frames.spend() {
            return self.close(CloseCode::PolicyViolation, "too many frames that are none");
        }
        let message: Box<str> = format!("This frame was not understood: {error}.").into();
        self.write(&ServerFrame::Error(ErrorFrame {
            code: error.code().as_str().into(),
            message,
            reference: id_in(text),
            retryable: false,
            retry_after_ms: None,
        }));
    }
}
