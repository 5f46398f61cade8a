use std::time::{Duration, Instant};

use gcra::{GcraError, GcraState, RateLimit as Limit};

use super::Rate;

/// gcra takes a bucket's time off its instants, and some systems' instants begin when the machine starts: its own are
/// this much later.
const LATER: Duration = Duration::from_hours(24 * 365 * 1_000);

/// One token bucket, which is told what time it is: gcra's, and what it does not know, costs beyond what there may be at
/// once, and costs that are known only afterwards, as that of a page which is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bucket(GcraState);

impl Bucket {
    pub(crate) fn full(now: Instant) -> Self {
        Self(GcraState { tat: Some(now + LATER) })
    }

    pub(super) fn is_full(self, now: Instant) -> bool {
        self.fullness() <= Some(now + LATER)
    }

    /// Takes so many, or says how long to wait. What is more than may ever come at once takes a full bucket, and
    /// what comes next waits the longer.
    pub(crate) fn take(&mut self, rate: Rate, cost: u64, now: Instant) -> Result<(), Duration> {
        let at_once = cost.min(rate.burst());
        match self.0.check_and_modify_at(&limit(rate, at_once), now + LATER, 1) {
            Ok(()) => {
                self.owe(rate.time_for(cost).saturating_sub(rate.time_for(at_once)), now);
                Ok(())
            }
            Err(GcraError::DeniedUntil { next_allowed_at }) => {
                Err(next_allowed_at.saturating_duration_since(now + LATER))
            }
            // It never costs more than there is of it: `at_once`.
            Err(GcraError::DeniedIndefinitely { .. }) => Err(rate.time_for(rate.burst())),
        }
    }

    /// Takes one whether it is there or not, and says how long to wait, for as many as are worth it, if it is not.
    pub(crate) fn count(&mut self, rate: Rate, now: Instant) -> Option<Duration> {
        let over = self.wait(rate, 1, now) > Duration::ZERO;
        let wait = over.then(|| self.wait(rate, rate.worthwhile(), now));
        self.charge(rate, 1, now);
        wait
    }

    /// How long until so many may be taken.
    pub(crate) fn wait(mut self, rate: Rate, cost: u64, now: Instant) -> Duration {
        self.take(rate, cost, now).err().unwrap_or_default()
    }

    /// Takes so many, whether they are there or not.
    pub(crate) fn charge(&mut self, rate: Rate, cost: u64, now: Instant) {
        self.owe(rate.time_for(cost), now);
    }

    fn owe(&mut self, time: Duration, now: Instant) {
        self.0.tat = self.fullness().max(Some(now + LATER)).map(|full_at| full_at + time);
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
        self.give_back(rate, reserved.min(rate.burst()), now);
        self.charge(rate, cost, now);
    }

    pub(crate) fn give_back(&mut self, rate: Rate, cost: u64, now: Instant) {
        // It fails only for a bucket's first cost, of which it has nothing to give back.
        let _ = self.0.revert_at(&limit(rate, cost), now + LATER, 1);
    }

    /// When it is full. `None` is before everything: it is full since it was made.
    pub(super) fn fullness(self) -> Option<Instant> {
        self.0.tat
    }
}

/// So much at once, as one piece of gcra's: the time of each of many would be rounded to whole nanoseconds, which with
/// hundreds of megabytes a second is off by half.
fn limit(rate: Rate, cost: u64) -> Limit {
    Limit {
        resource_limit: 1,
        period: rate.time_for(rate.burst()),
        emission_interval: rate.time_for(cost),
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

    #[test]
    fn what_is_given_back_is_there_again_and_no_more_than_that() {
        let (rate, start) = (Rate::per_minute(6).at_once(3), Instant::now());
        let mut bucket = Bucket::full(start);
        assert_eq!(bucket.take(rate, 3, start), Ok(()));
        bucket.give_back(rate, 2, start);
        assert_eq!(bucket.take(rate, 3, start), Err(10 * SECOND));
        assert_eq!(bucket.take(rate, 2, start), Ok(()));
        // Long after, it is full, and not fuller.
        let later = start + 100 * SECOND;
        bucket.give_back(rate, 2, later);
        assert_eq!(bucket.take(rate, 3, later), Ok(()));
        assert!(bucket.take(rate, 1, later).is_err());
    }

    #[test]
    fn a_rate_of_more_than_one_in_a_nanosecond_is_kept() {
        // A whole number of nanoseconds for each was none.
        let (rate, start) = (Rate::per_second(4_000_000_000), Instant::now());
        let mut bucket = Bucket::full(start);
        assert_eq!(bucket.take(rate, 4_000_000_000, start), Ok(()));
        assert_eq!(bucket.take(rate, 2_000_000_000, start), Err(SECOND / 2));
    }

    #[test]
    fn what_takes_longer_to_fill_than_the_machine_runs_is_no_reason_to_fail() {
        let (rate, start) = (Rate::per_hour(1).at_once(u32::MAX), Instant::now());
        let mut bucket = Bucket::full(start);
        assert_eq!(bucket.take(rate, u64::from(u32::MAX), start), Ok(()));
        assert!(bucket.take(rate, 1, start).is_err());
        bucket.give_back(rate, 1_000, start);
        assert_eq!(bucket.take(rate, 1, start), Ok(()));
    }
}
