//! How much of what became of a user's sends is kept: a client decides how many there are.
//!
//! An index of each user's sends in order would cost every send a page of the file. So one row in many has a mark, that
//! says how many there are since the mark before: to find out how many a user has, the marks are added up. Those since the
//! last mark are counted in memory, and forgotten when the server ends or cannot commit: then there are some more than is
//! counted. Rows that were forgotten meanwhile, for their age or with their user, may be among those of a mark: then
//! fewer are kept, by no more than a mark stands for.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use tetherline_protocol::MessageId;

use super::{rules::Rule, statements, trim::Budget};
use crate::store::Outcome;

/// One row in so many of a user's has a mark, unless a sixty-fourth of what may be kept is less.
const MARK_EVERY_MAX: i64 = 256;
/// So many too many are forgotten together, unless a sixty-fourth of what may be kept is less.
const TOGETHER_MAX: i64 = 4_096;
/// Users whose sends since their last mark are counted. For one more all begin anew, so that none is always the one
/// who does.
const TALLIES_MAX: usize = 65_536;
/// So many ids are looked through in one go, over all users: a millisecond or so of the writer's.
const LOOKED_AT_ONCE_MAX: i64 = 8_192;

/// Users are known by the number of their row.
#[derive(Default)]
pub(super) struct Outcomes {
    since_mark: HashMap<i64, Tally>,
    due: HashMap<i64, Due>,
}

/// So many outcomes, of so many bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) outcomes: i64,
    pub(super) bytes: i64,
}

/// What is to be done for a user.
#[derive(Debug, Clone)]
enum Due {
    /// There is a new mark: there may be too many.
    Sum,
    /// Those up to this row are too many. Whoever has an id up to this one is looked at.
    Forget { until: i64, looked: String },
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.outcomes = self.outcomes.saturating_add(other.outcomes);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    fn is_over(self, max: Self) -> bool {
        self.outcomes > max.outcomes || self.bytes > max.bytes
    }

    fn most(rule: &Rule) -> Self {
        let signed = |max: u64| i64::try_from(max).unwrap_or(i64::MAX);
        Self { outcomes: signed(rule.outcomes_max), bytes: signed(rule.outcome_bytes_max) }
    }

    /// A part of what may be kept.
    fn share(rule: &Rule, outcomes_max: i64) -> Self {
        let most = Self::most(rule);
        Self { outcomes: (most.outcomes / 64).min(outcomes_max), bytes: most.bytes / 64 }
    }
}

impl Outcomes {
    /// Records what became of a send, if it is not known already.
    pub(super) fn record(
        &mut self,
        connection: &Connection,
        user: i64,
        (id, outcome): (&MessageId, &Outcome),
        rule: &Rule,
        now: i64,
    ) -> rusqlite::Result<()> {
        let mut tally = self.since_mark.get(&user).copied().unwrap_or_default();
        tally.add(Tally { outcomes: 1, bytes: bytes_of(id, outcome) });
        let is_marked = tally.is_over(Tally::share(rule, MARK_EVERY_MAX - 1));
        let mark = is_marked.then_some(tally);
        if !statements::record(connection, user, id, outcome, mark, now)? {
            return Ok(());
        }
        if is_marked {
            self.since_mark.remove(&user);
            self.due.entry(user).or_insert(Due::Sum);
            return Ok(());
        }
        if self.since_mark.len() >= TALLIES_MAX {
            self.since_mark.clear();
        }
        self.since_mark.insert(user, tally);
        Ok(())
    }

    pub(super) fn are_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Forgets the oldest of those who have too many. What is not done in one go is in the next.
    pub(super) fn trim(
        &mut self,
        connection: &Connection,
        rule: &Rule,
        budget: &mut Budget,
    ) -> rusqlite::Result<()> {
        let mut room = LOOKED_AT_ONCE_MAX;
        while room > 0
            && !budget.is_spent()
            && let Some((&user, due)) = self.due.iter().next()
        {
            let left = match due {
                Due::Sum => sum(connection, user, rule, &mut room)?,
                Due::Forget { until, looked } => {
                    forget(connection, user, (*until, looked), &mut room, budget)?
                }
            };
            match left {
                Some(left) => self.due.insert(user, left),
                None => self.due.remove(&user),
            };
        }
        Ok(())
    }
}

fn bytes_of(id: &MessageId, outcome: &Outcome) -> i64 {
    let said = match outcome {
        Ok(answer) => answer.as_ref().map_or(0, |answer| answer.as_json().len()),
        Err(refusal) => refusal.message().len(),
    };
    statements::count(id.as_str().len() + said)
}

const MARKS_NEWEST_FIRST: &str = "SELECT number, marked, marked_bytes FROM sends
     WHERE user = ?1 AND marked IS NOT NULL ORDER BY number DESC";

/// Up to which row a user has too many. Some hundred marks stand for all that may be kept.
fn sum(
    connection: &Connection,
    user: i64,
    rule: &Rule,
    room: &mut i64,
) -> rusqlite::Result<Option<Due>> {
    let (most, few) = (Tally::most(rule), Tally::share(rule, TOGETHER_MAX));
    let mut marks = connection.prepare_cached(MARKS_NEWEST_FIRST)?;
    let mut rows = marks.query([user])?;
    let (mut kept, mut excess, mut until) = (Tally::default(), Tally::default(), None);
    while let Some(row) = rows.next()? {
        *room -= 1;
        let mark = Tally { outcomes: row.get(1)?, bytes: row.get(2)? };
        if until.is_none() {
            // Of many rows only the last is known to be older than all that are kept.
            let mut with_row = kept;
            with_row.add(if mark.outcomes == 1 { mark } else { Tally { outcomes: 1, bytes: 1 } });
            if !with_row.is_over(most) {
                kept.add(mark);
                continue;
            }
            until = Some(row.get(0)?);
        }
        excess.add(mark);
        if excess.is_over(few) {
            break;
        }
    }
    let until = until.filter(|_| excess.is_over(few));
    Ok(until.map(|until| Due::Forget { until, looked: String::new() }))
}

/// How many marks stand for less than the row that has them, or for more than there may be between two.
pub(super) fn count_wrong_marks(connection: &Connection) -> rusqlite::Result<u64> {
    let wrong = "SELECT count(*) FROM sends WHERE (marked IS NULL) <> (marked_bytes IS NULL)
                     OR marked NOT BETWEEN 1 AND ?1 OR marked_bytes < marked";
    let marks: i64 = connection.query_row(wrong, [MARK_EVERY_MAX], |row| row.get(0))?;
    Ok(marks.unsigned_abs())
}

const BY_ID: &str = "SELECT id, number FROM sends WHERE user = ?1 AND id > ?2 ORDER BY id LIMIT ?3";

/// Goes through the ids that a user's sends have, which is an index, for the rows that are to be forgotten.
fn forget(
    connection: &Connection,
    user: i64,
    (until, looked): (i64, &str),
    room: &mut i64,
    budget: &mut Budget,
) -> rusqlite::Result<Option<Due>> {
    let mut ids = connection.prepare_cached(BY_ID)?;
    let mut rows = ids.query(params![user, looked, *room])?;
    let (mut last, mut old) = (None, Vec::new());
    while !budget.is_spent()
        && let Some(row) = rows.next()?
    {
        *room -= 1;
        last = Some(row.get(0)?);
        let number: i64 = row.get(1)?;
        if number <= until {
            old.push(number);
            budget.messages -= 1;
        }
    }
    drop(rows);
    let mut forget = connection.prepare_cached("DELETE FROM sends WHERE number = ?1")?;
    for number in old {
        forget.execute([number])?;
    }
    let are_left = *room <= 0 || budget.is_spent();
    let next = last.filter(|_| are_left);
    Ok(next.map(|looked| Due::Forget { until, looked }))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{schema, tests::file::File},
        *,
    };

    const USER: i64 = 7;

    struct Table {
        outcomes: Outcomes,
        connection: Connection,
        rule: Rule,
        _file: File,
    }

    impl Table {
        fn keeping(outcomes_max: u64) -> Self {
            let file = File::new();
            let rule = super::super::rules::Rules::default().get();
            let rule = Rule { outcomes_max, ..rule };
            let outcomes = Outcomes::default();
            Self { outcomes, connection: file.connect(), rule, _file: file }
        }

        fn record(&mut self, numbers: impl Iterator<Item = usize>) {
            self.connection.execute_batch("BEGIN").unwrap();
            for n in numbers {
                // In another order than they come in.
                let id = format!("{:08x}", (n as u32).reverse_bits()).parse().unwrap();
                let recorded = (&id, &Ok(None));
                self.outcomes.record(&self.connection, USER, recorded, &self.rule, 0).unwrap();
            }
            self.connection.execute_batch("COMMIT").unwrap();
        }

        /// How many are left after each pass, until there is nothing to do.
        fn trim(&mut self) -> Vec<usize> {
            let mut left = Vec::new();
            while self.outcomes.are_due() {
                let budget = &mut Budget::full();
                self.outcomes.trim(&self.connection, &self.rule, budget).unwrap();
                left.push(self.left());
            }
            left
        }

        fn left(&self) -> usize {
            let count = "SELECT count(*) FROM sends";
            self.connection.query_row(count, [], |row| row.get::<_, u32>(0)).unwrap() as usize
        }

        fn oldest(&self) -> usize {
            let oldest = "SELECT min(number) FROM sends";
            self.connection.query_row(oldest, [], |row| row.get::<_, u32>(0)).unwrap() as usize
        }

        fn plan(&self, statement: &str, parameters: impl rusqlite::Params) -> Vec<String> {
            let explain = format!("EXPLAIN QUERY PLAN {statement}");
            let mut explain = self.connection.prepare(&explain).unwrap();
            let plan = explain.query_map(parameters, |row| row.get(3)).unwrap();
            plan.map(Result::unwrap).collect()
        }
    }

    #[test]
    fn whoever_looks_for_what_is_too_much_sorts_nothing_and_looks_no_row_up() {
        // Each look at a user with 250,000 outcomes fetched and sorted all of them, for 0.6 to 2.4 s.
        let table = Table::keeping(1);
        let marks = table.plan(MARKS_NEWEST_FIRST, [1]);
        assert_eq!(marks, ["SEARCH sends USING COVERING INDEX sends_marked (user=?)"]);
        let ids = table.plan(BY_ID, [1, 1, 1]);
        assert_eq!(ids, ["SEARCH sends USING COVERING INDEX sends_by_id (user=? AND id>?)"]);
    }

    #[test]
    fn so_many_of_the_newest_are_kept_and_no_pass_does_more_than_the_next_commit_can_wait_for() {
        let most = 20_000;
        let mut table = Table::keeping(most as u64);
        let (mut recorded, mut passes) = (0, Vec::new());
        while passes.is_empty() {
            table.record(recorded..recorded + 256);
            recorded += 256;
            let before = table.left();
            passes = table.trim();
            if passes == [before] {
                passes.clear();
                assert!(recorded < most + most / 64 + 2 * 256, "too many are kept");
            }
        }
        assert!(passes.len() > 2, "bit by bit: {passes:?}");
        let left = table.left();
        assert!((most..most + 256).contains(&left), "{left}");
        assert_eq!(table.oldest(), recorded - left + 1, "the oldest went");
    }

    #[test]
    fn no_pass_forgets_more_than_its_budget() {
        let mut table = Table::keeping(1_000_000);
        table.record(0..6_000);
        assert_eq!(table.trim(), [6_000]);
        table.rule.outcomes_max = 600;
        table.record(6_000..6_001);
        assert_eq!(table.trim().first(), Some(&(6_001 - 2_048)));
        assert!((600..600 + 256).contains(&table.left()), "{}", table.left());
    }

    #[test]
    fn what_a_file_of_before_has_is_counted() {
        let file = File::new();
        let mut connection = file.connect();
        connection
            .execute_batch(
                "DROP TABLE sign_outs; DROP INDEX sends_marked;
                 ALTER TABLE sends DROP COLUMN marked; ALTER TABLE sends DROP COLUMN marked_bytes;
                 PRAGMA user_version = 10;
                 WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
                 INSERT INTO sends (user, id, message, created_at)
                     SELECT i % 2, printf('%04d', i), iif(i < 3, 'no', NULL), 0 FROM n",
            )
            .unwrap();
        schema::migrate(&mut connection).unwrap();
        let mut marks = connection.prepare(MARKS_NEWEST_FIRST).unwrap();
        let marks = marks.query_map([1], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let marks: Vec<(i64, i64, i64)> = marks.unwrap().map(Result::unwrap).collect();
        assert_eq!(marks, [(1_023, 256, 1_024), (511, 256, 1_026)]);
    }

    #[test]
    fn what_a_user_repeats_is_not_counted_again() {
        let mut table = Table::keeping(200);
        for _ in 0..500 {
            table.record(0..2);
        }
        table.record(2..200);
        table.trim();
        assert_eq!(table.left(), 200);
    }

    #[test]
    fn what_was_counted_in_memory_is_at_most_not_counted_after_a_restart() {
        // A mark at every 101st.
        let mut table = Table::keeping(6_400);
        for n in 0..100 {
            table.record(n * 200..(n + 1) * 200);
            table.trim();
            if n % 25 == 24 {
                table.outcomes = Outcomes::default();
            }
        }
        let left = table.left();
        assert!((6_400..6_400 + 7 * 101).contains(&left), "{left}");
        assert_eq!(table.oldest(), 20_000 - left + 1, "the oldest went");
    }
}
