use tetherline_protocol::limits::{
    BACKOFF_BASE_MS, BACKOFF_CAP_MS, REFUSED_BACKOFF_BASE_MS, REFUSED_BACKOFF_CAP_MS,
};

/// Exponential backoff with full jitter: every delay is drawn evenly from 0 to the current bound,
/// at the cap too, so that a thousand clients that lost the same server come back spread out.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    random: SplitMix64,
}

impl Backoff {
    pub(crate) fn new(seed: u64) -> Self {
        Self { failures: 0, random: SplitMix64(seed) }
    }

    /// The next delay in ms. The bound doubles with every call until [`Backoff::reset`].
    pub(crate) fn next_delay_ms(&mut self) -> u64 {
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        self.draw(BACKOFF_BASE_MS, BACKOFF_CAP_MS, failures)
    }

    /// The delay in ms after a fresh token was refused, so many times before.
    pub(crate) fn refused_delay_ms(&mut self, times: u32) -> u64 {
        self.draw(REFUSED_BACKOFF_BASE_MS, REFUSED_BACKOFF_CAP_MS, times)
    }

    fn draw(&mut self, base_ms: u64, cap_ms: u64, doublings: u32) -> u64 {
        self.random.up_to((base_ms << doublings.min(16)).min(cap_ms))
    }

    /// A delay that spreads clients which were all told the same moment.
    pub(crate) fn spread_ms(&mut self) -> u64 {
        self.random.up_to(BACKOFF_BASE_MS)
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Sebastiano Vigna's `SplitMix64`. Jitter needs no better, and it is five lines.
#[derive(Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn up_to(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % (bound + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_jittered_at_the_cap() {
        // From the fifth attempt on, socket.io's delays are all exactly its cap: a whole fleet
        // comes back in step. Ours keep spreading over the whole range.
        let mut backoff = Backoff::new(7);
        for _ in 0..10 {
            backoff.next_delay_ms();
        }
        let delays: std::vec::Vec<u64> = (0..1_000).map(|_| backoff.next_delay_ms()).collect();
        assert!(delays.iter().all(|&delay| delay <= BACKOFF_CAP_MS));
        let mean = delays.iter().sum::<u64>() / 1_000;
        assert!((12_000..18_000).contains(&mean), "mean {mean} ms");
        let at_cap = delays.iter().filter(|&&delay| delay == BACKOFF_CAP_MS).count();
        assert!(at_cap < 10, "{at_cap} of 1,000 at the cap");
    }

    #[test]
    fn the_bound_doubles_and_a_reset_starts_over() {
        let mut backoff = Backoff::new(1);
        for doublings in 0..6 {
            assert!(backoff.next_delay_ms() <= BACKOFF_BASE_MS << doublings);
        }
        backoff.reset();
        assert!(backoff.next_delay_ms() <= BACKOFF_BASE_MS);
    }
}
