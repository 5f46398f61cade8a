//! What pages send: the outbox, what the application makes of it, and what the page is told.

use tetherline_engine::{SendNo as OutboxNo, SendOutcome, SendRefused};
use tetherline_protocol::{
    frame::SendAnswer,
    limits::{OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX, OUTBOX_TTL_MS},
};

use crate::{
    streams::Target,
    world::{PageNo, SendNo, UserNo, World},
};

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
    expires_at: u64,
    /// Its number in the page's outbox.
    outbox_no: Option<u32>,
    /// What went over the wire about it, once that is final.
    told: Option<Verdict>,
    /// The page was told that it expired: from here on it has no place in the order.
    given_up: bool,
    pub(crate) about: About,
    /// It is a stop, and there was nothing of that name: a restored backup may have lost it.
    pub(crate) was_unknown: bool,
    /// A restored backup does not know of that refusal: it may come to stop something after all, behind what
    /// came after it.
    pub(crate) refusal_lost: bool,
}

/// What a send asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    Anything,
    /// It gets a stream for an answer.
    Question,
    Stop(Target),
}

impl Send {
    /// What the application answers beside its yes: to some, another for each.
    pub(crate) fn answer(&self, send: SendNo) -> Option<SendAnswer> {
        let asks = self.about == About::Anything && send.is_multiple_of(2);
        asks.then(|| SendAnswer::of(&send).expect("a number is an answer"))
    }

    pub(crate) fn to_frame(&self, send: SendNo) -> String {
        match self.about {
            About::Stop(Target::Stream(stream)) => {
                format!(r#"{{"type":"message_stop","id":"s{send}","message_uuid":"a{stream}"}}"#)
            }
            About::Stop(Target::Send(asked)) => {
                format!(r#"{{"type":"message_stop","id":"s{send}","ref":"s{asked}"}}"#)
            }
            About::Anything | About::Question => format!(r#"{{"type":"say","id":"s{send}"}}"#),
        }
    }
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

/// How a send comes into an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    New,
    Restored,
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
        let about = if self.random.percent(8) { About::Question } else { About::Anything };
        self.send_one(page, size, nature, about);
    }

    pub(crate) fn send_stop(&mut self, page: PageNo, target: Target) {
        let nature = match self.random.below(6) {
            0 => Nature::Later(1),
            _ => Nature::Accept,
        };
        self.send_one(page, 60, nature, About::Stop(target));
    }

    /// More at once than an outbox takes.
    pub(crate) fn flood(&mut self, page: PageNo) {
        self.note(&format!("page {page} sends more than fits"));
        for _ in 0..OUTBOX_MESSAGES_MAX + 10 {
            self.send_one(page, 10, Nature::Accept, About::Anything);
        }
    }

    fn send_one(&mut self, page: PageNo, size: usize, nature: Nature, about: About) {
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
            expires_at: 0,
            outbox_no: None,
            told: None,
            given_up: false,
            about,
            was_unknown: false,
            refusal_lost: false,
        });
        let ttl =
            if self.random.percent(8) { self.random.within(500, 20_000) } else { OUTBOX_TTL_MS };
        if self.enqueue(page, send, Way::New, ttl) {
            self.note(&format!("page {page} sends s{send}: {nature:?}, {about:?}"));
        } else {
            self.sends.pop();
        }
    }

    /// Into the outbox, if it fits: no more and no less than the limits say.
    fn enqueue(&mut self, page: PageNo, send: SendNo, way: Way, ttl: u64) -> bool {
        let now = self.instant(page);
        let size = self.sends[send].size;
        let target = &mut self.pages[page];
        let fits = target.outbox.len() < OUTBOX_MESSAGES_MAX
            && target.outbox_bytes + size <= OUTBOX_BYTES_MAX;
        let taken = match way {
            Way::New => target.engine.send_within(send, size, ttl, now),
            Way::Restored => target.engine.restore(send, size, ttl, now),
        };
        match taken {
            Ok(OutboxNo(outbox_no)) => {
                target.outbox.insert(outbox_no, send);
                target.outbox_bytes += size;
                self.sends[send].outbox_no = Some(outbox_no);
                self.sends[send].expires_at = now.as_millis() + ttl;
            }
            Err(SendRefused::OutboxFull) if fits => {
                self.fail(format!("the outbox of page {page} refuses what fits"));
            }
            // Its sender is told; another tab may have it under way all the same.
            Err(_) => self.sends[send].given_up = true,
        }
        if taken.is_ok() && !fits {
            self.fail(format!("the outbox of page {page} takes more than fits"));
        }
        self.drain(page);
        taken.is_ok()
    }

    /// The number under which the page's outbox keeps a send.
    pub(crate) fn outbox_no(&self, page: PageNo, send: SendNo) -> Option<OutboxNo> {
        let known = &self.sends[send];
        let passed_on = &self.pages[page].tab.passed_on;
        let own = known.outbox_no.filter(|_| known.page == page);
        own.or_else(|| passed_on.iter().find(|(_, passed)| **passed == send).map(|(no, _)| *no))
            .map(OutboxNo)
    }

    pub(crate) fn settled(
        &mut self,
        page: PageNo,
        OutboxNo(outbox_no): OutboxNo,
        outcome: SendOutcome,
    ) {
        let Some(send) = self.pages[page].outbox.remove(&outbox_no) else {
            return self.fail(format!("page {page} settles a send that it does not have"));
        };
        self.pages[page].outbox_bytes -= self.sends[send].size;
        self.sends[send].outbox_no = None;
        self.note(&format!("s{send} is settled: {outcome:?}"));
        self.check_settled(page, send, outcome);
        if outcome == SendOutcome::Expired {
            self.sends[send].given_up = true;
            // "Send again" repeats it under its own id.
            if self.random.percent(50) {
                self.enqueue(page, send, Way::New, OUTBOX_TTL_MS);
            }
        }
    }

    /// What a page leaves behind that keeps its outbox over a reload: each send with its time left.
    pub(crate) fn take_unsent(&mut self, page: PageNo) -> Vec<(SendNo, u64)> {
        let now = self.instant(page).as_millis();
        let mut unsent: Vec<SendNo> = self.pages[page].outbox.values().copied().collect();
        // One that expired and was sent again has no place in the order any more.
        unsent.sort_by_key(|send| (self.sends[*send].given_up, *send));
        let left = |send: SendNo| (send, self.sends[send].expires_at.saturating_sub(now));
        unsent.into_iter().map(left).collect()
    }

    /// The next page has read what the last one left: it goes out before anything of its own.
    pub(crate) fn restore(&mut self, page: PageNo, generation: u32, unsent: &[(SendNo, u64)]) {
        let target = &self.pages[page];
        if !target.is_open() || !target.is_signed_in() || target.generation != generation {
            return;
        }
        for (send, ttl) in unsent {
            self.note(&format!("page {page} restores s{send}"));
            let known = &mut self.sends[*send];
            (known.page, known.generation) = (page, generation);
            self.enqueue(page, *send, Way::Restored, *ttl);
        }
        let now = self.instant(page);
        self.pages[page].engine.release_sends(now);
        self.drain(page);
    }

    fn check_settled(&mut self, page: PageNo, send: SendNo, outcome: SendOutcome) {
        let now = self.instant(page).as_millis();
        let Send { effects, nature, expires_at, was_unknown, .. } = self.sends[send];
        let fits = match outcome {
            SendOutcome::Accepted => effects == 1,
            SendOutcome::Refused if was_unknown => true,
            SendOutcome::Refused => effects == 0 && nature == Nature::Refuse,
            SendOutcome::SignedOut => !self.pages[page].is_signed_in(),
            SendOutcome::Expired => now >= expires_at,
            _ => false,
        };
        if !fits {
            self.fail(format!(
                "s{send} is {outcome:?} at {now} ms, took effect {effects} times and had until \
                 {expires_at} ms"
            ));
        }
    }

    /// What goes with an `accepted` is the same whenever it comes.
    pub(crate) fn answer_came(&mut self, send: SendNo, answer: Option<&SendAnswer>) {
        let given = self.sends[send].answer(send);
        if answer != given.as_ref() {
            self.fail(format!("s{send} was answered with {given:?}, and {answer:?} came"));
        }
    }

    /// A final answer came over the wire: there is only ever one.
    pub(crate) fn told(&mut self, send: SendNo, verdict: Verdict) {
        if self.sends[send].was_unknown {
            return;
        }
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
        let Send { effects, page, user, generation, given_up, refusal_lost, about, .. } =
            self.sends[send];
        match about {
            About::Anything => {}
            About::Question => self.answer_send(user, send),
            About::Stop(target) => self.stop_writers(user, target),
        }
        if effects > 1 {
            return self.fail(format!("s{send} took effect twice"));
        }
        let overtook = |later: &Send| {
            (later.page, later.generation) == (page, generation)
                && later.effects > 0
                && !later.given_up
        };
        let has_a_place = !given_up && !refusal_lost;
        if has_a_place && self.sends[send + 1..].iter().any(overtook) {
            self.fail(format!("s{send} was overtaken by a later send of its page"));
        }
    }
}
