//! The streams that are not finished, from the writer's side. It changes them before it commits; what
//! did not happen is undone, what did is shown.

use std::{collections::HashMap, sync::Arc};

use rusqlite::Connection;
use tetherline_protocol::{MessageId, UserId};

use super::{
    stream_log::StreamLog,
    stream_rows,
    stream_table::{Phase, Sight, Stream, StreamTable},
    upkeep::ErasedText,
};

/// Bytes of text that are written into streams' rows, or of log that are deleted, in one go: enough
/// for a second's worth of many streams, and written in a few milliseconds.
const STEP_BYTES: u64 = 256 * 1024;
/// The same for each byte that the transaction has added to the log. All streams together may have
/// this many times the text that the log may have, so that the log is shortened as fast as it grows.
const STEP_FACTOR: u64 = 8;

/// All unfinished streams, with what this transaction changes of them.
pub(super) struct Unfinished {
    pub(super) table: Arc<StreamTable>,
    pub(super) log: StreamLog,
    /// What all of them count for `streams_bytes_max`.
    pub(super) bytes: usize,
    /// The number of the newest. None is used twice, because the log names streams by it.
    last_number: i64,
    /// What this transaction has changed.
    changes: Vec<Change>,
    /// The last step did not forget all of the log that nobody needs.
    is_behind: bool,
}

/// A change that is not committed, with what it takes to undo it.
enum Change {
    Opened(Arc<Stream>),
    Appended { stream: Arc<Stream>, pin_before: Option<i64> },
    Stopped { stream: Arc<Stream>, phase_before: Phase },
    Checkpointed { stream: Arc<Stream>, pin_before: Option<i64> },
    Left(Arc<Stream>),
}

impl Unfinished {
    /// Reads what was going on when the file was closed.
    pub(super) fn load(connection: &Connection, now: i64) -> rusqlite::Result<Self> {
        let unfinished = stream_rows::unfinished(connection, now)?;
        let newest = unfinished.iter().map(|stored| stored.logged).max().unwrap_or(0);
        let after = unfinished.iter().map(|stored| stored.logged).min();
        let is_erasing = connection.prepare("SELECT 1 FROM erased")?.exists([])?;
        let mut loaded = Self {
            table: Arc::default(),
            log: StreamLog::load(connection, newest, is_erasing)?,
            bytes: 0,
            last_number: stream_rows::last_number(connection)?,
            changes: Vec::new(),
            is_behind: true,
        };
        let mut all: HashMap<i64, (Stream, i64)> = HashMap::new();
        for stream_rows::Stored { stream, text, logged } in unfinished {
            stream.state().text.push(&text);
            all.insert(stream.number, (stream, logged));
        }
        if let Some(after) = after {
            StreamLog::replay(connection, after, |row, piece| {
                if let Some((stream, logged)) = all.get(&piece.0)
                    && row > *logged
                {
                    let mut state = stream.state();
                    state.text.push(&piece.1);
                    state.pin.get_or_insert(row);
                }
            })?;
        }
        for (stream, _) in all.into_values() {
            show(&stream);
            loaded.bytes += stream.cost();
            loaded.table.add(Arc::new(stream));
        }
        Ok(loaded)
    }

    /// What readers share with the writer.
    pub(super) fn table(&self) -> Arc<StreamTable> {
        self.table.clone()
    }

    pub(super) fn next_number(&mut self) -> i64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn opened(&mut self, stream: Stream) {
        let stream = Arc::new(stream);
        self.bytes += stream.cost();
        self.table.add(stream.clone());
        self.changes.push(Change::Opened(stream));
    }

    pub(super) fn appended(
        &mut self,
        connection: &Connection,
        stream: &Arc<Stream>,
        text: &str,
    ) -> rusqlite::Result<()> {
        let row = self.log.push(connection, stream.number, text)?;
        let mut state = stream.state();
        state.text.push(text);
        let pin_before = state.pin;
        state.pin.get_or_insert(row);
        drop(state);
        self.bytes += text.len();
        self.changes.push(Change::Appended { stream: stream.clone(), pin_before });
        Ok(())
    }

    pub(super) fn stopped(&mut self, stream: Arc<Stream>, now: i64) {
        let phase_before = std::mem::replace(&mut stream.state().phase, Phase::Stopped { at: now });
        self.changes.push(Change::Stopped { stream, phase_before });
    }

    /// From here on nobody reads it, unless the commit fails.
    pub(super) fn left(&mut self, stream: Arc<Stream>) {
        self.bytes -= stream.cost();
        self.table.remove(&stream);
        self.changes.push(Change::Left(stream));
    }

    /// Everything of a user goes. What the file has of it is deleted with their other rows.
    pub(super) fn erased(&mut self, user: &UserId) {
        for stream in self.table.of(user) {
            self.left(stream);
        }
        self.log.purge();
    }

    /// Those that answer a send.
    pub(super) fn answering(&self, user: &UserId, reference: &MessageId) -> Vec<Arc<Stream>> {
        let mut own = self.table.of(user);
        own.retain(|stream| stream.opening.reference() == Some(reference));
        own
    }

    /// Writes the log, at the end of a transaction, and shortens it by a step if that is due.
    pub(super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.log.write(connection)?;
        if self.is_behind || self.log.is_too_long() {
            self.shorten_log(connection)?;
        }
        Ok(())
    }

    /// Forgets some of the log, within a transaction of the caller's.
    pub(super) fn shorten_log(&mut self, connection: &Connection) -> rusqlite::Result<ErasedText> {
        let step_bytes = STEP_BYTES.max(STEP_FACTOR * self.log.written_bytes());
        let mut pinning = self.table.all();
        pinning.retain(|stream| stream.state().pin.is_some());
        pinning.sort_by_key(|stream| stream.state().pin);
        let mut written = 0;
        let mut until = self.log.newest() + 1;
        for stream in pinning {
            let pin = stream.state().pin.unwrap_or(until);
            if written >= step_bytes || !self.log.is_too_long_from(pin) {
                until = pin;
                break;
            }
            written += self.checkpoint(connection, stream)?;
        }
        let has_more = self.log.forget(connection, until, step_bytes)?;
        self.is_behind = has_more || self.log.is_too_long();
        Ok(if self.log.has_erased() { ErasedText::Left } else { ErasedText::Gone })
    }

    /// Whether there is more of the log to forget.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind
    }

    pub(super) fn committed(&mut self) {
        for change in self.changes.drain(..) {
            if let Change::Opened(stream) | Change::Appended { stream, .. } = change {
                show(&stream);
            }
        }
        self.log.committed();
    }

    pub(super) fn undone(&mut self) {
        for change in self.changes.drain(..).rev() {
            match change {
                Change::Opened(stream) => {
                    self.bytes -= stream.cost();
                    self.table.remove(&stream);
                }
                Change::Appended { stream, pin_before } => {
                    let mut state = stream.state();
                    self.bytes -= state.text.take_back();
                    state.pin = pin_before;
                }
                Change::Stopped { stream, phase_before } => stream.state().phase = phase_before,
                Change::Checkpointed { stream, pin_before } => stream.state().pin = pin_before,
                Change::Left(stream) => {
                    self.bytes += stream.cost();
                    self.table.add(stream);
                }
            }
        }
        self.log.undone();
    }

    fn checkpoint(
        &mut self,
        connection: &Connection,
        stream: Arc<Stream>,
    ) -> rusqlite::Result<u64> {
        // A copy, so that no reader waits for the disk. Nobody but this thread changes it meanwhile.
        let text: Box<str> = stream.state().text.as_str().into();
        stream_rows::checkpoint(connection, stream.number, &text, self.log.newest())?;
        let bytes = text.len() as u64;
        let pin_before = stream.state().pin.take();
        self.changes.push(Change::Checkpointed { stream, pin_before });
        Ok(bytes)
    }
}

fn show(stream: &Stream) {
    let mut state = stream.state();
    state.text.show();
    state.sight = Sight::Shown;
}
