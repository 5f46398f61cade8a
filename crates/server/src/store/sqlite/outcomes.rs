//! How much of what became of a user's sends is kept: a client decides how many there are.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::{super::random, rules::Rule, statements, trim::Budget};

/// About so many outcomes are recorded between two looks at how many a user has, unless a sixty-fourth of what may be
/// kept is less. So many more may be there for a while.
const LOOK_EVERY_MAX: u64 = 1_024;
/// Users who are to be looked at. Further ones are when they send again.
const DUE_USERS_MAX: usize = 4_096;

/// So many outcomes are counted in one go, over all users: a millisecond or so of the writer's.
const COUNTED_AT_ONCE_MAX: usize = 8_192;

/// Users, by the number of their row, who may have more than is kept.
#[derive(Default)]
pub(super) struct Outcomes {
    due: HashMap<i64, Count>,
}

/// How far a user's outcomes are counted, from the newest on.
#[derive(Debug, Clone, Copy)]
enum Count {
    /// So many, of so many bytes, from this row on.
    Running { from: i64, outcomes: u64, bytes: u64 },
    /// There are too many, by those up to this row.
    Over { until: i64 },
    /// There are not too many.
    Within,
}

impl Count {
    const NOTHING: Self = Self::Running { from: i64::MAX, outcomes: 0, bytes: 0 };
}

impl Outcomes {
    /// One more was recorded. Chance decides who is looked at: nobody can step aside, and nothing is kept about those
    /// who send little.
    pub(super) fn recorded(&mut self, user: i64, rule: &Rule) {
        let every = (rule.outcomes_max / 64).clamp(1, LOOK_EVERY_MAX);
        let [high, low, ..] = random();
        let is_drawn = u64::from(u16::from_be_bytes([high, low])).is_multiple_of(every);
        if is_drawn && self.due.len() < DUE_USERS_MAX {
            self.due.entry(user).or_insert(Count::NOTHING);
        }
    }

    pub(super) fn are_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Forgets the oldest of those who have too many. What is not counted or forgotten in one go is in the next.
    pub(super) fn trim(
        &mut self,
        connection: &Connection,
        rule: &Rule,
        budget: &mut Budget,
    ) -> rusqlite::Result<()> {
        let mut room = COUNTED_AT_ONCE_MAX;
        while room > 0
            && !budget.is_spent()
            && let Some((&user, count)) = self.due.iter_mut().next()
        {
            *count = match *count {
                Count::Over { until } => forget(connection, user, until, budget)?,
                _ => count_on(connection, user, *count, rule, &mut room)?,
            };
            if matches!(count, Count::Within) {
                self.due.remove(&user);
            }
        }
        Ok(())
    }
}

fn forget(
    connection: &Connection,
    user: i64,
    until: i64,
    budget: &mut Budget,
) -> rusqlite::Result<Count> {
    let forgotten = connection
        .prepare_cached(
            "DELETE FROM sends WHERE number IN
                 (SELECT number FROM sends WHERE user = ?1 AND number <= ?2 LIMIT ?3)",
        )?
        .execute(params![user, until, budget.messages])?;
    budget.messages -= statements::count(forgotten);
    Ok(if budget.is_spent() { Count::Over { until } } else { Count::Within })
}

/// A page of the index has some 200 of them, and no row is looked up.
const NEWEST_FIRST: &str = "SELECT number, octet_length(id) + coalesce(octet_length(message), 0)
         + coalesce(octet_length(answer), 0)
     FROM sends WHERE user = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3";

fn count_on(
    connection: &Connection,
    user: i64,
    count: Count,
    rule: &Rule,
    room: &mut usize,
) -> rusqlite::Result<Count> {
    let Count::Running { mut from, mut outcomes, mut bytes } = count else { return Ok(count) };
    let mut newest_first = connection.prepare_cached(NEWEST_FIRST)?;
    let mut rows = newest_first.query([user, from, statements::count(*room)])?;
    while let Some(row) = rows.next()? {
        *room -= 1;
        from = row.get(0)?;
        outcomes += 1;
        bytes += row.get::<_, i64>(1)?.unsigned_abs();
        if outcomes > rule.outcomes_max || bytes > rule.outcome_bytes_max {
            return Ok(Count::Over { until: from });
        }
    }
    let is_all = *room > 0;
    Ok(if is_all { Count::Within } else { Count::Running { from, outcomes, bytes } })
}

#[cfg(test)]
mod tests {
    use super::{super::tests::file::File, *};

    const USER: i64 = 7;

    fn fill(connection: &Connection, count: usize) {
        connection
            .execute(
                "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
                 INSERT INTO sends (user, id, created_at) SELECT ?1, printf('%06d', i), 0 FROM n",
                params![USER, statements::count(count)],
            )
            .unwrap();
    }

    fn left(connection: &Connection) -> usize {
        let count = "SELECT count(*) FROM sends";
        connection.query_row(count, [], |row| row.get::<_, u32>(0)).unwrap() as usize
    }

    fn rule(outcomes_max: usize) -> Rule {
        let rule = super::super::rules::Rules::default().get();
        Rule { outcomes_max: outcomes_max as u64, ..rule }
    }

    #[test]
    fn whoever_counts_sorts_nothing_and_looks_no_row_up() {
        // Each look at a user with 250,000 outcomes fetched and sorted all of them, for 0.6 to 2.4 s.
        let file = File::new();
        let connection = file.connect();
        let explain = format!("EXPLAIN QUERY PLAN {NEWEST_FIRST}");
        let mut explain = connection.prepare(&explain).unwrap();
        let plan = explain.query_map([1, 1, 1], |row| row.get::<_, String>(3)).unwrap();
        let plan: Vec<_> = plan.map(Result::unwrap).collect();
        let search = "SEARCH sends USING COVERING INDEX sends_in_order (user=? AND number<?)";
        assert_eq!(plan, [search]);
    }

    #[test]
    fn no_more_is_counted_or_forgotten_in_one_go_than_the_next_commit_can_wait_for() {
        let file = File::new();
        let connection = file.connect();
        let (most, over) = (2 * COUNTED_AT_ONCE_MAX, 5_000);
        fill(&connection, most + over);
        let mut outcomes = Outcomes { due: HashMap::from([(USER, Count::NOTHING)]) };
        let mut left_after = Vec::new();
        while outcomes.are_due() {
            outcomes.trim(&connection, &rule(most), &mut Budget::full()).unwrap();
            left_after.push(left(&connection) - most);
        }
        // Twice it is only counted, then once more what is too much.
        assert_eq!(left_after, [over, over, over - 2_048, over - 4_096, 0]);
        let last: String =
            connection.query_row("SELECT min(id) FROM sends", [], |row| row.get(0)).unwrap();
        assert_eq!(last, "005001", "the oldest go");
    }

    #[test]
    fn who_has_just_as_many_as_are_kept_is_counted_and_left_alone() {
        let file = File::new();
        let connection = file.connect();
        fill(&connection, COUNTED_AT_ONCE_MAX);
        let mut outcomes = Outcomes { due: HashMap::from([(USER, Count::NOTHING)]) };
        for _ in 0..2 {
            assert!(outcomes.are_due());
            outcomes.trim(&connection, &rule(COUNTED_AT_ONCE_MAX), &mut Budget::full()).unwrap();
        }
        assert!(!outcomes.are_due());
        assert_eq!(left(&connection), COUNTED_AT_ONCE_MAX);
    }
}
