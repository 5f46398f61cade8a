//! When the keys at a URL are fetched, and what came of it. It asks for no time and does nothing: who does is
//! [`Jwks`](super::Jwks).

#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, header};

use super::{jwks::InvalidJwks, key::VerifyingKey};

/// How long keys count as fresh if whoever publishes them does not say.
pub const JWKS_AGE: Duration = Duration::from_mins(5);
/// The shortest that it may say.
pub const JWKS_AGE_MIN: Duration = Duration::from_mins(1);
/// The longest: for so long a key that is withdrawn may go on to count.
pub const JWKS_AGE_MAX: Duration = Duration::from_hours(1);
/// How long keys are kept that cannot be fetched anew.
pub const JWKS_KEPT_MAX: Duration = Duration::from_hours(24);
/// How often they are fetched because a token names one that is not among them.
pub const JWKS_UNKNOWN_KID_INTERVAL: Duration = Duration::from_secs(10);
/// The longest wait after the first attempt that failed; it doubles with each.
pub const JWKS_RETRY_BASE: Duration = Duration::from_secs(1);
/// The longest wait after any that failed.
pub const JWKS_RETRY_MAX: Duration = Duration::from_secs(30);
/// How long one attempt may take.
pub const JWKS_TIMEOUT: Duration = Duration::from_secs(5);
/// When a client comes again whose key is just being fetched.
const UNDER_WAY: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// The times by which keys are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JwksTimes {
    /// See [`JWKS_AGE`].
    pub age: Duration,
    /// See [`JWKS_AGE_MIN`].
    pub age_min: Duration,
    /// See [`JWKS_AGE_MAX`].
    pub age_max: Duration,
    /// See [`JWKS_KEPT_MAX`].
    pub kept_max: Duration,
    /// See [`JWKS_UNKNOWN_KID_INTERVAL`].
    pub unknown_kid_interval: Duration,
    /// See [`JWKS_RETRY_BASE`].
    pub retry_base: Duration,
    /// See [`JWKS_RETRY_MAX`].
    pub retry_max: Duration,
    /// See [`JWKS_TIMEOUT`].
    pub timeout: Duration,
}

impl Default for JwksTimes {
    fn default() -> Self {
        Self {
            age: JWKS_AGE,
            age_min: JWKS_AGE_MIN,
            age_max: JWKS_AGE_MAX,
            kept_max: JWKS_KEPT_MAX,
            unknown_kid_interval: JWKS_UNKNOWN_KID_INTERVAL,
            retry_base: JWKS_RETRY_BASE,
            retry_max: JWKS_RETRY_MAX,
            timeout: JWKS_TIMEOUT,
        }
    }
}

impl JwksTimes {
    /// Whether each bound is one, and no longer than any clock can count.
    pub(super) fn fit(&self) -> bool {
        let longest = [self.age_max, self.retry_max, self.timeout].into_iter().max();
        self.age_min <= self.age_max
            && self.retry_base <= self.retry_max
            && longest.is_some_and(|longest| longest <= YEAR)
    }
}

/// What an attempt brought.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) document: Vec<u8>,
    /// How long it stays as it is, if whoever publishes it says so.
    pub(super) fresh_for: Option<Duration>,
}

/// Why an attempt brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfetched {
    #[error("{0}")]
    Unreachable(String),
    #[error("it answered {0}")]
    Status(u16),
    #[error(transparent)]
    Document(#[from] InvalidJwks),
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Fetch them, then say [`Refresh::fetched`].
    Fetch,
    /// Ask again then, or when [`Miss::Fetch`] was said.
    Wait(Instant),
}

/// What a token means whose key is not among those that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss {
    /// They were looked at just now: there is no such key.
    Forged,
    /// Nobody can say before this time has passed.
    Wait(Duration),
    /// The same, and there is something to be done.
    Fetch(Duration),
}

pub(super) struct Refresh {
    times: JwksTimes,
    copy: Option<Copy>,
    phase: Phase,
}

struct Copy {
    keys: Arc<[VerifyingKey]>,
    at: Instant,
}

enum Phase {
    Resting { until: Instant },
    Fetching { failures: u32 },
    Failing { until: Instant, failures: u32 },
}

impl Refresh {
    pub(super) fn new(times: JwksTimes, now: Instant) -> Self {
        Self { times, copy: None, phase: Phase::Resting { until: now } }
    }

    /// The keys that count.
    pub(super) fn keys(&self, now: Instant) -> Option<&Arc<[VerifyingKey]>> {
        let copy = self.copy.as_ref()?;
        (now.saturating_duration_since(copy.at) < self.times.kept_max).then_some(&copy.keys)
    }

    pub(super) fn next(&mut self, now: Instant) -> Next {
        let (until, failures) = match self.phase {
            Phase::Resting { until } => (until, 0),
            Phase::Failing { until, failures } => (until, failures),
            // One attempt at a time, and it ends by itself.
            Phase::Fetching { .. } => return Next::Wait(now + self.times.timeout),
        };
        if now < until {
            return Next::Wait(until);
        }
        self.phase = Phase::Fetching { failures };
        Next::Fetch
    }

    /// How the attempt ended: with so many keys, or with none, and those from before go on to count. `random`
    /// is between 0 and 1.
    pub(super) fn fetched(
        &mut self,
        answer: Result<Fetched, Unfetched>,
        now: Instant,
        random: f64,
    ) -> Result<usize, Unfetched> {
        let read = answer.and_then(|fetched| {
            let keys = VerifyingKey::from_published_jwks(&fetched.document)?;
            Ok((keys, fetched.fresh_for))
        });
        match read {
            Ok((keys, fresh_for)) => {
                let JwksTimes { age, age_min, age_max, .. } = self.times;
                let age = fresh_for.unwrap_or(age).clamp(age_min, age_max);
                self.phase = Phase::Resting { until: now + age };
                let count = keys.len();
                self.copy = Some(Copy { keys: keys.into(), at: now });
                Ok(count)
            }
            Err(error) => {
                let failures = match self.phase {
                    Phase::Fetching { failures } | Phase::Failing { failures, .. } => failures,
                    Phase::Resting { .. } => 0,
                };
                let until = now + self.backoff(failures).mul_f64(0.5 + random / 2.0);
                self.phase = Phase::Failing { until, failures: failures.saturating_add(1) };
                Err(error)
            }
        }
    }

    fn backoff(&self, failures: u32) -> Duration {
        let JwksTimes { retry_base, retry_max, .. } = self.times;
        retry_base.saturating_mul(2_u32.saturating_pow(failures)).min(retry_max)
    }

    /// A token names none of [`Refresh::keys`]. Whoever makes such tokens up makes us fetch once in an interval,
    /// and never while fetching fails; nothing of them is remembered.
    pub(super) fn missed(&mut self, now: Instant) -> Miss {
        let interval = self.times.unknown_kid_interval;
        let is_recent = |copy: &Copy| now.saturating_duration_since(copy.at) < interval;
        if self.copy.as_ref().is_some_and(is_recent) {
            return Miss::Forged;
        }
        match &mut self.phase {
            Phase::Fetching { .. } => Miss::Wait(UNDER_WAY),
            Phase::Failing { until, .. } => {
                Miss::Wait(until.saturating_duration_since(now) + UNDER_WAY)
            }
            Phase::Resting { until } => {
                *until = now;
                Miss::Fetch(UNDER_WAY)
            }
        }
    }
}

/// How long an answer stays as it is (RFC 9111, section 4.2), if it says so.
pub(super) fn fresh_for(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(header::CACHE_CONTROL).iter();
    let directives =
        values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut seconds = None;
    for directive in directives.map(|directive| directive.trim().to_ascii_lowercase()) {
        match directive.split_once('=') {
            Some(("max-age", age)) => seconds = seconds.or(number(age.trim_matches('"'))),
            None if directive == "no-cache" || directive == "no-store" => {
                return Some(Duration::ZERO);
            }
            _ => {}
        }
    }
    let age = headers.get(header::AGE).and_then(|age| number(age.to_str().ok()?));
    Some(Duration::from_secs(seconds?.saturating_sub(age.unwrap_or(0))))
}

/// One that is too large for a number is as large as there is.
fn number(digits: &str) -> Option<u64> {
    let is_one = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_one.then(|| digits.parse().unwrap_or(u64::MAX))
}
