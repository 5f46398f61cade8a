//! How often somebody may try a password.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::limits::RATE_LIMIT_KEYS_MAX;

/// A token bucket per key: `burst` attempts at once, then one per `refill`.
pub(crate) struct RateLimit<K> {
    burst: u32,
    refill: Duration,
    /// When each key's bucket is full again. Keys whose bucket is full need no entry.
    full_at: Mutex<HashMap<K, Instant>>,
}

impl<K: Hash + Eq> RateLimit<K> {
    pub(crate) fn new(burst: u32, refill: Duration) -> Self {
        Self { burst, refill, full_at: Mutex::new(HashMap::new()) }
    }

    /// Takes one attempt, or says how long to wait for the next.
    pub(crate) fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        // The map is consistent after every statement, so a panic elsewhere spoils nothing.
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= RATE_LIMIT_KEYS_MAX {
            full_at.retain(|_, moment| *moment > now);
        }
        if full_at.len() >= RATE_LIMIT_KEYS_MAX && !full_at.contains_key(&key) {
            return Err(self.refill);
        }
        let moment = full_at.get(&key).map_or(now, |moment| (*moment).max(now)) + self.refill;
        let latest = now + self.refill * self.burst;
        if moment > latest {
            return Err(moment - latest);
        }
        full_at.insert(key, moment);
        Ok(())
    }

    /// Forgives what the key has taken.
    pub(crate) fn reset(&self, key: &K) {
        self.full_at.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
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
        limit.reset(&"ada");
        assert_eq!(limit.take("ada", later), Ok(()));
    }

    #[test]
    fn the_number_of_keys_is_bounded_and_idle_ones_make_room() {
        let limit = RateLimit::new(1, Duration::from_secs(1));
        let start = Instant::now();
        for key in 0..RATE_LIMIT_KEYS_MAX {
            assert_eq!(limit.take(key, start), Ok(()));
        }
        assert!(limit.take(RATE_LIMIT_KEYS_MAX, start).is_err());
        assert_eq!(limit.take(RATE_LIMIT_KEYS_MAX, start + Duration::from_secs(2)), Ok(()));
    }
}
