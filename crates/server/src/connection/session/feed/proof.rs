//! Whether a client's position is one of this mailbox. Epochs show a restored backup only to whom the
//! restore was announced; the message that stands at a position shows it to everybody.

use bytestring::ByteString;
use tetherline_protocol::{
    MessageId, Seq,
    frame::{AfterId, PositionChecked, ServerFrame},
};

use super::{super::Wire, Feed, Flow, Located};
use crate::store::Standing;

/// Whether the client has shown that its history is this mailbox's. Until it has, its acknowledgements
/// may be of messages that nobody has seen here.
pub(super) enum Proof {
    Owed,
    /// It has, or starts from the cursor, or knows no such question.
    Given,
}

impl Proof {
    pub(super) fn of_a_new_connection(wire: Wire) -> Self {
        match wire {
            Wire::V1 => Self::Owed,
            // It has no positions.
            Wire::Plain => Self::Given,
        }
    }
}

/// A position, and the message that its client knows to stand there.
pub(super) struct Asked {
    pub(super) after: Seq,
    id: Option<MessageId>,
}

impl Asked {
    /// `None` for who does not ask.
    pub(super) fn new(after: Option<Seq>, id: AfterId) -> Option<Self> {
        match (after, id) {
            (None, _) | (_, AfterId::Unsaid) => None,
            (Some(after), AfterId::Unknown) => Some(Self { after, id: None }),
            (Some(after), AfterId::Known(id)) => Some(Self { after, id: Some(id) }),
        }
    }

    pub(super) fn is_answered_by(&self, standing: &Standing) -> bool {
        match (standing, &self.id) {
            (Standing::Nothing, _) => false,
            (Standing::Message(id), Some(known)) => id == known,
            (Standing::Message(_), None) | (Standing::Forgotten, _) => true,
        }
    }

    /// Says from where this question is answered.
    pub(super) fn answered_from(self, from: Seq, from_id: Option<&MessageId>) -> ByteString {
        let Self { after, id: after_id } = self;
        let frame = PositionChecked { after, after_id, from, from_id: from_id.cloned() };
        ServerFrame::PositionChecked(frame).to_text().unwrap_or_default().into()
    }
}

impl Feed {
    pub(super) fn check(&mut self, asked: Asked, epoch_is_known: bool) -> Located {
        self.give_up_reading();
        if epoch_is_known {
            self.flow = Flow::Checking(asked);
            Located::Here
        } else {
            self.flow = Flow::Locating { recovered: false, asked: Some(asked) };
            Located::AskTheStore
        }
    }
}
