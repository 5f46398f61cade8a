//! A browser page: the real engine, driven as the browser driver drives it.

use std::collections::{BTreeMap, VecDeque};

use tetherline_engine::{Engine, Instant, Status};
use tetherline_protocol::{Seq, frame::ServerFrame};

use crate::{
    check::Reading,
    event::Event,
    handlers::Held,
    network::{Down, Up},
    store::DeviceNo,
    tabs::Tab,
    texts::Texts,
    tokens::{SignInNo, Token},
    upstream::UNANNOUNCED,
    world::{LinkNo, PageNo, PublishNo, SendNo, UserNo, World},
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
    pub(crate) texts: Texts,
    pub(crate) link: Option<LinkNo>,
    pub(crate) is_offline: bool,
    /// Everything that happens to a frozen page waits here.
    pub(crate) frozen: Option<VecDeque<Event>>,
    pub(crate) wants_late: bool,
    pub(crate) parked: Vec<Parked>,
    /// Messages whose handlers go on, by position, as the browser driver keeps them.
    pub(crate) held: BTreeMap<u64, Held>,
    pub(crate) calls: u64,
    /// The last live-only message.
    pub(crate) heard: (LinkNo, u64),
    pub(crate) outbox: BTreeMap<u32, SendNo>,
    pub(crate) outbox_bytes: usize,
    pub(crate) sign_in: SignInNo,
    pub(crate) token: Option<Token>,
    pub(crate) requests: u32,
    /// When the engine's timer is due, on the page's clock.
    pub(crate) timer_at: Option<u64>,
    /// When this sign-in was connected first, on the page's clock.
    pub(crate) connected_at: Option<u64>,
    /// Whether it may be refused: a fresh token was asked for, or there is none.
    pub(crate) refusal_is_due: bool,
    pub(crate) tab: Tab,
    /// How far the page's clock is ahead: a machine slept, or its clock leapt. In ms.
    pub(crate) ahead: u64,
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
    pub(crate) size: usize,
}

impl Page {
    pub(crate) fn is_open(&self) -> bool {
        self.presence != Presence::Closed
    }

    pub(crate) fn is_signed_in(&self) -> bool {
        self.presence == Presence::SignedIn
    }

    pub(crate) fn sign_in_to_engine(&mut self, now: Instant) {
        if self.tab.shares {
            if self.tab.channel.is_none() {
                self.tab.open_channel();
            }
            self.engine.sign_in_among_tabs(self.tab.is_visible, now);
        } else {
            self.engine.sign_in(now);
        }
    }

    /// Nobody is signed in here any more.
    pub(crate) fn forget_sign_in(&mut self) {
        self.presence = Presence::SignedOut;
        self.parked.clear();
        self.held.clear();
    }
}

impl World {
    /// `unsent`: what the page before it left in its outbox, with the time that it has.
    pub(crate) fn open_page(&mut self, user: UserNo, device: DeviceNo, unsent: Vec<(SendNo, u64)>) {
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
            texts: Texts::default(),
            link: None,
            is_offline: false,
            frozen: None,
            wants_late,
            parked: Vec::new(),
            held: BTreeMap::new(),
            calls: 0,
            heard: (0, 0),
            outbox: BTreeMap::new(),
            outbox_bytes: 0,
            sign_in: 0,
            token: None,
            requests: 0,
            timer_at: None,
            connected_at: None,
            refusal_is_due: false,
            tab: Tab {
                shares: self.tabs_share,
                is_visible: self.random.percent(50),
                ..Tab::default()
            },
            ahead: 0,
        });
        if !wants_late && self.random.percent(70) {
            let delay = self.random.within(0, 15_000);
            self.after(delay, Event::HandlerRegisters { page });
        }
        self.sign_in(page, user);
        if !unsent.is_empty() {
            self.pages[page].engine.hold_sends();
            let generation = self.pages[page].generation;
            let delay = self.delay(1, 500);
            self.after(delay, Event::Restore { page, generation, unsent });
        }
    }

    pub(crate) fn sign_in(&mut self, page: PageNo, user: UserNo) {
        self.note(&format!("page {page} signs in as u{user}"));
        let sign_in = self.new_sign_in();
        let target = &mut self.pages[page];
        target.user = user;
        target.presence = Presence::SignedIn;
        target.generation += 1;
        target.signed_in_at = self.now;
        target.reading = Reading::default();
        target.token = None;
        target.sign_in = sign_in;
        target.connected_at = None;
        target.refusal_is_due = false;
        if self.random.percent(30) {
            self.read_history(page);
        }
        let now = self.instant(page);
        self.pages[page].sign_in_to_engine(now);
        self.drain(page);
    }

    pub(crate) fn sign_out(&mut self, page: PageNo) {
        if !self.pages[page].is_signed_in() {
            return;
        }
        self.note(&format!("page {page} signs out"));
        self.remember_what_was_handled(page);
        let now = self.instant(page);
        let target = &mut self.pages[page];
        target.forget_sign_in();
        target.engine.sign_out(now);
        self.drain(page);
        if !self.pages[page].texts.is_empty() {
            self.fail(format!("page {page} signed out and still shows streams"));
        }
        if let Some(left) = self.pages[page].outbox.values().next() {
            self.fail(format!("page {page} signed out and still has s{left}"));
        }
    }

    /// The page is closed, or reloaded: whatever it had in memory is gone.
    pub(crate) fn close_page(&mut self, page: PageNo) {
        self.note(&format!("page {page} is closed"));
        if self.pages[page].is_signed_in() {
            self.remember_what_was_handled(page);
        }
        self.pages[page].presence = Presence::Closed;
        self.release_lock(page);
        if let Some(link) = self.pages[page].link.take() {
            self.send_up(link, Up::Close);
            self.links[link].up.close();
        }
    }

    /// The application reads history over HTTP, which is true as of some moment ago.
    pub(crate) fn read_history(&mut self, page: PageNo) {
        let user = self.pages[page].user;
        let head = self.store.mailbox(user).head();
        let age = self.random.within(0, 8);
        let seq = head.saturating_sub(age);
        if self.pages[page].reading.reads_another(self.store.history(user)) {
            return;
        }
        self.note(&format!("page {page} has history as of {seq}"));
        self.pages[page].reading.history_as_of(seq);
        let now = self.instant(page);
        self.pages[page].engine.history_as_of(position(seq), now);
        self.drain(page);
    }

    pub(crate) fn page_timer(&mut self, page: PageNo, at: u64) {
        if !self.pages[page].is_open() || self.pages[page].timer_at != Some(at) {
            return;
        }
        if self.waits(page, Event::PageTimer { page, at }).is_some() {
            self.pages[page].timer_at = None;
            let now = self.instant(page);
            self.pages[page].engine.handle_timeout(now);
            self.drain(page);
        }
    }

    pub(crate) fn lost(&mut self, link: LinkNo) {
        self.reach(link, Event::Lost { link }, |world, page, connection| {
            world.closed(page, link, connection, (UNANNOUNCED, None));
        });
    }

    pub(crate) fn came_down(&mut self, link: LinkNo, frame: Down) {
        let page = self.links[link].page;
        if !self.pages[page].is_open()
            || (self.pages[page].frozen.is_none() && !self.links[link].down.delivers(self.now))
        {
            return;
        }
        let Some(Event::Down { frame, .. }) = self.waits(page, Event::Down { link, frame }) else {
            return;
        };
        let connection = self.links[link].connection;
        let now = self.instant(page);
        match frame {
            Down::Opened => self.pages[page].engine.handle_opened(connection, now),
            Down::Ping => return self.send_up(link, Up::Pong),
            Down::Closed { code, retry_after_ms } => {
                return self.closed(page, link, connection, (code, retry_after_ms));
            }
            Down::Text(text) => match ServerFrame::parse(&text) {
                Ok(frame) => {
                    self.pass_on(page, link, &text);
                    self.receive_frame(page, link, connection, &frame, text.len());
                }
                Err(error) => self.fail(format!("the server wrote {text}: {error}")),
            },
        }
        self.drain(page);
    }

    pub(crate) fn thaw(&mut self, page: PageNo) {
        let waiting = self.pages[page].frozen.take();
        // At once, so that nothing that comes in the same moment overtakes it.
        for event in waiting.into_iter().flatten() {
            self.handle(event);
        }
        if self.pages[page].is_open() {
            let now = self.instant(page);
            self.pages[page].engine.wake(now);
            self.drain(page);
        }
    }

    pub(crate) fn back_online(&mut self, page: PageNo) {
        self.pages[page].is_offline = false;
        if self.pages[page].is_open() {
            let now = self.instant(page);
            self.pages[page].engine.set_online(true, now);
            self.drain(page);
        }
    }

    /// The time on a page's clock.
    pub(crate) fn instant(&self, page: PageNo) -> Instant {
        Instant::from_millis(self.now + self.pages[page].ahead)
    }

    /// A page's clock leaps, so that its timers are long due.
    pub(crate) fn leap(&mut self, page: PageNo, by: u64) {
        self.note(&format!("the clock of page {page} leaps by {by} ms"));
        self.pages[page].ahead += by;
        self.pages[page].timer_at = None;
        self.drain(page);
    }

    pub(crate) fn is_connected(&self, page: PageNo) -> bool {
        self.pages[page].engine.status() == Status::Connected
    }
}

pub(crate) fn position(seq: u64) -> Seq {
    Seq::new(seq).expect("no run publishes 2^53 messages")
}
