use std::time::{Duration, Instant};

use super::Rate;

/// One token bucket. No library fits: those that take the time as an argument know no cost beyond what there is at
/// once, and none that is known only afterwards, as that of a page which is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    pub(crate) fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    pub(super) fn is_full(self, now: Instant) -> bool {
        self.full_at <= now
    }

    /// Takes so many, or says how long to wait. What is more than may ever come at once takes a full bucket, and
    /// what comes next waits the longer.
    pub(crate) fn take(&mut self, rate: Rate, cost: u64, now: Instant) -> Result<(), Duration> {
        let wait = self.wait(rate, cost, now);
        if wait.is_zero() {
            self.charge(rate, cost, now);
            return Ok(());
        }
        Err(wait)
    }

    /// Takes one whether it is there or not, and says how long to wait, for as many as are worth it, if it is not.
    pub(crate) fn count(&mut self, rate: Rate, now: Instant) -> Option<Duration> {
        let over = self.wait(rate, 1, now) > Duration::ZERO;
        let wait = over.then(|| self.wait(rate, rate.worthwhile(), now));
        self.charge(rate, 1, now);
        wait
    }

    /// How long until so many may be taken.
    pub(crate) fn wait(self, rate: Rate, cost: u64, now: Instant) -> Duration {
        let taken = self.full_at.saturating_duration_since(now);
        let room = rate.time_for(rate.burst());
        (taken + rate.time_for(cost.min(rate.burst()))).saturating_sub(room)
    }

    /// Takes so many, whether they are there or not.
    pub(crate) fn charge(&mut self, rate: Rate, cost: u64, now: Instant) {
        self.full_at = self.full_at.max(now) + rate.time_for(cost);
    }

    /// Takes so many, as far as they may ever be there at once, for a time that comes: in so long. Whoever reserves later
    /// has to wait for longer.
    pub(crate) fn reserve(&mut self, rate: Rate, cost: u64, now: Instant) -> Duration {
        let wait = self.wait(rate, cost, now);
        self.charge(rate, cost.min(rate.burst()), now);
        wait
    }

    /// It was another number than was reserved.
    pub(crate) fn settle(&mut self, rate: Rate, reserved: u64, cost: u64, now: Instant) {
        self.give_back(rate, reserved.min(rate.burst()));
        self.charge(rate, cost, now);
    }

    pub(crate) fn give_back(&mut self, rate: Rate, cost: u64) {
        self.full_at = self.full_at.checked_sub(rate.time_for(cost)).unwrap_or(self.full_at);
    }

    pub(super) fn fullness(self) -> Instant {
        self.full_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn so_many_fit_at_once_and_one_more_when_its_time_has_come() {
        let (rate, start) = (Rate::per_second(2).at_once(3), Instant::now());
        let mut bucket = Bucket::full(start);
        for _ in 0..3 {
            assert_eq!(bucket.take(rate, 1, start), Ok(()));
        }
        assert_eq!(bucket.take(rate, 1, start), Err(SECOND / 2));
        let just_before = start + Duration::from_nanos(499_999_999);
        assert_eq!(bucket.take(rate, 1, just_before), Err(Duration::from_nanos(1)));
        assert_eq!(bucket.take(rate, 1, start + SECOND / 2), Ok(()));
        // However long nothing came, no more than that fit.
        let later = start + 100 * SECOND;
        for _ in 0..3 {
            assert_eq!(bucket.take(rate, 1, later), Ok(()));
        }
        assert!(bucket.take(rate, 1, later).is_err());
    }

    #[test]
    fn what_is_larger_than_the_bucket_takes_all_of_it_and_more() {
        let (rate, start) = (Rate::per_second(10), Instant::now());
        let mut bucket = Bucket::full(start);
        assert_eq!(bucket.take(rate, 30, start), Ok(()));
        assert_eq!(bucket.wait(rate, 1, start), 2 * SECOND + SECOND / 10);
        assert!(bucket.take(rate, 30, start + 2 * SECOND).is_err());
        assert_eq!(bucket.take(rate, 30, start + 3 * SECOND), Ok(()));
    }
}
