use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Bucket, Rate};
use crate::lock::lock;

/// How many keys each [`RateLimit`] watches at a time. Those that have taken nothing lately are not among them.
pub const RATE_KEYS_MAX: usize = 65_536;

/// A [`Rate`] for each of many: users, networks, keys. Time is an argument.
#[derive(Debug)]
pub struct RateLimit<K> {
    rate: RwLock<Option<Rate>>,
    keys_max: usize,
    buckets: Mutex<Buckets<K>>,
    refused: AtomicU64,
}

#[derive(Debug)]
struct Buckets<K> {
    /// None is full, as of the last time that there were too many.
    taken_from: HashMap<K, Bucket>,
    sweep_at: usize,
}

/// So few are not looked through for full ones.
const FEW: usize = 256;

impl<K: Hash + Eq + Clone> RateLimit<K> {
    /// The same rate for each. `None`: whatever comes is taken, and nobody is watched.
    #[must_use]
    pub fn new(rate: Option<Rate>) -> Self {
        Self::watching(rate, RATE_KEYS_MAX)
    }

    /// The same, for so many keys at a time.
    #[must_use]
    pub fn watching(rate: Option<Rate>, keys_max: usize) -> Self {
        let buckets = Buckets { taken_from: HashMap::new(), sweep_at: FEW.min(keys_max) };
        Self {
            rate: RwLock::new(rate),
            keys_max,
            buckets: Mutex::new(buckets),
            refused: AtomicU64::new(0),
        }
    }

    pub(super) fn is_off(&self) -> bool {
        self.rate().is_none()
    }

    fn rate(&self) -> Option<Rate> {
        *self.rate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds from now on. What was taken of another rate is forgotten: it says nothing of this one.
    pub(super) fn change(&self, rate: Option<Rate>) {
        let mut current = self.rate.write().unwrap_or_else(PoisonError::into_inner);
        if *current != rate {
            *current = rate;
            lock(&self.buckets).taken_from.clear();
        }
    }

    /// Takes so many, or says how long to wait.
    pub fn take(&self, key: &K, cost: u64, now: Instant) -> Result<(), Duration> {
        let taken = self.with(key, now, |bucket, rate| bucket.take(rate, cost, now));
        let taken = taken.unwrap_or(Ok(()));
        self.note(taken.is_err());
        taken
    }

    /// Takes one whether it is there or not, and says how long to wait if it is not.
    pub(super) fn count(&self, key: &K, now: Instant) -> Option<Duration> {
        let wait = self.with(key, now, |bucket, rate| bucket.count(rate, now)).flatten();
        self.note(wait.is_some());
        wait
    }

    /// Takes so many, as far as they may ever be there at once, for a time that comes: in so long.
    pub(super) fn reserve(&self, key: &K, cost: u64, now: Instant) -> Duration {
        let wait = self.with(key, now, |bucket, rate| bucket.reserve(rate, cost, now));
        let wait = wait.unwrap_or_default();
        self.note(!wait.is_zero());
        wait
    }

    fn note(&self, is_too_fast: bool) {
        if is_too_fast {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often something came too fast.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// It was another number than was reserved.
    pub(super) fn settle(&self, key: &K, reserved: u64, cost: u64, now: Instant) {
        self.with(key, now, |bucket, rate| bucket.settle(rate, reserved, cost, now));
    }

    /// How long until so many may be taken.
    pub(crate) fn wait(&self, key: &K, cost: u64, now: Instant) -> Duration {
        let Some(rate) = self.rate() else { return Duration::ZERO };
        let buckets = lock(&self.buckets);
        buckets.taken_from.get(key).map_or(Duration::ZERO, |bucket| bucket.wait(rate, cost, now))
    }

    /// The same, or for so many more as are worth waiting for.
    pub(super) fn worthwhile_wait(&self, key: &K, cost: u64, now: Instant) -> Duration {
        self.wait(key, cost.max(self.rate().map_or(0, Rate::worthwhile)), now)
    }

    /// Gives back what was taken.
    pub fn give_back(&self, key: &K, cost: u64, now: Instant) {
        let Some(rate) = self.rate() else { return };
        if let Some(bucket) = lock(&self.buckets).taken_from.get_mut(key) {
            bucket.give_back(rate, cost, now);
        }
    }

    fn with<T>(
        &self,
        key: &K,
        now: Instant,
        change: impl FnOnce(&mut Bucket, Rate) -> T,
    ) -> Option<T> {
        let rate = self.rate()?;
        let mut buckets = lock(&self.buckets);
        if let Some(bucket) = buckets.taken_from.get_mut(key) {
            return Some(change(bucket, rate));
        }
        buckets.make_room(self.keys_max, now);
        let bucket = buckets.taken_from.entry(key.clone()).or_insert(Bucket::full(now));
        Some(change(bucket, rate))
    }
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    fn make_room(&mut self, keys_max: usize, now: Instant) {
        if self.taken_from.len() < self.sweep_at {
            return;
        }
        self.taken_from.retain(|_, bucket| !bucket.is_full(now));
        // Looked through again when there are twice as many, so that each costs little.
        self.sweep_at = (2 * self.taken_from.len()).clamp(FEW.min(keys_max), keys_max);
        if self.taken_from.len() < keys_max {
            self.taken_from.shrink_to(self.sweep_at);
            return;
        }
        // Who comes new is not kept out by many others; who has taken least is forgiven.
        let least = self.taken_from.iter().min_by_key(|(_, bucket)| bucket.fullness());
        if let Some(least) = least.map(|(key, _)| key.clone()) {
            self.taken_from.remove(&least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS_MAX: usize = 1_000;

    #[test]
    fn each_key_has_its_own_bucket_and_gets_back_what_it_gives_back() {
        let limit = RateLimit::new(Some(Rate::per_minute(6).at_once(3)));
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(limit.take(&"ada", 1, start), Ok(()));
        }
        assert_eq!(limit.take(&"ada", 1, start), Err(Duration::from_secs(10)));
        assert_eq!(limit.take(&"bob", 1, start), Ok(()));
        limit.give_back(&"ada", 1, start);
        assert_eq!(limit.take(&"ada", 1, start), Ok(()));
        assert!(limit.take(&"ada", 1, start).is_err(), "no more than one is given back");
    }

    #[test]
    fn the_number_of_keys_is_bounded_and_the_least_makes_room() {
        // Whoever made up ten thousand names shut the door for everybody else.
        let limit = RateLimit::watching(Some(Rate::per_second(1).at_once(2)), KEYS_MAX);
        let start = Instant::now();
        for key in (0..KEYS_MAX).chain(1..KEYS_MAX) {
            assert_eq!(limit.take(&key, 1, start), Ok(()));
        }
        assert_eq!(limit.take(&KEYS_MAX, 1, start), Ok(()));
        assert_eq!(lock(&limit.buckets).taken_from.len(), KEYS_MAX);
        assert!(limit.take(&1, 1, start).is_err(), "who has taken more is remembered");
        assert_eq!(limit.take(&0, 1, start), Ok(()));
        assert_eq!(lock(&limit.buckets).taken_from.len(), KEYS_MAX);
    }

    #[test]
    fn who_has_taken_nothing_lately_is_not_watched() {
        let limit = RateLimit::watching(Some(Rate::per_second(1)), KEYS_MAX);
        let start = Instant::now();
        for key in 0..KEYS_MAX {
            let now = start + Duration::from_millis(10) * u32::try_from(key).unwrap();
            assert_eq!(limit.take(&key, 1, now), Ok(()));
        }
        // A hundred of them within a second, and those that came since it was looked at last.
        assert!(lock(&limit.buckets).taken_from.len() <= FEW);
    }
}
