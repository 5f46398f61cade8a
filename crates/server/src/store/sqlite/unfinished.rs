//! What the writer knows of growing answers. It changes them before it commits; what did not happen
//! is undone, what did is shown.

use std::{collections::HashMap, sync::Arc};

use rusqlite::Connection;
use tetherline_protocol::{MessageId, UserId};

use super::{
    super::upkeep::ErasedText,
    log::Log,
    rows,
    table::{Growing, Phase, Sight, Table},
};

/// Bytes of text that are written into answers' rows, or of log that are deleted, in one go: enough
/// for a second's worth of many answers, and written in a few milliseconds.
const STEP_BYTES: u64 = 256 * 1024;
/// The same for each byte that the transaction has added to the log. All answers together may have
/// this many times the text that the log may have, so that the log is shortened as fast as it grows.
const STEP_FACTOR: u64 = 8;

/// All growing answers, from the writer's side.
pub(in super::super) struct Answers {
    pub(super) table: Arc<Table>,
    pub(super) log: Log,
    /// What all of them count for `streams_bytes_max`.
    pub(super) bytes: usize,
    /// The number of the newest. None is used twice, because the log names answers by it.
    last_number: i64,
    /// What this transaction has changed.
    changes: Vec<Change>,
    /// The last step did not forget all of the log that nobody needs.
    is_behind: bool,
}

/// A change that is not committed, with what it takes to undo it.
enum Change {
    Opened(Arc<Growing>),
    Grew { growing: Arc<Growing>, pin_before: Option<i64> },
    Stopped { growing: Arc<Growing>, phase_before: Phase },
    Checkpointed { growing: Arc<Growing>, pin_before: Option<i64> },
    Left(Arc<Growing>),
}

impl Answers {
    /// Reads what was going on when the file was closed.
    pub(in super::super) fn load(connection: &Connection, now: i64) -> rusqlite::Result<Self> {
        let unfinished = rows::unfinished(connection, now)?;
        let newest = unfinished.iter().map(|answer| answer.logged).max().unwrap_or(0);
        let after = unfinished.iter().map(|answer| answer.logged).min();
        let is_erasing = connection.prepare("SELECT 1 FROM erased")?.exists([])?;
        let mut answers = Self {
            table: Arc::default(),
            log: Log::load(connection, newest, is_erasing)?,
            bytes: 0,
            last_number: rows::last_number(connection)?,
            changes: Vec::new(),
            is_behind: true,
        };
        let mut all: HashMap<i64, (Growing, i64)> = HashMap::new();
        for rows::Unfinished { growing, text, logged } in unfinished {
            growing.state().text.push(&text);
            all.insert(growing.number, (growing, logged));
        }
        if let Some(after) = after {
            Log::replay(connection, after, |row, piece| {
                if let Some((growing, logged)) = all.get(&piece.0)
                    && row > *logged
                {
                    let mut state = growing.state();
                    state.text.push(&piece.1);
                    state.pin.get_or_insert(row);
                }
            })?;
        }
        for (growing, _) in all.into_values() {
            show(&growing);
            answers.bytes += growing.cost();
            answers.table.add(Arc::new(growing));
        }
        Ok(answers)
    }

    /// What readers share with the writer.
    pub(in super::super) fn table(&self) -> Arc<Table> {
        self.table.clone()
    }

    pub(super) fn next_number(&mut self) -> i64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn opened(&mut self, growing: Growing) {
        let growing = Arc::new(growing);
        self.bytes += growing.cost();
        self.table.add(growing.clone());
        self.changes.push(Change::Opened(growing));
    }

    pub(super) fn grew(
        &mut self,
        connection: &Connection,
        growing: &Arc<Growing>,
        text: &str,
    ) -> rusqlite::Result<()> {
        let row = self.log.push(connection, growing.number, text)?;
        let mut state = growing.state();
        state.text.push(text);
        let pin_before = state.pin;
        state.pin.get_or_insert(row);
        drop(state);
        self.bytes += text.len();
        self.changes.push(Change::Grew { growing: growing.clone(), pin_before });
        Ok(())
    }

    pub(super) fn stopped(&mut self, growing: Arc<Growing>, now: i64) {
        let phase_before =
            std::mem::replace(&mut growing.state().phase, Phase::Stopped { at: now });
        self.changes.push(Change::Stopped { growing, phase_before });
    }

    /// From here on nobody reads it, unless the commit fails.
    pub(super) fn left(&mut self, growing: Arc<Growing>) {
        self.bytes -= growing.cost();
        self.table.remove(&growing);
        self.changes.push(Change::Left(growing));
    }

    /// Everything of a user goes. What the file has of it is deleted with their other rows.
    pub(in super::super) fn erased(&mut self, user: &UserId) {
        for growing in self.table.of(user) {
            self.left(growing);
        }
        self.log.purge();
    }

    /// The unfinished answers to a send.
    pub(super) fn answering(&self, user: &UserId, reference: &MessageId) -> Vec<Arc<Growing>> {
        let mut own = self.table.of(user);
        own.retain(|growing| growing.opening.reference() == Some(reference));
        own
    }

    /// Writes the log, at the end of a transaction, and shortens it by a step if that is due.
    pub(in super::super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.log.write(connection)?;
        if self.is_behind || self.log.is_too_long() {
            self.shorten_log(connection)?;
        }
        Ok(())
    }

    /// Forgets some of the log, within a transaction of the caller's.
    pub(in super::super) fn shorten_log(
        &mut self,
        connection: &Connection,
    ) -> rusqlite::Result<ErasedText> {
        let step_bytes = STEP_BYTES.max(STEP_FACTOR * self.log.written_bytes());
        let mut pinning = self.table.all();
        pinning.retain(|growing| growing.state().pin.is_some());
        pinning.sort_by_key(|growing| growing.state().pin);
        let mut written = 0;
        let mut until = self.log.newest() + 1;
        for growing in pinning {
            let pin = growing.state().pin.unwrap_or(until);
            if written >= step_bytes || !self.log.is_too_long_from(pin) {
                until = pin;
                break;
            }
            written += self.checkpoint(connection, growing)?;
        }
        let has_more = self.log.forget(connection, until, step_bytes)?;
        self.is_behind = has_more || self.log.is_too_long();
        Ok(if self.log.has_erased() { ErasedText::Left } else { ErasedText::Gone })
    }

    /// Whether there is more of the log to forget.
    pub(in super::super) fn is_behind(&self) -> bool {
        self.is_behind
    }

    pub(in super::super) fn committed(&mut self) {
        for change in self.changes.drain(..) {
            if let Change::Opened(growing) | Change::Grew { growing, .. } = change {
                show(&growing);
            }
        }
        self.log.committed();
    }

    pub(in super::super) fn undone(&mut self) {
        for change in self.changes.drain(..).rev() {
            match change {
                Change::Opened(growing) => {
                    self.bytes -= growing.cost();
                    self.table.remove(&growing);
                }
                Change::Grew { growing, pin_before } => {
                    let mut state = growing.state();
                    self.bytes -= state.text.take_back();
                    state.pin = pin_before;
                }
                Change::Stopped { growing, phase_before } => growing.state().phase = phase_before,
                Change::Checkpointed { growing, pin_before } => growing.state().pin = pin_before,
                Change::Left(growing) => {
                    self.bytes += growing.cost();
                    self.table.add(growing);
                }
            }
        }
        self.log.undone();
    }

    fn checkpoint(
        &mut self,
        connection: &Connection,
        growing: Arc<Growing>,
    ) -> rusqlite::Result<u64> {
        // A copy, so that no reader waits for the disk. Nobody but this thread changes it meanwhile.
        let text: Box<str> = growing.state().text.as_str().into();
        rows::checkpoint(connection, growing.number, &text, self.log.newest())?;
        let bytes = text.len() as u64;
        let pin_before = growing.state().pin.take();
        self.changes.push(Change::Checkpointed { growing, pin_before });
        Ok(bytes)
    }
}

fn show(growing: &Growing) {
    let mut state = growing.state();
    state.text.show();
    state.sight = Sight::Shown;
}
