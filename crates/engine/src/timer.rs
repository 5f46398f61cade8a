use core::ops::Add;

/// A moment on the driver's monotonic clock, in milliseconds since any fixed start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Instant(u64);

impl Instant {
    /// The moment so many milliseconds after the clock's start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the clock's start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Milliseconds since `earlier`; 0 if it is later.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for Instant {
    type Output = Self;

    fn add(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

/// Everything that the engine ever waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The application's token callback owes an answer.
    Token,
    /// The attempt owes `connection_established`, or the probe its answer.
    Connect,
    /// The next attempt is due.
    Backoff,
    /// The next ping is due.
    Heartbeat,
    /// The peer owes a sign of life.
    Liveness,
    /// The connection has lived long enough to earn a fresh backoff.
    Stability,
    /// The token should be renewed before it expires.
    Renewal,
    /// Gathered acknowledgements are due.
    Ack,
    /// A handler may have run out of time.
    Handlers,
    /// Messages without a handler stop waiting for one.
    Grace,
    /// A refused send may be tried again.
    Retry,
    /// The oldest send may have run out of time.
    Expiry,
    /// The tab that leads owes a word.
    Election,
    /// A hidden tab has led for long enough.
    Takeover,
    /// A hand-over between tabs has to be through.
    Handover,
}

impl Timer {
    const ALL: [Self; 15] = [
        Self::Token,
        Self::Connect,
        Self::Backoff,
        Self::Heartbeat,
        Self::Liveness,
        Self::Stability,
        Self::Renewal,
        Self::Ack,
        Self::Handlers,
        Self::Grace,
        Self::Retry,
        Self::Expiry,
        Self::Election,
        Self::Takeover,
        Self::Handover,
    ];

    /// Timers that belong to one connection or attempt and end with it.
    pub(crate) const OF_A_CONNECTION: [Self; 9] = [
        Self::Token,
        Self::Connect,
        Self::Backoff,
        Self::Heartbeat,
        Self::Liveness,
        Self::Stability,
        Self::Renewal,
        Self::Ack,
        Self::Retry,
    ];
}

/// One slot per [`Timer`].
#[derive(Debug, Default)]
pub(crate) struct Timers {
    slots: [Option<Instant>; Timer::ALL.len()],
    /// The earliest of them: it is asked for after every message, and seldom changes.
    next: Option<Instant>,
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        self.replace(timer, Some(at));
    }

    /// Sets the timer unless it is running already.
    pub(crate) fn start(&mut self, timer: Timer, at: Instant) {
        if !self.is_running(timer) {
            self.set(timer, at);
        }
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        self.replace(timer, None);
    }

    pub(crate) fn is_running(&self, timer: Timer) -> bool {
        self.slots[timer as usize].is_some()
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Takes out one timer that is due, with the moment for which it was set.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<(Timer, Instant)> {
        Timer::ALL.into_iter().find_map(|timer| {
            let at = self.slots[timer as usize].filter(|&at| at <= now)?;
            self.stop(timer);
            Some((timer, at))
        })
    }

    fn replace(&mut self, timer: Timer, at: Option<Instant>) {
        self.slots[timer as usize] = at;
        self.next = self.slots.iter().flatten().min().copied();
    }
}
