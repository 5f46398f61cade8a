//! How long text may wait for other text to share a commit with.

use std::time::{Duration, Instant};

use tetherline_protocol::limits::STREAM_COMMIT_MS_MAX;

/// Pieces are counted over as long as this, twice.
const WINDOW: Duration = Duration::from_millis(500);
/// At so many pieces in both windows, which are a second, they wait for a millisecond; at more in
/// proportion. Below it commits are few enough without.
const PIECES_PER_MS: usize = 1_000;

/// How much text has come lately.
#[derive(Default)]
pub(super) struct Pace {
    /// When the newer window began.
    since: Option<Instant>,
    older: usize,
    newer: usize,
}

impl Pace {
    /// So many pieces came, at `now`.
    pub(super) fn note(&mut self, pieces: usize, now: Instant) {
        let windows = self.since.map_or(u32::MAX, |since| windows_between(since, now));
        match windows {
            0 => {}
            1 => (self.older, self.newer) = (self.newer, 0),
            _ => (self.older, self.newer) = (0, 0),
        }
        if windows > 0 {
            self.since = Some(now);
        }
        self.newer += pieces;
    }

    /// How long text waits at this pace, in whole ms.
    pub(super) fn linger(&self) -> Duration {
        let ms = ((self.older + self.newer) / PIECES_PER_MS) as u64;
        Duration::from_millis(ms.min(STREAM_COMMIT_MS_MAX))
    }
}

fn windows_between(since: Instant, now: Instant) -> u32 {
    let elapsed = now.saturating_duration_since(since);
    (elapsed.as_millis() / WINDOW.as_millis()).try_into().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linger_after(pieces_by_ms: &[(usize, u64)]) -> u64 {
        let (start, mut pace) = (Instant::now(), Pace::default());
        for &(pieces, ms) in pieces_by_ms {
            pace.note(pieces, start + Duration::from_millis(ms));
        }
        u64::try_from(pace.linger().as_millis()).unwrap()
    }

    #[test]
    fn text_waits_for_nothing_as_long_as_there_is_little_of_it() {
        assert_eq!(linger_after(&[]), 0);
        assert_eq!(linger_after(&[(500, 0), (499, 500)]), 0);
        assert_eq!(linger_after(&[(500, 0), (500, 500)]), 1);
    }

    #[test]
    fn the_more_there_is_the_longer_it_waits_and_never_longer_than_the_limit() {
        assert_eq!(linger_after(&[(5_000, 0), (5_000, 999)]), 10);
        let most = usize::try_from(STREAM_COMMIT_MS_MAX).unwrap() * PIECES_PER_MS;
        assert_eq!(linger_after(&[(most - 1, 0)]), STREAM_COMMIT_MS_MAX - 1);
        assert_eq!(linger_after(&[(most, 0)]), STREAM_COMMIT_MS_MAX);
        assert_eq!(linger_after(&[(10 * most, 0)]), STREAM_COMMIT_MS_MAX);
    }

    #[test]
    fn what_came_more_than_a_second_ago_counts_no_more() {
        assert_eq!(linger_after(&[(9_000, 0), (0, 500)]), 9);
        assert_eq!(linger_after(&[(9_000, 0), (0, 500), (0, 1_000)]), 0);
        assert_eq!(linger_after(&[(9_000, 0), (0, 1_000)]), 0);
    }
}
