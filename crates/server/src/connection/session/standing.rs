//! Where a connection is, for whoever looks.

use tetherline_protocol::Seq;

use super::{Outgoing, Session, Socket};
use crate::connection::hub::{Stands, Waits};

impl Session {
    /// What it has sent and waits for.
    pub(crate) fn stands(&self) -> Stands {
        let (waiting, unhandled) = self.feed.behind();
        let waits = match (&self.socket, self.feed.waits()) {
            (_, Waits::ToBeAsked) => Waits::ToBeAsked,
            (Socket::Writing { .. }, _) => Waits::ForTheSocket,
            (Socket::Free, _) if self.allowance.awaits_turn() => Waits::ForItsRate,
            (Socket::Free, Waits::ForNothing) if waiting > 0 => Waits::ForItsTurn,
            (Socket::Free, waits) => waits,
        };
        let (stuck_since, left_bytes) = match self.socket {
            Socket::Writing { since, left_bytes } => {
                ((waits == Waits::ForTheSocket).then_some(since), left_bytes)
            }
            Socket::Free => (None, 0),
        };
        let unsent_bytes = left_bytes + self.frames.iter().map(Outgoing::len).sum::<usize>();
        let (sent, is_held) = (self.feed.sent(), !self.allowance.is_listened_to());
        Stands { sent, waiting, unhandled, waits, stuck_since, unsent_bytes, is_held }
    }

    /// How far its device has handled messages, as far as is known here.
    pub(crate) fn cursor(&self) -> Seq {
        self.feed.cursor()
    }
}
