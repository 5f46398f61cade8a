//! How far a connection is, for whoever measures.

use tetherline_protocol::Seq;

use super::{Detour, Feed, Flow, Reading};
use crate::connection::hub::Waits;

impl Feed {
    /// Whether nothing stands between what was sent last and what is new up to there.
    pub(crate) fn awaits(&self, head: Seq) -> bool {
        let is_caught_up = matches!(
            self.flow,
            Flow::Flowing { position, backlog: None, .. } if position == self.head
        );
        is_caught_up && head > self.head
    }

    /// Whether everything up to there was sent.
    pub(crate) fn has_sent(&self, seq: Seq) -> bool {
        matches!(self.flow, Flow::Flowing { position, .. } if position >= seq)
    }

    /// Whether nothing was asked for yet.
    pub(crate) fn is_parked(&self) -> bool {
        matches!(self.flow, Flow::Parked)
    }

    /// What the store knows as the device's cursor, or is about to.
    pub(crate) fn cursor(&self) -> Seq {
        self.cursor
    }

    /// What has to happen before more is sent, as far as the mailbox goes.
    pub(crate) fn waits(&self) -> Waits {
        match (&self.flow, &self.reading) {
            (Flow::Parked, _) => Waits::ToBeAsked,
            (_, Reading::Throttled) => Waits::ForAcknowledgement,
            (Flow::Checking(_) | Flow::Locating { .. }, _)
            | (_, Reading::Asked | Reading::Missing) => Waits::ForTheStore,
            (Flow::Flowing { .. }, Reading::Idle) => Waits::ForNothing,
        }
    }

    /// Up to where everything that there is was handed to the socket; none as long as that cannot be said, because
    /// nothing was asked for, what was asked is looked up, or older messages are still to come.
    pub(crate) fn sent(&self) -> Option<Seq> {
        match &self.flow {
            Flow::Flowing { position, detour: Detour::None, .. } => Some(*position),
            _ => None,
        }
    }

    /// How many messages are still to be sent, and how many to be acknowledged.
    pub(crate) fn behind(&self) -> (u64, u64) {
        let Flow::Flowing { position, .. } = self.flow else { return (0, 0) };
        let handled = self.cursor.max(self.heard);
        let between = |from: Seq, to: Seq| to.get().saturating_sub(from.get());
        (between(position, self.head), between(handled, position))
    }
}
