//! Which row has the message at a position. Rows are appended; an index over (user, position) kept up with
//! them would write a page of its own for nearly every message, because each mailbox ends on another one. So
//! the newest rows are known in memory, and folded into the file's table `positions` behind the commits,
//! many at once and in its order. What is trimmed leaves it some at a time, too.
//!
//! Whatever crashes: rows after `meta.positions_folded` are known again after the next start, and one that is
//! in the table although it is trimmed is at a position that nobody is answered.

use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _};
use tetherline_protocol::{Seq, UserId};

use super::{
    behind::{AT_ONCE, Counts, OUTRUN_AT},
    recent::{MessageRow, Recent, Recents},
    statements::{seq, signed},
    unfolded,
};

/// Rows of one mailbox in memory from which on it is folded in by itself, because whoever reads it takes a copy
/// of them.
pub(super) const MAILBOX_FOLD_AT: usize = 1_024;
/// Rows that may be in memory when folding does not come through: publishes fail then.
pub(super) const POSITIONS_IN_MEMORY_MAX: usize = 1_048_576;
/// Positions that are taken out of the table together once they are trimmed, so that a page is not written
/// for each of them. They are about a third of one.
const TAKEN_OUT_TOGETHER: u64 = 128;

/// What the writer keeps of it.
pub(super) struct Index {
    counts: Counts,
    /// The number of the next row. None that the table may have is given again, though its row be trimmed.
    next: i64,
    /// Up to this row the table has everything that is not trimmed.
    folded_until: i64,
    /// What the commit that is being made changes, and how many numbers it has given.
    changes: HashMap<UserId, Change>,
    given: usize,
    fold: Option<Fold>,
    /// What the transaction that is being made folds in.
    step: Option<Step>,
    /// Mailboxes that have too many in memory for the others to be waited for.
    full: Vec<UserId>,
    /// A transaction failed that had changes: another program may have written, or they were made after all.
    is_stale: bool,
}

#[derive(Default)]
struct Change {
    /// What was there before is in the file, under a number that nobody has any more.
    is_erased: bool,
    appended: Recent,
}

/// Rows on their way into the file.
struct Fold {
    /// Whose are still to be folded in; the first in the file's order is the last here.
    users: Vec<UserId>,
    /// Up to this row the file has all of them then.
    until: Option<i64>,
}

#[derive(Default)]
struct Step {
    folded: Vec<(UserId, Recent)>,
    /// Of so many users everything is folded in.
    users: usize,
    folded_until: i64,
    /// Whose rows could not be.
    culprit: Option<UserId>,
}

impl Index {
    pub(super) fn load(
        connection: &Connection,
        recents: &Recents,
        counts: Counts,
    ) -> rusqlite::Result<Self> {
        let mut index = Self {
            counts,
            next: 1,
            folded_until: 0,
            changes: HashMap::new(),
            given: 0,
            fold: None,
            step: None,
            full: Vec::new(),
            is_stale: true,
        };
        index.refresh(connection, recents)?;
        Ok(index)
    }

    /// Looks into the file again if memory may say something else. Within the transaction whose changes build on
    /// it, so that nobody else writes meanwhile.
    pub(super) fn refresh(
        &mut self,
        connection: &Connection,
        recents: &Recents,
    ) -> rusqlite::Result<()> {
        if !self.is_stale {
            return Ok(());
        }
        let bounds = "SELECT positions_folded,
                 max(positions_folded, messages_numbered, coalesce((SELECT max(number) FROM messages), 0))
             FROM meta";
        let (folded_until, last): (i64, i64) =
            connection.query_row(bounds, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let found = unfolded::find(connection, folded_until)?;
        let is_full = |recent: &Recent| recent.rows.len() >= MAILBOX_FOLD_AT;
        let full = found.iter().filter(|(_, recent)| is_full(recent));
        self.full = full.map(|(user, _)| user.clone()).collect();
        recents.replace(found);
        self.folded_until = folded_until;
        self.next = last + 1;
        self.fold = None;
        self.is_stale = false;
        Ok(())
    }

    /// What is known of a mailbox in memory once this is committed.
    pub(super) fn recent(&self, recents: &Recents, user: &UserId) -> Recent {
        let Some(change) = self.changes.get(user) else { return recents.of(user) };
        let mut recent = if change.is_erased { Recent::default() } else { recents.of(user) };
        recent.add_all(&change.appended);
        recent
    }

    /// Whether there is no room in memory for one more.
    pub(super) fn is_full(&self, recents: &Recents) -> bool {
        recents.rows() + self.given >= self.counts.max
    }

    /// The number of the row for a message that is about to be appended, for which there is room.
    pub(super) fn give(&mut self, user: &UserId, mailbox: i64, seq: Seq) -> i64 {
        let row = MessageRow { seq, number: self.next };
        self.changes.entry(user.clone()).or_default().appended.add(mailbox, row);
        self.given += 1;
        self.next += 1;
        row.number
    }

    /// A mailbox's number is about to be given up: the writer puts everything under it into the file, because
    /// whoever deletes the rows of the erased looks for them there.
    pub(super) fn erase(
        &mut self,
        connection: &Connection,
        recents: &Recents,
        (user, mailbox): (&UserId, i64),
    ) -> rusqlite::Result<()> {
        let theirs = self.recent(recents, user);
        Put::prepare(connection)?.rows(mailbox, theirs.of_mailbox(mailbox))?;
        self.note_folded(connection, self.folded_until)?;
        let change = Change { is_erased: true, appended: Recent::default() };
        self.changes.insert(user.clone(), change);
        Ok(())
    }

    pub(super) fn committed(&mut self, recents: &Recents) {
        self.given = 0;
        if !self.changes.is_empty() {
            let mut all = recents.change();
            for (user, change) in self.changes.drain() {
                if change.is_erased {
                    all.remove(&user);
                }
                let (before, now) = all.add(&user, &change.appended);
                if before < MAILBOX_FOLD_AT && now >= MAILBOX_FOLD_AT {
                    self.full.push(user);
                }
            }
        }
        if let Some(Step { folded, users, folded_until, .. }) = self.step.take() {
            let mut all = recents.change();
            for (user, folded) in &folded {
                all.folded(user, folded);
            }
            self.folded_until = folded_until;
            self.pass(users);
        }
    }

    pub(super) fn undone(&mut self) {
        self.is_stale |= !self.changes.is_empty();
        self.changes.clear();
        self.given = 0;
        if let Some(Step { culprit: Some(culprit), .. }) = self.step.take()
            && let Some(fold) = &mut self.fold
        {
            // Its rows stay in memory, and nobody else waits for them.
            fold.users.retain(|user| *user != culprit);
            fold.until = None;
            self.pass(0);
        }
    }

    /// So many more users are through.
    fn pass(&mut self, users: usize) {
        if let Some(fold) = &mut self.fold {
            fold.users.truncate(fold.users.len() - users);
            if fold.users.is_empty() {
                self.fold = None;
            }
        }
    }

    /// Whether there is so much that the file does not have, for all or for one, that it is to be folded in.
    pub(super) fn wants_fold(&self) -> bool {
        self.fold.is_some() || !self.full.is_empty() || self.wants_all()
    }

    /// A start reads as many rows as this allows.
    fn wants_all(&self) -> bool {
        let unfolded = usize::try_from(self.next - 1 - self.folded_until).unwrap_or(0);
        unfolded >= self.counts.fold_at
    }

    /// Whether publishers bring them faster than they are folded in while somebody waits.
    pub(super) fn is_outrun(&self, recents: &Recents) -> bool {
        recents.rows() >= OUTRUN_AT * self.counts.fold_at
    }

    /// The store is about to be closed: everything is to be folded in, so that the next start reads nothing.
    pub(super) fn fold_all(&mut self, recents: &Recents) {
        self.full.clear();
        self.fold = Some(Fold { users: recents.users_from_last(), until: Some(self.next - 1) });
    }

    /// Folds some in, within a transaction of the caller's.
    pub(super) fn fold(
        &mut self,
        connection: &Connection,
        recents: &Recents,
    ) -> rusqlite::Result<()> {
        if self.fold.is_none() && self.wants_all() {
            self.fold_all(recents);
        }
        let full = &mut self.full;
        let fold =
            self.fold.get_or_insert_with(|| Fold { users: std::mem::take(full), until: None });
        let step = self.step.insert(Step::default());
        let mut put = Put::prepare(connection)?;
        let mut room = AT_ONCE;
        for user in fold.users.iter().rev() {
            if room == 0 {
                break;
            }
            let (recent, is_all) = recents.first_of(user, room);
            step.culprit = Some(user.clone());
            let trimmed = trimmed(connection, recent.mailbox)?.unwrap_or(Seq::ZERO);
            let kept = recent.rows.partition_point(|row| row.seq <= trimmed);
            put.rows(recent.mailbox, &recent.rows[kept..])?;
            room -= recent.rows.len();
            step.users += usize::from(is_all);
            step.folded.push((user.clone(), recent));
        }
        step.culprit = None;
        let is_done = step.users == fold.users.len();
        step.folded_until = fold.until.filter(|_| is_done).unwrap_or(self.folded_until);
        let folded_until = step.folded_until;
        self.note_folded(connection, folded_until)
    }

    /// Whatever is in the table has a number that is not given again.
    fn note_folded(&self, connection: &Connection, until: i64) -> rusqlite::Result<()> {
        let note = "UPDATE meta SET positions_folded = ?1, messages_numbered = ?2";
        connection.prepare_cached(note)?.execute([until, self.next - 1])?;
        Ok(())
    }
}

/// Puts rows into the file's index. Once more does no harm: it was put there before a crash.
struct Put<'a> {
    one: CachedStatement<'a>,
    run: CachedStatement<'a>,
}

impl<'a> Put<'a> {
    fn prepare(connection: &'a Connection) -> rusqlite::Result<Self> {
        let one = "INSERT OR REPLACE INTO positions (user, seq, number) VALUES (?1, ?2, ?3)";
        let run = "INSERT OR REPLACE INTO positions (user, seq, number)
             SELECT ?3, number + ?4, number FROM messages WHERE number BETWEEN ?1 AND ?2
             ORDER BY number";
        Ok(Self { one: connection.prepare_cached(one)?, run: connection.prepare_cached(run)? })
    }

    fn rows(&mut self, mailbox: i64, mut rows: &[MessageRow]) -> rusqlite::Result<()> {
        while let Some((first, last, later)) = MessageRow::first_run(rows) {
            if first == last {
                self.one.execute([mailbox, signed(first.seq), first.number])?;
            } else {
                let ahead = signed(first.seq) - first.number;
                self.run.execute([first.number, last.number, mailbox, ahead])?;
            }
            rows = later;
        }
        Ok(())
    }
}

/// The rows that a mailbox has after a position and up to another, the first ones.
pub(super) fn rows_between(
    connection: &Connection,
    mailbox: i64,
    recent: &Recent,
    (after, until): (Seq, Seq),
    rows_max: i64,
) -> rusqlite::Result<Vec<MessageRow>> {
    let recent = recent.of_mailbox(mailbox);
    let before = recent.first().map_or(i64::MAX, |first| signed(first.seq));
    let mut rows = Vec::new();
    if signed(after) + 1 < before {
        let mut statement = connection.prepare_cached(
            "SELECT seq, number FROM positions
             WHERE user = ?1 AND seq > ?2 AND seq < ?3 AND seq <= ?4
             ORDER BY seq LIMIT ?5",
        )?;
        let asked = [mailbox, signed(after), before, signed(until), rows_max];
        let folded = statement
            .query_map(asked, |row| Ok(MessageRow { seq: seq(row, 0)?, number: row.get(1)? }))?;
        rows = folded.collect::<Result<_, _>>()?;
    }
    let rows_max = usize::try_from(rows_max).unwrap_or(0);
    let room = rows_max.saturating_sub(rows.len());
    let wanted = recent.iter().filter(|row| row.seq > after && row.seq <= until);
    rows.extend(wanted.take(room));
    Ok(rows)
}

/// The row at a position that is not trimmed.
pub(super) fn row_at(
    connection: &Connection,
    mailbox: i64,
    recent: &Recent,
    at: Seq,
) -> rusqlite::Result<Option<i64>> {
    let recent = recent.of_mailbox(mailbox);
    if let Ok(found) = recent.binary_search_by_key(&at, |row| row.seq) {
        return Ok(Some(recent[found].number));
    }
    connection
        .prepare_cached("SELECT number FROM positions WHERE user = ?1 AND seq = ?2")?
        .query_row([mailbox, signed(at)], |row| row.get(0))
        .optional()
}

/// A mailbox's newest position; zero if it has none.
pub(super) fn newest(
    connection: &Connection,
    mailbox: i64,
    recent: &Recent,
) -> rusqlite::Result<Seq> {
    if let Some(last) = recent.of_mailbox(mailbox).last() {
        return Ok(last.seq);
    }
    connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM positions WHERE user = ?1")?
        .query_row([mailbox], |row| seq(row, 0))
}

/// A mailbox was trimmed up to here. Before the user's row says so.
pub(super) fn trimmed_until(
    connection: &Connection,
    mailbox: i64,
    until: Seq,
) -> rusqlite::Result<()> {
    let batch = |position: Seq| position.get() / TAKEN_OUT_TOGETHER;
    // Nobody's mailbox is one that was erased: of that one nothing stays.
    if trimmed(connection, mailbox)?.is_none_or(|before| batch(before) < batch(until)) {
        connection
            .prepare_cached("DELETE FROM positions WHERE user = ?1 AND seq <= ?2")?
            .execute([mailbox, signed(until)])?;
    }
    Ok(())
}

/// `None` if the mailbox is nobody's.
pub(super) fn trimmed(connection: &Connection, mailbox: i64) -> rusqlite::Result<Option<Seq>> {
    connection
        .prepare_cached("SELECT trimmed FROM users WHERE id = ?1")?
        .query_row([mailbox], |row| seq(row, 0))
        .optional()
}
