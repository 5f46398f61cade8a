//! Which row has the message at a position. Rows are appended; an index over (user, position) kept up with
//! them would write a page of its own for nearly every message, because each mailbox ends on another one. So
//! the newest rows are known in memory, and folded into the file's table `positions` behind the commits,
//! many at once and in its order. What is trimmed leaves it some at a time, too.
//!
//! Whatever crashes: rows after `meta.positions_folded` are known again after the next start, and one that is
//! in the table although it is trimmed is at a position that nobody is answered.

use rusqlite::{CachedStatement, Connection, OptionalExtension as _};
use tetherline_protocol::{Seq, UserId};

use super::{
    recent::{Recent, Recents, Row},
    statements::{seq, signed},
};

/// Rows in memory from which on they are folded in.
pub(super) const FOLD_AT: usize = 65_536;
/// The same of one mailbox: whoever reads takes a copy of them.
pub(super) const MAILBOX_FOLD_AT: usize = 1_024;
/// Rows that may be in memory when folding does not come through: publishes fail then.
pub(super) const POSITIONS_IN_MEMORY_MAX: usize = 1_048_576;
/// At so many times what is folded in, here and of keys, folding has to keep up with what comes.
pub(super) const OUTRUN_AT: usize = 4;
/// Rows, or keys, after which a step of folding ends, so that nobody waits long for it.
pub(super) const AT_ONCE: usize = 1_024;
/// Positions that are taken out of the table together once they are trimmed, so that a page is not written
/// for each of them. They are about a third of one.
const TAKEN_OUT_TOGETHER: u64 = 128;

/// What the writer keeps of it.
pub(super) struct Index {
    fold_at: usize,
    /// The number of the next row. They never count back, even when all rows are trimmed.
    next: i64,
    /// What the commit that is being made changes.
    changes: Vec<Change>,
    fold: Option<Fold>,
    folded: Vec<(UserId, Recent)>,
    /// Mailboxes that have too many in memory for the others to be waited for.
    full: Vec<UserId>,
}

enum Change {
    Appended { user: UserId, mailbox: i64, row: Row },
    Erased(UserId),
}

/// Rows on their way into the file.
struct Fold {
    /// Whose are still to be folded in; the first in the file's order is the last here.
    users: Vec<UserId>,
    /// Up to this row the file has all of them then.
    until: Option<i64>,
}

impl Index {
    /// Folds in from `fold_at` rows on.
    pub(super) fn load(
        connection: &Connection,
        recents: &Recents,
        fold_at: usize,
    ) -> rusqlite::Result<Self> {
        let mut index = Self {
            fold_at,
            next: 0,
            changes: Vec::new(),
            fold: None,
            folded: Vec::new(),
            full: Vec::new(),
        };
        index.reload(connection, recents)?;
        Ok(index)
    }

    /// Finds what was not folded in. Of who was erased everything is in the file.
    pub(super) fn reload(
        &mut self,
        connection: &Connection,
        recents: &Recents,
    ) -> rusqlite::Result<()> {
        let bounds =
            "SELECT positions_folded, coalesce((SELECT max(number) FROM messages), 0) FROM meta";
        let (folded_until, last): (i64, i64) =
            connection.query_row(bounds, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut statement = connection.prepare(
            "SELECT messages.number, messages.user, messages.seq, users.name
             FROM messages JOIN users ON users.id = messages.user
             WHERE messages.number > ?1 ORDER BY messages.number",
        )?;
        let mut rows = statement.query([folded_until])?;
        let mut all = recents.change();
        all.clear();
        (self.fold, self.full) = (None, Vec::new());
        while let Some(row) = rows.next()? {
            let found = Row { seq: seq(row, 2)?, number: row.get(0)? };
            // One whose name was changed in the file is nobody.
            let Ok(user) = row.get_ref(3)?.as_str()?.parse() else { continue };
            if all.add(&user, row.get(1)?, found) == MAILBOX_FOLD_AT {
                self.full.push(user);
            }
        }
        self.next = last.max(folded_until) + 1;
        Ok(())
    }

    /// The store is about to be closed.
    pub(super) fn fold_all_from_now_on(&mut self) {
        self.fold_at = 1;
    }

    /// What is known of a mailbox in memory once this is committed.
    pub(super) fn recent(&self, recents: &Recents, user: &UserId) -> Recent {
        let mut recent = recents.of(user);
        for change in &self.changes {
            match change {
                Change::Appended { user: theirs, mailbox, row } if theirs == user => {
                    recent.add(*mailbox, *row);
                }
                Change::Erased(theirs) if theirs == user => recent = Recent::default(),
                _ => {}
            }
        }
        recent
    }

    /// The number of the row for a message that is about to be appended.
    pub(super) fn appended(
        &mut self,
        recents: &Recents,
        (user, mailbox): (&UserId, i64),
        seq: Seq,
    ) -> rusqlite::Result<i64> {
        if recents.rows() + self.changes.len() >= POSITIONS_IN_MEMORY_MAX {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
                Some("the positions in memory cannot be folded into the file".into()),
            ));
        }
        let row = Row { seq, number: self.next };
        self.changes.push(Change::Appended { user: user.clone(), mailbox, row });
        self.next += 1;
        Ok(row.number)
    }

    /// A mailbox's number is about to be given up: from here on everything under it is in the file, and who
    /// deletes it finds it there.
    pub(super) fn erase(
        &mut self,
        connection: &Connection,
        recents: &Recents,
        (user, mailbox): (&UserId, i64),
    ) -> rusqlite::Result<()> {
        let mut put = Put::prepare(connection)?;
        put.rows(mailbox, recents.of(user).of_mailbox(mailbox))?;
        for change in &self.changes {
            if let Change::Appended { mailbox: theirs, row, .. } = change
                && *theirs == mailbox
            {
                put.row(mailbox, *row)?;
            }
        }
        self.changes.push(Change::Erased(user.clone()));
        Ok(())
    }

    pub(super) fn committed(&mut self, recents: &Recents) {
        if self.changes.is_empty() && self.folded.is_empty() {
            return;
        }
        let mut all = recents.change();
        for change in self.changes.drain(..) {
            match change {
                Change::Appended { user, mailbox, row } => {
                    if all.add(&user, mailbox, row) == MAILBOX_FOLD_AT {
                        self.full.push(user);
                    }
                }
                Change::Erased(user) => all.remove(&user),
            }
        }
        for (user, folded) in self.folded.drain(..) {
            all.folded(&user, &folded);
            if let Some(fold) = &mut self.fold {
                fold.users.pop();
            }
        }
        if self.fold.as_ref().is_some_and(|fold| fold.users.is_empty()) {
            self.fold = None;
        }
    }

    pub(super) fn undone(&mut self) {
        self.changes.clear();
        self.folded.clear();
    }

    /// Whether there are so many in memory that they are to be folded in.
    pub(super) fn wants_fold(&self, recents: &Recents) -> bool {
        self.fold.is_some() || !self.full.is_empty() || recents.rows() >= self.fold_at
    }

    /// Whether publishers bring them faster than they are folded in while somebody waits.
    pub(super) fn is_outrun(&self, recents: &Recents) -> bool {
        recents.rows() >= OUTRUN_AT * self.fold_at
    }

    /// Folds some in, within a transaction of the caller's.
    pub(super) fn fold(
        &mut self,
        connection: &Connection,
        recents: &Recents,
    ) -> rusqlite::Result<()> {
        let fold = self.fold.get_or_insert_with(|| {
            if recents.rows() >= self.fold_at || self.full.is_empty() {
                self.full.clear();
                Fold { users: recents.users_from_last(), until: Some(self.next - 1) }
            } else {
                Fold { users: std::mem::take(&mut self.full), until: None }
            }
        });
        let mut rows = 0;
        let mut put = Put::prepare(connection)?;
        for user in fold.users.iter().rev() {
            if rows >= AT_ONCE {
                return Ok(());
            }
            let recent = recents.of(user);
            let trimmed = trimmed(connection, recent.mailbox)?.unwrap_or(Seq::ZERO);
            let first = recent.rows.partition_point(|row| row.seq <= trimmed);
            put.rows(recent.mailbox, &recent.rows[first..])?;
            rows += recent.rows.len();
            self.folded.push((user.clone(), recent));
        }
        if let Some(until) = fold.until {
            let done = "UPDATE meta SET positions_folded = ?1";
            connection.prepare_cached(done)?.execute([until])?;
        }
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
        let (one, run) = (connection.prepare_cached(one)?, connection.prepare_cached(run)?);
        Ok(Self { one, run })
    }

    fn rows(&mut self, mailbox: i64, mut rows: &[Row]) -> rusqlite::Result<()> {
        while let Some((first, last, later)) = Row::first_run(rows) {
            if first == last {
                self.row(mailbox, first)?;
            } else {
                let ahead = signed(first.seq) - first.number;
                self.run.execute([first.number, last.number, mailbox, ahead])?;
            }
            rows = later;
        }
        Ok(())
    }

    fn row(&mut self, mailbox: i64, row: Row) -> rusqlite::Result<()> {
        self.one.execute([mailbox, signed(row.seq), row.number])?;
        Ok(())
    }
}

/// The rows that a mailbox has after a position, the first ones.
pub(super) fn rows_after(
    connection: &Connection,
    mailbox: i64,
    recent: &Recent,
    after: Seq,
    rows_max: i64,
) -> rusqlite::Result<Vec<Row>> {
    let recent = recent.of_mailbox(mailbox);
    let before = recent.first().map_or(i64::MAX, |first| signed(first.seq));
    let mut rows = Vec::new();
    if signed(after) + 1 < before {
        let mut statement = connection.prepare_cached(
            "SELECT seq, number FROM positions WHERE user = ?1 AND seq > ?2 AND seq < ?3
             ORDER BY seq LIMIT ?4",
        )?;
        let folded = statement.query_map([mailbox, signed(after), before, rows_max], |row| {
            Ok(Row { seq: seq(row, 0)?, number: row.get(1)? })
        })?;
        rows = folded.collect::<Result<_, _>>()?;
    }
    let rows_max = usize::try_from(rows_max).unwrap_or(0);
    let room = rows_max.saturating_sub(rows.len());
    rows.extend(recent.iter().filter(|row| row.seq > after).take(room));
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

fn trimmed(connection: &Connection, mailbox: i64) -> rusqlite::Result<Option<Seq>> {
    connection
        .prepare_cached("SELECT trimmed FROM users WHERE id = ?1")?
        .query_row([mailbox], |row| seq(row, 0))
        .optional()
}
