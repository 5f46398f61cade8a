//! Sends between the sessions and the application, by the store's claims, as the server's reception has
//! them.

use std::{collections::BTreeMap, time::Duration};

use tetherline_protocol::ErrorCode;
use tetherline_server::{
    Refusal,
    simulation::{SEND_CLAIM, SEND_CLAIM_RENEWAL},
    store::Outcome,
};

use crate::{
    Mutant,
    event::Event,
    sends::{About, Nature},
    store::{Beginning, ClaimNo, Operation},
    world::{LinkNo, SendNo, World},
};

/// What one process of the server knows of sends.
#[derive(Default)]
pub(crate) struct Reception {
    /// Those that are with the application.
    handed_over: BTreeMap<ClaimNo, HandedOver>,
    /// Connections whose sends are with somebody else.
    waiting: BTreeMap<SendNo, Vec<LinkNo>>,
}

#[derive(Clone, Copy)]
struct HandedOver {
    send: SendNo,
    link: LinkNo,
    /// Its claim is not renewed: the store does not hear of it.
    is_silent: bool,
}

impl World {
    fn reception(&mut self, life: u32) -> Option<&mut Reception> {
        let running = self.server.as_mut().filter(|running| running.number == life);
        running.map(|running| &mut running.reception)
    }

    /// A session hands over a send.
    pub(crate) fn receive(&mut self, link: LinkNo, send: SendNo) {
        let user = self.links[link].user;
        if self.sends[send].user != user {
            let owner = self.sends[send].user;
            self.fail(format!("s{send} of u{owner} was taken as u{user}'s"));
            return;
        }
        let Some(life) = self.server.as_ref().map(|life| life.number) else { return };
        match self.store.begin(user, send, self.now, ms(SEND_CLAIM)) {
            Beginning::Settled(outcome) => {
                let outcome = match self.mutant {
                    Some(Mutant::AnswerForgotten) => outcome.map(|_| None),
                    _ => outcome,
                };
                let delay = self.delay(0, 5);
                self.after(delay, Event::Known { life, link, outcome });
            }
            Beginning::Yours(claim) => self.hand_over(life, link, send, claim),
            Beginning::Elsewhere(taken) => {
                self.note(&format!("s{send} is with somebody else for {} ms", taken.left_ms));
                if let Some(reception) = self.reception(life) {
                    reception.waiting.entry(send).or_default().push(link);
                }
                self.after(taken.left_ms, Event::Begin { life, link, send });
            }
        }
    }

    fn hand_over(&mut self, life: u32, link: LinkNo, send: SendNo, claim: ClaimNo) {
        let is_silent = self.fault(30);
        let Some(reception) = self.reception(life) else { return };
        let is_twice =
            reception.handed_over.values().any(|other| other.send == send && !other.is_silent);
        reception.handed_over.insert(claim, HandedOver { send, link, is_silent });
        if is_twice {
            return self.fail(format!("s{send} is with the application twice"));
        }
        self.after(ms(SEND_CLAIM_RENEWAL), Event::Renew { life, claim });
        if let About::Stop(target) = self.sends[send].about {
            self.seal(life, send, target);
        } else if self.mutant == Some(Mutant::AcceptedBeforeTaken) {
            let outcome = Ok(self.sends[send].answer(send));
            self.after(0, Event::Settle { life, claim, outcome });
            let delay = self.delay(1, 400);
            self.after(delay, Event::Decide { life, send, claim });
        } else {
            let delay = if self.fault(2) { 40_000 } else { self.delay(1, 400) };
            self.after(delay, Event::Decide { life, send, claim });
        }
    }

    pub(crate) fn known(&mut self, life: u32, link: LinkNo, outcome: Outcome) {
        if self.is_running(life) {
            self.tell_outcome(link, outcome);
        }
    }

    /// Whoever waited for somebody else asks the store again.
    pub(crate) fn begin_again(&mut self, life: u32, link: LinkNo, send: SendNo) {
        let Some(reception) = self.reception(life) else { return };
        let waiting = reception.waiting.entry(send).or_default();
        let Some(place) = waiting.iter().position(|waits| *waits == link) else { return };
        waiting.remove(place);
        self.receive(link, send);
    }

    pub(crate) fn renew(&mut self, life: u32, claim: ClaimNo) {
        let Some(reception) = self.reception(life) else { return };
        let Some(&HandedOver { send, is_silent, .. }) = reception.handed_over.get(&claim) else {
            return;
        };
        let is_kept = is_silent || self.store.renew(send, claim, self.now, ms(SEND_CLAIM));
        if !is_kept {
            self.fail(format!("s{send} was taken away from who renews its claim"));
        }
        self.after(ms(SEND_CLAIM_RENEWAL), Event::Renew { life, claim });
    }

    /// By which claim a send is with the application.
    pub(crate) fn claim_on(&self, send: SendNo) -> Option<ClaimNo> {
        let handed_over = &self.server.as_ref()?.reception.handed_over;
        handed_over.iter().rev().find(|(_, other)| other.send == send).map(|(claim, _)| *claim)
    }

    /// The application makes up its mind. Its effect and the send's id are one commit of its own.
    pub(crate) fn decide(&mut self, life: u32, send: SendNo, claim: ClaimNo) {
        if !self.is_running(life) {
            return;
        }
        match self.sends[send].nature {
            Nature::Later(times) if times > 0 => {
                self.sends[send].nature = Nature::Later(times - 1);
                let wait = Duration::from_millis(self.random.within(50, 900));
                let refusal = Refusal::new(ErrorCode::Unavailable, "not now").retry_after(wait);
                self.settle(life, claim, Err(refusal));
            }
            Nature::Refuse => {
                let outcome = Err(Refusal::with_own_code("no", "never"));
                self.record(life, send, claim, outcome);
            }
            Nature::Accept | Nature::Later(_) => {
                let naive = self.mutant == Some(Mutant::OutcomeForgotten);
                if self.sends[send].effects == 0 || naive {
                    self.take_effect(send);
                }
                let outcome = Ok(self.sends[send].answer(send));
                self.record(life, send, claim, outcome);
            }
        }
    }

    /// If somebody else has the send meanwhile, theirs is what counts.
    pub(crate) fn record(&mut self, life: u32, send: SendNo, claim: ClaimNo, outcome: Outcome) {
        if self.store.begin_to_record(send, claim) {
            let user = self.sends[send].user;
            return self.submit(Operation::Record { send, user, claim, outcome }, life);
        }
        self.note(&format!("the claim on s{send} was lost"));
        let handed_over = self.reception(life).and_then(|known| known.handed_over.remove(&claim));
        if let Some(HandedOver { link, .. }) = handed_over {
            self.receive(link, send);
        }
    }

    pub(crate) fn settle(&mut self, life: u32, claim: ClaimNo, outcome: Outcome) {
        let Some(reception) = self.reception(life) else { return };
        let Some(HandedOver { send, link, .. }) = reception.handed_over.remove(&claim) else {
            return;
        };
        let waiting = reception.waiting.get(&send).cloned().unwrap_or_default();
        self.store.release(send, claim);
        self.tell_outcome(link, outcome);
        for link in waiting {
            let delay = self.delay(0, 3);
            self.after(delay, Event::Begin { life, link, send });
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("a claim does not last for ages")
}
