use std::sync::{
    Mutex, OnceLock,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};

use futures_util::task::AtomicWaker;
use tetherline_protocol::Epoch;

use super::{About, Notice, Waits};
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
    pub(super) handed_over: AtomicU64,
    /// What it waits for, as a [`Waits`].
    pub(super) waits: AtomicU8,
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
            about: OnceLock::new(),
            heard: AtomicU64::new(said),
            streamed: AtomicBool::new(false),
            epoch: OnceLock::new(),
            sign_in: Mutex::new(SignIn::Settled(session)),
        }
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
