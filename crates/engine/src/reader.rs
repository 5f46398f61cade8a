mod foreseen;
mod held;
mod place;
mod proof;

use alloc::vec::Vec;

use tetherline_protocol::{
    Seq,
    limits::{
        ACK_EVERY_MESSAGES, HANDLER_TIMEOUT_MS, HELD_BYTES_MAX, UNHANDLED_BYTES_MAX,
        UNHANDLED_MESSAGES_MAX,
    },
};

pub(crate) use held::Audience;
use held::Waiting;
pub(crate) use place::Resume;
use place::{Asking, Backfill, Place, Proof};
pub(crate) use proof::Standpoint;

use crate::{Delivery, EpochNo, IdNo, Instant, Mark};

/// Where the page stands in the mailbox, and what may be acknowledged.
///
/// The page's position lives here, in memory, and belongs to the page alone: the device's cursor
/// on the server is what all pages of a device have acknowledged together, and only says where a
/// *fresh* page starts.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    place: Option<Place>,
    /// History was read as of this position, before it is known where the page starts.
    as_of: Option<Seq>,
    /// Messages that are delivered or parked, and not handled yet; ascending by position.
    holds: Vec<Hold>,
    parked: Waiting,
    /// Those whose type is held.
    expected: Waiting,
    /// More came than may be held, and was not taken: it is asked for when there is room.
    has_left_some: bool,
    grace: Grace,
    /// Positions of other tabs that the server is asked about, one after the other.
    to_check: Vec<Mark>,
}

#[derive(Debug)]
struct Hold {
    seq: Seq,
    reason: HoldReason,
}

#[derive(Debug)]
enum HoldReason {
    /// A handler runs; it has until then.
    Handler { until: Instant },
    /// No handler is there yet.
    Parked { size: usize },
    /// Nor will the end of the grace window do instead: the type is held.
    Expected { size: usize },
}

/// The one window, after a page's first connect, in which messages wait for their handlers.
#[derive(Debug, Default, PartialEq, Eq)]
enum Grace {
    #[default]
    NotYet,
    Open,
    Over,
}

/// What a message means.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) delivery: Delivery,
    /// The position before a hole that this message revealed.
    pub(crate) gap_after: Option<Seq>,
}

impl Reader {
    /// Whether this mailbox is another one than the page has read in, so that nobody may be called
    /// any more with what is parked.
    pub(crate) fn would_lose(&self, epoch: EpochNo, head: Seq) -> bool {
        self.place.is_some_and(|place| !place.goes_on_in(epoch, head))
    }

    /// A connection is up. Answers the position that was lost, if the history is another one now, and
    /// where to read on.
    pub(crate) fn connect(
        &mut self,
        epoch: EpochNo,
        head: Seq,
        cursor: Mark,
        checks_positions: bool,
    ) -> (Option<Seq>, Resume) {
        let mut lost = None;
        let beginning = self.as_of.filter(|as_of| *as_of < cursor.seq).map_or(cursor, Mark::from);
        let mut place = match self.place {
            Some(mut place) if place.goes_on_in(epoch, head) => {
                place.stand_firm(beginning);
                place
            }
            other => {
                lost = other.map(|place| place.high);
                self.forget_holds();
                self.as_of = None;
                Place::new(epoch, beginning)
            }
        };
        self.to_check.clear();
        place.proof = Proof::owed_at(place.high, checks_positions);
        place.is_checked = checks_positions;
        let resume = place.resume_anew();
        place.stream = resume.after.seq;
        place.owed = None;
        place.asking = Asking::Free;
        // What an earlier connection did not get to say is acknowledged on this one.
        place.acked = cursor.seq.min(place.high);
        // What others acknowledged further on may have been in a history that is no more.
        place.cursor = cursor.seq.max(place.cursor.min(place.high));
        place.replayed_to = head;
        self.place = Some(place);
        (lost, resume)
    }

    /// The newest position that this page knows of.
    pub(crate) fn head(&self) -> Seq {
        self.place.map_or(Seq::default(), |place| place.high.max(place.replayed_to))
    }

    /// Whether everything has come that was in the mailbox when this connection began.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.place.is_some_and(|place| {
            place.proof == Proof::Given
                && place.backfill.is_none()
                && place.high >= place.replayed_to
        })
    }

    /// Up to where this device has handled everything, whether the server has heard of it or not.
    pub(crate) fn cursor(&self) -> Seq {
        let acknowledged = self.place.map_or(Seq::default(), |place| place.cursor);
        self.ackable().map_or(acknowledged, |handled| handled.max(acknowledged))
    }

    /// The application asks again for what waits.
    pub(crate) fn ask_again(&mut self) -> Option<Resume> {
        let place = self.place.as_mut()?;
        Some(match place.proof {
            Proof::Owed => place.question(),
            Proof::Given => place.resume(place.resume_after()),
        })
    }

    /// The history that the application shows is true as of this position. Answers where to read
    /// from if the page started too late for it.
    pub(crate) fn history_as_of(&mut self, seq: Seq) -> Option<Resume> {
        if self.place.as_ref().is_some_and(|place| seq >= place.start) {
            return None;
        }
        self.as_of = Some(self.as_of.map_or(seq, |known| known.min(seq)));
        self.next_backfill()
    }

    /// What [`Reader::history_as_of`] has asked for: one at a time, and only where the page's position is
    /// proved.
    pub(crate) fn next_backfill(&mut self) -> Option<Resume> {
        let is_free = |place: &&mut Place| place.backfill.is_none() && place.proof == Proof::Given;
        let place = self.place.as_mut().filter(is_free)?;
        let seq = self.as_of.take()?;
        let next = seq.next().filter(|_| seq < place.start)?;
        place.backfill = Some(Backfill { next, end: place.start });
        place.begin_earlier(seq);
        Some(place.resume(seq))
    }

    /// A message with a position has come.
    pub(crate) fn arrive(&mut self, mark: Mark, audience: Audience, size: usize) -> Arrival {
        let Mark { seq, .. } = mark;
        let mut arrival = Arrival { delivery: Delivery::Drop, gap_after: None };
        let is_full = self.is_full();
        let Some(place) = self.place.as_mut() else { return arrival };
        if place.proof == Proof::Owed {
            // It is for another tab, and perhaps of another history than this one's.
            return arrival;
        }
        place.flows_to(seq.previous(), seq);
        if place.owed.is_some() && Some(seq) > place.high.next() {
            // What this tab asked for is still to come.
            return arrival;
        }
        if is_full {
            // Of any type, so that the order stays what it was. Nothing is lost: it is not acknowledged.
            self.has_left_some |= seq > place.high || place.backfill.is_some();
            return arrival;
        }
        let before = match place.backfill_to(mark) {
            Some(before) => before,
            None if seq <= place.high => return arrival,
            None => place.reach(mark),
        };
        if before.next() != Some(seq) {
            arrival.gap_after = Some(before);
        }
        let replayed = seq <= place.replayed_to;
        // Any size over the limit is as good as another, and none makes the sum overflow.
        let size = size.min(UNHANDLED_BYTES_MAX.max(HELD_BYTES_MAX) + 1);
        arrival.delivery = match audience {
            Audience::Here => Delivery::Deliver { replayed },
            Audience::Expected => {
                self.insert(Hold { seq, reason: HoldReason::Expected { size } });
                self.expected.add(size);
                Delivery::Park { replayed }
            }
            Audience::Nobody if self.grace == Grace::Open => {
                self.insert(Hold { seq, reason: HoldReason::Parked { size } });
                self.parked.add(size);
                Delivery::Park { replayed }
            }
            Audience::Nobody => Delivery::Unhandled { replayed },
        };
        arrival
    }

    /// Takes out the oldest parked message while more is parked than fits.
    pub(crate) fn pop_parked_over_limit(&mut self) -> Option<Seq> {
        if self.parked.messages <= UNHANDLED_MESSAGES_MAX
            && self.parked.bytes <= UNHANDLED_BYTES_MAX
        {
            return None;
        }
        self.pop(|reason| matches!(reason, HoldReason::Parked { .. }))
    }

    /// Takes out the oldest message that waits for a handler.
    pub(crate) fn pop_parked(&mut self) -> Option<Seq> {
        self.pop(|reason| !matches!(reason, HoldReason::Handler { .. }))
    }

    fn pop(&mut self, is_meant: impl Fn(&HoldReason) -> bool) -> Option<Seq> {
        let seq = self.holds.iter().find(|hold| is_meant(&hold.reason))?.seq;
        self.release(seq);
        Some(seq)
    }

    /// The handlers of a message go on asynchronously. Answers by when they have to settle, unless
    /// it is none of this page's: the person may have signed out while they were called.
    pub(crate) fn hold(&mut self, seq: Seq, now: Instant) -> Option<Instant> {
        self.place.as_ref().filter(|place| seq <= place.high)?;
        let until = now + HANDLER_TIMEOUT_MS;
        self.insert(Hold { seq, reason: HoldReason::Handler { until } });
        Some(until)
    }

    /// The handlers of a message have settled. They may be of a history that is no more: what is
    /// parked at the same position now has not seen its own handlers.
    pub(crate) fn settle(&mut self, seq: Seq) {
        let is_running =
            |hold: &Hold| hold.seq == seq && matches!(hold.reason, HoldReason::Handler { .. });
        if self.holds.iter().any(is_running) {
            self.release(seq);
        }
    }

    /// A message is handled, or leaves the parking lot.
    pub(crate) fn release(&mut self, seq: Seq) {
        if let Ok(index) = self.holds.binary_search_by_key(&seq, |hold| hold.seq) {
            let hold = self.holds.remove(index);
            self.unpark(&hold.reason);
        }
    }

    /// Takes out one handler that has run out of time.
    pub(crate) fn pop_timed_out(&mut self, now: Instant) -> Option<Seq> {
        self.pop(|reason| matches!(reason, HoldReason::Handler { until } if *until <= now))
    }

    pub(crate) fn next_handler_timeout(&self) -> Option<Instant> {
        let until = |hold: &Hold| match hold.reason {
            HoldReason::Handler { until } => Some(until),
            HoldReason::Parked { .. } | HoldReason::Expected { .. } => None,
        };
        self.holds.iter().filter_map(until).min()
    }

    /// Opens the grace window, the first time. Answers whether it did.
    pub(crate) fn open_grace(&mut self) -> bool {
        let first = self.grace == Grace::NotYet;
        if first {
            self.grace = Grace::Open;
        }
        first
    }

    /// Closes the grace window: what is parked and not held counts as handled.
    pub(crate) fn close_grace(&mut self) {
        self.grace = Grace::Over;
        self.holds.retain(|hold| !matches!(hold.reason, HoldReason::Parked { .. }));
        self.parked = Waiting::default();
    }

    /// Between these positions the mailbox has nothing any more. Answers after which one this page
    /// has a hole, if it has read up to there at all.
    pub(crate) fn pass_gap(&mut self, after: Seq, next: Seq, passed: IdNo) -> Option<Seq> {
        let place = self.place.as_mut().filter(|place| place.proof == Proof::Given)?;
        place.pass_gap(after, Mark { seq: next.previous(), id: passed })
    }

    /// The position to acknowledge, if enough has gathered (or anything at all, if `any`).
    pub(crate) fn take_ack(&mut self, any: bool) -> Option<Seq> {
        let ready = self.ackable()?;
        let place = self.place.as_mut().filter(|place| place.proof == Proof::Given)?;
        let gathered = ready.distance_from(place.acked);
        if gathered == 0 || (!any && gathered < ACK_EVERY_MESSAGES) {
            return None;
        }
        place.acked = ready;
        place.cursor = place.cursor.max(ready);
        Some(ready)
    }

    pub(crate) fn has_ack(&self) -> bool {
        match (self.ackable(), &self.place) {
            (Some(ready), Some(place)) => place.proof == Proof::Given && ready > place.acked,
            _ => false,
        }
    }

    /// Contiguous: nothing before it is still held.
    fn ackable(&self) -> Option<Seq> {
        let place = self.place.as_ref()?;
        match self.holds.first() {
            Some(hold) => Some(place.high.min(hold.seq.previous())),
            None => Some(place.high),
        }
    }

    pub(crate) fn position(&self) -> Option<Seq> {
        self.place.map(|place| place.known.seq)
    }

    pub(crate) fn position_id(&self) -> IdNo {
        self.place.map_or(IdNo::NONE, |place| place.known.id)
    }

    fn insert(&mut self, hold: Hold) {
        match self.holds.binary_search_by_key(&hold.seq, |held| held.seq) {
            Ok(index) => {
                let replaced = core::mem::replace(&mut self.holds[index], hold);
                self.unpark(&replaced.reason);
            }
            Err(index) => self.holds.insert(index, hold),
        }
    }

    fn unpark(&mut self, reason: &HoldReason) {
        match *reason {
            HoldReason::Handler { .. } => {}
            HoldReason::Parked { size } => self.parked.remove(size),
            HoldReason::Expected { size } => self.expected.remove(size),
        }
    }

    fn forget_holds(&mut self) {
        self.holds.clear();
        self.parked = Waiting::default();
        self.expected = Waiting::default();
        self.has_left_some = false;
    }
}
