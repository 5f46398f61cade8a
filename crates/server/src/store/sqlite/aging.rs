//! What is old enough to be forgotten. Rows are in the order of their making, so the oldest come first
//! and no index over time is needed.

use rusqlite::Connection;

use super::{rules::Rule, times::EARLIEST_MS};

/// Rows that are looked at, or forgotten, of each table at once.
pub(super) const ROWS_MAX: i64 = 4_096;

/// Which dates are old. What is dated before there was a store, or is still to come, has no date: it is
/// as old as the next row that has one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) earliest: i64,
    pub(super) before: i64,
    pub(super) now: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    Unknown,
    Old,
    Young,
}

impl Span {
    /// What is older than `kept_ms` is old.
    pub(super) fn of(now: i64, kept_ms: i64) -> Self {
        Self { earliest: EARLIEST_MS, before: now.saturating_sub(kept_ms), now }
    }

    pub(super) fn age(self, at: i64) -> Age {
        if at < self.earliest || at > self.now {
            Age::Unknown
        } else if at < self.before {
            Age::Old
        } else {
            Age::Young
        }
    }
}

/// How far the old rows of a table go, as far as somebody has looked.
///
/// A table that was emptied counts its rows from one again; so whoever forgets looks once more at each.
#[derive(Debug, Default)]
pub(super) struct Oldest {
    first: i64,
    looked_until: i64,
    pub(super) old_until: i64,
}

impl Oldest {
    /// Looks on, until a row is young. Answers whether there may be more that is old.
    pub(super) fn look(
        &mut self,
        connection: &Connection,
        table: &str,
        span: Span,
    ) -> rusqlite::Result<bool> {
        let first = format!("SELECT min(number) FROM {table}");
        let first = connection.prepare_cached(&first)?.query_row([], |row| row.get(0))?;
        let Some(first): Option<i64> = first else {
            *self = Self::default();
            return Ok(false);
        };
        if first < self.first {
            *self = Self::default();
        }
        self.first = first;
        let statement = format!(
            "SELECT number, created_at FROM {table} WHERE number > ?1 ORDER BY number LIMIT ?2"
        );
        let mut statement = connection.prepare_cached(&statement)?;
        let mut rows = statement.query([self.looked_until, ROWS_MAX])?;
        let mut looked = 0;
        while let Some(row) = rows.next()? {
            match span.age(row.get(1)?) {
                Age::Young => return Ok(false),
                Age::Old => self.old_until = row.get(0)?,
                Age::Unknown => {}
            }
            self.looked_until = row.get(0)?;
            looked += 1;
        }
        Ok(looked == ROWS_MAX)
    }
}

/// All tables of which old rows are forgotten, and the rule by which they are.
#[derive(Debug, Default)]
pub(super) struct Aging {
    pub(super) rule: u64,
    pub(super) messages: Oldest,
    keys: [Oldest; 2],
    streams_looked_until: i64,
}

impl Aging {
    /// Nothing has been looked at by this rule.
    pub(super) fn by(rule: u64) -> Self {
        Self { rule, ..Self::default() }
    }

    /// Forgets some ids of sends. Answers whether there may be more to forget.
    pub(super) fn forget_ids(
        &mut self,
        connection: &Connection,
        rule: &Rule,
        now: i64,
    ) -> rusqlite::Result<bool> {
        let mut are_left = false;
        let span = Span::of(now, rule.dedupe_window_ms);
        for (table, oldest) in ["sends", "stream_stops"].into_iter().zip(&mut self.keys) {
            are_left |= oldest.look(connection, table, span)?;
            let statement = format!(
                "DELETE FROM {table} WHERE created_at NOT BETWEEN ?3 AND ?4 AND number IN
                     (SELECT number FROM {table} WHERE number <= ?1 ORDER BY number LIMIT ?2)"
            );
            let forgotten = connection.prepare_cached(&statement)?.execute([
                oldest.old_until,
                ROWS_MAX,
                span.before,
                span.now,
            ])?;
            are_left |= i64::try_from(forgotten).is_ok_and(|rows| rows == ROWS_MAX);
        }
        if let Some(kept_ms) = rule.finished_ms() {
            are_left |= self.forget_streams(connection, Span::of(now, kept_ms))?;
        }
        Ok(are_left)
    }

    /// They end in another order than they begin, and some have not ended.
    fn forget_streams(&mut self, connection: &Connection, span: Span) -> rusqlite::Result<bool> {
        let mut statement = connection.prepare_cached(
            "SELECT number, finished_at FROM streams WHERE number > ?1 ORDER BY number LIMIT ?2",
        )?;
        let mut rows = statement.query([self.streams_looked_until, ROWS_MAX])?;
        let (mut old, mut looked) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            looked += 1;
            let number: i64 = row.get(0)?;
            self.streams_looked_until = number;
            match row.get::<_, Option<i64>>(1)?.map_or(Age::Unknown, |at| span.age(at)) {
                Age::Old => old.push(number),
                Age::Unknown => {}
                Age::Young => {
                    // What is old comes before it, or nearly; the rest is found when this is old.
                    looked = 0;
                    break;
                }
            }
        }
        drop(rows);
        let mut forget = connection.prepare_cached("DELETE FROM streams WHERE number = ?1")?;
        for number in old {
            forget.execute([number])?;
        }
        if looked < ROWS_MAX {
            self.streams_looked_until = 0;
        }
        Ok(looked == ROWS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { earliest: 10, before: 100, now: 200 };

    /// A table with these dates, in this order.
    fn table(dates: impl IntoIterator<Item = i64>) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        let create = "CREATE TABLE t (number INTEGER PRIMARY KEY, created_at INTEGER NOT NULL)";
        connection.execute_batch(create).unwrap();
        for date in dates {
            connection.execute("INSERT INTO t (created_at) VALUES (?1)", [date]).unwrap();
        }
        connection
    }

    fn old_until(dates: &[i64]) -> i64 {
        let mut oldest = Oldest::default();
        assert!(!oldest.look(&table(dates.iter().copied()), "t", SPAN).unwrap());
        oldest.old_until
    }

    #[test]
    fn what_is_old_ends_where_something_is_young() {
        assert_eq!(old_until(&[]), 0);
        assert_eq!(old_until(&[98, 99, 100, 99]), 2);
        assert_eq!(old_until(&[100, 99]), 0);
        assert_eq!(old_until(&[200, 99]), 0);
    }

    #[test]
    fn a_date_that_cannot_be_says_nothing_and_what_comes_after_it_does() {
        assert_eq!(old_until(&[9, 201, 99, 100]), 3, "before there was a store, and to come");
        assert_eq!(old_until(&[9, 201, 100]), 0);
        assert_eq!(old_until(&[99, 9, 201]), 1);
    }

    #[test]
    fn however_many_have_a_date_that_is_to_come_the_others_are_found() {
        // 2,048 of them at the beginning stopped trimming.
        let many = usize::try_from(ROWS_MAX).unwrap() + 1;
        let table = table(std::iter::repeat_n(9_000, many).chain([50, 60, 150]));
        let mut oldest = Oldest::default();
        assert!(oldest.look(&table, "t", SPAN).unwrap());
        assert!(!oldest.look(&table, "t", SPAN).unwrap());
        assert_eq!(oldest.old_until, ROWS_MAX + 3);
    }

    #[test]
    fn a_table_that_begins_anew_is_looked_at_anew() {
        let table = table([50, 60, 70]);
        table.execute("DELETE FROM t WHERE number = 1", []).unwrap();
        let mut oldest = Oldest::default();
        oldest.look(&table, "t", SPAN).unwrap();
        assert_eq!(oldest.old_until, 3);
        table.execute_batch("DELETE FROM t; INSERT INTO t (created_at) VALUES (150)").unwrap();
        oldest.look(&table, "t", SPAN).unwrap();
        assert_eq!(oldest.old_until, 0);
    }
}
