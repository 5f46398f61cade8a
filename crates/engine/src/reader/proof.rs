//! Whether the page's history is the mailbox's, and what the tab that leads asks on behalf of others.

use tetherline_protocol::Seq;

use super::{Asking, Place, Proof, Reader, Resume};
use crate::{EpochNo, IdNo, Mark};

/// Positions of other tabs that wait to be asked about. One that finds no place asks again.
const TO_CHECK_MAX: usize = 64;

/// Who says that a connection is up.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Standpoint {
    Server,
    /// The tab that leads, and where it is, if its server checks positions.
    Tab(Option<Mark>),
}

impl Reader {
    /// A connection is up through the tab that leads, which may have got to see less than this one:
    /// its head is no proof that messages were lost.
    pub(crate) fn join(
        &mut self,
        epoch: EpochNo,
        head: Seq,
        cursor: Seq,
        position: Option<Mark>,
        has_text: bool,
    ) -> (Option<Seq>, Resume) {
        let known = self.place.filter(|place| place.epoch == epoch);
        let head = known.map_or(head, |place| place.high.max(head));
        let at_cursor = position.filter(|position| position.seq == cursor).unwrap_or(cursor.into());
        let (lost, mut resume) = self.connect(epoch, head, at_cursor, false);
        if let Some(place) = self.place.as_mut() {
            place.is_checked = position.is_some();
            // The leading tab has proved its own position, and that is all it can say: text that this one has
            // beside may be another.
            let is_owed = known.is_some() && place.known.id != IdNo::NONE && position.is_some();
            if is_owed && (position != Some(place.known) || has_text) {
                place.proof = Proof::Owed;
                resume = place.question();
            }
            // The connection is not a new one: what others asked for may come first.
            place.owed = Some(resume.after.seq);
        }
        (lost, resume)
    }

    /// Another tab needs what comes after a position. Answers what to ask for, unless it comes anyway.
    /// Where it has to prove itself, only the server can answer.
    pub(crate) fn rewind(&mut self, after: Mark, epoch: EpochNo) -> Option<Resume> {
        let is_mine = |place: &&mut Place| place.epoch == epoch && place.proof == Proof::Given;
        let place = self.place.as_mut().filter(is_mine)?;
        if after.id != IdNo::NONE {
            return Some(Resume { after, proves: true, epoch });
        }
        let after = after.seq;
        let comes_anyway = after >= place.stream || place.owed.is_some_and(|owed| owed <= after);
        (!comes_anyway).then(|| place.resume(after))
    }

    /// Whether this may be asked for at once; if not, it waits for [`Reader::answered`].
    pub(crate) fn may_ask(&mut self, resume: &Resume) -> bool {
        let Some(place) = self.place.as_mut() else { return false };
        if let Asking::Waiting { .. } = place.asking
            && resume.proves
        {
            // Who hears no answer repeats its question, and each answer may be the whole mailbox.
            if self.to_check.len() < TO_CHECK_MAX && !self.to_check.contains(&resume.after) {
                self.to_check.push(resume.after);
            }
            return false;
        }
        place.may_ask(resume.after.seq)
    }

    /// A question is answered. Answers the next one.
    pub(crate) fn answered(&mut self) -> Option<Resume> {
        let place = self.place.as_mut()?;
        place.answered().or_else(|| {
            let after = self.to_check.pop()?;
            Some(Resume { after, proves: true, epoch: place.epoch })
        })
    }

    /// Whether what this page has is known to be of the mailbox that it reads.
    pub(crate) fn is_proved(&self) -> bool {
        self.place.as_ref().is_none_or(|place| place.proof == Proof::Given)
    }

    /// Whether this page has not come there yet.
    pub(crate) fn is_behind(&self, from: Mark) -> bool {
        self.place.as_ref().is_some_and(|place| place.high < from.seq)
    }

    /// Which message stands where the page is, if it has heard of that.
    pub(crate) fn known(&self) -> Option<IdNo> {
        self.place.map(|place| place.known.id).filter(|id| *id != IdNo::NONE)
    }

    /// Where the page is, for other tabs; `None` if the server checks none.
    pub(crate) fn mark(&self) -> Option<Mark> {
        self.place.as_ref().filter(|place| place.is_checked).map(|place| place.known)
    }

    /// Whether the answer to a question says that this page's position is none of this mailbox's.
    pub(crate) fn is_refuted(&self, after: Mark, from: Mark) -> bool {
        self.place.as_ref().is_some_and(|place| {
            place.proof == Proof::Owed
                && after == place.known
                && (from.seq != after.seq || from.id.differs_from(after.id))
        })
    }

    /// The page has read another history. It starts from where the server reads. Answers the position
    /// that is lost.
    pub(crate) fn begin_anew(&mut self, from: Mark) -> Option<Seq> {
        self.forget_holds();
        self.as_of = None;
        let place = self.place.as_mut()?;
        let lost = place.high;
        *place = Place {
            proof: Proof::Owed,
            is_checked: place.is_checked,
            replayed_to: place.replayed_to,
            asking: place.asking,
            ..Place::new(place.epoch, from)
        };
        Some(lost)
    }

    /// The answer to a question begins: it is read from there. Answers what is still to be asked for.
    pub(crate) fn checked(&mut self, after: Mark, from: Mark) -> Option<Resume> {
        let place = self.place.as_mut()?;
        place.stream = from.seq;
        let was_owed = place.proof == Proof::Owed;
        if was_owed {
            if after != place.known && from != place.known {
                return None;
            }
            place.proof = Proof::Given;
            place.owed = None;
        }
        if place.high == from.seq {
            place.name(from);
        }
        if from.seq > place.high {
            // Somebody else reads on from where this page has not come yet.
            place.owed = None;
        } else if !was_owed || place.backfill.is_none() {
            return self.next_backfill();
        }
        Some(place.resume(place.resume_after()))
    }
}
