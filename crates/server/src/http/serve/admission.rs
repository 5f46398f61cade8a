//! Which HTTP connections are let in while nobody has proved who is at their other end. There is soon room for one
//! more: that of the one which came first, and of those without a request before any other.

use std::{
    collections::BTreeMap,
    os::fd::AsRawFd,
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::{Duration, Instant},
};

use tokio::{sync::Notify, time::timeout};

use crate::lock::lock;

/// HTTP connections on which nobody has shown a key or a token yet; an eighth of all file descriptors if that is less.
/// For one more the one is closed that came first of those without a request, and only if there is none of these the
/// one whose request is the oldest.
pub const UNAUTHENTICATED_CONNECTIONS_MAX: usize = 1_024;
/// Nobody makes way who came less than this long ago. When everybody comes back at once, everybody has asked by then;
/// until there is room, further ones wait to be accepted.
pub const UNAUTHENTICATED_IDLE_GRACE: Duration = Duration::from_millis(250);
/// Neither does a request that began less than this long ago.
pub const UNAUTHENTICATED_REQUEST_GRACE: Duration = Duration::from_secs(1);
/// File descriptors that connections leave to the store, the webhook's requests and the log; half of all if that is
/// less. Who would take one of them is not let in.
pub const DESCRIPTORS_RESERVED: u64 = 512;

/// Has this process have as many file descriptors as the system lets it: a connection takes one. Says so if so many
/// connections would be too many.
pub fn raise_descriptors(connections_max: usize) {
    let wanted = connections_max as u64 + DESCRIPTORS_RESERVED;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(descriptors) if descriptors < wanted => tracing::warn!(
            descriptors,
            wanted,
            "there are fewer file descriptors for this process than for connections_max; let it have more \
             (`ulimit -n`, `LimitNOFILE`)"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the number of file descriptors could not be raised"),
    }
}

/// Connections that are not authenticated, of one listener.
pub(super) struct Admission {
    unauthenticated: Mutex<Unauthenticated>,
    connections_max: usize,
    /// There is one less.
    left: Notify,
    /// This file descriptor and all after it are reserved. The system gives the lowest that is free.
    reserved_from: u64,
}

struct Unauthenticated {
    /// The number of whoever or whatever comes next.
    next: u64,
    /// Without a request, in the order in which they came: who has asked for something is not younger for it.
    idle: Line,
    /// With a request that is read or carried out, in the order in which these began.
    busy: Line,
    /// They were told to end, and have not yet.
    ending: usize,
}

struct Line {
    waiting: BTreeMap<u64, Waiting>,
    grace: Duration,
}

struct Waiting {
    since: Instant,
    cut: Arc<Notify>,
}

/// One connection, as long as it speaks HTTP.
#[derive(Clone)]
pub(super) struct HttpConnection(Arc<State>);

/// The connection that a request came on. An application that keeps its request does not keep the connection's room.
#[derive(Clone)]
pub(crate) struct Requester(Weak<State>);

struct State {
    admission: Arc<Admission>,
    came: (u64, Instant),
    cut: Arc<Notify>,
    phase: Mutex<Phase>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has asked for nothing yet.
    New,
    Busy(u64),
    /// It was answered, which it may be reading, or waits with its next request.
    Answered,
    /// Its peer has shown a key or a token: it makes way for nobody until it is answered, and once it is a WebSocket.
    Authenticated,
    /// With its last request its peer has shown a key, and keeps the connection for the next.
    Publisher,
}

impl Admission {
    pub(super) fn new() -> Arc<Self> {
        // Unknown is none: the accept loop survives running out of them.
        let descriptors = rlimit::Resource::NOFILE.get_soft().unwrap_or(u64::MAX);
        let eighth = usize::try_from(descriptors / 8).unwrap_or(usize::MAX);
        Arc::new(Self {
            unauthenticated: Mutex::new(Unauthenticated::new()),
            connections_max: UNAUTHENTICATED_CONNECTIONS_MAX.min(eighth),
            left: Notify::new(),
            reserved_from: descriptors.saturating_sub(DESCRIPTORS_RESERVED).max(descriptors / 2),
        })
    }

    /// Waits until there is room for one more.
    pub(super) async fn room(&self) {
        loop {
            let left = self.left.notified();
            let Some(wait) =
                lock(&self.unauthenticated).make_room(self.connections_max, Instant::now())
            else {
                return;
            };
            // In vain: then somebody else has to make way.
            let _ = timeout(wait, left).await;
        }
    }

    /// Lets a connection in, unless it has one of the descriptors that are reserved.
    pub(super) fn admit(self: &Arc<Self>, stream: &impl AsRawFd) -> Option<HttpConnection> {
        if u64::try_from(stream.as_raw_fd()).is_ok_and(|it| it >= self.reserved_from) {
            self.descriptors_are_short();
            return None;
        }
        let cut = Arc::new(Notify::new());
        let mut unauthenticated = lock(&self.unauthenticated);
        let came = (unauthenticated.number(), Instant::now());
        unauthenticated.idle.join(came, &cut);
        let phase = Mutex::new(Phase::New);
        Some(HttpConnection(Arc::new(State { admission: self.clone(), came, cut, phase })))
    }

    /// Whoever has had time to ask, or to be answered, gives one back.
    pub(super) fn descriptors_are_short(&self) {
        lock(&self.unauthenticated).make_room(0, Instant::now());
    }
}

impl Unauthenticated {
    fn new() -> Self {
        let line = |grace| Line { waiting: BTreeMap::new(), grace };
        Self {
            next: 0,
            idle: line(UNAUTHENTICATED_IDLE_GRACE),
            busy: line(UNAUTHENTICATED_REQUEST_GRACE),
            ending: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// How long it may take until there is room for one more, for which somebody may have been told to end; `None`
    /// if there is.
    fn make_room(&mut self, connections_max: usize, now: Instant) -> Option<Duration> {
        if self.idle.waiting.len() + self.busy.waiting.len() + self.ending < connections_max {
            return None;
        }
        let line = if self.idle.waiting.is_empty() { &mut self.busy } else { &mut self.idle };
        let wait = line.wait(now);
        if wait.is_zero() {
            self.ending += usize::from(line.cut_first());
        }
        // One that is told to end does so as soon as its task gets to run.
        Some(if wait.is_zero() { UNAUTHENTICATED_IDLE_GRACE } else { wait })
    }

    /// Answers whether it was not told to end before.
    fn leave(&mut self, came: u64, phase: Phase) -> bool {
        match phase {
            Phase::New | Phase::Answered => self.idle.leave(came),
            Phase::Busy(number) => self.busy.leave(number),
            Phase::Authenticated | Phase::Publisher => false,
        }
    }

    /// Whether it was not told to end.
    fn has(&self, came: u64, phase: Phase) -> bool {
        match phase {
            Phase::New | Phase::Answered => self.idle.waiting.contains_key(&came),
            Phase::Busy(number) => self.busy.waiting.contains_key(&number),
            Phase::Authenticated | Phase::Publisher => true,
        }
    }
}

impl Line {
    fn join(&mut self, (number, since): (u64, Instant), cut: &Arc<Notify>) {
        self.waiting.insert(number, Waiting { since, cut: cut.clone() });
    }

    /// Answers whether it was still there.
    fn leave(&mut self, number: u64) -> bool {
        self.waiting.remove(&number).is_some()
    }

    /// How long the first is left alone, if there is any.
    fn wait(&self, now: Instant) -> Duration {
        self.waiting.first_key_value().map_or(self.grace, |(_, first)| {
            self.grace.saturating_sub(now.saturating_duration_since(first.since))
        })
    }

    fn cut_first(&mut self) -> bool {
        let first = self.waiting.pop_first();
        first.inspect(|(_, first)| first.cut.notify_one()).is_some()
    }
}

impl HttpConnection {
    /// Resolves when this connection is to make way.
    pub(super) async fn cut(&self) {
        loop {
            self.0.cut.notified().await;
            let is_cut = self.0.look().is_some_and(|(phase, unauthenticated)| {
                !unauthenticated.has(self.0.came.0, *phase)
            });
            // If not, its first request was there already, and had not been read.
            if is_cut {
                return;
            }
        }
    }

    pub(super) fn requester(&self) -> Requester {
        Requester(Arc::downgrade(&self.0))
    }

    /// A request has been read up to the end of its header.
    pub(super) fn asks(&self) {
        let Some((mut phase, mut unauthenticated)) = self.0.look() else {
            // Whether the key still counts is seen with each request.
            *lock(&self.0.phase) = Phase::Authenticated;
            return;
        };
        match (*phase, unauthenticated.idle.leave(self.0.came.0)) {
            (Phase::New | Phase::Answered, true) => {}
            // It was told to end, and this was on its way before.
            (Phase::New, false) => unauthenticated.ending -= 1,
            _ => return,
        }
        let number = unauthenticated.number();
        unauthenticated.busy.join((number, Instant::now()), &self.0.cut);
        *phase = Phase::Busy(number);
    }

    /// The answer has begun. Whether it is read is not known.
    pub(super) fn is_answered(&self, is_upgraded: bool) {
        let Some((mut phase, mut unauthenticated)) = self.0.look() else {
            return self.is_left_by_its_user(is_upgraded);
        };
        if let Phase::Busy(number) = *phase
            && unauthenticated.busy.leave(number)
        {
            unauthenticated.idle.join(self.0.came, &self.0.cut);
            *phase = Phase::Answered;
            self.0.admission.left.notify_one();
        }
    }

    /// Who was refused after all, or has looked and does not connect, makes way again.
    fn is_left_by_its_user(&self, is_upgraded: bool) {
        let mut phase = lock(&self.0.phase);
        if *phase == Phase::Authenticated && !is_upgraded {
            lock(&self.0.admission.unauthenticated).idle.join(self.0.came, &self.0.cut);
            *phase = Phase::Answered;
        }
    }
}

impl Requester {
    /// Whoever is at the other end has shown a key.
    pub(crate) fn shows_key(&self) {
        self.shows(Phase::Publisher);
    }

    /// Whoever is at the other end has shown what a user connects with, and it is good.
    pub(crate) fn shows_token(&self) {
        self.shows(Phase::Authenticated);
    }

    fn shows(&self, who: Phase) {
        let Some(state) = self.0.upgrade() else { return };
        let Some((mut phase, mut unauthenticated)) = state.look() else {
            *lock(&state.phase) = who;
            return;
        };
        if unauthenticated.leave(state.came.0, *phase) {
            *phase = who;
            state.admission.left.notify_one();
        }
    }
}

impl State {
    /// `None` while it is authenticated: the publishers of a listener do not wait for one another.
    fn look(&self) -> Option<(MutexGuard<'_, Phase>, MutexGuard<'_, Unauthenticated>)> {
        let phase = lock(&self.phase);
        let is_authenticated = matches!(*phase, Phase::Authenticated | Phase::Publisher);
        (!is_authenticated).then(|| (phase, lock(&self.admission.unauthenticated)))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let Some((phase, mut unauthenticated)) = self.look() else { return };
        if !unauthenticated.leave(self.came.0, *phase) {
            unauthenticated.ending -= 1;
        }
        drop(unauthenticated);
        self.admission.left.notify_one();
    }
}
