//! A browser page: the real engine, driven as the browser driver drives it.

use std::collections::{BTreeMap, VecDeque};

use tetherline_engine::{
    ConnectionNo, Delivery, Engine, EpochNo, Established, Instant, NoToken, Output, ProbeAnswer,
    SendNo as Ticket, SendOutcome, Status,
};
use tetherline_protocol::{Seq, frame::ServerFrame, limits};

use crate::{
    Mutant,
    check::Reading,
    network::{Direction, Down, Link, Token, Up},
    store::DeviceNo,
    upstream::{UNANNOUNCED, number},
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
    parked: Vec<Parked>,
    /// Messages whose handlers go on, by position, as the browser driver keeps them.
    held: BTreeMap<u64, u64>,
    calls: u64,
    outbox: BTreeMap<u32, SendNo>,
    token: Option<Token>,
    requests: u32,
    timer_at: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    SignedIn,
    SignedOut,
    Closed,
}

struct Parked {
    seq: u64,
    publish: PublishNo,
    replayed: bool,
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
        for event in waiting.into_iter().flatten() {
            self.after(0, event);
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

    /// The browser driver's rule: after every call all outputs, then one timer.
    pub(crate) fn drain(&mut self, page: PageNo) {
        while let Some(output) = self.pages[page].engine.poll_output() {
            self.perform(page, output);
        }
        let length = self.pages[page].engine.outbox_len();
        if length > limits::OUTBOX_MESSAGES_MAX {
            self.fail(format!("page {page} keeps {length} sends"));
        }
        let at = self.pages[page].engine.poll_timeout().map(Instant::as_millis);
        if at != self.pages[page].timer_at {
            self.pages[page].timer_at = at;
            if let Some(at) = at {
                self.at(at.max(self.now), Event::PageTimer { page, at });
            }
        }
    }

    fn perform(&mut self, page: PageNo, output: Output) {
        match output {
            Output::ResolveToken { fresh } => {
                self.pages[page].requests += 1;
                let request = self.pages[page].requests;
                if !self.fault(3) {
                    let delay = self.delay(1, 400);
                    self.after(delay, Event::Token { page, request, fresh });
                }
            }
            Output::Open(connection) => self.connect(page, connection),
            Output::Probe(connection) => {
                let link = self.links.iter().rposition(|link| link.page == page);
                let delay = self.delay(1, 300);
                self.after(delay, Event::Probe { page, connection, link: link.unwrap_or(0) });
            }
            Output::Detach(connection, _) => {
                if let Some(link) = self.pages[page].link
                    && self.links[link].connection == connection
                {
                    self.pages[page].link = None;
                    self.send_up(link, Up::Close);
                    self.links[link].up.close();
                }
            }
            Output::Ping => self.transmit(page, r#"{"type":"ping"}"#.into()),
            Output::GetPending { after, epoch } => {
                self.asks(page, after.get());
                let epoch = epoch.0 - 1;
                let text =
                    format!(r#"{{"type":"get_pending","after":{after},"epoch":"e{epoch}"}}"#);
                self.transmit(page, text);
            }
            Output::Ack(seq) => {
                self.acknowledges(page, seq.get());
                self.transmit(page, format!(r#"{{"type":"ack","seq":{seq}}}"#));
            }
            Output::Authenticate => {
                if let Some(Token { user, expires_at, revoked }) = self.pages[page].token {
                    let token = format!("{user}.{expires_at}.{}", u8::from(revoked));
                    let text = format!(r#"{{"type":"authenticate","token":"{token}"}}"#);
                    self.transmit(page, text);
                }
            }
            Output::Transmit(Ticket(ticket)) => {
                if let Some(send) = self.pages[page].outbox.get(&ticket) {
                    let text = format!(r#"{{"type":"say","id":"s{send}"}}"#);
                    self.transmit(page, text);
                }
            }
            Output::Settled(Ticket(ticket), outcome) => {
                if let Some(send) = self.pages[page].outbox.remove(&ticket) {
                    self.settled(send, outcome);
                }
            }
            Output::Gap { after, next } => self.gap(page, after.get(), next.get()),
            Output::GraceOver => {
                let target = &mut self.pages[page];
                for parked in target.parked.drain(..) {
                    target.reading.give_up(parked.seq);
                }
            }
            Output::ParkedDropped(seq) => {
                let target = &mut self.pages[page];
                target.parked.retain(|parked| parked.seq != seq.get());
                target.reading.give_up(seq.get());
            }
            Output::HandlerTimedOut(seq) => {
                let target = &mut self.pages[page];
                target.held.remove(&seq.get());
                target.reading.give_up(seq.get());
            }
            Output::IdentityRefused => {
                let generation = self.pages[page].generation;
                let delay = self.delay(500, 5_000);
                self.after(delay, Event::SignInAgain { page, generation });
            }
            _ => {}
        }
    }

    fn connect(&mut self, page: PageNo, connection: ConnectionNo) {
        let link = self.links.len();
        let target = &mut self.pages[page];
        let Some(token) = target.token else { return };
        target.link = Some(link);
        let (user, device, offline) = (target.user, target.device, target.is_offline);
        let latency = self.delay(1, 200);
        self.note(&format!("page {page} opens link {link}"));
        self.links.push(Link {
            page,
            connection,
            user,
            device,
            token,
            truth: 0,
            is_slow: false,
            up: Direction::new(latency),
            down: Direction::new(latency),
            seat: None,
            upstream: None,
        });
        let delay = self.delay(1, 200);
        if offline {
            self.links[link].up.kill();
            self.links[link].down.kill();
            self.after(delay, Event::Lost { link });
        } else {
            self.after(delay, Event::Handshake { link });
        }
    }

    fn transmit(&mut self, page: PageNo, text: String) {
        if let Some(link) = self.pages[page].link {
            self.send_up(link, Up::Text(text));
        }
    }

    fn closed(&mut self, page: PageNo, link: LinkNo, connection: ConnectionNo, code: u16) {
        if self.pages[page].link == Some(link) {
            self.pages[page].link = None;
        }
        self.links[link].up.kill();
        self.links[link].down.kill();
        let now = self.instant();
        self.pages[page].engine.handle_closed(connection, code, now);
        self.drain(page);
    }

    fn reach(
        &mut self,
        link: LinkNo,
        event: Event,
        then: impl FnOnce(&mut Self, PageNo, ConnectionNo),
    ) {
        let page = self.links[link].page;
        if self.pages[page].is_open() && self.waits(page, event).is_some() {
            let connection = self.links[link].connection;
            then(self, page, connection);
        }
    }

    /// Gives the event back unless the page is frozen: then it waits.
    fn waits(&mut self, page: PageNo, event: Event) -> Option<Event> {
        match &mut self.pages[page].frozen {
            Some(waiting) => {
                waiting.push_back(event);
                None
            }
            None => Some(event),
        }
    }

    fn receive_frame(&mut self, page: PageNo, link: LinkNo, frame: &ServerFrame, size: usize) {
        let connection = self.links[link].connection;
        let now = self.instant();
        let engine = &mut self.pages[page].engine;
        match frame {
            ServerFrame::ConnectionEstablished(frame) => {
                let epoch: u32 = frame.epoch.as_str()[1..].parse().unwrap_or_default();
                let established = Established {
                    epoch: EpochNo(epoch + 1),
                    head: frame.head,
                    cursor: frame.cursor,
                    heartbeat_interval_ms: frame.heartbeat_interval_ms,
                    token_expires_in_ms: frame.token_expires_in_ms,
                };
                if self.pages[page].link == Some(link) {
                    self.established(page, link, epoch);
                }
                self.pages[page].engine.handle_established(connection, established, now);
            }
            ServerFrame::PendingCheckComplete(summary) => {
                let (head, recovered) = (summary.head, summary.recovered);
                engine.handle_pending_complete(connection, head, recovered, now);
            }
            ServerFrame::Accepted(accepted) => {
                if let Some(ticket) = self.ticket(page, number(&accepted.reference)) {
                    self.pages[page].engine.handle_accepted(connection, ticket, now);
                }
            }
            ServerFrame::Error(error) => {
                let send = error.reference.as_ref().map(number);
                if let Some(ticket) = send.and_then(|send| self.ticket(page, send)) {
                    let (retryable, wait) = (error.retryable, error.retry_after_ms);
                    let engine = &mut self.pages[page].engine;
                    engine.handle_refused(connection, ticket, retryable, wait, now);
                }
            }
            ServerFrame::Application { seq: Some(seq), id: Some(id), .. } => {
                self.message(page, link, *seq, number(id), size);
            }
            _ => engine.handle_received(connection),
        }
    }

    fn ticket(&self, page: PageNo, send: SendNo) -> Option<Ticket> {
        let outbox = &self.pages[page].outbox;
        outbox.iter().find(|(_, known)| **known == send).map(|(&ticket, _)| Ticket(ticket))
    }

    fn message(&mut self, page: PageNo, link: LinkNo, seq: Seq, publish: PublishNo, size: usize) {
        let connection = self.links[link].connection;
        let target = &mut self.pages[page];
        let handlers = u32::from(self.publishes[publish].kind == 0 || target.wants_late);
        let mut delivery = target.engine.handle_message(connection, Some(seq), handlers, size);
        if self.mutant == Some(Mutant::DeliveredAfterSignOut) && !target.is_signed_in() {
            delivery = Delivery::Deliver { replayed: false };
        }
        match delivery {
            Delivery::Drop => {
                if handlers == 0 && target.link == Some(link) {
                    target.reading.ignore(seq.get());
                }
            }
            Delivery::Deliver { replayed } => {
                self.arrives(page, link, seq.get(), publish, replayed);
                self.call_handlers(page, seq.get(), publish, replayed);
            }
            Delivery::Park { replayed } => {
                self.arrives(page, link, seq.get(), publish, replayed);
                self.pages[page].reading.open(seq.get(), 0);
                self.pages[page].parked.push(Parked { seq: seq.get(), publish, replayed });
                if self.pages[page].parked.len() > limits::UNHANDLED_MESSAGES_MAX + 1 {
                    self.fail(format!("page {page} parks too much"));
                }
            }
        }
    }

    /// Handlers return, throw (which counts as handled), or go on and settle late or never.
    fn call_handlers(&mut self, page: PageNo, seq: u64, publish: PublishNo, replayed: bool) {
        self.handler_is_called(page, seq, publish, replayed);
        if !self.random.percent(25) {
            return;
        }
        let never = self.fault(4);
        let delay = self.delay(1, 2_500);
        let target = &mut self.pages[page];
        target.calls += 1;
        let call = target.calls;
        target.held.insert(seq, call);
        target.reading.open(seq, call);
        let generation = target.generation;
        if self.mutant != Some(Mutant::CursorBeforeHandler) {
            target.engine.hold(position(seq), Instant::from_millis(self.now));
        }
        if !never {
            self.after(delay, Event::HandlerSettles { page, generation, seq, call });
        }
    }

    pub(crate) fn settled(&mut self, send: SendNo, outcome: SendOutcome) {
        self.note(&format!("s{send} is settled: {outcome:?}"));
        self.check_settled(send, outcome);
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

fn position(seq: u64) -> Seq {
    Seq::new(seq).expect("no run publishes 2^53 messages")
}
