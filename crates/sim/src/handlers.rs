//! What an application's handlers do: return, throw, go on and settle, late or never.

use tetherline_protocol::limits::HANDLER_TIMEOUT_MS;

use crate::{
    Mutant,
    event::Event,
    page::{Parked, position},
    world::{PageNo, PublishNo, World},
};

/// Handlers that go on, for one message.
pub(crate) struct Held {
    call: u64,
    /// On the page's clock, in ms.
    since: u64,
}

impl World {
    /// One that throws counts as handled, as one that returns does.
    pub(crate) fn call_handlers(
        &mut self,
        page: PageNo,
        seq: u64,
        publish: PublishNo,
        replayed: bool,
    ) {
        self.handler_is_called(page, seq, publish, replayed);
        if !self.random.percent(25) {
            return;
        }
        let never = self.fault(4);
        // It takes a restore and a handler that outlasts it, which is too rare to wait for.
        let late = if self.mutant == Some(Mutant::HandlersKnownByPosition) { 60 } else { 3 };
        let is_late = self.fault(late);
        let (soonest, latest) =
            if is_late { (HANDLER_TIMEOUT_MS - 1_000, 2 * HANDLER_TIMEOUT_MS) } else { (1, 2_500) };
        let delay = self.delay(soonest, latest);
        let now = self.instant(page);
        let target = &mut self.pages[page];
        target.calls += 1;
        let call = target.calls;
        target.held.insert(seq, Held { call, since: now.as_millis() });
        target.reading.open(seq, call);
        let generation = target.generation;
        if self.mutant != Some(Mutant::CursorBeforeHandler) {
            target.engine.hold(position(seq), now);
        }
        if !never {
            self.after(delay, Event::HandlerSettles { page, generation, seq, call });
        }
    }

    pub(crate) fn handler_settles(&mut self, page: PageNo, generation: u32, seq: u64, call: u64) {
        let target = &mut self.pages[page];
        if !target.is_signed_in() || target.generation != generation {
            return;
        }
        target.reading.close(seq, call);
        let by_position = self.mutant == Some(Mutant::HandlersKnownByPosition);
        if target.held.get(&seq).is_some_and(|held| held.call == call || by_position) {
            target.held.remove(&seq);
            let now = self.instant(page);
            self.pages[page].engine.handled(position(seq), now);
            self.drain(page);
        }
    }

    pub(crate) fn handler_timed_out(&mut self, page: PageNo, seq: u64) {
        self.note(&format!("the handlers of {seq} on page {page} have run out of time"));
        let now = self.instant(page).as_millis();
        let target = &mut self.pages[page];
        target.reading.give_up(seq);
        let Some(Held { since, .. }) = target.held.remove(&seq) else {
            return self.fail(format!("page {page} gives up handlers of {seq}, which has none"));
        };
        if now < since + HANDLER_TIMEOUT_MS {
            self.fail(format!(
                "page {page} gives up the handlers of {seq} after {} ms",
                now - since
            ));
        }
    }

    pub(crate) fn handler_registers(&mut self, page: PageNo) {
        if !self.pages[page].is_open() || self.pages[page].wants_late {
            return;
        }
        self.pages[page].wants_late = true;
        for Parked { seq, publish, replayed, .. } in std::mem::take(&mut self.pages[page].parked) {
            let now = self.instant(page);
            self.pages[page].engine.unpark(position(seq), now);
            self.pages[page].reading.give_up(seq);
            self.call_handlers(page, seq, publish, replayed);
        }
        self.drain(page);
    }
}
