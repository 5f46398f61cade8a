//! People who want no more of a stream: from any page, by its name or before it has one, and what
//! the server does about it.

use tetherline_protocol::{ErrorCode, StopTarget};
use tetherline_server::{Refusal, store::StoppedStream};

use crate::{
    event::Event,
    sends::About,
    store::Operation,
    streams::{Asker, Order, Request, Target, uuid},
    upstream::number,
    world::{LinkNo, PageNo, SendNo, World},
};

impl World {
    /// What this page shows unfinished, or what any page of the user has asked and may not have got.
    pub(crate) fn press_stop(&mut self, page: PageNo) {
        let user = self.pages[page].user;
        if !self.pages[page].is_signed_in() {
            return;
        }
        let unfinished =
            self.pages[page].texts.unfinished().map(|(stream, _)| Target::Stream(stream));
        let asked = (0..self.sends.len()).filter(|send| {
            self.sends[*send].user == user && self.sends[*send].about == About::Question
        });
        // Older ones are over.
        let mut targets: Vec<Target> = asked.map(Target::Send).rev().take(3).collect();
        targets.extend(unfinished);
        if targets.is_empty() {
            return;
        }
        let target = targets[self.random.below(targets.len())];
        let times = if self.random.percent(15) { 2 } else { 1 };
        for _ in 0..times {
            self.send_stop(page, target);
        }
    }

    /// A session hands over a stop.
    pub(crate) fn receive_stop(&mut self, link: LinkNo, send: SendNo, target: &StopTarget) {
        let is_meant = match (self.sends[send].about, target) {
            (About::Stop(Target::Stream(stream)), StopTarget::Message(name)) => {
                *name == uuid(stream)
            }
            (About::Stop(Target::Send(asked)), StopTarget::Send(name)) => number(name) == asked,
            _ => false,
        };
        if !is_meant {
            return self.fail(format!("s{send} is taken for a stop of {target:?}"));
        }
        self.receive(link, send);
    }

    /// First nothing is added any more, then the application is told.
    pub(crate) fn seal(&mut self, life: u32, send: SendNo, target: Target) {
        let user = self.sends[send].user;
        let (asker, request) = (Asker::Page(send), Request::Stop(target));
        self.submit(Operation::Stream(Order { user, history: None, asker, request }), life);
    }

    pub(crate) fn stop_done(&mut self, life: u32, send: SendNo, stopped: StoppedStream) {
        self.note(&format!("s{send}: {stopped:?}"));
        let Some(claim) = self.claim_on(send) else { return };
        if stopped != StoppedStream::Unknown {
            let delay = self.delay(1, 100);
            return self.after(delay, Event::Decide { life, send, claim });
        }
        self.sends[send].was_unknown = true;
        let outcome = Err(Refusal::new(ErrorCode::NotFound, "no such stream"));
        self.record(life, send, claim, outcome);
    }
}
