use std::collections::VecDeque;

use tetherline_protocol::{Limits, Seq, limits};

use crate::store::Room;

/// One page, whatever waits.
pub(super) const PIECE: Room = Room { messages: 256, bytes: limits::REPLAY_PIECE_BYTES_MAX };

/// What is on its way. Limits bind only who acknowledges.
pub(super) enum InFlight {
    Unbound,
    Bound { acked: Seq, sizes: VecDeque<(Seq, usize)>, bytes: usize, holes: Holes },
}

/// Positions that were never sent, because nothing was left of them: after the first of each pair, up
/// to the second. Behind each is something in flight, so they are as bounded as that is.
#[derive(Default)]
pub(super) struct Holes(VecDeque<(Seq, Seq)>);

impl InFlight {
    pub(super) fn room(&self, position: Seq, limits: &Limits) -> Option<Room> {
        let Self::Bound { acked, bytes, holes, .. } = self else { return Some(PIECE) };
        let sent = holes.count(position, *acked);
        if sent == 0 {
            let messages = limits.in_flight_messages_max.clamp(1, PIECE.messages);
            return Some(Room { messages, ..PIECE });
        }
        let messages = limits.in_flight_messages_max.saturating_sub(sent).min(PIECE.messages);
        let bytes = limits.in_flight_bytes_max.saturating_sub(*bytes).min(PIECE.bytes);
        (messages > 0 && bytes > 0).then_some(Room { messages, bytes })
    }

    /// One message is always let through; a further one only if it fits.
    pub(super) fn admit(&mut self, position: Seq, seq: Seq, size: usize, limits: &Limits) -> bool {
        let Self::Bound { acked, sizes, bytes, holes } = self else { return true };
        let in_flight = holes.count(position, *acked);
        let fits = in_flight < limits.in_flight_messages_max
            && bytes.saturating_add(size) <= limits.in_flight_bytes_max;
        if in_flight > 0 && !fits {
            return false;
        }
        if seq > *acked {
            sizes.push_back((seq, size));
            *bytes += size;
        }
        true
    }

    /// The first acknowledgement binds. Sizes are known only from then on; counts always are.
    pub(super) fn acknowledge(&mut self, seq: Seq) {
        if matches!(self, Self::Unbound) {
            let (sizes, holes) = (VecDeque::new(), Holes::default());
            *self = Self::Bound { acked: seq, sizes, bytes: 0, holes };
        }
        let Self::Bound { acked, sizes, bytes, holes } = self else { return };
        *acked = seq.max(*acked);
        while holes.0.front().is_some_and(|(_, end)| end <= acked) {
            holes.0.pop_front();
        }
        while let Some(&(_, size)) = sizes.front().filter(|(sent, _)| sent <= acked) {
            sizes.pop_front();
            *bytes -= size;
        }
        if sizes.is_empty() {
            *sizes = VecDeque::new();
        }
    }

    pub(super) fn restart(&mut self, after: Seq, cursor: Seq) {
        if let Self::Bound { acked, sizes, bytes, holes } = self {
            *acked = after.max(cursor);
            sizes.clear();
            *bytes = 0;
            *holes = Holes::default();
        }
    }

    /// Nothing after `position` up to `end` is on its way, or ever will be.
    pub(super) fn pass_over(&mut self, position: Seq, end: Seq) {
        let Self::Bound { acked, holes, .. } = self else { return };
        if end <= *acked {
            return;
        }
        match holes.0.back_mut().filter(|(_, last)| *last == position) {
            Some((_, last)) => *last = end,
            None => holes.0.push_back((position, end)),
        }
    }
}

impl Holes {
    /// Messages that are sent and not acknowledged.
    fn count(&self, position: Seq, acked: Seq) -> usize {
        let passed = |(after, end): &(Seq, Seq)| end.distance_from(acked.max(*after));
        let passed: u64 = self.0.iter().map(passed).sum();
        let positions = position.distance_from(acked).saturating_sub(passed);
        usize::try_from(positions).unwrap_or(usize::MAX)
    }
}
