//! What time it is for the store, and which of its rows were dated by a clock that was wrong.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use rusqlite::{Connection, OptionalExtension as _};

use super::trouble::{Trouble, Word};
use crate::clock::{
    self,
    judge::{CLOCK_STANDS_MS, Judge, Turn},
};

/// Older dates are those of a clock that was wrong: there was no store then. 2026-01-01.
pub(super) const EARLIEST_MS: i64 = 1_767_225_600_000;
/// How often the file is told what time it is.
const SAVE_EVERY_MS: i64 = 60_000;
/// Messages whose date is looked at in one go.
const REPAIRED_MAX: i64 = 2_048;
const HOUR_MS: u64 = 60 * 60 * 1_000;

/// The wall clock in ms since 1970, and what passes whatever the wall clock does.
pub(super) type Clock = Arc<dyn Fn() -> (i64, Instant) + Send + Sync>;

pub(super) fn system_clock() -> Clock {
    Arc::new(|| (clock::now_ms(), Instant::now()))
}

/// What passes while this process lives, in ms, whatever the wall clock does.
pub(super) fn uptime_ms(now: Instant) -> i64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(|| now);
    clock::whole_ms(now.saturating_duration_since(start))
}

/// One moment, for each purpose in ms.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_field_names, reason = "units come last")]
pub(super) struct Moment {
    /// The date of what is made now, since 1970: what the wall clock says, and never before `age_ms`,
    /// by which it would be old at once when a clock that was ahead is put right. A date that turns out
    /// to be still to come counts as unknown.
    pub(super) created_ms: i64,
    /// By what things grow old, since 1970: never what a clock says that has just jumped. No row is dated
    /// with it: what was made during a doubt would be as old as the doubt is large when that is over.
    pub(super) age_ms: i64,
    /// By what somebody is waited for.
    pub(super) uptime_ms: i64,
}

pub(super) struct Times {
    clock: Clock,
    judge: Judge,
    jumps: Trouble,
    /// From this row on messages may have a date that is still to come.
    misdated_from: Option<i64>,
    /// What the file knows.
    saved_ms: Option<i64>,
}

impl Times {
    /// Goes on from what the file knows. One that knows nothing may have been written by a clock that
    /// was wrong: its newest message is believed unless it is still to come.
    pub(super) fn load(connection: &Connection, clock: Clock) -> rusqlite::Result<Self> {
        let (wall_ms, now) = clock();
        let saved = "SELECT clock_ms, misdated_from FROM meta";
        let (saved_ms, misdated_from): (Option<i64>, Option<i64>) =
            connection.query_row(saved, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let newest = "SELECT created_at FROM messages ORDER BY number DESC LIMIT 1";
        let newest: Option<i64> = connection.query_row(newest, [], |row| row.get(0)).optional()?;
        let is_new = saved_ms.is_none() && newest.is_none();
        let known_ms = saved_ms.or(newest.filter(|newest| *newest <= wall_ms));
        Ok(Self {
            clock,
            judge: Judge::new(known_ms.unwrap_or(wall_ms), now),
            jumps: Trouble::default(),
            misdated_from: misdated_from.or((saved_ms.is_none() && !is_new).then_some(0)),
            saved_ms,
        })
    }

    pub(super) fn read(&mut self, connection: &Connection) -> Moment {
        let (wall_ms, now) = (self.clock)();
        let (age_ms, turn) = self.judge.read(wall_ms, now);
        match turn {
            Some(Turn::Doubted { by_ms }) => {
                if by_ms > 0 && self.misdated_from.is_none() {
                    self.misdated_from = Some(next_number(connection));
                }
                self.saved_ms = None;
                // There are clocks that jump to and fro.
                if let Some(Word::Fails { times }) = self.jumps.failed(now) {
                    tracing::warn!(
                        by_ms,
                        times,
                        "the clock has jumped, or the server was not running for so long: nothing is \
                         forgotten because of it before the clock has stood there for {} hours",
                        CLOCK_STANDS_MS / HOUR_MS
                    );
                }
            }
            Some(Turn::Right) => {
                if let Some(Word::Works { .. }) = self.jumps.worked(now) {
                    tracing::info!("the clock is back where it should be");
                }
            }
            Some(Turn::Believed { by_ms }) => {
                // Dates that were made by it are right, or those of before have yet to come.
                self.misdated_from = (by_ms < 0).then_some(0);
                self.saved_ms = None;
                tracing::warn!(by_ms, "the clock has stood where it jumped to, and is believed");
            }
            None => {}
        }
        Moment { created_ms: wall_ms.max(age_ms), age_ms, uptime_ms: uptime_ms(now) }
    }

    /// Tells the file what time it is, now and then, within a transaction of the caller's.
    pub(super) fn save(&mut self, connection: &Connection, age_ms: i64) -> rusqlite::Result<()> {
        let is_due = |saved: i64| age_ms.saturating_sub(saved).saturating_abs() >= SAVE_EVERY_MS;
        if self.saved_ms.is_none_or(is_due) {
            connection
                .prepare_cached("UPDATE meta SET clock_ms = ?1, misdated_from = ?2")?
                .execute((age_ms, self.misdated_from))?;
            self.saved_ms = Some(age_ms);
        }
        Ok(())
    }

    /// What was saved may have been undone.
    pub(super) fn failed(&mut self) {
        self.saved_ms = None;
    }

    /// Dates some of the messages anew that are from the future, once the clock is right again: they
    /// are as old as now at the least. Answers whether there are more.
    pub(super) fn repair(
        &mut self,
        connection: &Connection,
        age_ms: i64,
    ) -> rusqlite::Result<bool> {
        let Some(from) = self.misdated_from.filter(|_| !self.judge.is_ahead()) else {
            return Ok(false);
        };
        let last: Option<i64> = connection
            .prepare_cached(
                "SELECT max(number) FROM
                     (SELECT number FROM messages WHERE number >= ?1 ORDER BY number LIMIT ?2)",
            )?
            .query_row([from, REPAIRED_MAX], |row| row.get(0))?;
        if let Some(last) = last {
            connection
                .prepare_cached(
                    "UPDATE messages SET created_at = ?3
                     WHERE number BETWEEN ?1 AND ?2 AND created_at > ?3",
                )?
                .execute([from, last, age_ms])?;
        }
        self.misdated_from = last.map(|last| last + 1);
        self.saved_ms = None;
        Ok(last.is_some())
    }
}

fn next_number(connection: &Connection) -> i64 {
    let last = "SELECT coalesce(max(number), 0) FROM messages";
    // All of them are looked at if it cannot be read.
    connection.query_row(last, [], |row| row.get::<_, i64>(0)).map_or(0, |last| last + 1)
}
