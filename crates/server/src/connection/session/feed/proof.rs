//! Whether a client's position is one of this mailbox. Epochs show a restored backup only to whom the
//! restore was announced; the message that stands at a position shows it to everybody.

use bytestring::ByteString;
use tetherline_protocol::{
    MessageId, Seq,
    frame::{AfterId, PositionChecked, ServerFrame},
};

use super::{
    super::{Wire, in_flight},
    Feed, Flow, Located, Progress, Reading,
};
use crate::store::{Resumed, Room, Standing};

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
    after: Seq,
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

    fn is_answered_by(&self, standing: &Standing) -> bool {
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

/// What a page says about the position before it.
pub(in super::super) enum Verdict {
    /// It is of a question that was given up.
    Stale,
    /// It is one of this mailbox: `checked` says so, and the page follows.
    Known { checked: ByteString, page: Option<Progress> },
    /// It is not. Where the device stands has to be looked up.
    Another,
    /// Positions count in another history now.
    Erased,
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

    /// The page to ask for, with what stands before it, if a position is to be checked. Whoever asks
    /// again and again while nothing is taken is answered once.
    pub(in super::super) fn next_check(&mut self) -> Option<(u32, Seq, Room)> {
        let Flow::Checking(Asked { after, .. }) = self.flow else { return None };
        if !matches!(self.reading, Reading::Idle) {
            return None;
        }
        self.reading = Reading::Asked;
        Some((self.ticket, after, in_flight::PIECE))
    }

    /// The first page after a position that was to be checked has come.
    pub(in super::super) fn resumed(&mut self, ticket: u32, resumed: Resumed) -> Verdict {
        if ticket != self.ticket || !matches!(self.flow, Flow::Checking(_)) {
            return Verdict::Stale;
        }
        let Resumed { head, standing, messages } = resumed;
        if head.epoch != self.epoch {
            return Verdict::Erased;
        }
        let Flow::Checking(asked) = std::mem::replace(&mut self.flow, Flow::Parked) else {
            return Verdict::Stale;
        };
        if !asked.is_answered_by(&standing) {
            self.flow = Flow::Locating { recovered: false, asked: Some(asked) };
            return Verdict::Another;
        }
        let after = asked.after;
        let id = match standing {
            Standing::Message(id) => Some(id),
            Standing::Forgotten | Standing::Nothing => None,
        };
        self.note_head(head.seq);
        self.start(after, true);
        let page = (!messages.is_empty()).then(|| {
            self.reading = Reading::Asked;
            self.take_page(self.ticket, messages)
        });
        Verdict::Known { checked: asked.answered_from(after, id.as_ref()), page }
    }
}
