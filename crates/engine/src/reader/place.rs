use tetherline_protocol::Seq;

use crate::{EpochNo, IdNo, Mark};

/// Where a page is in its mailbox, and where the stream of its connection is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) epoch: EpochNo,
    /// Nothing at or before this position was delivered to this page.
    pub(super) start: Seq,
    /// Everything up to here was, except what `backfill` still owes.
    pub(super) high: Seq,
    /// The newest message that this page has got, or was told of by name, or where it began. What lies
    /// between that and `high` it was told by number alone.
    pub(super) known: Mark,
    pub(super) proof: Proof,
    /// The server says whether a position is one of its mailbox.
    pub(super) is_checked: bool,
    pub(super) backfill: Option<Backfill>,
    /// Up to here the mailbox was filled when this connection asked.
    pub(super) replayed_to: Seq,
    /// The last position that came on this connection, duplicates included: where its stream is.
    pub(super) stream: Seq,
    /// After this position was asked for what comes, and the stream has not turned yet. Whatever is
    /// asked for meanwhile, by whichever tab, must not be further on.
    pub(super) owed: Option<Seq>,
    pub(super) asking: Asking,
    /// The last position acknowledged on this connection.
    pub(super) acked: Seq,
    /// The last position acknowledged by this device, as far as this page knows.
    pub(super) cursor: Seq,
}

/// Whether this page's position is one of the mailbox that this connection reads. A restored backup may
/// have other messages at the same positions, in the same epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// It was asked, and not answered yet: nothing is delivered, nothing acknowledged.
    Owed,
    Given,
}

impl Proof {
    /// At the beginning there is nothing to prove, and to a server that checks nothing nothing can be.
    pub(super) fn owed_at(position: Seq, checks_positions: bool) -> Self {
        if checks_positions && position > Seq::ZERO { Self::Owed } else { Self::Given }
    }
}

/// Whether the server still owes its `pending_check_complete`. For tabs that share a connection one
/// question follows another's answer: a stream that was called away half-way would look to a tab
/// that has just joined as if it had a hole.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asking {
    Free,
    Waiting {
        /// What is asked for next, the earliest of all.
        next: Option<Seq>,
    },
}

/// Positions before the page's start that it asked for afterwards, because the history that the
/// application shows turned out to be older.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backfill {
    pub(super) next: Seq,
    pub(super) end: Seq,
}

/// Where to read on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resume {
    pub(crate) after: Mark,
    /// Whether it is asked which message stands there.
    pub(crate) proves: bool,
    pub(crate) epoch: EpochNo,
}

impl Place {
    pub(super) fn new(epoch: EpochNo, known: Mark) -> Self {
        let start = known.seq;
        Self {
            epoch,
            start,
            high: start,
            known,
            proof: Proof::Given,
            is_checked: false,
            backfill: None,
            replayed_to: start,
            stream: start,
            owed: None,
            asking: Asking::Free,
            acked: start,
            cursor: start,
        }
    }

    pub(super) fn goes_on_in(&self, epoch: EpochNo, head: Seq) -> bool {
        self.epoch == epoch && self.high <= head
    }

    /// By a number alone a page cannot prove itself: on a new connection it stands where it knows the
    /// message, and what follows comes, or is told, once more. One that has got nothing, and never heard
    /// which message stands where it began, begins where a fresh page would, if that is before: what lies
    /// between may be of a restored backup, and new to everybody.
    pub(super) fn stand_firm(&mut self, beginning: Mark) {
        if self.has_nothing() && beginning.seq < self.start {
            (self.start, self.known) = (beginning.seq, beginning);
        }
        self.high = self.known.seq;
        self.backfill = self.backfill.filter(|backfill| backfill.next <= self.high);
    }

    /// Neither a message nor the name of one.
    fn has_nothing(&self) -> bool {
        self.known == Mark::from(self.start)
    }

    /// From here on everything has to come: what was asked for afterwards too.
    pub(super) fn begin_earlier(&mut self, start: Seq) {
        if self.has_nothing() {
            self.known = start.into();
        }
        self.start = start;
    }

    /// A message is the newest of this page. Answers the position before it.
    pub(super) fn reach(&mut self, mark: Mark) -> Seq {
        self.known = mark;
        core::mem::replace(&mut self.high, mark.seq)
    }

    /// This message stands at a position up to which nothing is missing. From a server that checks none
    /// a number is as good.
    pub(super) fn name(&mut self, mark: Mark) {
        if (mark.id != IdNo::NONE || !self.is_checked) && mark.seq >= self.known.seq {
            self.known = mark;
        }
    }

    /// What is asked until the position is proved.
    pub(super) fn question(&self) -> Resume {
        Resume { after: self.known, proves: true, epoch: self.epoch }
    }

    /// What is asked first on a connection. What lies further back is asked for when it is answered.
    pub(super) fn resume_anew(&self) -> Resume {
        match self.proof {
            Proof::Owed => self.question(),
            Proof::Given => {
                let after = self.resume_after().into();
                Resume { after, proves: false, epoch: self.epoch }
            }
        }
    }

    pub(super) fn resume_after(&self) -> Seq {
        self.backfill.map_or(self.high, |backfill| backfill.next.previous())
    }

    /// Reads on from there, or from where the stream is, if that is before: somebody may still need
    /// what lies between.
    pub(super) fn resume(&mut self, after: Seq) -> Resume {
        let after = after.min(self.stream).min(self.owed.unwrap_or(Seq::MAX));
        self.owed = Some(after);
        Resume { after: after.into(), proves: false, epoch: self.epoch }
    }

    /// Whether this may be asked for at once; if not, it waits for [`Place::answered`].
    pub(super) fn may_ask(&mut self, after: Seq) -> bool {
        match &mut self.asking {
            Asking::Free => {
                self.asking = Asking::Waiting { next: None };
                true
            }
            Asking::Waiting { next } => {
                *next = Some(next.map_or(after, |next| next.min(after)));
                false
            }
        }
    }

    /// A question is answered. Answers the next one.
    pub(super) fn answered(&mut self) -> Option<Resume> {
        let waiting = core::mem::replace(&mut self.asking, Asking::Free);
        match waiting {
            Asking::Waiting { next: Some(after) } => Some(self.resume(after)),
            _ => None,
        }
    }

    /// The stream goes from one position to another, and so past what was asked for, or not yet.
    pub(super) fn flows_to(&mut self, from: Seq, to: Seq) {
        self.owed = self.owed.filter(|owed| *owed < from);
        self.stream = to;
    }

    /// Counts a position that the backfill owes, and answers up to where it had come before. Another
    /// tab may have asked for part of it: only what follows counts.
    pub(super) fn backfill_to(&mut self, mark: Mark) -> Option<Seq> {
        let backfill = self.backfill.filter(|backfill| backfill.next == mark.seq)?;
        self.backfill_passed(backfill, mark.seq);
        if mark.seq > self.known.seq {
            self.known = mark;
        }
        Some(mark.seq.previous())
    }

    fn backfill_passed(&mut self, backfill: Backfill, seq: Seq) {
        self.backfill =
            seq.next().filter(|_| seq < backfill.end).map(|next| Backfill { next, ..backfill });
    }

    /// Nothing is left between a position and `passed`.
    pub(super) fn pass_gap(&mut self, after: Seq, passed: Mark) -> Option<Seq> {
        let last = passed.seq;
        self.flows_to(after, last);
        let mut hole_after = None;
        if let Some(backfill) = self.backfill
            && (after..last).contains(&backfill.next.previous())
        {
            self.backfill_passed(backfill, last);
            hole_after = Some(backfill.next.previous());
        }
        if (after..last).contains(&self.high) {
            hole_after = hole_after.or(Some(self.high));
            self.high = last;
        }
        if hole_after.is_some() {
            self.name(passed);
        }
        hole_after
    }
}
