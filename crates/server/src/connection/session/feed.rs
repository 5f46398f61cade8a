mod jumps;
mod page;
mod proof;
mod saving;
mod standing;

use std::sync::Arc;

use bytestring::ByteString;
use tetherline_protocol::{
    Epoch, Limits, Seq,
    frame::{AfterId, PendingSummary},
};

use jumps::gap;
use proof::{Asked, Proof};
use saving::Saving;

use super::{
    Wire,
    in_flight::{self, InFlight},
};
use crate::store::{Delivery, Place, Resumed, Room, Standing};

/// Which messages go out next, and which are handled.
pub(super) struct Feed {
    wire: Wire,
    limits: Arc<Limits>,
    epoch: Epoch,
    head: Seq,
    /// What the store knows as this device's cursor.
    cursor: Seq,
    /// The last position that the client acknowledged since it asked.
    heard: Seq,
    proof: Proof,
    flow: Flow,
    /// Names the last page asked for; any other that arrives is stale.
    read_no: u32,
    reading: Reading,
    in_flight: InFlight,
    saving: Saving,
}

enum Flow {
    /// Nothing was asked for yet, so nothing durable is sent.
    Parked,
    /// It is to be looked whether the position that was asked from is one of this mailbox, and once
    /// [`Reading::Asked`] it is.
    Checking(Asked),
    /// The device's place is being looked up, instead of a position that is none of this mailbox.
    Locating {
        recovered: bool,
        asked: Option<Asked>,
    },
    Flowing {
        position: Seq,
        detour: Detour,
        backlog: Option<Backlog>,
    },
}

/// A plain client gets live messages from connect, and older ones when it asks: once it does, the
/// position goes back to its user's floor, and from `from` it jumps to `to`, over what it has.
#[derive(Clone, Copy)]
enum Detour {
    /// The older messages up to `from` were not asked for yet.
    Ahead {
        floor: Seq,
        from: Seq,
    },
    Underway {
        from: Seq,
        to: Seq,
    },
    None,
}

/// What waited when `get_pending` came.
struct Backlog {
    until: Seq,
    delivered: u64,
    recovered: bool,
}

impl Backlog {
    /// Something is missing that nobody had asked for just now.
    fn lost(until: Seq) -> Self {
        Self { until, delivered: 0, recovered: false }
    }
}

enum Reading {
    Idle,
    Asked,
    /// Nothing came: where the mailbox begins now is being looked up.
    Missing,
    /// The next message does not fit until something is acknowledged.
    Throttled,
}

pub(super) enum Located {
    Here,
    AskTheStore,
}

pub(super) enum Progress {
    /// The page belongs to a position that was given up.
    Stale,
    /// The store has nothing there any more: ask it where the mailbox begins.
    Missing,
    /// `ping`: a plain client's Pong to this position says that everything up to it is handled.
    /// `messages` of these texts are some.
    Deliver { texts: Vec<ByteString>, messages: u64, ping: Option<Seq> },
}

pub(super) enum Whereabouts {
    Known,
    /// The position that was asked from is none of this mailbox: this says from where is read instead.
    Another(ByteString),
    /// The mailbox begins later now; on the plain wire there is no word for it.
    Skipped(Option<ByteString>),
    /// The store has nothing where it promised something.
    Nowhere,
    /// Positions count in another history now.
    Erased,
}

/// What a page says about the position before it.
pub(super) enum Verdict {
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
    pub(super) fn new(wire: Wire, place: &Place, limits: Arc<Limits>) -> Self {
        let head = place.head.seq;
        let flow = match wire {
            Wire::V1 => Flow::Parked,
            Wire::Plain if place.floor >= head => {
                Flow::Flowing { position: head, detour: Detour::None, backlog: None }
            }
            Wire::Plain => Flow::Flowing {
                position: head,
                detour: Detour::Ahead { floor: place.floor, from: head },
                backlog: None,
            },
        };
        Self {
            wire,
            limits,
            epoch: place.head.epoch.clone(),
            head,
            cursor: place.cursor,
            heard: Seq::ZERO,
            proof: Proof::of_a_new_connection(wire),
            flow,
            read_no: 0,
            reading: Reading::Idle,
            in_flight: InFlight::Unbound,
            saving: Saving::Idle,
        }
    }

    /// The one in which positions count here.
    pub(super) fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    pub(super) fn note_head(&mut self, head: Seq) {
        self.head = self.head.max(head);
    }

    pub(super) fn get_pending(
        &mut self,
        after: Option<Seq>,
        after_id: AfterId,
        epoch: Option<&Epoch>,
    ) -> Located {
        if self.wire == Wire::Plain {
            self.turn_back();
            return Located::Here;
        }
        let epoch_is_known = epoch.is_none_or(|epoch| *epoch == self.epoch);
        if let Some(asked) = Asked::new(after, after_id) {
            return self.check(asked, epoch_is_known);
        }
        self.proof = Proof::Given;
        let known = epoch_is_known && after.is_none_or(|after| after <= self.head);
        match after {
            Some(after) if known => {
                self.start(after, true);
                Located::Here
            }
            _ => {
                self.flow = Flow::Locating { recovered: known, asked: None };
                self.give_up_reading();
                Located::AskTheStore
            }
        }
    }

    pub(super) fn located(&mut self, place: &Place) -> Whereabouts {
        if place.head.epoch != self.epoch {
            return Whereabouts::Erased;
        }
        if let Flow::Locating { recovered, asked } = &mut self.flow {
            let (recovered, asked) = (*recovered, asked.take());
            self.note_head(place.head.seq);
            self.cursor = self.cursor.max(place.cursor);
            self.start(place.cursor, recovered);
            if let Some(asked) = asked {
                return Whereabouts::Another(
                    asked.answered_from(place.cursor, place.cursor_id.as_ref()),
                );
            }
        } else if matches!(self.reading, Reading::Missing) {
            return self.skip_to(place.trimmed, place.trimmed_id.clone());
        }
        Whereabouts::Known
    }

    /// The next page to ask for, if there is something to read and room for it.
    pub(super) fn next_page(&mut self) -> Option<(u32, Seq, Room)> {
        let Flow::Flowing { position, detour, .. } = self.flow else { return None };
        if !matches!(self.reading, Reading::Idle) || position >= self.target(detour) {
            return None;
        }
        let room = self.in_flight.room(position, &self.limits)?;
        self.reading = Reading::Asked;
        self.read_no = self.read_no.wrapping_add(1);
        Some((self.read_no, position, room))
    }

    /// The page to ask for, with what stands before it, if a position is to be checked. Whoever asks
    /// again and again while nothing is taken is answered once.
    pub(super) fn next_check(&mut self) -> Option<(u32, Seq, Room)> {
        let Flow::Checking(Asked { after, .. }) = self.flow else { return None };
        if !matches!(self.reading, Reading::Idle) {
            return None;
        }
        self.reading = Reading::Asked;
        Some((self.read_no, after, in_flight::PIECE))
    }

    pub(super) fn take_page(&mut self, read_no: u32, page: Vec<Delivery>) -> Progress {
        if read_no != self.read_no || !matches!(self.reading, Reading::Asked) {
            return Progress::Stale;
        }
        self.deliver(page)
    }

    /// The first page after a position that was to be checked has come.
    pub(super) fn resumed(&mut self, read_no: u32, resumed: Resumed) -> Verdict {
        if read_no != self.read_no || !matches!(self.flow, Flow::Checking(_)) {
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
        // Also if it is empty, since all was trimmed: the hub may still have it in memory, and would have it
        // follow what nobody can say to have stood before it.
        let page = (after < head.seq).then(|| {
            self.reading = Reading::Asked;
            self.take_page(self.read_no, messages)
        });
        Verdict::Known { checked: asked.answered_from(after, id.as_ref()), page }
    }

    /// Whether everything that waited has been sent, and the client is still to be told so.
    pub(super) fn has_sent_backlog(&self) -> bool {
        let Flow::Flowing { position, detour, backlog: Some(backlog) } = &self.flow else {
            return false;
        };
        !matches!(detour, Detour::Underway { .. }) && *position >= backlog.until
    }

    /// Whether a page was asked for and has not come.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self.reading, Reading::Asked | Reading::Missing)
    }

    /// Whether a message was sent that stands after this position.
    pub(super) fn has_sent_beyond(&self, seq: Seq) -> bool {
        matches!(self.flow, Flow::Flowing { position, .. } if position > seq)
    }

    /// Whether something that was asked for is still to be sent, or nothing was asked for yet.
    pub(super) fn owes_backlog(&self) -> bool {
        match &self.flow {
            Flow::Flowing { backlog: Some(_), .. } => !self.has_sent_backlog(),
            Flow::Flowing { backlog: None, .. } => false,
            Flow::Parked | Flow::Checking(_) | Flow::Locating { .. } => true,
        }
    }

    /// The summary, once everything that waited has been sent.
    pub(super) fn complete(&mut self, streams: u64) -> Option<PendingSummary> {
        if !self.has_sent_backlog() {
            return None;
        }
        let Flow::Flowing { backlog, .. } = &mut self.flow else { return None };
        backlog.take().map(|done| PendingSummary {
            delivered: done.delivered,
            head: done.until,
            recovered: done.recovered,
            streams,
        })
    }

    /// Whether the client was sent the message here, and has acknowledged none that is as new since it asked: there are
    /// no more of these than messages that it was sent.
    pub(super) fn is_acknowledged_first(&mut self, seq: Seq) -> bool {
        let was_sent = matches!(self.flow, Flow::Flowing { position, .. } if seq <= position);
        let is_first = was_sent && seq > self.heard;
        if is_first {
            self.heard = seq;
        }
        is_first
    }

    /// A client acknowledges. Answers what to tell the store: nothing, as long as it may speak of another
    /// history.
    pub(super) fn acknowledge(&mut self, seq: Seq) -> Option<Seq> {
        let seq = seq.min(self.head);
        self.in_flight.acknowledge(seq.max(self.cursor));
        if matches!(self.reading, Reading::Throttled) {
            self.reading = Reading::Idle;
        }
        match self.proof {
            Proof::Owed => None,
            Proof::Given => self.save(seq),
        }
    }

    /// A plain client's Pong. What it handled counts only as far as nothing older is missing.
    pub(super) fn plain_handled(&mut self, seq: Seq) -> Option<Seq> {
        match self.flow {
            Flow::Flowing { detour: Detour::Ahead { .. }, .. } => None,
            Flow::Flowing { position, .. } if seq <= position => self.save(seq),
            _ => None,
        }
    }

    /// The store took an acknowledgement. Answers the next.
    pub(super) fn acknowledged(&mut self) -> Option<Seq> {
        self.saving.done()
    }

    fn save(&mut self, seq: Seq) -> Option<Seq> {
        if seq <= self.cursor {
            return None;
        }
        self.cursor = seq;
        self.saving.begin(seq)
    }

    fn start(&mut self, after: Seq, recovered: bool) {
        self.proof = Proof::Given;
        self.give_up_reading();
        self.in_flight.restart(after, self.cursor);
        self.heard = after;
        let backlog = Some(Backlog { until: self.head, delivered: 0, recovered });
        self.flow = Flow::Flowing { position: after, detour: Detour::None, backlog };
    }

    fn give_up_reading(&mut self) {
        self.read_no = self.read_no.wrapping_add(1);
        self.reading = Reading::Idle;
    }

    fn target(&self, detour: Detour) -> Seq {
        match detour {
            Detour::Underway { from, .. } => from,
            _ => self.head,
        }
    }
}
