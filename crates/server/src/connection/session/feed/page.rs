//! What of a page is sent, and where the feed stands then.

use bytestring::ByteString;
use tetherline_protocol::Seq;

use super::{super::Wire, Backlog, Detour, Feed, Flow, InFlight, Progress, Reading, gap};
use crate::store::Delivery;

impl Feed {
    /// Takes as many messages of the page that was asked for as fit.
    pub(super) fn deliver(&mut self, page: Vec<Delivery>) -> Progress {
        let Flow::Flowing { position, detour, backlog } = &mut self.flow else {
            return Progress::Stale;
        };
        if page.is_empty() {
            self.reading = Reading::Missing;
            return Progress::Missing;
        }
        self.reading = Reading::Idle;
        let (mut texts, mut messages) = (Vec::with_capacity(page.len()), 0);
        for delivery in page {
            let is_unreadable = delivery.is_unreadable();
            let Delivery { seq, text } = delivery;
            if let Detour::Underway { from, .. } = *detour
                && seq > from
            {
                if let Some(backlog) = backlog {
                    backlog.recovered &= *position >= from;
                }
                break;
            }
            if is_unreadable || position.next() != Some(seq) {
                let last = if is_unreadable { seq } else { seq.previous() };
                let hole = Hole { last, noticed_at: seq };
                texts.extend(hole.pass(self.wire, position, backlog, &mut self.in_flight));
                if is_unreadable {
                    continue;
                }
            }
            if !self.in_flight.admit(*position, seq, text.len(), &self.limits) {
                self.reading = Reading::Throttled;
                break;
            }
            if let Some(backlog) = backlog {
                backlog.delivered += u64::from(seq <= backlog.until);
            }
            *position = seq;
            texts.push(text);
            messages += 1;
        }
        if let Detour::Underway { from, to } = *detour
            && (*position >= from || texts.is_empty())
        {
            *position = to;
            *detour = Detour::None;
        }
        self.head = self.head.max(*position);
        // While older messages are missing no position counts, and a Pong that came late would
        // count once they have been sent, before they arrive.
        let counts = self.wire == Wire::Plain && !matches!(detour, Detour::Ahead { .. });
        let ping = (counts && !texts.is_empty()).then_some(*position);
        Progress::Deliver { texts, messages, ping }
    }
}

/// Messages that are not there, or that nobody can read.
struct Hole {
    last: Seq,
    /// The message whose turn it was.
    noticed_at: Seq,
}

impl Hole {
    /// Goes on after it, and says so where the wire has a word for it.
    fn pass(
        self,
        wire: Wire,
        position: &mut Seq,
        backlog: &mut Option<Backlog>,
        in_flight: &mut InFlight,
    ) -> Option<ByteString> {
        let Self { last, noticed_at } = self;
        // Which message was the last before the next one is not said: that one comes itself.
        let said = match wire {
            Wire::V1 => Some(gap(*position, last.next().unwrap_or(last), None)),
            // Whoever knows positions has just been told; this client is told at the end.
            Wire::Plain => {
                backlog.get_or_insert(Backlog::lost(noticed_at));
                None
            }
        };
        in_flight.pass_over(*position, last);
        *position = last;
        if let Some(backlog) = backlog {
            backlog.recovered = false;
        }
        said
    }
}
