use std::{sync::LazyLock, time::Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Since this process first asked; never 0.
pub(super) fn now_ns() -> u64 {
    START.elapsed().as_nanos() as u64 + 1
}

pub(super) fn seconds_since(earlier_ns: u64) -> f64 {
    now_ns().saturating_sub(earlier_ns) as f64 / 1e9
}
