//! Every statement about streams.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tetherline_protocol::{
    Attempt, MessageId, Seq, StreamStatus, UserId, frame::StreamOpening, limits::STREAM_STOPS_MAX,
};

use super::{
    super::Appended,
    statements::{self, id, invalid},
    stream_table::{Phase, Stream},
};

/// A finished attempt.
pub(super) struct Finished {
    pub(super) attempt: Attempt,
    pub(super) status: StreamStatus,
    pub(super) id: MessageId,
    pub(super) seq: Seq,
    pub(super) length: u64,
}

/// An attempt that was going on when the file was closed.
pub(super) struct Stored {
    pub(super) stream: Stream,
    pub(super) text: Box<str>,
    /// The last row of the log whose text `text` has.
    pub(super) logged: i64,
}

pub(super) fn insert(
    connection: &Connection,
    user: i64,
    stream: &Stream,
    logged: i64,
    now: i64,
) -> rusqlite::Result<()> {
    let stopped_at = match stream.state().phase {
        Phase::Open { .. } => None,
        Phase::Stopped { .. } => Some(now),
    };
    connection
        .prepare_cached(
            "INSERT INTO streams
                 (number, user, uuid, attempt, kind, reference, fields, opened_at, stopped_at, logged)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            stream.number,
            user,
            stream.message_uuid.as_str(),
            stream.attempt.get(),
            stream.opening.kind(),
            stream.opening.reference().map(MessageId::as_str),
            stream.opening.fields(),
            now,
            stopped_at,
            logged,
        ])?;
    Ok(())
}

/// Forgets a stream, for another attempt at it.
pub(super) fn delete(
    connection: &Connection,
    user: i64,
    message_uuid: &MessageId,
) -> rusqlite::Result<()> {
    statements::securely(connection, || {
        connection
            .prepare_cached("DELETE FROM streams WHERE user = ?1 AND uuid = ?2")?
            .execute(params![user, message_uuid.as_str()])
    })?;
    Ok(())
}

pub(super) fn stop(connection: &Connection, number: i64, now: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE streams SET stopped_at = ?2 WHERE number = ?1")?
        .execute([number, now])?;
    Ok(())
}

/// Writes an attempt's text into its row, so that it needs no row of the log up to `logged`.
pub(super) fn checkpoint(
    connection: &Connection,
    number: i64,
    text: &str,
    logged: i64,
) -> rusqlite::Result<()> {
    statements::securely(connection, || {
        connection
            .prepare_cached("UPDATE streams SET text = ?2, logged = ?3 WHERE number = ?1")?
            .execute(params![number, text, logged])
    })?;
    Ok(())
}

/// What the message has now is not kept twice.
pub(super) fn finish(
    connection: &Connection,
    number: i64,
    status: StreamStatus,
    appended: &Appended,
    length: u64,
) -> rusqlite::Result<()> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    statements::securely(connection, || {
        connection
            .prepare_cached(
                "UPDATE streams SET finished_at = ?2, status = ?3, id = ?4, seq = ?5, length = ?6,
                     fields = '', text = '' WHERE number = ?1",
            )?
            .execute(params![
                number,
                appended.created_at_ms,
                status.as_str(),
                appended.id.as_str(),
                statements::signed(appended.seq),
                length,
            ])
    })?;
    Ok(())
}

pub(super) fn finished(
    connection: &Connection,
    user: i64,
    message_uuid: &MessageId,
) -> rusqlite::Result<Option<Finished>> {
    connection
        .prepare_cached(
            "SELECT attempt, status, id, seq, length FROM streams
             WHERE user = ?1 AND uuid = ?2 AND finished_at IS NOT NULL",
        )?
        .query_row(params![user, message_uuid.as_str()], |row| {
            let status = row.get_ref(1)?.as_str()?;
            let length: i64 = row.get(4)?;
            Ok(Finished {
                attempt: attempt(row, 0)?,
                status: StreamStatus::named(status)
                    .ok_or_else(|| invalid(1, UnknownStatus(status.into())))?,
                id: id(row, 2)?,
                seq: statements::seq(row, 3)?,
                length: u64::try_from(length)
                    .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(4, length))?,
            })
        })
        .optional()
}

/// Whether a finished stream answers a send.
pub(super) fn is_answered(
    connection: &Connection,
    user: i64,
    reference: &MessageId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM streams
             WHERE user = ?1 AND reference = ?2 AND finished_at IS NOT NULL",
        )?
        .exists(params![user, reference.as_str()])
}

/// Remembers that a send is not to be answered; of too many the oldest is forgotten.
pub(super) fn remember_stop(
    connection: &Connection,
    user: i64,
    reference: &MessageId,
    now: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO stream_stops (user, reference, created_at) VALUES (?1, ?2, ?3)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![user, reference.as_str(), now])?;
    connection
        .prepare_cached(
            "DELETE FROM stream_stops WHERE user = ?1 AND number NOT IN
                 (SELECT number FROM stream_stops WHERE user = ?1 ORDER BY number DESC LIMIT ?2)",
        )?
        .execute(params![user, statements::count(STREAM_STOPS_MAX)])?;
    Ok(())
}

/// Whether that is remembered, and not for too long.
pub(super) fn is_stopped(
    connection: &Connection,
    user: i64,
    reference: &MessageId,
    since: i64,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM stream_stops
             WHERE user = ?1 AND reference = ?2 AND created_at >= ?3",
        )?
        .exists(params![user, reference.as_str(), since])
}

/// All that were going on, the oldest first. Those of erased users are left out: nobody has their
/// number any more. Writers get their whole time anew, because they may not have been able to speak.
pub(super) fn unfinished(connection: &Connection, now: i64) -> rusqlite::Result<Vec<Stored>> {
    let mut statement = connection.prepare(
        "SELECT number, name, uuid, attempt, kind, reference, fields, stopped_at, text, logged
         FROM streams JOIN users ON users.id = streams.user
         WHERE finished_at IS NULL ORDER BY number",
    )?;
    let rows = statement.query_map([], |row| {
        let name: UserId = row.get_ref(1)?.as_str()?.parse().map_err(|error| invalid(1, error))?;
        let reference = row.get_ref(5)?.as_str_or_null()?.map(|_| id(row, 5)).transpose()?;
        let uuid = id(row, 2)?;
        let opening = StreamOpening::from_stored(row.get(4)?, uuid.clone(), reference, row.get(6)?);
        let phase = match row.get::<_, Option<i64>>(7)? {
            None => Phase::Open { heard_at: now },
            Some(_) => Phase::Stopped { at: now },
        };
        let attempt = attempt(row, 3)?;
        let stream = Stream::new(row.get(0)?, name, uuid, attempt, Arc::new(opening), phase);
        Ok(Stored { stream, text: row.get(8)?, logged: row.get(9)? })
    })?;
    rows.collect()
}

/// The largest number that any stream has.
pub(super) fn last_number(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT coalesce(max(number), 0) FROM streams", [], |row| row.get(0))
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no way in which a stream ends")]
struct UnknownStatus(Box<str>);

fn attempt(row: &Row<'_>, column: usize) -> rusqlite::Result<Attempt> {
    let number: i64 = row.get(column)?;
    u32::try_from(number)
        .ok()
        .and_then(Attempt::new)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}
