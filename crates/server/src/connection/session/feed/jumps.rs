//! Where a feed does not read on from where it is.

use bytestring::ByteString;
use tetherline_protocol::{
    MessageId, Seq,
    frame::{MailboxGap, ServerFrame},
};

use super::{super::Wire, Backlog, Detour, Feed, Flow, Reading, Whereabouts};

impl Feed {
    /// Nothing between the position and `trimmed` is kept any more.
    pub(super) fn skip_to(&mut self, trimmed: Seq, id: Option<MessageId>) -> Whereabouts {
        let until = self.head;
        let Flow::Flowing { position, detour, backlog } = &mut self.flow else {
            return Whereabouts::Known;
        };
        if *position >= trimmed {
            return Whereabouts::Nowhere;
        }
        self.reading = Reading::Idle;
        backlog.get_or_insert(Backlog::lost(until)).recovered = false;
        self.in_flight.pass_over(*position, trimmed);
        let next = trimmed.next().unwrap_or(trimmed);
        let gap = (self.wire == Wire::V1).then(|| gap(*position, next, id));
        *position = trimmed;
        if let Detour::Underway { from, to } = *detour
            && trimmed >= from
        {
            *position = to.max(trimmed);
            *detour = Detour::None;
        }
        Whereabouts::Skipped(gap)
    }

    /// A plain client asks for what is older than its connection, once.
    pub(super) fn turn_back(&mut self) {
        let until = self.head;
        let Flow::Flowing { position, detour, backlog } = &mut self.flow else { return };
        if backlog.is_none() {
            *backlog = Some(Backlog { until, delivered: 0, recovered: true });
        }
        if let Detour::Ahead { floor, from } = *detour {
            *detour = Detour::Underway { from, to: *position };
            *position = floor;
            self.heard = floor;
            self.give_up_reading();
        }
    }
}

/// What says in its place that messages are not there any more.
pub(super) fn gap(after: Seq, next: Seq, passed_id: Option<MessageId>) -> ByteString {
    let frame = ServerFrame::MailboxGap(MailboxGap { after, next, passed_id });
    frame.to_text().unwrap_or_default().into()
}
