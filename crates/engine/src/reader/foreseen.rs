//! What a message would come to before it comes.

use tetherline_protocol::limits::ACK_EVERY_MESSAGES;

use super::{Proof, Reader};
use crate::Mark;

impl Reader {
    /// How many messages are foreseen ([`crate::Engine::foreseen`]): until it is time to acknowledge, if
    /// this page does, and to the end of what is replayed.
    pub(crate) fn foreseen(&self, acks: bool) -> u32 {
        let Some(place) = self.place else { return 0 };
        let is_plain =
            place.proof == Proof::Given && place.owed.is_none() && place.backfill.is_none();
        if !is_plain || self.as_of.is_some() || !self.holds.is_empty() {
            return 0;
        }
        let gathered = if acks { place.high.distance_from(place.acked) } else { 0 };
        let until_ack = ACK_EVERY_MESSAGES.saturating_sub(gathered);
        let to_replay = place.replayed_to.distance_from(place.high);
        let is_replayed = place.high <= place.replayed_to;
        (if is_replayed { until_ack.min(to_replay) } else { until_ack }) as u32
    }

    /// Everything up to this message was delivered as foreseen.
    pub(crate) fn pass(&mut self, last: Mark) {
        if let Some(place) = self.place.as_mut() {
            place.stream = last.seq;
            place.reach(last);
        }
    }
}
