//! How much of what the wall clock says is believed where something is forgotten for good.
//!
//! A clock can be wrong: a battery is dead, the network's time comes late, somebody has set it. So age
//! counts along the time that passes while the server runs, and a clock that differs from it by more
//! than a step counts only once it has stood there for hours.

use std::time::Instant;

use super::whole_ms;

/// By so many ms the wall clock may differ from the time that has passed and is believed at once.
pub(crate) const CLOCK_STEP_MS_MAX: u64 = 5 * 60 * 1_000;
/// After so many ms a clock that has jumped is believed.
pub(crate) const CLOCK_STANDS_MS: u64 = 6 * 60 * 60 * 1_000;

/// Follows the wall clock, with doubt.
#[derive(Debug)]
pub(crate) struct Judge {
    trusted_ms: i64,
    /// When it was that.
    at: Instant,
    doubt: Option<Doubt>,
}

/// By so much, at the least, the wall clock has differed all the time since.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    by_ms: i64,
    since: Instant,
}

/// Something to be said about the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It has jumped by so much, and is not believed yet.
    Doubted { by_ms: i64 },
    /// It is back where it should be.
    Right,
    /// It has stood where it is for long enough.
    Believed { by_ms: i64 },
}

impl Judge {
    /// It was `trusted_ms` when somebody last knew.
    pub(crate) fn new(trusted_ms: i64, now: Instant) -> Self {
        Self { trusted_ms, at: now, doubt: None }
    }

    /// Whether the wall clock is ahead of what is believed.
    pub(crate) fn is_ahead(&self) -> bool {
        self.doubt.is_some_and(|doubt| doubt.by_ms > 0)
    }

    /// What time it is for everything that grows old, in ms since 1970.
    pub(crate) fn read(&mut self, wall_ms: i64, now: Instant) -> (i64, Option<Turn>) {
        self.trusted_ms = self.trusted_ms.saturating_add(whole_ms(now.duration_since(self.at)));
        self.at = now;
        let by_ms = wall_ms.saturating_sub(self.trusted_ms);
        if by_ms.unsigned_abs() <= CLOCK_STEP_MS_MAX {
            self.trusted_ms = wall_ms;
            return (wall_ms, self.doubt.take().map(|_| Turn::Right));
        }
        let turn = match &mut self.doubt {
            Some(doubt) if doubt.by_ms.signum() == by_ms.signum() => {
                if by_ms.unsigned_abs() < doubt.by_ms.unsigned_abs() {
                    doubt.by_ms = by_ms;
                }
                let stood =
                    whole_ms(now.duration_since(doubt.since)).unsigned_abs() >= CLOCK_STANDS_MS;
                stood.then_some(Turn::Believed { by_ms: doubt.by_ms })
            }
            _ => {
                self.doubt = Some(Doubt { by_ms, since: now });
                Some(Turn::Doubted { by_ms })
            }
        };
        if let Some(Turn::Believed { by_ms: believed_ms }) = turn {
            self.trusted_ms = self.trusted_ms.saturating_add(believed_ms);
            let left_ms = by_ms.saturating_sub(believed_ms);
            let is_left = left_ms.unsigned_abs() > CLOCK_STEP_MS_MAX;
            // Another jump came on top of it, and stands from now on.
            self.doubt = is_left.then_some(Doubt { by_ms: left_ms, since: now });
        }
        (self.trusted_ms, turn)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::repeatable::repeatable;

    const STEP: i64 = CLOCK_STEP_MS_MAX.cast_signed();
    const STANDS: i64 = CLOCK_STANDS_MS.cast_signed();
    const NOON: i64 = 1_795_435_200_000;
    const DAY: i64 = 24 * 60 * 60 * 1_000;

    /// What is read at these moments (ms passed, what the wall clock is wrong by) after noon.
    fn read(moments: &[(i64, i64)]) -> Vec<(i64, Option<Turn>)> {
        let start = Instant::now();
        let mut judge = Judge::new(NOON, start);
        let read = |&(passed, wrong): &(i64, i64)| {
            let now = start + Duration::from_millis(passed.unsigned_abs());
            let (trusted, turn) = judge.read(NOON + passed + wrong, now);
            (trusted - NOON - passed, turn)
        };
        moments.iter().map(read).collect()
    }

    #[test]
    fn forty_days_for_twelve_seconds_count_for_nothing() {
        // Everything of everybody was trimmed.
        assert_eq!(
            read(&[(0, 0), (1_000, 40 * DAY), (13_000, 40 * DAY), (14_000, 0), (15_000, 0)]),
            [
                (0, None),
                (0, Some(Turn::Doubted { by_ms: 40 * DAY })),
                (0, None),
                (0, Some(Turn::Right)),
                (0, None)
            ]
        );
    }

    #[test]
    fn a_small_step_is_believed_at_once_and_a_larger_one_once_it_has_stood() {
        for sign in [1, -1] {
            assert_eq!(read(&[(0, sign * STEP)]), [(sign * STEP, None)]);
            let by_ms = sign * (STEP + 1);
            let doubted = (0, Some(Turn::Doubted { by_ms }));
            assert_eq!(
                read(&[(0, by_ms), (STANDS - 1, by_ms), (STANDS, by_ms), (STANDS + 1, by_ms)]),
                [doubted, (0, None), (by_ms, Some(Turn::Believed { by_ms })), (by_ms, None)]
            );
        }
    }

    #[test]
    fn a_jump_on_top_of_another_stands_for_itself() {
        assert_eq!(
            read(&[(0, DAY), (1, 3 * DAY), (STANDS, 3 * DAY), (2 * STANDS, 3 * DAY)]),
            [
                (0, Some(Turn::Doubted { by_ms: DAY })),
                (0, None),
                (DAY, Some(Turn::Believed { by_ms: DAY })),
                (3 * DAY, Some(Turn::Believed { by_ms: 2 * DAY }))
            ]
        );
    }

    proptest! {
        #![proptest_config(repeatable())]

        /// However the wall clock jumps about: what is trusted never moves by more than a small step at
        /// a time unless the clock has differed in that direction, by that much at the least, for the
        /// whole named while.
        #[test]
        fn no_reading_counts_before_it_has_stood(
            jumps in prop::collection::vec((0..2 * STANDS, -50 * DAY..50 * DAY), 1..60),
        ) {
            let start = Instant::now();
            let mut judge = Judge::new(NOON, start);
            let mut passed = 0;
            let mut seen: Vec<(i64, i64)> = Vec::new();
            let mut error_before = 0;
            for (pause, wrong) in jumps {
                // Read often enough, as the store does.
                for _ in 0..4 {
                    passed += pause / 4 + 1;
                    let now = start + Duration::from_millis(passed.unsigned_abs());
                    let (trusted, turn) = judge.read(NOON + passed + wrong, now);
                    let error = trusted - NOON - passed;
                    let moved = error - error_before;
                    seen.push((passed, wrong - error_before));
                    if moved.abs() > STEP {
                        let is_believed = matches!(turn, Some(Turn::Believed { .. }));
                        prop_assert!(is_believed, "moved by {} without a word", moved);
                        let mut since = passed;
                        for &(at, by) in seen.iter().rev() {
                            if by.signum() != moved.signum() || by.abs() < moved.abs() {
                                break;
                            }
                            since = at;
                        }
                        prop_assert!(passed - since >= STANDS, "stood for {}", passed - since);
                    }
                    if error != error_before {
                        for (_, by) in &mut seen {
                            *by -= moved;
                        }
                    }
                    error_before = error;
                }
            }
        }
    }
}
