use std::sync::{
    Mutex, OnceLock,
    atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tetherline_protocol::{Epoch, Seq};

use super::{About, Notice, Stands, Waits};
use crate::lock::lock;

/// No position is so high.
pub(super) const NOWHERE: u64 = u64::MAX;

/// What the hub knows of one connection.
pub(super) struct Seat {
    /// The how-manieth it is.
    pub(super) number: u64,
    pub(super) waker: AtomicWaker,
    pub(super) notice: AtomicU64,
    pub(super) sent: AtomicU64,
    /// Messages that it asked for and was not sent yet, as of its last word.
    pub(super) waiting: AtomicU64,
    /// Messages that it was sent and has not acknowledged.
    pub(super) unhandled: AtomicU64,
    /// Up to where everything was handed to its socket; [`NOWHERE`] if that cannot be said.
    handed_over: AtomicU64,
    /// What it waits for, as a [`Waits`].
    waits: AtomicU8,
    /// Since when, in µs since the hub's start.
    waits_since_us: AtomicU64,
    /// What its socket has not taken, in bytes.
    unsent_bytes: AtomicUsize,
    /// It is not listened to for a while.
    is_held: AtomicBool,
    /// Known once it is open.
    pub(super) about: OnceLock<Box<About>>,
    /// Up to where this connection has taken live-only messages, or missed them.
    pub(super) heard: AtomicU64,
    /// A stream has begun, or has more text, and this connection has not looked since.
    pub(super) streamed: AtomicBool,
    /// In which its positions count, once they are looked up.
    epoch: OnceLock<Epoch>,
    sign_in: Mutex<SignIn>,
}

/// Whose end closes a connection. A token may belong to none.
enum SignIn {
    Settled(Option<Box<str>>),
    /// A token of the second is being looked up. Either may end meanwhile.
    Renewing(Option<Box<str>>, Option<Box<str>>),
}

impl Seat {
    pub(super) fn new(number: u64, session: Option<Box<str>>, said: u64) -> Self {
        Self {
            number,
            waker: AtomicWaker::new(),
            notice: AtomicU64::new(Notice::Nothing.packed()),
            sent: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            unhandled: AtomicU64::new(0),
            handed_over: AtomicU64::new(NOWHERE),
            waits: AtomicU8::new(Waits::ToBeAsked as u8),
            waits_since_us: AtomicU64::new(0),
            unsent_bytes: AtomicUsize::new(0),
            is_held: AtomicBool::new(false),
            about: OnceLock::new(),
            heard: AtomicU64::new(said),
            streamed: AtomicBool::new(false),
            epoch: OnceLock::new(),
            sign_in: Mutex::new(SignIn::Settled(session)),
        }
    }

    /// Where the connection is now, which was found at `now`; both times count from the hub's start.
    pub(super) fn stands_at(&self, stands: &Stands, started: Instant, now: Instant) {
        let Stands { sent, waiting, unhandled, waits, stuck_since, unsent_bytes, is_held } = stands;
        self.handed_over.store(sent.map_or(NOWHERE, Seq::get), Ordering::Relaxed);
        self.waiting.store(*waiting, Ordering::Relaxed);
        self.unhandled.store(*unhandled, Ordering::Relaxed);
        let waits = *waits as u8;
        let had_waited_for = self.waits.swap(waits, Ordering::Relaxed);
        if had_waited_for != waits || stuck_since.is_some() {
            let since = stuck_since.unwrap_or(now).saturating_duration_since(started);
            self.waits_since_us.store(since.as_micros() as u64, Ordering::Relaxed);
        }
        self.unsent_bytes.store(*unsent_bytes, Ordering::Relaxed);
        self.is_held.store(*is_held, Ordering::Relaxed);
    }

    /// Where it was when that was said last.
    pub(super) fn stands(&self, started: Instant) -> Stands {
        let waits = Waits::ALL[usize::from(self.waits.load(Ordering::Relaxed))];
        let stuck_since = (waits == Waits::ForTheSocket).then(|| started + self.waits_for());
        Stands {
            // `NOWHERE` is no position.
            sent: Seq::new(self.handed_over.load(Ordering::Relaxed)),
            waiting: self.waiting.load(Ordering::Relaxed),
            unhandled: self.unhandled.load(Ordering::Relaxed),
            waits,
            stuck_since,
            unsent_bytes: self.unsent_bytes.load(Ordering::Relaxed),
            is_held: self.is_held.load(Ordering::Relaxed),
        }
    }

    /// Since when it waits for what it waits for, from the hub's start on.
    pub(super) fn waits_for(&self) -> Duration {
        Duration::from_micros(self.waits_since_us.load(Ordering::Relaxed))
    }

    pub(super) fn tell(&self, notice: Notice) {
        self.notice.fetch_max(notice.packed(), Ordering::SeqCst);
        self.waker.wake();
    }

    pub(super) fn begins_in(&self, epoch: &Epoch) {
        self.epoch.get_or_init(|| epoch.clone());
    }

    /// Whether its positions do, as far as they are looked up.
    pub(super) fn counts_in(&self, epoch: Option<&Epoch>) -> bool {
        self.epoch.get().is_none_or(|own| Some(own) == epoch)
    }

    /// A sign-in has ended.
    pub(super) fn sign_out(&self, session: &str) {
        if lock(&self.sign_in).is_of(session) {
            self.tell(Notice::SignedOut);
        }
    }

    pub(super) fn renew(&self, session: Option<Box<str>>) {
        let mut sign_in = lock(&self.sign_in);
        *sign_in = SignIn::Renewing(sign_in.take(), session);
    }

    pub(super) fn renewed(&self, stands: bool) {
        let mut sign_in = lock(&self.sign_in);
        *sign_in = SignIn::Settled(match &mut *sign_in {
            SignIn::Renewing(_, new) if stands => new.take(),
            SignIn::Renewing(current, _) | SignIn::Settled(current) => current.take(),
        });
    }
}

impl SignIn {
    fn is_of(&self, session: &str) -> bool {
        match self {
            Self::Settled(current) => current.as_deref() == Some(session),
            Self::Renewing(current, new) => {
                [current, new].into_iter().any(|it| it.as_deref() == Some(session))
            }
        }
    }

    /// The one that counts.
    fn take(&mut self) -> Option<Box<str>> {
        match self {
            Self::Settled(current) | Self::Renewing(current, _) => current.take(),
        }
    }
}
