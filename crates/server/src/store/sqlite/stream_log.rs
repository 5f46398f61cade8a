//! The text that came for streams, in the order in which it came: one row for each commit,
//! `[[number of the stream, "text"], …]`. A row of its own for each piece would cost several pages.
//!
//! A row is forgotten when no stream needs it: those that are finished do not, and those that pin the
//! oldest rows of a log that is too long have their text written into their own row instead.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
};

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::statements::{self, invalid};

/// Longest log, in bytes. What streams still need is then written into their own rows.
pub(super) const LOG_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// The same in rows: when little is written at a time, there are many.
pub(super) const LOG_ROWS_MAX: usize = 65_536;
/// Largest row, in bytes, except that the first piece always fits. Larger commits have several.
const ROW_BYTES_MAX: usize = 1024 * 1024;

/// A piece of a stream's text.
#[derive(Serialize, Deserialize)]
pub(super) struct Piece<'a>(pub(super) i64, #[serde(borrow)] pub(super) Cow<'a, str>);

#[derive(Default)]
pub(super) struct StreamLog {
    /// The rows in the file, those of this transaction included, the oldest first.
    rows: VecDeque<Row>,
    /// Bytes that were ever in `rows`.
    end: u64,
    /// The number of the newest row that there ever was.
    newest: i64,
    /// How many of the newest rows, and how many of the oldest that are gone, this transaction made.
    written: usize,
    forgotten: usize,
    /// Text for the next row.
    pending: Vec<u8>,
    /// Up to here rows have text of somebody who was erased; and what it was before this transaction.
    purge_until: i64,
    purge_until_before: i64,
}

struct Row {
    number: i64,
    /// How many bytes came before it.
    start: u64,
}

impl StreamLog {
    /// `newest` is the number of the newest row that any stream knows of. If somebody is being erased,
    /// all that is there may have text of theirs.
    pub(super) fn load(
        connection: &Connection,
        newest: i64,
        is_erasing: bool,
    ) -> rusqlite::Result<Self> {
        let mut log = Self { newest, ..Self::default() };
        let mut statement = connection
            .prepare("SELECT number, octet_length(pieces) FROM stream_log ORDER BY number")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let bytes: i64 = row.get(1)?;
            log.note(row.get(0)?, bytes.unsigned_abs());
        }
        if is_erasing {
            log.purge();
            log.committed();
        }
        Ok(log)
    }

    /// Reads all pieces of the rows after `after`, with the number of their row.
    pub(super) fn replay(
        connection: &Connection,
        after: i64,
        mut take: impl FnMut(i64, Piece<'_>),
    ) -> rusqlite::Result<()> {
        let mut statement = connection
            .prepare("SELECT number, pieces FROM stream_log WHERE number > ?1 ORDER BY number")?;
        let mut rows = statement.query([after])?;
        while let Some(row) = rows.next()? {
            let pieces: Vec<Piece<'_>> = serde_json::from_str(row.get_ref(1)?.as_str()?)
                .map_err(|error| invalid(1, error))?;
            let number = row.get(0)?;
            for piece in pieces {
                take(number, piece);
            }
        }
        Ok(())
    }

    /// Keeps a piece for the row that this transaction is to write, and answers that row's number.
    pub(super) fn push(
        &mut self,
        connection: &Connection,
        stream: i64,
        text: &str,
    ) -> rusqlite::Result<i64> {
        if self.pending.len() + text.len() > ROW_BYTES_MAX {
            self.write(connection)?;
        }
        self.pending.push(if self.pending.is_empty() { b'[' } else { b',' });
        // Writing numbers and texts to memory cannot fail.
        serde_json::to_writer(&mut self.pending, &(stream, text))
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok(self.newest + 1)
    }

    /// Writes what is kept, if there is something.
    pub(super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.pending.push(b']');
        let number = self.newest + 1;
        let pieces = str::from_utf8(&self.pending)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        connection
            .prepare_cached("INSERT INTO stream_log (number, pieces) VALUES (?1, ?2)")?
            .execute(params![number, pieces])?;
        self.note(number, self.pending.len() as u64);
        self.written += 1;
        self.pending.clear();
        Ok(())
    }

    /// Deletes rows that come before `until`, at most so many bytes of them and at least one.
    /// Unfinished whether there are more.
    pub(super) fn forget(
        &mut self,
        connection: &Connection,
        until: i64,
        bytes_max: u64,
    ) -> rusqlite::Result<bool> {
        let Some(first) = self.rows.get(self.forgotten) else { return Ok(false) };
        if first.number >= until {
            return Ok(false);
        }
        let (start, last) = (first.start, self.rows.partition_point(|row| row.number < until));
        let affordable = self.rows.partition_point(|row| row.start < start + bytes_max);
        let gone = last.min(affordable);
        let before = self.rows.get(gone).map_or(self.newest + 1, |row| row.number);
        // Text that somebody may have erased one day is overwritten, and not only unlinked.
        statements::securely(connection, || {
            connection.prepare_cached("DELETE FROM stream_log WHERE number < ?1")?.execute([before])
        })?;
        self.forgotten = gone;
        Ok(gone < last)
    }

    /// Has everything up to now forgotten soon, because somebody was erased.
    pub(super) fn purge(&mut self) {
        // What is kept for the next row may have text of theirs, too.
        self.purge_until = self.newest + i64::from(!self.pending.is_empty());
    }

    /// Whether there is text of somebody who was erased.
    pub(super) fn has_erased(&self) -> bool {
        self.rows.get(self.forgotten).is_some_and(|row| row.number <= self.purge_until)
    }

    /// Whether this row, and all after it, is too much to keep, or has text of somebody erased.
    pub(super) fn is_too_long_from(&self, number: i64) -> bool {
        let index = self.rows.partition_point(|row| row.number < number).max(self.forgotten);
        let Some(row) = self.rows.get(index) else { return false };
        row.number <= self.purge_until
            || self.end - row.start > LOG_BYTES_MAX
            || self.rows.len() - index > LOG_ROWS_MAX
    }

    /// Whether it is too long as it is.
    pub(super) fn is_too_long(&self) -> bool {
        self.is_too_long_from(0)
    }

    /// The number of the newest row.
    pub(super) fn newest(&self) -> i64 {
        self.newest
    }

    /// What this transaction has written, in bytes.
    pub(super) fn written_bytes(&self) -> u64 {
        let first = self.rows.len() - self.written;
        self.rows.get(first).map_or(0, |row| self.end - row.start)
    }

    pub(super) fn committed(&mut self) {
        self.rows.drain(..self.forgotten);
        (self.written, self.forgotten) = (0, 0);
        self.purge_until_before = self.purge_until;
    }

    pub(super) fn undone(&mut self) {
        self.pending.clear();
        for row in self.rows.drain(self.rows.len() - self.written..).rev() {
            self.end = row.start;
            self.newest = row.number - 1;
        }
        (self.written, self.forgotten) = (0, 0);
        self.purge_until = self.purge_until_before;
    }

    fn note(&mut self, number: i64, bytes: u64) {
        self.rows.push_back(Row { number, start: self.end });
        self.end += bytes;
        self.newest = self.newest.max(number);
    }
}

/// How many rows are no text of streams.
pub(super) fn count_unreadable(connection: &Connection) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare("SELECT pieces FROM stream_log ORDER BY number")?;
    let mut rows = statement.query([])?;
    let mut unreadable = 0;
    while let Some(row) = rows.next()? {
        let pieces = row.get_ref(0)?.as_str().ok();
        let is_text = |text: &str| serde_json::from_str::<Vec<Piece<'_>>>(text).is_ok();
        unreadable += u64::from(!pieces.is_some_and(is_text));
    }
    Ok(unreadable)
}

/// Takes all text out of the log that no stream needs, be it of those that are finished or of those that
/// are gone.
pub(super) fn keep_needed(connection: &Connection) -> rusqlite::Result<()> {
    let mut unfinished =
        connection.prepare("SELECT number, logged FROM streams WHERE finished_at IS NULL")?;
    let unfinished = unfinished.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let logged: HashMap<i64, i64> = unfinished.collect::<Result<_, _>>()?;
    let mut next = connection.prepare("SELECT min(number) FROM stream_log WHERE number > ?1")?;
    let mut read = connection.prepare("SELECT pieces FROM stream_log WHERE number = ?1")?;
    let mut last = i64::MIN;
    while let Some(number) = next.query_row([last], |row| row.get::<_, Option<i64>>(0))? {
        let pieces: String = read.query_row([number], |row| row.get(0))?;
        let pieces: Vec<Piece<'_>> =
            serde_json::from_str(&pieces).map_err(|error| invalid(0, error))?;
        let is_needed =
            |piece: &Piece<'_>| logged.get(&piece.0).is_some_and(|logged| number > *logged);
        let needed: Vec<Piece<'_>> = pieces.into_iter().filter(is_needed).collect();
        if needed.is_empty() {
            connection.execute("DELETE FROM stream_log WHERE number = ?1", [number])?;
        } else {
            let pieces = serde_json::to_string(&needed)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
            let change = "UPDATE stream_log SET pieces = ?2 WHERE number = ?1";
            connection.execute(change, params![number, pieces])?;
        }
        last = number;
    }
    Ok(())
}
