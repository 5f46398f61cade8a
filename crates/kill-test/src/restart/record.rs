//! What came of it, as it is kept and as it is said.

use std::{
    fmt,
    sync::{PoisonError, atomic::Ordering::SeqCst},
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

use super::crowd::Crowd;

/// One or two restarts.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    pub(super) clients: usize,
    pub(super) window_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<Run>,
    pub(super) after: Run,
}

/// One restart.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// From SIGTERM on.
    ended_after_ms: u64,
    listened_after_ms: u64,
    all_back_after_ms: u64,
    away_median_ms: u64,
    away_longest_ms: u64,
    attempts: usize,
    /// The most in any tenth of a second, times ten.
    attempts_per_s_max: usize,
    /// In each second after SIGTERM.
    attempts_per_s: Vec<usize>,
    /// Of the machine before it began: processes that wanted to compute, on average over a minute.
    load: f64,
}

/// When what happened, all but the first from then on.
pub(super) struct Times {
    pub(super) began: Instant,
    pub(super) ended: Duration,
    pub(super) listened: Duration,
    pub(super) back: Duration,
}

impl Verdict {
    pub(crate) fn is_good(&self) -> bool {
        self.before.iter().chain([&self.after]).all(|run| run.lost == 0 && run.doubled == 0)
    }
}

impl Run {
    pub(super) fn of(crowd: &Crowd, times: &Times, missing: u64, load: f64) -> Self {
        let attempts = crowd.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let after: Vec<Duration> =
            attempts.iter().filter_map(|at| at.checked_duration_since(times.began)).collect();
        let mut away = crowd.away.lock().unwrap_or_else(PoisonError::into_inner).clone();
        away.sort_unstable();
        let tenths = per(&after, Duration::from_millis(100));
        Self {
            published: crowd.published(),
            delivered: crowd.delivered.load(SeqCst),
            lost: crowd.lost.load(SeqCst) + missing,
            doubled: crowd.doubled.load(SeqCst),
            ended_after_ms: millis(times.ended),
            listened_after_ms: millis(times.listened),
            all_back_after_ms: millis(times.back),
            away_median_ms: away.get(away.len() / 2).copied().map_or(0, millis),
            away_longest_ms: away.last().copied().map_or(0, millis),
            attempts: after.len(),
            attempts_per_s_max: tenths.iter().max().copied().unwrap_or(0) * 10,
            attempts_per_s: per(&after, Duration::from_secs(1)),
            load,
        }
    }
}

/// How many there are in each piece of time.
fn per(moments: &[Duration], piece: Duration) -> Vec<usize> {
    let mut counts = Vec::new();
    for moment in moments {
        let number = (moment.as_nanos() / piece.as_nanos()) as usize;
        counts.resize(counts.len().max(number + 1), 0);
        counts[number] += 1;
    }
    counts
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

/// What the machine has to do besides.
pub(super) fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clients, window_s, .. } = self;
        writeln!(formatter, "a restart under {clients} clients, {window_s} s to come back in:")?;
        if let Some(before) = &self.before {
            writeln!(formatter, "  before: {before}")?;
        }
        write!(formatter, "  now:    {}", self.after)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} published, {} delivered, {} lost, {} doubled; {} attempts to connect, at most {} a second; \
             listening again after {} ms, all back after {} ms; away for {} ms (median), {} ms (longest)",
            self.published,
            self.delivered,
            self.lost,
            self.doubled,
            self.attempts,
            self.attempts_per_s_max,
            self.listened_after_ms,
            self.all_back_after_ms,
            self.away_median_ms,
            self.away_longest_ms,
        )
    }
}
