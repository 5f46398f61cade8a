//! The browser driver's half of a page: it does what the engine says and holds no policy.

use tetherline_engine::{
    ConnectionNo, Delivery, EpochNo, Established, Instant, Mark, Output, SendNo as OutboxNo,
};
use tetherline_protocol::{frame::ServerFrame, limits};

use crate::{
    Mutant,
    event::Event,
    network::{Direction, Link, Up},
    page::Parked,
    sends::Verdict,
    tabs::{Post, UNKNOWN},
    upstream::number,
    world::{LinkNo, PageNo, PublishNo, World},
};

/// What one call may lead to: an outbox full of sends that go out, or settle. More would be a loop.
const OUTPUTS_MAX: usize = 4 * limits::OUTBOX_MESSAGES_MAX;

impl World {
    /// The browser driver's rule: after every call all outputs, then one timer.
    pub(crate) fn drain(&mut self, page: PageNo) {
        for outputs in 0.. {
            let Some(output) = self.pages[page].engine.poll_output() else { break };
            self.perform(page, output);
            if outputs > OUTPUTS_MAX {
                return self.fail(format!("page {page} never comes to rest"));
            }
        }
        let length = self.pages[page].engine.outbox_len();
        if length != self.pages[page].outbox.len() {
            self.fail(format!("page {page} keeps {length} sends, which is not what it took"));
        }
        let at = self.pages[page].engine.poll_timeout().map(Instant::as_millis);
        self.check_said(page);
        self.check_parked(page);
        if at != self.pages[page].timer_at {
            self.pages[page].timer_at = at;
            if let Some(at) = at {
                let ahead = self.pages[page].ahead;
                self.at(at.saturating_sub(ahead).max(self.now), Event::PageTimer { page, at });
            }
        }
    }

    fn check_parked(&mut self, page: PageNo) {
        let parked = &self.pages[page].parked;
        let bytes: usize = parked.iter().map(|parked| parked.size).sum();
        if parked.len() > limits::UNHANDLED_MESSAGES_MAX || bytes > limits::UNHANDLED_BYTES_MAX {
            self.fail(format!("page {page} parks {} messages of {bytes} bytes", parked.len()));
        }
    }

    fn perform(&mut self, page: PageNo, output: Output) {
        match output {
            Output::ResolveToken { fresh } => {
                self.pages[page].requests += 1;
                self.pages[page].refusal_is_due = fresh;
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
                self.unjoin(page, connection);
                if let Some(link) = self.pages[page].link
                    && self.links[link].connection == connection
                {
                    self.pages[page].link = None;
                    self.send_up(link, Up::Close);
                    self.links[link].up.close();
                }
            }
            Output::Ping => self.ping(page),
            Output::GetPending { after, proves, epoch } => {
                self.asks(page, after.seq.get());
                let ask = self.question(page, after, epoch);
                if self.send_through(page, &ask) {
                    return;
                }
                self.get_pending(page, after, proves, epoch);
            }
            Output::Ack(seq) => {
                self.acknowledges(page, seq.get());
                self.transmit(page, format!(r#"{{"type":"ack","seq":{seq}}}"#));
            }
            Output::Authenticate => {
                if let Some(token) = self.pages[page].token {
                    let token = token.to_text();
                    let text = format!(r#"{{"type":"authenticate","token":"{token}"}}"#);
                    self.transmit(page, text);
                }
            }
            Output::Transmit(OutboxNo(outbox_no)) => {
                let target = &self.pages[page];
                let passed_on = target.tab.passed_on.get(&outbox_no);
                if let Some(&send) = target.outbox.get(&outbox_no).or(passed_on) {
                    if self.say_through(page, send) {
                        return;
                    }
                    let text = self.sends[send].to_frame(send);
                    if self.fault(3) {
                        // Somebody on the way, or another driver, repeats it.
                        self.transmit(page, text.clone());
                    }
                    self.transmit(page, text);
                }
            }
            Output::Settled(outbox_no, _) if self.was_passed_on(page, outbox_no) => {}
            Output::Settled(outbox_no, outcome) => self.settled(page, outbox_no, outcome),
            Output::Gap { after, next } => self.gap(page, after.get(), next.get()),
            Output::GraceOver => {
                let target = &mut self.pages[page];
                for parked in target.parked.drain(..) {
                    target.reading.give_up(parked.seq);
                }
            }
            Output::ParkedDropped(seq) | Output::ParkedGivenUp(seq) => {
                let target = &mut self.pages[page];
                target.parked.retain(|parked| parked.seq != seq.get());
                target.reading.give_up(seq.get());
            }
            Output::StreamsDropped => self.streams_dropped(page),
            Output::StreamDropped(stream) => self.pages[page].texts.forget(stream),
            Output::HandlerTimedOut(seq) => self.handler_timed_out(page, seq.get()),
            Output::IdentityRefused { .. } => self.identity_refused(page),
            Output::Lock { steal } => self.request_lock(page, steal),
            Output::Unlock => self.release_lock(page),
            Output::Post(to, message) => self.post(page, to, &Post::Message(message)),
            Output::Welcome { to, head, cursor, position } => {
                self.welcome(page, to, (head, cursor), position);
            }
            Output::Join(connection, leader) => self.join(page, connection, leader),
            _ => {}
        }
    }

    fn connect(&mut self, page: PageNo, connection: ConnectionNo) {
        let link = self.links.len();
        let target = &mut self.pages[page];
        let Some(token) = target.token else { return };
        target.link = Some(link);
        target.tab.passed_on.clear();
        let (user, device, offline) = (target.user, target.device, target.is_offline);
        let latency = self.delay(1, 200);
        self.note(&format!("page {page} opens link {link}"));
        self.links.push(Link {
            page,
            connection,
            user,
            device,
            token,
            history: 0,
            truth: 0,
            unsaved: 0,
            is_slow: false,
            is_strangers: false,
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

    pub(crate) fn transmit(&mut self, page: PageNo, text: String) {
        if let Some(link) = self.pages[page].link {
            self.send_up(link, Up::Text(text));
        }
    }

    pub(crate) fn closed(
        &mut self,
        page: PageNo,
        link: LinkNo,
        connection: ConnectionNo,
        (code, retry_after_ms): (u16, Option<u64>),
    ) {
        if self.pages[page].link == Some(link) {
            self.pages[page].link = None;
        }
        self.links[link].up.kill();
        self.links[link].down.kill();
        let now = self.instant(page);
        self.stranger_speaks = self.links[link].is_strangers;
        self.pages[page].engine.handle_closed(connection, code, retry_after_ms, now);
        self.drain(page);
        self.stranger_speaks = false;
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

    fn get_pending(&mut self, page: PageNo, after: Mark, proves: bool, epoch: EpochNo) {
        let (seq, epoch) = (after.seq, epoch.0 - 1);
        let have = if self.shows_streams { self.have(page) } else { String::new() };
        let id = self.ids.text(after.id).map_or("null".into(), |id| format!("\"{id}\""));
        let id = if proves { format!(r#","after_id":{id}"#) } else { String::new() };
        let text =
            format!(r#"{{"type":"get_pending","after":{seq}{id},"epoch":"e{epoch}"{have}}}"#);
        self.transmit(page, text);
    }

    pub(crate) fn receive_frame(
        &mut self,
        page: PageNo,
        link: LinkNo,
        connection: ConnectionNo,
        frame: &ServerFrame,
        size: usize,
    ) {
        let now = self.instant(page);
        match frame {
            ServerFrame::ConnectionEstablished(frame) => {
                let epoch: u32 = frame.epoch.as_str()[1..].parse().unwrap_or_default();
                let established = Established {
                    epoch: EpochNo(epoch + 1),
                    head: frame.head,
                    cursor: self.ids.mark(frame.cursor, frame.cursor_id.as_ref()),
                    checks_positions: frame.checks_positions,
                    heartbeat_interval_ms: frame.heartbeat_interval_ms,
                    token_expires_in_ms: frame.token_expires_in_ms,
                };
                if self.mutant == Some(Mutant::TextForgottenOnReconnect) {
                    self.pages[page].texts.forget_all();
                }
                if self.pages[page].link == Some(link) {
                    let head = Some(frame.head.get());
                    self.established(page, link, epoch, head, self.links[link].truth);
                    self.pages[page].tab.established = Some((link, established));
                    self.pages[page].connected_at.get_or_insert(now.as_millis());
                }
                self.pages[page].engine.handle_established(connection, established, now);
            }
            ServerFrame::PendingCheckComplete(summary) => {
                if self.pages[page].link == Some(link) && summary.recovered {
                    self.has_come(page, link, summary.head.get());
                }
                self.pages[page].engine.handle_complete(connection, now);
            }
            ServerFrame::MailboxGap(gap) => {
                // Or another tab's: whatever stream it was may have ended in it.
                self.pages[page].texts.history_lost(self.now);
                let passed = self.ids.number(gap.passed_id.as_ref());
                let engine = &mut self.pages[page].engine;
                engine.handle_gap(connection, gap.after, gap.next, passed, now);
            }
            ServerFrame::PositionChecked(checked) => {
                self.position_checked(page, link, connection, checked);
            }
            ServerFrame::Accepted(accepted) => {
                let send = number(&accepted.reference);
                self.told(send, Verdict::Accepted);
                self.answer_came(send, accepted.answer.as_ref());
                let outbox_no = self.outbox_no(page, send).unwrap_or(UNKNOWN);
                self.pages[page].engine.handle_accepted(connection, outbox_no, now);
            }
            ServerFrame::Error(error) => {
                let send = error.reference.as_ref().map(number);
                if let Some(send) = send.filter(|_| !error.retryable) {
                    self.told(send, Verdict::Refused);
                }
                if let Some(send) = send {
                    let outbox_no = self.outbox_no(page, send).unwrap_or(UNKNOWN);
                    let (retryable, wait) = (error.retryable, error.retry_after_ms);
                    let engine = &mut self.pages[page].engine;
                    engine.handle_refused(connection, outbox_no, retryable, wait, now);
                }
            }
            ServerFrame::Application { seq: None, id: Some(id), .. } => {
                self.hears(page, (link, connection), id.as_str(), size);
            }
            ServerFrame::MessageStart(start) => self.stream_begins(page, (link, connection), start),
            ServerFrame::MessageDelta(delta) => {
                self.stream_goes_on(page, (link, connection), delta);
            }
            ServerFrame::MessageLost(lost) => self.stream_lost(page, connection, lost),
            ServerFrame::Application { seq: Some(seq), id: Some(id), ends, .. } => {
                if let Some(ends) = ends.as_ref().filter(|_| self.shows_streams) {
                    self.stream_ends(page, connection, ends);
                }
                let mark = self.ids.mark(*seq, Some(id));
                self.message(page, link, connection, (mark, size), number(id));
            }
            _ => self.pages[page].engine.handle_received(connection),
        }
    }

    fn message(
        &mut self,
        page: PageNo,
        link: LinkNo,
        connection: ConnectionNo,
        (mark, size): (Mark, usize),
        publish: PublishNo,
    ) {
        let seq = mark.seq;
        let target = &mut self.pages[page];
        let handlers = u32::from(self.publishes[publish].kind == 0 || target.wants_late);
        let mut delivery = target.engine.handle_message(connection, Some(mark), handlers, size);
        if self.mutant == Some(Mutant::DeliveredAfterSignOut) && !target.is_signed_in() {
            delivery = Delivery::Deliver { replayed: false };
        }
        match delivery {
            Delivery::Drop | Delivery::Unhandled { .. } => {
                let is_past = target.engine.position() >= Some(seq);
                let is_current = target.link == Some(link) || target.tab.joined.is_some();
                if handlers == 0 && is_current && is_past {
                    let is_taken = delivery != Delivery::Drop;
                    self.nobody_wants(page, link, seq.get(), is_taken);
                }
            }
            Delivery::Deliver { replayed } => {
                self.arrives(page, link, seq.get(), publish, replayed);
                self.call_handlers(page, seq.get(), publish, replayed);
            }
            Delivery::Park { replayed } => {
                self.arrives(page, link, seq.get(), publish, replayed);
                self.pages[page].reading.open(seq.get(), 0);
                self.pages[page].parked.push(Parked { seq: seq.get(), publish, replayed, size });
            }
        }
    }
}
