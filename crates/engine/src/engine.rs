mod delivery;
mod link;
mod sends;
mod streams;
mod tabs;

use alloc::collections::VecDeque;

use tetherline_protocol::Seq;

use crate::{
    ConnectionNo, EpochNo, IdNo, Instant, Mark, Output, SendNo, SendOutcome, Status, TabMessage,
    TabNo, WaitReason,
    backoff::Backoff,
    outbox::Outbox,
    reader::Reader,
    streams::Streams,
    tabs::Tabs,
    timer::{Timer, Timers},
};

/// The client of one signed-in user, over any number of connections. See the [crate] for the order
/// of calls.
///
/// Its methods come in four kinds: getters, commands of the application, `handle_…` for what
/// happened, and `poll_…`.
#[derive(Debug)]
pub struct Engine<P> {
    state: State,
    timers: Timers,
    outputs: VecDeque<Output>,
    outbox: Outbox<P>,
    reader: Reader,
    streams: Streams,
    backoff: Backoff,
    trust: Trust,
    /// `None` if this client has a connection of its own, whoever else there is, or nobody is signed
    /// in.
    tabs: Option<Tabs>,
    last_connection: u32,
    /// Something came since the last ping. Set per message, so that no clock is read for it.
    heard: bool,
    /// The last time that a driver told. Per-message calls bring none.
    now: Instant,
    reported: Reported,
}

/// Where the connection is. Every variant owns what only it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    SignedOut,
    /// This tab knows of none that leads.
    Electing,
    /// Another tab leads, and is not connected.
    Following {
        leader: TabNo,
        attempt: u32,
        wait: Option<Wait>,
    },
    Resolving {
        attempt: u32,
    },
    Connecting {
        attempt: u32,
        connection: ConnectionNo,
        socket: Socket,
    },
    Probing {
        attempt: u32,
        connection: ConnectionNo,
    },
    Waiting {
        attempt: u32,
        wait: Wait,
    },
    Connected {
        connection: ConnectionNo,
        via: Via,
        heartbeat_ms: u64,
        renew_every_ms: u64,
    },
    /// The application says that nobody is signed in.
    Refused,
    /// The page may be in a back-forward cache: it holds nothing that others may want.
    Away,
}

/// What the next attempt waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wait {
    until: Instant,
    reason: WaitReason,
}

/// Where frames go to and come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Via {
    Socket,
    /// The tab that leads.
    Tab(TabNo),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Socket {
    Opening,
    Open,
}

/// Whether the identity is in doubt: after one refusal a fresh token is tried at once, and after
/// further ones slower and slower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Good,
    RefusedOnce,
    /// A fresh token was refused as well, so many times in a row.
    Refused {
        times: u32,
    },
}

/// What the last [`Output::StatusChanged`] was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reported {
    status: Status,
    attempts: u32,
    wait: Option<Wait>,
}

/// What `connection_established` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Established {
    /// The mailbox's history.
    pub epoch: EpochNo,
    /// The newest message.
    pub head: Seq,
    /// Up to where this device has acknowledged.
    pub cursor: Mark,
    /// Whether the server says of a position if it is one of the mailbox: an older one does not.
    pub checks_positions: bool,
    /// How often to ping, in ms.
    pub heartbeat_interval_ms: u64,
    /// When the token runs out, counted from now, in ms.
    pub token_expires_in_ms: u64,
}

/// Getters.
impl<P> Engine<P> {
    /// A client that is signed out. `seed` decides the jitter and nothing else.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: State::SignedOut,
            timers: Timers::default(),
            outputs: VecDeque::new(),
            outbox: Outbox::new(),
            reader: Reader::default(),
            streams: Streams::default(),
            backoff: Backoff::new(seed),
            trust: Trust::Good,
            tabs: None,
            last_connection: 0,
            heard: false,
            now: Instant::default(),
            reported: Reported { status: Status::SignedOut, attempts: 0, wait: None },
        }
    }

    /// What an application may show.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.state {
            State::SignedOut => Status::SignedOut,
            State::Refused => Status::Refused,
            State::Connected { .. } => Status::Connected,
            _ if self.is_handing_over() => Status::Connected,
            // An attempt that is likely to be refused again is no reason to look better meanwhile.
            State::Resolving { .. } | State::Connecting { .. } | State::Probing { .. }
                if self.is_refused() =>
            {
                Status::Refused
            }
            _ if self.wait_reason() == Some(WaitReason::Refused) => Status::Refused,
            State::Waiting { .. } | State::Following { wait: Some(_), .. } => Status::Waiting,
            _ => Status::Connecting,
        }
    }

    /// Which attempt since the last connection this is, or waits to be; 0 while connected and
    /// during the very first.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        match self.state {
            _ if self.is_handing_over() => 0,
            State::Resolving { attempt }
            | State::Connecting { attempt, .. }
            | State::Probing { attempt, .. }
            | State::Waiting { attempt, .. }
            | State::Following { attempt, .. } => attempt,
            State::SignedOut
            | State::Electing
            | State::Connected { .. }
            | State::Refused
            | State::Away => 0,
        }
    }

    /// When the next attempt begins, while [`Status::Waiting`] or [`Status::Refused`].
    #[must_use]
    pub fn retry_at(&self) -> Option<Instant> {
        self.pause().map(|wait| wait.until)
    }

    /// What the next attempt waits for, while [`Status::Waiting`].
    #[must_use]
    pub fn wait_reason(&self) -> Option<WaitReason> {
        self.pause().map(|wait| wait.reason)
    }

    fn pause(&self) -> Option<Wait> {
        match self.state {
            _ if self.is_handing_over() => None,
            State::Waiting { wait, .. } => Some(wait),
            State::Following { wait, .. } => wait,
            _ => None,
        }
    }

    /// The highest position that this page has received, and where it knows the message.
    #[must_use]
    pub fn position(&self) -> Option<Seq> {
        self.reader.position()
    }

    /// Which message stands there.
    #[must_use]
    pub fn position_id(&self) -> IdNo {
        self.reader.position_id()
    }

    /// How many sends have not settled.
    #[must_use]
    pub fn outbox_len(&self) -> usize {
        self.outbox.len()
    }

    /// The payload of a send that has not settled.
    #[must_use]
    pub fn payload(&self, send: SendNo) -> Option<&P> {
        self.outbox.payload(send)
    }
}

/// Commands.
impl<P> Engine<P> {
    /// Somebody is signed in: connect. For another user, [`Engine::sign_out`] comes first.
    ///
    /// After the application has said that nobody is, and after [`Engine::step_away`], it keeps outbox
    /// and position.
    pub fn sign_in(&mut self, now: Instant) {
        self.now = now;
        if self.is_idle() {
            self.trust = Trust::Good;
            self.backoff.reset();
            self.tabs = None;
            self.resolve(0);
        }
        self.report();
    }

    /// Nobody is signed in any more, in none of the tabs: hang up, and forget what was this user's.
    pub fn sign_out(&mut self, now: Instant) {
        if self.tabs.is_some() {
            self.outputs.push_back(Output::Post(None, TabMessage::SignedOut));
        }
        self.leave(now);
    }

    /// This client goes away, and with it what it kept in memory. In other tabs the person stays
    /// signed in.
    pub fn leave(&mut self, now: Instant) {
        self.now = now;
        self.push_ack(true);
        self.drop_connection(tetherline_protocol::CloseCode::Normal);
        self.state = State::SignedOut;
        while let Some(send) = self.outbox.pop() {
            self.outputs.push_back(Output::Settled(send, SendOutcome::SignedOut));
        }
        self.reader = Reader::default();
        self.forget_streams();
        self.timers = Timers::default();
        if self.tabs.take().is_some() {
            self.outputs.push_back(Output::Unlock);
        }
        self.report();
    }

    /// The page may be kept without running: it gives back the connection, and what tabs share, and
    /// keeps outbox and position until it signs in again.
    pub fn step_away(&mut self, now: Instant) {
        self.now = now;
        if self.is_idle() {
            return;
        }
        self.push_ack(true);
        self.give_up(State::Away);
        self.report();
    }

    /// The operating system says that the network came or went. It may be wrong: coming back is
    /// worth an attempt at once, and going away is worth a quick look.
    pub fn set_online(&mut self, online: bool, now: Instant) {
        self.now = now;
        match (self.state, online) {
            (State::Waiting { attempt, .. }, true) => self.resolve(attempt),
            (State::Connected { .. }, _) => self.suspect(),
            (State::Following { leader, .. }, true) => self.try_now_elsewhere(leader),
            _ => {}
        }
        self.report();
    }

    /// The page is visible again, or the machine woke up.
    pub fn wake(&mut self, now: Instant) {
        self.set_online(true, now);
    }
}

/// Polls.
impl<P> Engine<P> {
    /// The next thing to do; `None` when there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether [`Engine::poll_output`] has something.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// When to call [`Engine::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The moment that [`Engine::poll_timeout`] named has come, or is long gone.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        while let Some((timer, due)) = self.timers.take_due(now) {
            match timer {
                Timer::Token => self.token_late(),
                Timer::Connect => self.attempt_late(),
                Timer::Backoff => self.backoff_over(),
                Timer::Heartbeat => self.heartbeat(),
                Timer::Liveness => self.liveness_over(due),
                Timer::Stability => {
                    self.backoff.reset();
                    self.trust = Trust::Good;
                }
                Timer::Renewal => self.outputs.push_back(Output::ResolveToken { fresh: true }),
                Timer::Ack => self.push_ack(true),
                Timer::Handlers => self.handlers_late(),
                Timer::Grace => self.grace_over(),
                Timer::Retry => self.transmit(),
                Timer::Expiry => self.expire_sends(),
                Timer::Election => self.election_over(due),
                Timer::Takeover => self.take_over(),
                // All it changes is what is reported.
                Timer::Handover => {}
            }
        }
        self.report();
    }

    /// Says so when what an application may show has changed.
    fn report(&mut self) {
        let current =
            Reported { status: self.status(), attempts: self.attempts(), wait: self.pause() };
        if current != self.reported {
            self.reported = current;
            self.outputs.push_back(Output::StatusChanged);
            self.announce();
        }
    }

    /// Whether nothing is under way, and nothing will be before somebody signs in.
    fn is_idle(&self) -> bool {
        matches!(self.state, State::SignedOut | State::Refused | State::Away)
    }

    fn is_refused(&self) -> bool {
        matches!(self.trust, Trust::Refused { .. })
    }

    /// Whether the connection is on its way from one tab to another.
    fn is_handing_over(&self) -> bool {
        self.timers.is_running(Timer::Handover)
    }
}
