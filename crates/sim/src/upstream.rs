//! The server's end of a connection, driven as the server's driver drives it.

use std::collections::VecDeque;

use tetherline_protocol::{
    CloseCode, Epoch, MessageId, Seq, StreamPosition, limits::STREAM_PIECE_BYTES_MAX,
};
use tetherline_server::{
    simulation::{Action, Event as Happened, Session},
    store::{Delivery, Outcome, Resumed, Room, StoreError, StreamSnapshot},
};

use crate::{
    event::Event,
    flight::Flight,
    network::{Down, Up, Upstream},
    shown::Showing,
    store::Operation,
    tokens::Token,
    world::{LinkNo, World},
};

/// A page of messages, one of live-only ones, one of stream text, control frames up to the bound at which nothing more
/// is read, and what is answered at once to sends that a refusal holds back.
const FRAMES_WAITING_MAX: usize = 2 * 256 + 2 * 16 + 64 + 2;

/// How many frames one event lets a session read. More would be a loop.
const TURNS_MAX: usize = 10_000;

/// What a page hears when a connection ends without a close frame.
pub(crate) const UNANNOUNCED: u16 = 1006;

impl World {
    /// The upgrade request arrives.
    pub(crate) fn handshake(&mut self, link: LinkNo) {
        let target = &self.links[link];
        if !target.up.delivers(self.now) || self.is_turned_away(link) {
            return;
        }
        let target = &self.links[link];
        let good = self.token_is_good(target.token) && target.token.user == target.user;
        let (user, device) = (target.user, target.device);
        let Some(life) = self.server.as_ref().filter(|_| good) else {
            return self.send_down(link, Down::closed(UNANNOUNCED));
        };
        let name = Self::sign_in_name(target.token.sign_in);
        let Some(seat) = life.hub.join(&self.users[user], &name) else {
            return self.send_down(link, Down::closed(UNANNOUNCED));
        };
        let number = life.number;
        self.links[link].seat = Some(seat);
        if self.store.mailbox(user).knows(device) {
            let delay = self.delay(0, 5);
            self.after(delay, Event::Located { link });
        } else {
            let forgets = self.random.percent(50);
            self.submit(Operation::Greet { link, user, device, forgets }, number);
        }
    }

    /// The device's place is known: the session begins.
    pub(crate) fn accept(&mut self, link: LinkNo) {
        let Some(seat) = self.links[link].seat.take() else { return };
        // It joined the hub before: no end of a sign-in slips between.
        if !self.token_is_good(self.links[link].token) {
            return self.send_down(link, Down::closed(UNANNOUNCED));
        }
        let (user, device) = (self.links[link].user, self.links[link].device);
        let place = self.store.place(user, device);
        let truth = self.store.mailbox(user).cursor(device);
        self.links[link].truth = truth;
        self.links[link].history = self.store.history(user);
        let head = place.head.seq.get();
        let expires_in = self.links[link].token.expires_at.saturating_sub(self.now);
        let connection = id(&format!("c{link}"));
        let device = format!("d{device}").parse().expect("a letter and a number are an id");
        let limits = self.limits.clone();
        let session = Session::open(seat, device, connection, place, expires_in, limits, self.now);
        self.links[link].upstream = Some(Upstream {
            session,
            unread: VecDeque::new(),
            alarm: u64::MAX,
            job: 0,
            look: 0,
            flight: Flight::new(truth),
            showing: Showing::new(head, self.store.hides_early()),
            busy_until: 0,
            taken_at: 0,
            renewing: self.links[link].token,
            look_up: 0,
        });
        self.send_down(link, Down::Opened);
        self.pump(link);
        // What the hub had to say before there was anybody to hear it.
        self.woken(link);
    }

    pub(crate) fn came_up(&mut self, link: LinkNo, frame: Up) {
        if self.links[link].up.delivers(self.now)
            && let Some(upstream) = &mut self.links[link].upstream
        {
            upstream.unread.push_back(frame);
            self.pump(link);
        }
    }

    /// The connection is gone.
    pub(crate) fn hang_up(&mut self, link: LinkNo) {
        self.links[link].seat = None;
        self.tell(link, Happened::Gone);
    }

    pub(crate) fn progressed(&mut self, link: LinkNo) {
        if let Some(upstream) = &mut self.links[link].upstream {
            upstream.taken_at = self.now;
        }
        self.tell(link, Happened::Progress);
    }

    pub(crate) fn written(&mut self, link: LinkNo) {
        self.tell(link, Happened::Written);
    }

    pub(crate) fn woken(&mut self, link: LinkNo) {
        self.tell(link, Happened::Woken);
    }

    pub(crate) fn acknowledged(&mut self, link: LinkNo) {
        self.tell(link, Happened::Acknowledged);
    }

    pub(crate) fn tell_outcome(&mut self, link: LinkNo, outcome: Outcome) {
        self.tell(link, Happened::Settled(outcome));
    }

    pub(crate) fn place(&mut self, link: LinkNo) {
        if self.fault(3) {
            return self.tell(link, Happened::Located(Err(StoreError::new("no disk"))));
        }
        let place = self.store.place(self.links[link].user, self.links[link].device);
        if let Some(upstream) = &mut self.links[link].upstream {
            upstream.flight.located(place.cursor.get());
            upstream.showing.located(place.cursor.get());
        }
        self.tell(link, Happened::Located(Ok(place)));
    }

    pub(crate) fn session_timer(&mut self, link: LinkNo, at: u64) {
        let Some(upstream) = &mut self.links[link].upstream else { return };
        if upstream.alarm == at {
            upstream.alarm = u64::MAX;
            self.tell(link, Happened::Timeout);
        }
    }

    pub(crate) fn have_read(
        &mut self,
        link: LinkNo,
        job: u32,
        (read_no, epoch, after, room): (u32, &Epoch, Seq, Room),
        page: Option<Vec<Delivery>>,
    ) {
        let user = self.links[link].user;
        let current = self.links[link].upstream.as_ref().is_some_and(|end| end.job == job);
        if current {
            let page = if self.fault(1) {
                Err(StoreError::new("no disk"))
            } else {
                Ok(page.unwrap_or_else(|| self.store.read(user, epoch, after, room)))
            };
            self.tell(link, Happened::Page(read_no, page));
        }
    }

    pub(crate) fn have_resumed(
        &mut self,
        link: LinkNo,
        job: u32,
        (read_no, after, room): (u32, Seq, Room),
        resumed: Option<Box<Resumed>>,
    ) {
        let user = self.links[link].user;
        let current = self.links[link].upstream.as_ref().is_some_and(|end| end.job == job);
        if current {
            let resumed = if self.fault(1) {
                Err(StoreError::new("no disk"))
            } else {
                Ok(resumed.map_or_else(|| self.store.resume(user, after, room), |early| *early))
            };
            self.tell(link, Happened::Resumed(read_no, resumed));
        }
    }

    pub(crate) fn tell(&mut self, link: LinkNo, event: Happened<'_>) {
        if let Some(upstream) = &mut self.links[link].upstream {
            upstream.session.handle(event, self.now);
            self.pump(link);
        }
    }

    /// Does what the session wants, and reads on while it may.
    fn pump(&mut self, link: LinkNo) {
        for turns in 0.. {
            if turns > TURNS_MAX {
                return self.fail(format!("link {link} never comes to rest"));
            }
            while let Some(action) = self.next_action(link) {
                self.act(link, action);
                if self.failure.is_some() {
                    return;
                }
            }
            let Some(upstream) = &mut self.links[link].upstream else { return };
            let (frames, sends) = upstream.session.waiting();
            if frames > FRAMES_WAITING_MAX || sends > self.limits.sends_waiting_max {
                return self.fail(format!("link {link} keeps {frames} frames and {sends} sends"));
            }
            if !upstream.session.wants_input() {
                break;
            }
            match upstream.unread.pop_front() {
                Some(Up::Text(text)) => {
                    upstream.flight.heard(&text, frames);
                    self.note_places(link, &text, frames);
                    let Some(upstream) = &mut self.links[link].upstream else { return };
                    upstream.session.handle(Happened::Text(&text), self.now);
                }
                Some(Up::Pong) => upstream.session.handle(Happened::Pong, self.now),
                Some(Up::Close) => upstream.session.handle(Happened::Closed, self.now),
                None => break,
            }
        }
        self.set_alarm(link);
    }

    fn next_action(&mut self, link: LinkNo) -> Option<Action> {
        self.links[link].upstream.as_mut()?.session.poll(self.now)
    }

    fn set_alarm(&mut self, link: LinkNo) {
        let Some(upstream) = &mut self.links[link].upstream else { return };
        if let Some(at) = upstream.session.timeout()
            && at < upstream.alarm
        {
            upstream.alarm = at;
            self.at(at, Event::SessionTimer { link, at });
        }
    }

    fn act(&mut self, link: LinkNo, action: Action) {
        let (user, device) = (self.links[link].user, self.links[link].device);
        let Some(life) = self.server.as_ref().map(|life| life.number) else { return };
        match action {
            Action::Acknowledge(seq) => {
                let seq = seq.get();
                self.submit(Operation::Acknowledge { link, user, device, seq }, life);
            }
            Action::SaveCursor => self.submit(Operation::SaveCursor { link, user }, life),
            Action::Write(batch) => {
                self.check_batch(link, &batch);
                self.check_shown(link, &batch);
                for text in batch {
                    self.send_down(link, text.map_or(Down::Ping, Down::Text));
                }
                let delay = self.writes_for(link);
                if let Some(upstream) = &mut self.links[link].upstream {
                    upstream.busy_until = self.now + delay;
                    upstream.taken_at = self.now;
                }
                self.after(delay, Event::Written { link });
            }
            Action::Read(read_no, epoch, after, room) => {
                self.check_room(link, room);
                let early = self.random.percent(50);
                let page = early.then(|| self.store.read(user, &epoch, after, room));
                let Some(upstream) = &mut self.links[link].upstream else { return };
                upstream.job += 1;
                let job = upstream.job;
                let delay = self.delay(0, 8);
                self.after(delay, Event::Read { link, job, read_no, epoch, after, room, page });
            }
            Action::Resume(read_no, after, room) => {
                let early = self.random.percent(50);
                let resumed = early.then(|| Box::new(self.store.resume(user, after, room)));
                let Some(upstream) = &mut self.links[link].upstream else { return };
                upstream.job += 1;
                let job = upstream.job;
                let delay = self.delay(0, 8);
                self.after(delay, Event::Resumed { link, job, read_no, after, room, resumed });
            }
            Action::ReadStreams(places) => self.read_streams(link, places),
            Action::Stop(send, target) => self.receive_stop(link, number(&send), &target),
            Action::Locate => {
                let delay = self.delay(0, 8);
                self.after(delay, Event::Place { link });
            }
            Action::Receive(send, _) => self.receive(link, number(&send)),
            Action::Verify(token) => {
                let token = Token::read(&token);
                let verdict = self.verify(token);
                if let Some(upstream) = &mut self.links[link].upstream {
                    upstream.renewing = token;
                    upstream.session.handle(Happened::Verified(verdict), self.now);
                }
            }
            Action::LookUp => self.look_up(link),
            Action::Report(error) => {
                self.note(&format!("the server has a fault on link {link}: {error}"));
            }
            Action::Close(code, retry_after_ms) => {
                self.check_stuck(link, code);
                let code = code.map_or(UNANNOUNCED, CloseCode::code);
                self.finish(link, Down::Closed { code, retry_after_ms });
            }
        }
    }

    /// A store has streams in memory, or reads them.
    fn read_streams(&mut self, link: LinkNo, places: Vec<StreamPosition>) {
        let now = self.snapshot(link, &places);
        let (takes_time, early) = (self.random.percent(30), self.random.percent(50));
        let delay = self.delay(0, 8);
        let Some(upstream) = &mut self.links[link].upstream else { return };
        upstream.look += 1;
        if takes_time {
            let (look, snapshot) = (upstream.look, early.then(|| Box::new(now)));
            self.after(delay, Event::StreamsRead { link, look, places, snapshot });
        } else {
            upstream.session.handle(Happened::StreamPage(now.page), self.now);
        }
    }

    pub(crate) fn have_read_streams(
        &mut self,
        link: LinkNo,
        look: u32,
        places: &[StreamPosition],
        snapshot: Option<Box<StreamSnapshot>>,
    ) {
        if self.links[link].upstream.as_ref().is_some_and(|end| end.look == look) {
            let snapshot = snapshot.map_or_else(|| self.snapshot(link, places), |early| *early);
            self.tell(link, Happened::StreamSnapshot(Ok(snapshot)));
        }
    }

    fn snapshot(&mut self, link: LinkNo, places: &[StreamPosition]) -> StreamSnapshot {
        let user = self.links[link].user;
        if let Some(upstream) = &mut self.links[link].upstream {
            upstream.showing.looked(|(stream, _)| self.store.is_hidden(user, *stream));
        }
        let as_of = self.store.place(user, self.links[link].device).head.seq;
        let page = self.store.read_streams(user, places, STREAM_PIECE_BYTES_MAX);
        StreamSnapshot { as_of, page }
    }

    /// How long a batch takes. A slow reader takes a bit now and then, or nothing at all.
    fn writes_for(&mut self, link: LinkNo) -> u64 {
        if !self.links[link].is_slow || !self.fault(50) {
            return self.delay(0, 3);
        }
        if self.random.percent(50) {
            return self.delay(500, 40_000);
        }
        let mut delay = self.delay(500, 29_000);
        for _ in 0..self.random.below(4) {
            self.after(delay, Event::Progress { link });
            delay += self.delay(500, 29_000);
        }
        delay
    }

    /// Nobody is stuck who has just taken something.
    fn check_stuck(&mut self, link: LinkNo, code: Option<CloseCode>) {
        let Some(upstream) = &self.links[link].upstream else { return };
        let taken = self.now - upstream.taken_at;
        if code == Some(CloseCode::Stuck) && taken < self.limits.stuck_timeout_ms {
            self.fail(format!("link {link} counts as stuck, and took something {taken} ms ago"));
        }
    }

    fn finish(&mut self, link: LinkNo, goodbye: Down) {
        self.links[link].upstream = None;
        self.note(&format!("the server says goodbye on link {link}: {goodbye:?}"));
        self.send_down(link, goodbye);
        self.links[link].down.close();
    }
}

/// The number in an id like `s12`.
pub(crate) fn number(id: &MessageId) -> usize {
    id.as_str()[1..].parse().expect("every id of a run is a letter and a number")
}

fn id(text: &str) -> MessageId {
    text.parse().expect("a letter and a number are an id")
}
