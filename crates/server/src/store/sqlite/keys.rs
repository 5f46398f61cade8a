//! Which message was published under which key. Rows are appended; an index over (user, key) kept up with
//! them would write a page of its own for nearly every message, because keys are random. So the newest keys
//! are indexed in memory and folded into the file's index behind the commits, many at once and in its
//! order, and what has expired is taken out of it in the same way.
//!
//! Whatever crashes: rows after `meta.keys_folded` are indexed again at the next start, and an index entry is
//! deleted before its row.

use std::{collections::BTreeMap, ops::Bound};

use rusqlite::{Connection, OptionalExtension as _, params};
use tetherline_protocol::IdempotencyKey;

use super::{
    super::Appended,
    aging::{Oldest, Span},
    behind::{AT_ONCE, Counts, OUTRUN_AT},
    rules::Rule,
    statements::{id, seq, signed},
};

/// Keys that may be in memory when folding does not come through: publishes with a key fail then.
pub(super) const KEYS_IN_MEMORY_MAX: usize = 1_048_576;
/// Rows that are deleted in one go: they lie side by side.
const ROWS_AT_ONCE: u32 = 4_096;
/// Expired keys that are taken out in the order of the index.
const EXPIRING_MAX: i64 = 16_384;

/// What a key stands for.
pub(super) struct Publish {
    pub(super) digest: Vec<u8>,
    pub(super) appended: Appended,
}

pub(super) struct Keys {
    counts: Counts,
    /// In the order of the file's index.
    recent: BTreeMap<Name, i64>,
    /// The number of the next row. They never count back, even when all rows have expired.
    next: i64,
    /// Up to this row the file's index has them.
    folded_until: i64,
    fold: Option<Fold>,
    expiry: Expiry,
    /// What the commit that is being made changes.
    added: Vec<Name>,
    erased: Vec<i64>,
    folded: Option<Fold>,
    /// A transaction failed that had added keys: another program may have written, or they were kept after all.
    is_stale: bool,
}

/// The user's number, and the key.
type Name = (i64, IdempotencyKey);

/// Keys on their way into the file's index.
#[derive(Clone)]
struct Fold {
    /// The last of them that is there.
    after: Option<Name>,
    /// Rows after this one came later, and wait for the next fold.
    until: i64,
    is_done: bool,
}

/// Rows that are old.
#[derive(Default)]
struct Expiry {
    rule: u64,
    oldest: Oldest,
    stage: Stage,
}

#[derive(Default)]
enum Stage {
    #[default]
    Look,
    /// These are taken out of the index, from the end.
    Index { entries: Vec<(i64, String, i64)>, rows: Rows },
    /// None of these is in the index any more.
    Rows(Rows),
}

/// What had expired, up to a row.
#[derive(Clone, Copy)]
struct Rows {
    last: i64,
    span: Span,
}

impl Keys {
    /// Indexes what was not folded in. Who was erased has everything in the file's index.
    pub(super) fn load(connection: &Connection, counts: Counts) -> rusqlite::Result<Self> {
        let bounds =
            "SELECT keys_folded, coalesce((SELECT max(number) FROM publishes), 0) FROM meta";
        let (folded_until, last): (i64, i64) =
            connection.query_row(bounds, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut statement = connection.prepare(
            "SELECT number, user, key FROM publishes
             WHERE number > ?1 AND user NOT IN (SELECT user FROM erased) ORDER BY number",
        )?;
        let mut rows = statement.query([folded_until])?;
        let mut recent = BTreeMap::new();
        while let Some(row) = rows.next()? {
            // One that was changed in the file is nobody's.
            if let Ok(key) = row.get_ref(2)?.as_str()?.parse() {
                recent.insert((row.get(1)?, key), row.get(0)?);
            }
        }
        Ok(Self {
            counts,
            recent,
            next: last.max(folded_until) + 1,
            folded_until,
            fold: None,
            expiry: Expiry::default(),
            added: Vec::new(),
            erased: Vec::new(),
            folded: None,
            is_stale: false,
        })
    }

    /// Looks into the file again if memory may say something else.
    pub(super) fn refresh(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.is_stale {
            *self = Self::load(connection, self.counts)?;
        }
        Ok(())
    }

    pub(super) fn find(
        &self,
        connection: &Connection,
        user: i64,
        key: &IdempotencyKey,
    ) -> rusqlite::Result<Option<Publish>> {
        let name = (user, key.clone());
        let number = match self.recent.get(&name) {
            Some(number) => Some(*number),
            None => connection
                .prepare_cached("SELECT number FROM publish_keys WHERE user = ?1 AND key = ?2")?
                .query_row(params![user, key.as_str()], |row| row.get(0))
                .optional()?,
        };
        let Some(number) = number else { return Ok(None) };
        connection
            .prepare_cached("SELECT id, seq, digest, created_at FROM publishes WHERE number = ?1")?
            .query_row([number], |row| {
                let (id, seq, created_at_ms) = (id(row, 0)?, seq(row, 1)?, row.get(3)?);
                let appended = Appended { id, seq, repeated: true, created_at_ms };
                Ok(Publish { digest: row.get(2)?, appended })
            })
            .optional()
    }

    /// Whether there is no room in memory for one more.
    pub(super) fn are_full(&self) -> bool {
        self.recent.len() >= self.counts.max
    }

    /// A key that is not known so far, for which there is room.
    pub(super) fn remember(
        &mut self,
        connection: &Connection,
        user: i64,
        (key, digest): &(IdempotencyKey, [u8; 32]),
        appended: &Appended,
    ) -> rusqlite::Result<()> {
        let name = (user, key.clone());
        self.added.push(name.clone());
        connection
            .prepare_cached(
                "INSERT INTO publishes (number, user, key, digest, id, seq, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                self.next,
                user,
                key.as_str(),
                digest,
                appended.id.as_str(),
                signed(appended.seq),
                appended.created_at_ms,
            ])?;
        self.recent.insert(name, self.next);
        self.next += 1;
        Ok(())
    }

    /// A user's number is about to be given up: from here on everything under it is in the file's index,
    /// and who deletes it finds it there.
    pub(super) fn erase(&mut self, connection: &Connection, user: i64) -> rusqlite::Result<()> {
        let theirs = self.recent.iter().filter(|((owner, _), _)| *owner == user);
        for (name, number) in theirs {
            put(connection, name, *number)?;
        }
        self.erased.push(user);
        Ok(())
    }

    pub(super) fn committed(&mut self) {
        self.added.clear();
        match self.folded.take() {
            Some(Fold { until, is_done: true, .. }) => {
                self.recent.retain(|_, number| *number > until);
                self.folded_until = until;
                self.fold = None;
            }
            Some(fold) => self.fold = Some(fold),
            None => {}
        }
        if !self.erased.is_empty() {
            self.recent.retain(|(user, _), _| !self.erased.contains(user));
            self.erased.clear();
        }
    }

    pub(super) fn undone(&mut self) {
        self.is_stale |= !self.added.is_empty();
        for name in self.added.drain(..) {
            self.recent.remove(&name);
        }
        self.erased.clear();
        self.folded = None;
        self.expiry = Expiry::default();
    }

    /// Whether there are so many in memory that they are to be folded in.
    pub(super) fn wants_fold(&self) -> bool {
        self.fold.is_some() || self.recent.len() >= self.counts.fold_at
    }

    /// Whether publishers bring them faster than they are folded in while somebody waits.
    pub(super) fn are_outrun(&self) -> bool {
        self.recent.len() >= OUTRUN_AT * self.counts.fold_at
    }

    /// Folds some in, within a transaction of the caller's.
    pub(super) fn fold(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let begun = Fold { after: None, until: self.next - 1, is_done: false };
        let mut fold = self.fold.clone().unwrap_or(begun);
        let from = fold.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.recent.range((from, Bound::Unbounded));
        let mut some = rest.filter(|(_, number)| **number <= fold.until).peekable();
        let mut after = None;
        for (name, number) in some.by_ref().take(AT_ONCE) {
            put(connection, name, *number)?;
            after = Some(name.clone());
        }
        fold.is_done = some.peek().is_none();
        if fold.is_done {
            let done = "UPDATE meta SET keys_folded = ?1";
            connection.prepare_cached(done)?.execute([fold.until])?;
        }
        fold.after = after.or(fold.after);
        self.folded = Some(fold);
        Ok(())
    }

    /// Forgets some that are old, within a transaction of the caller's. Answers whether there may be more.
    pub(super) fn expire(
        &mut self,
        connection: &Connection,
        rule: &Rule,
        now: i64,
    ) -> rusqlite::Result<bool> {
        let span = Span::of(now, rule.dedupe_window_ms);
        if self.expiry.rule != rule.number {
            self.expiry = Expiry { rule: rule.number, ..Expiry::default() };
        }
        let are_left = self.expiry.oldest.look(connection, "publishes", span)?;
        let old_until = self.expiry.oldest.old_until;
        if old_until > self.folded_until && !self.recent.is_empty() {
            // Few are published, or they are kept for a moment only.
            self.fold(connection)?;
            if self.folded.as_ref().is_none_or(|fold| !fold.is_done) {
                return Ok(true);
            }
        }
        let stage = &mut self.expiry.stage;
        let mut room = AT_ONCE;
        while room > 0 {
            match stage {
                Stage::Look => {
                    *stage = look(connection, old_until, span)?;
                    if matches!(stage, Stage::Look) {
                        return Ok(are_left);
                    }
                }
                Stage::Index { entries, rows } => {
                    room -= take_out(connection, entries, room)?;
                    if entries.is_empty() {
                        *stage = Stage::Rows(*rows);
                    }
                }
                Stage::Rows(rows) => {
                    if delete_rows(connection, *rows)? == ROWS_AT_ONCE as usize {
                        return Ok(true);
                    }
                    *stage = Stage::Look;
                }
            }
        }
        Ok(true)
    }
}

/// Takes out so many at most. Answers how many.
fn take_out(
    connection: &Connection,
    entries: &mut Vec<(i64, String, i64)>,
    room: usize,
) -> rusqlite::Result<usize> {
    let mut take_out = connection
        .prepare_cached("DELETE FROM publish_keys WHERE user = ?1 AND key = ?2 AND number = ?3")?;
    let some = entries.drain(entries.len().saturating_sub(room)..);
    let count = some.len();
    for (user, key, number) in some {
        take_out.execute(params![user, key, number])?;
    }
    Ok(count)
}

/// Answers how many are gone.
fn delete_rows(connection: &Connection, Rows { last, span }: Rows) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM publishes WHERE number IN
                 (SELECT number FROM publishes
                  WHERE number <= ?1 AND created_at NOT BETWEEN ?2 AND ?3 ORDER BY number LIMIT ?4)",
        )?
        .execute([last, span.before, span.now, i64::from(ROWS_AT_ONCE)])
}

/// Once more does no harm: it was put there before a crash.
fn put(connection: &Connection, (user, key): &Name, number: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO publish_keys (user, key, number) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![user, key.as_str(), number])?;
    Ok(())
}

/// The oldest that have expired, in the order of the index.
fn look(connection: &Connection, old_until: i64, span: Span) -> rusqlite::Result<Stage> {
    let mut statement = connection.prepare_cached(
        "SELECT user, key, number FROM publishes WHERE number <= ?1 AND created_at NOT BETWEEN ?2 AND ?3
         ORDER BY number LIMIT ?4",
    )?;
    let rows = statement.query_map([old_until, span.before, span.now, EXPIRING_MAX], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    let mut entries: Vec<(i64, String, i64)> = rows.collect::<Result<_, _>>()?;
    let Some(last) = entries.iter().map(|(_, _, number)| *number).max() else {
        return Ok(Stage::Look);
    };
    entries.sort();
    Ok(Stage::Index { entries, rows: Rows { last, span } })
}

/// Deletes some of an erased user's, as the index finds them. Answers how many.
pub(super) fn delete_erased(
    connection: &Connection,
    user: i64,
    rows_max: i64,
) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(
        "SELECT key, number FROM publish_keys WHERE user = ?1 ORDER BY key LIMIT ?2",
    )?;
    let rows = statement.query_map([user, rows_max], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let entries: Vec<(String, i64)> = rows.collect::<Result<_, _>>()?;
    let mut row =
        connection.prepare_cached("DELETE FROM publishes WHERE number = ?1 AND user = ?2")?;
    let mut entry =
        connection.prepare_cached("DELETE FROM publish_keys WHERE user = ?1 AND key = ?2")?;
    for (key, number) in &entries {
        row.execute([*number, user])?;
        entry.execute(params![user, key])?;
    }
    Ok(entries.len())
}
