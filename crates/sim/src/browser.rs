//! The browser driver's half of a page: it does what the engine says and holds no policy.

use tetherline_engine::{
    ConnectionNo, Delivery, EpochNo, Established, Instant, Output, SendNo as Ticket, SendOutcome,
};
use tetherline_protocol::{Seq, frame::ServerFrame, limits};

use crate::{
    Mutant,
    network::{Direction, Link, Token, Up},
    page::{Parked, position},
    upstream::number,
    world::{Event, LinkNo, PageNo, PublishNo, SendNo, World},
};

impl World {
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

    pub(crate) fn closed(
        &mut self,
        page: PageNo,
        link: LinkNo,
        connection: ConnectionNo,
        code: u16,
    ) {
        if self.pages[page].link == Some(link) {
            self.pages[page].link = None;
        }
        self.links[link].up.kill();
        self.links[link].down.kill();
        let now = self.instant();
        self.pages[page].engine.handle_closed(connection, code, now);
        self.drain(page);
    }

    pub(crate) fn reach(
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
    pub(crate) fn waits(&mut self, page: PageNo, event: Event) -> Option<Event> {
        match &mut self.pages[page].frozen {
            Some(waiting) => {
                waiting.push_back(event);
                None
            }
            None => Some(event),
        }
    }

    pub(crate) fn receive_frame(
        &mut self,
        page: PageNo,
        link: LinkNo,
        frame: &ServerFrame,
        size: usize,
    ) {
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
}
