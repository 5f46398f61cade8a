//! A browser page: the real engine, driven as the browser driver drives it.

use std::collections::{BTreeMap, VecDeque};

use tetherline_engine::{
    ConnectionNo, Engine, Instant, NoToken, ProbeAnswer, SendNo as Ticket, Status,
};
use tetherline_protocol::{Seq, frame::ServerFrame};

use crate::{
    Mutant,
    check::Reading,
    network::{Down, Token, Up},
    store::DeviceNo,
    upstream::UNANNOUNCED,
    world::{Event, LinkNo, Nature, PageNo, PublishNo, Send, SendNo, UserNo, World},
};

pub(crate) struct Page {
    pub(crate) user: UserNo,
    pub(crate) device: DeviceNo,
    presence: Presence,
    /// Counts sign-ins.
    pub(crate) generation: u32,
    pub(crate) signed_in_at: u64,
    pub(crate) engine: Engine<SendNo>,
    pub(crate) reading: Reading,
    pub(crate) link: Option<LinkNo>,
    pub(crate) is_offline: bool,
    /// Everything that happens to a frozen page waits here.
    pub(crate) frozen: Option<VecDeque<Event>>,
    pub(crate) wants_late: bool,
    pub(crate) parked: Vec<Parked>,
    /// Messages whose handlers go on, by position, as the browser driver keeps them.
    pub(crate) held: BTreeMap<u64, u64>,
    pub(crate) calls: u64,
    pub(crate) outbox: BTreeMap<u32, SendNo>,
    pub(crate) token: Option<Token>,
    pub(crate) requests: u32,
    pub(crate) timer_at: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    SignedIn,
    SignedOut,
    Closed,
}

pub(crate) struct Parked {
    pub(crate) seq: u64,
    pub(crate) publish: PublishNo,
    pub(crate) replayed: bool,
}

impl Page {
    pub(crate) fn is_open(&self) -> bool {
        self.presence != Presence::Closed
    }

    pub(crate) fn is_signed_in(&self) -> bool {
        self.presence == Presence::SignedIn
    }
}

impl World {
    pub(crate) fn open_page(&mut self, user: UserNo, device: DeviceNo) {
        let page = self.pages.len();
        let seed = self.random.next();
        let wants_late = self.random.percent(40);
        self.pages.push(Page {
            user,
            device,
            presence: Presence::SignedOut,
            generation: 0,
            signed_in_at: 0,
            engine: Engine::new(seed),
            reading: Reading::default(),
            link: None,
            is_offline: false,
            frozen: None,
            wants_late,
            parked: Vec::new(),
            held: BTreeMap::new(),
            calls: 0,
            outbox: BTreeMap::new(),
            token: None,
            requests: 0,
            timer_at: None,
        });
        if !wants_late && self.random.percent(70) {
            let delay = self.random.within(0, 15_000);
            self.after(delay, Event::HandlerRegisters { page });
        }
        self.sign_in(page, user);
    }

    pub(crate) fn sign_in(&mut self, page: PageNo, user: UserNo) {
        self.note(&format!("page {page} signs in as u{user}"));
        let target = &mut self.pages[page];
        target.user = user;
        target.presence = Presence::SignedIn;
        target.generation += 1;
        target.signed_in_at = self.now;
        target.reading = Reading::default();
        target.token = None;
        if self.random.percent(30) {
            self.read_history(page);
        }
        let now = self.instant();
        self.pages[page].engine.sign_in(now);
        self.drain(page);
    }

    pub(crate) fn sign_in_again(&mut self, page: PageNo, generation: u32) {
        let target = &mut self.pages[page];
        if target.is_open() && target.is_signed_in() && target.generation == generation {
            target.token = None;
            let now = Instant::from_millis(self.now);
            target.engine.sign_in(now);
            self.drain(page);
        }
    }

    pub(crate) fn sign_out(&mut self, page: PageNo) {
        if !self.pages[page].is_signed_in() {
            return;
        }
        self.note(&format!("page {page} signs out"));
        self.remember_what_was_handled(page);
        let now = self.instant();
        let target = &mut self.pages[page];
        target.presence = Presence::SignedOut;
        target.parked.clear();
        target.held.clear();
        let unsettled: Vec<SendNo> = target.outbox.values().copied().collect();
        target.engine.sign_out(now);
        self.drain(page);
        if self.mutant == Some(Mutant::OutboxKeptOverUserSwitch) {
            let target = &mut self.pages[page];
            for (number, send) in unsettled.into_iter().enumerate() {
                target.outbox.insert(u32::MAX - number as u32, send);
            }
        }
    }

    /// The page is closed, or reloaded: whatever it had in memory is gone.
    pub(crate) fn close_page(&mut self, page: PageNo) {
        self.note(&format!("page {page} is closed"));
        if self.pages[page].is_signed_in() {
            self.remember_what_was_handled(page);
        }
        self.pages[page].presence = Presence::Closed;
        if let Some(link) = self.pages[page].link.take() {
            self.send_up(link, Up::Close);
            self.links[link].up.close();
        }
    }

    pub(crate) fn send(&mut self, page: PageNo) {
        let now = self.instant();
        let send = self.sends.len();
        let target = &mut self.pages[page];
        let (user, generation) = (target.user, target.generation);
        let Ok(Ticket(ticket)) = target.engine.send(send, 60, now) else { return };
        target.outbox.insert(ticket, send);
        let nature = match self.random.below(10) {
            0 => Nature::Refuse,
            1 | 2 => Nature::Later(self.random.within(1, 4) as u32),
            _ => Nature::Accept,
        };
        self.note(&format!("page {page} sends s{send}: {nature:?}"));
        self.sends.push(Send { page, generation, user, nature, effects: 0 });
        self.drain(page);
    }

    /// The application reads history over HTTP, which is true as of some moment ago.
    pub(crate) fn read_history(&mut self, page: PageNo) {
        let head = self.store.mailbox(self.pages[page].user).head();
        let age = self.random.within(0, 8);
        let seq = head.saturating_sub(age);
        if self.pages[page].reading.epoch.is_some_and(|epoch| epoch != self.store.epoch()) {
            return;
        }
        self.note(&format!("page {page} has history as of {seq}"));
        self.pages[page].reading.history_as_of(seq);
        let now = self.instant();
        self.pages[page].engine.history_as_of(position(seq), now);
        self.drain(page);
    }

    pub(crate) fn page_timer(&mut self, page: PageNo, at: u64) {
        if self.pages[page].timer_at != Some(at) {
            return;
        }
        if self.waits(page, Event::PageTimer { page, at }).is_some() {
            self.pages[page].timer_at = None;
            let now = self.instant();
            self.pages[page].engine.handle_timeout(now);
            self.drain(page);
        }
    }

    pub(crate) fn token(&mut self, page: PageNo, request: u32, fresh: bool) {
        if self.pages[page].requests != request || !self.pages[page].is_signed_in() {
            return;
        }
        let now = self.instant();
        if self.fault(6) {
            let reason = if self.random.percent(20) { NoToken::SignedOut } else { NoToken::Failed };
            self.pages[page].engine.handle_no_token(reason, now);
        } else {
            let user = self.pages[page].user;
            let cached =
                self.pages[page].token.filter(|token| !fresh && token.expires_at > self.now);
            let life = self.random.within(8_000, 600_000);
            let revoked = self.fault(5);
            let new = Token { user, expires_at: self.now + life, revoked };
            self.pages[page].token = Some(cached.unwrap_or(new));
            self.pages[page].engine.handle_token(now);
        }
        self.drain(page);
    }

    pub(crate) fn probed(&mut self, page: PageNo, connection: ConnectionNo, link: LinkNo) {
        if !self.pages[page].is_open() {
            return;
        }
        let status = |status| ProbeAnswer::Status { status, retry_after_ms: None };
        let answer = if self.server.is_none() || self.pages[page].is_offline {
            ProbeAnswer::Unreachable
        } else if self.token_is_good(self.links[link].token) {
            status(426)
        } else {
            status(401)
        };
        let now = self.instant();
        self.pages[page].engine.handle_probe(connection, answer, now);
        self.drain(page);
    }

    pub(crate) fn lost(&mut self, link: LinkNo) {
        self.reach(link, Event::Lost { link }, |world, page, connection| {
            world.closed(page, link, connection, UNANNOUNCED);
        });
    }

    pub(crate) fn came_down(&mut self, link: LinkNo, frame: Down) {
        let page = self.links[link].page;
        if !self.pages[page].is_open()
            || (self.pages[page].frozen.is_none() && !self.links[link].down.delivers())
        {
            return;
        }
        let Some(Event::Down { frame, .. }) = self.waits(page, Event::Down { link, frame }) else {
            return;
        };
        let connection = self.links[link].connection;
        let now = self.instant();
        match frame {
            Down::Opened => self.pages[page].engine.handle_opened(connection, now),
            Down::Ping => return self.send_up(link, Up::Pong),
            Down::Closed(code) => return self.closed(page, link, connection, code),
            Down::Text(text) => match ServerFrame::parse(&text) {
                Ok(frame) => self.receive_frame(page, link, &frame, text.len()),
                Err(error) => self.fail(format!("the server wrote {text}: {error}")),
            },
        }
        self.drain(page);
    }

    pub(crate) fn handler_registers(&mut self, page: PageNo) {
        if !self.pages[page].is_open() || self.pages[page].wants_late {
            return;
        }
        self.pages[page].wants_late = true;
        for Parked { seq, publish, replayed } in std::mem::take(&mut self.pages[page].parked) {
            let now = self.instant();
            self.pages[page].engine.unpark(position(seq), now);
            self.pages[page].reading.give_up(seq);
            self.call_handlers(page, seq, publish, replayed);
        }
        self.drain(page);
    }

    pub(crate) fn handler_settles(&mut self, page: PageNo, generation: u32, seq: u64, call: u64) {
        let target = &mut self.pages[page];
        if !target.is_signed_in() || target.generation != generation {
            return;
        }
        target.reading.close(seq, call);
        let by_position = self.mutant == Some(Mutant::HandlersKnownByPosition);
        if target.held.get(&seq).is_some_and(|held| *held == call || by_position) {
            target.held.remove(&seq);
            let now = Instant::from_millis(self.now);
            target.engine.handled(position(seq), now);
            self.drain(page);
        }
    }

    pub(crate) fn thaw(&mut self, page: PageNo) {
        let waiting = self.pages[page].frozen.take();
        // At once, so that nothing that comes in the same moment overtakes it.
        for event in waiting.into_iter().flatten() {
            self.handle(event);
        }
        if self.pages[page].is_open() {
            let now = self.instant();
            self.pages[page].engine.wake(now);
            self.drain(page);
        }
    }

    pub(crate) fn back_online(&mut self, page: PageNo) {
        self.pages[page].is_offline = false;
        if self.pages[page].is_open() {
            let now = self.instant();
            self.pages[page].engine.set_online(true, now);
            self.drain(page);
        }
    }

    pub(crate) fn instant(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    pub(crate) fn token_is_good(&self, token: Token) -> bool {
        token.expires_at > self.now && !token.revoked
    }

    pub(crate) fn read_token(text: &str) -> Token {
        let mut parts = text.split('.').map(|part| part.parse::<u64>().unwrap_or_default());
        let mut next = || parts.next().unwrap_or_default();
        Token { user: next() as usize, expires_at: next(), revoked: next() == 1 }
    }

    pub(crate) fn is_connected(&self, page: PageNo) -> bool {
        self.pages[page].engine.status() == Status::Connected
    }

    /// Under the mutant, what one user left in the outbox goes out under the next one's name.
    pub(crate) fn carry_outbox_over(&mut self, page: PageNo) {
        let now = self.instant();
        let target = &mut self.pages[page];
        let kept: Vec<SendNo> = target.outbox.values().copied().collect();
        target.outbox.clear();
        for send in kept {
            if let Ok(Ticket(ticket)) = target.engine.send(send, 60, now) {
                target.outbox.insert(ticket, send);
            }
        }
        self.drain(page);
    }
}

pub(crate) fn position(seq: u64) -> Seq {
    Seq::new(seq).expect("no run publishes 2^53 messages")
}
