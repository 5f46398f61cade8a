//! How much of what became of a user's sends is kept: a client decides how many there are.

use std::collections::HashSet;

use rusqlite::{Connection, params};
use tetherline_protocol::limits::ANSWER_BYTES_MAX;

use super::{super::random, rules::Rule, statements, trim::Budget};

/// About so many outcomes are recorded between two looks at how many a user has, unless a sixty-fourth of what may be
/// kept is less. So many more may be there for a while.
const LOOK_EVERY_MAX: u64 = 1_024;
/// Users who are to be looked at. Further ones are when they send again.
const DUE_USERS_MAX: usize = 4_096;

/// Users, by the number of their row, who may have more than is kept.
#[derive(Default)]
pub(super) struct Outcomes {
    due: HashSet<i64>,
}

impl Outcomes {
    /// One more was recorded. Chance decides who is looked at: nobody can step aside, and nothing is kept about those
    /// who send little.
    pub(super) fn recorded(&mut self, user: i64, rule: &Rule) {
        let every = (rule.outcomes_max / 64).clamp(1, LOOK_EVERY_MAX);
        let [high, low, ..] = random();
        let is_drawn = u64::from(u16::from_be_bytes([high, low])).is_multiple_of(every);
        if is_drawn && self.due.len() < DUE_USERS_MAX {
            self.due.insert(user);
        }
    }

    pub(super) fn are_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Forgets the oldest of those who have too many.
    pub(super) fn trim(
        &mut self,
        connection: &Connection,
        rule: &Rule,
        budget: &mut Budget,
    ) -> rusqlite::Result<()> {
        while let Some(user) = self.due.iter().next().copied().filter(|_| !budget.is_spent()) {
            let Some(until) = excess(connection, user, rule)? else {
                self.due.remove(&user);
                continue;
            };
            let forgotten = connection
                .prepare_cached(
                    "DELETE FROM sends WHERE number IN
                         (SELECT number FROM sends WHERE user = ?1 AND number <= ?2 LIMIT ?3)",
                )?
                .execute(params![user, until, budget.messages])?;
            budget.messages -= statements::count(forgotten);
        }
        Ok(())
    }
}

/// Up to which row a user's outcomes are to be forgotten.
fn excess(connection: &Connection, user: i64, rule: &Rule) -> rusqlite::Result<Option<i64>> {
    let count: u64 = connection
        .prepare_cached("SELECT count(*) FROM sends WHERE user = ?1")?
        .query_row([user], |row| row.get::<_, i64>(0))?
        .unsigned_abs();
    let largest = ANSWER_BYTES_MAX as u64;
    if count <= rule.outcomes_max && count.saturating_mul(largest) <= rule.outcome_bytes_max {
        return Ok(None);
    }
    let mut newest_first = connection.prepare_cached(
        "SELECT number, octet_length(id) + coalesce(octet_length(message), 0)
             + coalesce(octet_length(answer), 0)
         FROM sends WHERE user = ?1 ORDER BY number DESC",
    )?;
    let mut rows = newest_first.query([user])?;
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        count += 1;
        bytes += row.get::<_, i64>(1)?.unsigned_abs();
        if count > rule.outcomes_max || bytes > rule.outcome_bytes_max {
            return row.get(0).map(Some);
        }
    }
    Ok(None)
}
