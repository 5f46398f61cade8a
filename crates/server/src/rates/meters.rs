use std::time::{Duration, Instant};

use tetherline_protocol::UserId;

use super::{RateLimit, Rates};

/// The rates of a server, and what has been taken of those that more than one connection share.
#[derive(Debug)]
pub(crate) struct Meters {
    pub(crate) rates: Rates,
    sends: RateLimit<UserId>,
    send_bytes: RateLimit<UserId>,
    replay_bytes: RateLimit<UserId>,
}

impl Default for Meters {
    fn default() -> Self {
        Self::new(Rates::default())
    }
}

impl Meters {
    pub(crate) fn new(rates: Rates) -> Self {
        Self {
            sends: RateLimit::new(rates.sends_per_user),
            send_bytes: RateLimit::new(rates.send_bytes_per_user),
            replay_bytes: RateLimit::new(rates.replay_bytes_per_user),
            rates,
        }
    }

    /// A send of so many bytes, or how long to wait with it.
    pub(crate) fn send(&self, user: &UserId, bytes: u64, now: Instant) -> Result<(), Duration> {
        self.sends.take(user, 1, now)?;
        self.send_bytes.take(user, bytes, now).inspect_err(|_| self.sends.give_back(user, 1))
    }

    /// How long this user has to wait until so many bytes may be read for them.
    pub(crate) fn replay_wait(&self, user: &UserId, bytes: u64, now: Instant) -> Duration {
        self.replay_bytes.wait(user, bytes, now)
    }

    pub(crate) fn replayed(&self, user: &UserId, bytes: u64, now: Instant) {
        self.replay_bytes.charge(user, bytes, now);
    }
}
