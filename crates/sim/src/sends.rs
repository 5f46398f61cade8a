//! What pages send: the outbox, what the application makes of it, and what the page is told.

use tetherline_engine::{SendNo as Ticket, SendOutcome, SendRefused};
use tetherline_protocol::limits::{OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX, OUTBOX_TTL_MS};

use crate::world::{PageNo, SendNo, UserNo, World};

/// A send of a page.
pub(crate) struct Send {
    pub(crate) page: PageNo,
    pub(crate) generation: u32,
    pub(crate) user: UserNo,
    pub(crate) nature: Nature,
    /// How often it took effect.
    pub(crate) effects: u32,
    size: usize,
    /// On the page's clock, in ms.
    sent_at: u64,
    /// Its number in the page's outbox.
    ticket: Option<u32>,
    /// What went over the wire about it, once that is final.
    told: Option<Verdict>,
    /// The page was told that it expired: from here on it has no place in the order.
    given_up: bool,
}

/// What the application makes of a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    Accept,
    Refuse,
    /// Not now, so many times.
    Later(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    Refused,
}

impl World {
    pub(crate) fn send(&mut self, page: PageNo) {
        let size = match self.random.below(40) {
            0 => self.random.within(1, OUTBOX_BYTES_MAX as u64 / 2) as usize,
            _ => 60,
        };
        let nature = match self.random.below(10) {
            0 => Nature::Refuse,
            1 | 2 => Nature::Later(self.random.within(1, 4) as u32),
            _ => Nature::Accept,
        };
        self.send_one(page, size, nature);
    }

    /// More at once than an outbox takes.
    pub(crate) fn flood(&mut self, page: PageNo) {
        self.note(&format!("page {page} sends more than fits"));
        for _ in 0..OUTBOX_MESSAGES_MAX + 10 {
            self.send_one(page, 10, Nature::Accept);
        }
    }

    fn send_one(&mut self, page: PageNo, size: usize, nature: Nature) {
        let send = self.sends.len();
        let target = &self.pages[page];
        let (user, generation) = (target.user, target.generation);
        self.sends.push(Send {
            page,
            generation,
            user,
            nature,
            effects: 0,
            size,
            sent_at: 0,
            ticket: None,
            told: None,
            given_up: false,
        });
        if self.enqueue(page, send) {
            self.note(&format!("page {page} sends s{send}: {nature:?}"));
        } else {
            self.sends.pop();
        }
    }

    /// Into the outbox, if it fits: no more and no less than the limits say.
    fn enqueue(&mut self, page: PageNo, send: SendNo) -> bool {
        let now = self.instant(page);
        let size = self.sends[send].size;
        let target = &mut self.pages[page];
        let fits = target.outbox.len() < OUTBOX_MESSAGES_MAX
            && target.outbox_bytes + size <= OUTBOX_BYTES_MAX;
        let taken = target.engine.send(send, size, now);
        match taken {
            Ok(Ticket(ticket)) => {
                target.outbox.insert(ticket, send);
                target.outbox_bytes += size;
                self.sends[send].ticket = Some(ticket);
                self.sends[send].sent_at = now.as_millis();
            }
            Err(SendRefused::OutboxFull) if fits => {
                self.fail(format!("the outbox of page {page} refuses what fits"));
            }
            Err(_) => {}
        }
        if taken.is_ok() && !fits {
            self.fail(format!("the outbox of page {page} takes more than fits"));
        }
        self.drain(page);
        taken.is_ok()
    }

    /// The number under which the page's outbox keeps a send.
    pub(crate) fn ticket(&self, page: PageNo, send: SendNo) -> Option<Ticket> {
        let known = &self.sends[send];
        known.ticket.filter(|_| known.page == page).map(Ticket)
    }

    pub(crate) fn settled(&mut self, page: PageNo, Ticket(ticket): Ticket, outcome: SendOutcome) {
        let Some(send) = self.pages[page].outbox.remove(&ticket) else {
            return self.fail(format!("page {page} settles a send that it does not have"));
        };
        self.pages[page].outbox_bytes -= self.sends[send].size;
        self.sends[send].ticket = None;
        self.note(&format!("s{send} is settled: {outcome:?}"));
        self.check_settled(page, send, outcome);
        if outcome == SendOutcome::Expired {
            self.sends[send].given_up = true;
            // "Send again" repeats it under its own id.
            if self.random.percent(50) {
                self.enqueue(page, send);
            }
        }
    }

    fn check_settled(&mut self, page: PageNo, send: SendNo, outcome: SendOutcome) {
        let age = self.instant(page).as_millis() - self.sends[send].sent_at;
        let Send { effects, nature, .. } = self.sends[send];
        let fits = match outcome {
            SendOutcome::Accepted => effects == 1,
            SendOutcome::Refused => effects == 0 && nature == Nature::Refuse,
            SendOutcome::SignedOut => !self.pages[page].is_signed_in(),
            SendOutcome::Expired => age >= OUTBOX_TTL_MS,
            _ => false,
        };
        if !fits {
            self.fail(format!(
                "s{send} is {outcome:?} after {age} ms but took effect {effects} times"
            ));
        }
    }

    /// A final answer came over the wire: there is only ever one.
    pub(crate) fn told(&mut self, send: SendNo, verdict: Verdict) {
        let before = *self.sends[send].told.get_or_insert(verdict);
        if before != verdict {
            self.fail(format!("s{send} is {verdict:?} on the wire and was {before:?}"));
        }
        if (self.sends[send].effects == 1) != (verdict == Verdict::Accepted) {
            let effects = self.sends[send].effects;
            self.fail(format!("s{send} is {verdict:?} on the wire with {effects} effects"));
        }
    }

    pub(crate) fn take_effect(&mut self, send: SendNo) {
        self.note(&format!("s{send} takes effect"));
        self.sends[send].effects += 1;
        let Send { effects, page, generation, given_up, .. } = self.sends[send];
        if effects > 1 {
            return self.fail(format!("s{send} took effect twice"));
        }
        let overtook = |later: &Send| {
            (later.page, later.generation) == (page, generation)
                && later.effects > 0
                && !later.given_up
        };
        if !given_up && self.sends[send + 1..].iter().any(overtook) {
            self.fail(format!("s{send} was overtaken by a later send of its page"));
        }
    }
}
