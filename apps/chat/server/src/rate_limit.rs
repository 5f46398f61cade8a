//! How often somebody may fail at a password.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::{
    device::Device,
    limits::{
        RATE_LIMIT_KEYS_MAX, SIGN_IN_REFILL, SIGN_INS_PER_DEVICE_BURST, SIGN_INS_PER_EMAIL_BURST,
        SIGN_INS_PER_NETWORK_BURST,
    },
    network::Network,
};

/// Who may try how often. Nobody's tries count against anybody in another network, and none against a device on which
/// that person has signed in before: a name is no secret, so its owner must not be kept out by it.
pub(crate) struct SignInRations {
    networks: RateLimit<Network>,
    emails: RateLimit<(Network, String)>,
    devices: RateLimit<Uuid>,
}

/// An attempt that counts as failed until it is given back.
pub(crate) enum Attempt {
    OfDevice(Uuid),
    OfNetwork(Network, String),
}

impl SignInRations {
    pub(crate) fn new() -> Self {
        Self {
            networks: RateLimit::new(SIGN_INS_PER_NETWORK_BURST, SIGN_IN_REFILL),
            emails: RateLimit::new(SIGN_INS_PER_EMAIL_BURST, SIGN_IN_REFILL),
            devices: RateLimit::new(SIGN_INS_PER_DEVICE_BURST, SIGN_IN_REFILL),
        }
    }

    /// Takes one attempt, from the person's own device first, or says how long to wait for the next.
    pub(crate) fn take(
        &self,
        network: Network,
        email: String,
        device: Option<&Device>,
        now: Instant,
    ) -> Result<Attempt, Duration> {
        if let Some(device) = device
            && self.devices.take(device.id(), now).is_ok()
        {
            return Ok(Attempt::OfDevice(device.id()));
        }
        self.networks.take(network, now)?;
        let key = (network, email);
        if let Err(wait) = self.emails.take(key.clone(), now) {
            self.networks.give_back(&network);
            return Err(wait);
        }
        Ok(Attempt::OfNetwork(key.0, key.1))
    }

    /// It did not fail.
    pub(crate) fn give_back(&self, attempt: Attempt) {
        match attempt {
            Attempt::OfDevice(id) => self.devices.give_back(&id),
            Attempt::OfNetwork(network, email) => {
                self.networks.give_back(&network);
                self.emails.give_back(&(network, email));
            }
        }
    }
}

/// A token bucket per key: `burst` attempts at once, then one per `refill`.
struct RateLimit<K> {
    burst: u32,
    refill: Duration,
    /// When each key's bucket is full again. Keys whose bucket is full need no entry.
    full_at: Mutex<HashMap<K, Instant>>,
}

impl<K: Hash + Eq + Clone> RateLimit<K> {
    fn new(burst: u32, refill: Duration) -> Self {
        Self { burst, refill, full_at: Mutex::new(HashMap::new()) }
    }

    /// Takes one attempt, or says how long to wait for the next.
    fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        // The map is consistent after every statement, so a panic elsewhere spoils nothing.
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= RATE_LIMIT_KEYS_MAX {
            full_at.retain(|_, moment| *moment > now);
        }
        if full_at.len() >= RATE_LIMIT_KEYS_MAX && !full_at.contains_key(&key) {
            // Who comes new is not kept out by many others; the least of them is forgiven.
            let least =
                full_at.iter().min_by_key(|(_, moment)| **moment).map(|(key, _)| key.clone());
            least.and_then(|least| full_at.remove(&least));
        }
        let moment = full_at.get(&key).map_or(now, |moment| (*moment).max(now)) + self.refill;
        let latest = now + self.refill * self.burst;
        if moment > latest {
            return Err(moment - latest);
        }
        full_at.insert(key, moment);
        Ok(())
    }

    /// Gives one attempt back: it did not fail.
    fn give_back(&self, key: &K) {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(moment) = full_at.get_mut(key) {
            *moment = moment.checked_sub(self.refill).unwrap_or(*moment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_burst_one_attempt_per_refill_is_left() {
        let limit = RateLimit::new(3, Duration::from_secs(10));
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(limit.take("ada", start), Ok(()));
        }
        assert_eq!(limit.take("ada", start), Err(Duration::from_secs(10)));
        assert_eq!(limit.take("bob", start), Ok(()));
        let later = start + Duration::from_secs(10);
        assert_eq!(limit.take("ada", later), Ok(()));
        assert!(limit.take("ada", later).is_err());
        limit.give_back(&"ada");
        assert_eq!(limit.take("ada", later), Ok(()));
        assert!(limit.take("ada", later).is_err(), "no more than one is given back");
    }

    #[test]
    fn the_number_of_keys_is_bounded_and_the_least_makes_room() {
        // Whoever made up ten thousand names shut the door for everybody else.
        let limit = RateLimit::new(2, Duration::from_secs(1));
        let start = Instant::now();
        for key in (0..RATE_LIMIT_KEYS_MAX).chain(1..RATE_LIMIT_KEYS_MAX) {
            assert_eq!(limit.take(key, start), Ok(()));
        }
        assert_eq!(limit.take(RATE_LIMIT_KEYS_MAX, start), Ok(()));
        assert_eq!(limit.full_at.lock().unwrap().len(), RATE_LIMIT_KEYS_MAX);
        assert!(limit.take(1, start).is_err(), "who has taken more is remembered");
        assert_eq!(limit.take(0, start), Ok(()));
        assert_eq!(limit.full_at.lock().unwrap().len(), RATE_LIMIT_KEYS_MAX);
    }
}
