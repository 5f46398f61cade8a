//! Users of whom nothing is known but that they came: whoever has a token becomes one by connecting.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tetherline_protocol::{Seq, UserId};

use super::{index, recent::Recents, rules::Rule, statements};

/// Users who are looked at together.
const USERS_MAX: usize = 256;
/// How long nobody is looked at after that, and after the last of all.
const PAUSE: Duration = Duration::from_secs(1);
const REST: Duration = Duration::from_hours(1);

/// One pass over all users after the other.
#[derive(Default)]
pub(super) struct Visitors {
    /// By which rule.
    rule: u64,
    after: i64,
    rests_until: Option<Instant>,
}

impl Visitors {
    /// Looks at some, and answers who is forgotten: nothing was ever published for them, nothing that they sent is
    /// still known, and no device of theirs was used for `device_retention_ms`. If they come again they are new, which
    /// makes no difference to them.
    pub(super) fn forget(
        &mut self,
        connection: &Connection,
        recents: &Recents,
        rule: &Rule,
        now_ms: i64,
    ) -> rusqlite::Result<Vec<UserId>> {
        let now = Instant::now();
        if self.rule != rule.number {
            *self = Self { rule: rule.number, ..Self::default() };
        }
        if self.rests_until.is_some_and(|until| now < until) {
            return Ok(Vec::new());
        }
        let stale_before = now_ms.saturating_sub(rule.device_retention_ms);
        let mut statement = connection.prepare_cached(
            "SELECT id, name, epoch = 0 AND floor = 0 AND trimmed = 0 FROM users
             WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?;
        let mut rows = statement.query([self.after, statements::count(USERS_MAX)])?;
        let (mut looked, mut gone) = (0, Vec::new());
        while let Some(row) = rows.next()? {
            looked += 1;
            self.after = row.get(0)?;
            // One whose name was changed in the file is nobody.
            let Ok(user) = row.get_ref(1)?.as_str()?.parse::<UserId>() else { continue };
            let is_blank: bool = row.get(2)?;
            if is_blank && has_left(connection, (self.after, &user), recents, stale_before)? {
                gone.push((self.after, user));
            }
        }
        drop(rows);
        for (mailbox, _) in &gone {
            // Its number may be another's some day: nothing is left under it. No number of a user who was erased is
            // given again, as that user's row, which stays, has a larger one.
            connection.prepare_cached("DELETE FROM devices WHERE user = ?1")?.execute([mailbox])?;
            connection.prepare_cached("DELETE FROM users WHERE id = ?1")?.execute([mailbox])?;
        }
        let is_over = looked < USERS_MAX;
        if is_over {
            self.after = 0;
        }
        self.rests_until = Some(now + if is_over { REST } else { PAUSE });
        Ok(gone.into_iter().map(|(_, user)| user).collect())
    }
}

fn has_left(
    connection: &Connection,
    (mailbox, user): (i64, &UserId),
    recents: &Recents,
    stale_before: i64,
) -> rusqlite::Result<bool> {
    let head = index::newest(connection, mailbox, &recents.of_after(user, Seq::MAX))?;
    if head > Seq::ZERO {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "SELECT NOT EXISTS (SELECT 1 FROM devices WHERE user = ?1 AND seen_at >= ?2)
                 AND NOT EXISTS (SELECT 1 FROM sends WHERE user = ?1)
                 AND NOT EXISTS (SELECT 1 FROM streams WHERE user = ?1)
                 AND NOT EXISTS (SELECT 1 FROM stream_stops WHERE user = ?1)
                 AND NOT EXISTS (SELECT 1 FROM publish_keys WHERE user = ?1)",
        )?
        .query_row(params![mailbox, stale_before], |row| row.get(0))
}
