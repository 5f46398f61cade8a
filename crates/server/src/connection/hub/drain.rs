//! How a server that ends keeps those who were connected from coming back all at once.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{Hub, Notice, seat::Seat};
use crate::lock::lock;

/// With fewer connections than fill the window at this rate, everybody is back sooner: so many a second
/// are no burden for anybody.
pub const DRAIN_RETURNS_PER_S: u32 = 100;
/// Nobody is told to come back sooner: what restarts is not there before.
pub const DRAIN_RETURN_MIN: Duration = Duration::from_secs(1);

/// Which number of 2⁶⁴ is the golden ratio's: its multiples fill the range evenly, however many there are and
/// wherever they begin.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// How those who are connected are sent away when the server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Drain {
    /// All at once, each with another time to come back: the server is gone as soon as it can be, and is
    /// back before most of them are. For one that nobody else stands in for.
    #[default]
    AtOnce,
    /// One after the other, over the window, each to come back at once: others take them in, so that
    /// nobody is away for more than a moment. For one of several behind a load balancer.
    OneByOne,
}

/// Who leaves, or comes back, when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spread {
    drain: Drain,
    window: Duration,
}

impl Hub {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get().is_some()
    }

    /// Admits nobody any more, and answers who is to leave when, who leaves first before the others.
    fn start_draining(&self, drain: Drain, window_max: Duration) -> Vec<(Duration, Arc<Seat>)> {
        let spread =
            *self.draining.get_or_init(|| Spread::new(drain, window_max, self.connections()));
        let seats =
            self.channels().into_iter().flat_map(|channel| lock(&channel.live).seats.clone());
        let mut leaving: Vec<_> =
            seats.map(|seat| (spread.leaves_after(seat.number), seat)).collect();
        leaving.sort_by_key(|(after, _)| *after);
        leaving
    }

    /// Admits nobody any more, and tells everybody to leave.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn send_all_away(&self, window_max: Duration) {
        for (_, seat) in self.start_draining(Drain::AtOnce, window_max) {
            self.send_away(&seat);
        }
    }

    /// Admits nobody any more, and is done when everybody was told to leave, or has left.
    pub(crate) async fn drain(&self, drain: Drain, window_max: Duration) {
        let began = Instant::now();
        let telling = async {
            for (after, seat) in self.start_draining(drain, window_max) {
                sleep_until(began + after).await;
                self.send_away(&seat);
            }
        };
        tokio::select! {
            biased;
            () = telling => {}
            () = self.emptied() => {}
        }
    }

    fn send_away(&self, seat: &Seat) {
        let Some(spread) = self.draining.get() else { return };
        let told = spread.returns_after(seat.number).as_millis();
        seat.tell(Notice::Drain { retry_after_ms: u32::try_from(told).unwrap_or(u32::MAX) });
    }

    /// Resolves when nobody is connected.
    pub(crate) async fn emptied(&self) {
        loop {
            let left = self.empty.notified();
            if self.connections() == 0 {
                return;
            }
            left.await;
        }
    }
}

impl Spread {
    pub(super) fn new(drain: Drain, window_max: Duration, connections: usize) -> Self {
        let connections = u32::try_from(connections).unwrap_or(u32::MAX);
        let enough = Duration::from_secs(1) * connections / DRAIN_RETURNS_PER_S;
        Self { drain, window: enough.min(window_max) }
    }

    /// When the connection of this number is closed, after the drain began.
    pub(super) fn leaves_after(self, number: u64) -> Duration {
        match self.drain {
            Drain::AtOnce => Duration::ZERO,
            Drain::OneByOne => self.place(number),
        }
    }

    /// When whoever was connected under this number may come back, after that.
    pub(super) fn returns_after(self, number: u64) -> Duration {
        match self.drain {
            Drain::AtOnce => DRAIN_RETURN_MIN + self.place(number),
            Drain::OneByOne => Duration::ZERO,
        }
    }

    /// The same for whoever is not let in any more.
    pub(super) fn refused_for(self, number: u64) -> Duration {
        self.returns_after(number).max(DRAIN_RETURN_MIN)
    }

    fn place(self, number: u64) -> Duration {
        let part = number.wrapping_mul(GOLDEN) >> 32;
        let nanos = (self.window.as_nanos() * u128::from(part)) >> 32;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of these numbers have their place in each second.
    fn per_second(spread: Spread, numbers: impl Iterator<Item = u64>) -> Vec<usize> {
        let mut seconds = Vec::new();
        for number in numbers {
            let second = spread.place(number).as_secs() as usize;
            seconds.resize(seconds.len().max(second + 1), 0);
            seconds[second] += 1;
        }
        seconds
    }

    #[test]
    fn whoever_was_connected_is_spread_evenly_over_the_window_whichever_of_them_are_left() {
        let spread = Spread::new(Drain::AtOnce, Duration::from_secs(30), 5_000);
        for first in [0, 7_777, 1 << 40] {
            let seconds = per_second(spread, first..first + 5_000);
            assert_eq!(seconds.len(), 30);
            assert!(seconds.iter().all(|count| (164..=170).contains(count)), "{seconds:?}");
        }
        // Every third has stayed.
        let seconds = per_second(spread, (0..15_000).step_by(3));
        assert!(seconds.iter().all(|count| (160..=174).contains(count)), "{seconds:?}");
    }

    #[test]
    fn few_are_back_sooner_and_nobody_before_what_restarts() {
        let spread = Spread::new(Drain::AtOnce, Duration::from_secs(30), 200);
        assert_eq!(spread.window, Duration::from_secs(2));
        let returns = (0..200).map(|number| spread.returns_after(number));
        assert!(returns.clone().min().unwrap() >= DRAIN_RETURN_MIN);
        assert!(returns.max().unwrap() < DRAIN_RETURN_MIN + Duration::from_secs(2));
        let alone = Spread::new(Drain::AtOnce, Duration::from_secs(30), 1);
        assert!(alone.returns_after(3) <= DRAIN_RETURN_MIN + Duration::from_millis(10));
        let huge = Spread::new(Drain::AtOnce, Duration::from_secs(30), usize::MAX);
        assert_eq!(huge.window, Duration::from_secs(30));
    }

    #[test]
    fn one_by_one_they_leave_over_the_window_and_come_back_at_once() {
        let spread = Spread::new(Drain::OneByOne, Duration::from_secs(10), 5_000);
        let leaving: Vec<_> = (0..5_000).map(|number| spread.leaves_after(number)).collect();
        assert!(leaving.iter().min().unwrap() < &Duration::from_millis(10));
        assert!(leaving.iter().max().unwrap() > &Duration::from_millis(9_990));
        assert_eq!(spread.returns_after(17), Duration::ZERO);
        assert_eq!(spread.refused_for(17), DRAIN_RETURN_MIN);
    }
}
