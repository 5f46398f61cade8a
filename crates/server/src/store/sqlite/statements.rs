//! Every statement that is run, and the types it speaks.

use rusqlite::{Connection, OptionalExtension as _, Row, params, types::Type};
use tetherline_protocol::{DeviceId, MessageId, Seq, UserId, frame::SendAnswer};

use super::{super::Outcome, cursors::Positions, outcomes::Tally};
use crate::Refusal;

/// Remembers a device at the user's floor, unless all places are taken by devices in use.
pub(super) fn greet(
    connection: &Connection,
    user: i64,
    device: &DeviceId,
    devices_max: usize,
    stale_before: i64,
    now: i64,
) -> rusqlite::Result<()> {
    let devices: i64 = connection
        .prepare_cached("SELECT count(*) FROM devices WHERE user = ?1")?
        .query_row([user], |row| row.get(0))?;
    if devices >= count(devices_max) {
        let forgotten = connection
            .prepare_cached(
                "DELETE FROM devices WHERE user = ?1 AND seen_at < ?2 AND name =
                     (SELECT name FROM devices WHERE user = ?1 ORDER BY seen_at LIMIT 1)",
            )?
            .execute(params![user, stale_before])?;
        if forgotten == 0 {
            return Ok(());
        }
    }
    connection
        .prepare_cached(
            "INSERT INTO devices (user, name, cursor, seen_at)
             SELECT id, ?2, floor, ?3 FROM users WHERE id = ?1
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![user, device.as_str(), now])?;
    Ok(())
}

/// Writes where devices are, if that is further than the file says.
pub(super) fn save_cursors(
    connection: &Connection,
    user: i64,
    positions: &Positions,
    now: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE users SET floor = ?2 WHERE id = ?1 AND floor < ?2")?
        .execute(params![user, signed(positions.floor)])?;
    let mut save = connection.prepare_cached(
        "UPDATE devices SET cursor = ?3, seen_at = ?4 WHERE user = ?1 AND name = ?2 AND cursor < ?3",
    )?;
    for (device, cursor) in &positions.devices {
        save.execute(params![user, device.as_str(), signed(*cursor), now])?;
    }
    Ok(())
}

pub(super) fn note_use(
    connection: &Connection,
    user: &UserId,
    device: &DeviceId,
    now: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE devices SET seen_at = ?3
             WHERE user = (SELECT id FROM users WHERE name = ?1) AND name = ?2",
        )?
        .execute(params![user.as_str(), device.as_str(), now])?;
    Ok(())
}

pub(super) fn outcome(
    connection: &Connection,
    user: &UserId,
    message: &MessageId,
) -> rusqlite::Result<Option<Outcome>> {
    connection
        .prepare_cached(
            "SELECT code, message, answer FROM sends
             WHERE user = (SELECT id FROM users WHERE name = ?1) AND id = ?2",
        )?
        .query_row([user.as_str(), message.as_str()], |row| {
            let code: Option<String> = row.get(0)?;
            let text: Option<String> = row.get(1)?;
            let answer = row.get_ref(2)?.as_str_or_null()?;
            Ok(match code {
                // One that was changed in the file and cannot be read takes nothing from the yes.
                None => Ok(answer.and_then(|json| SendAnswer::parse(json).ok())),
                Some(code) => Err(Refusal::with_own_code(code, text.unwrap_or_default())),
            })
        })
        .optional()
}

/// Answers whether nothing was known of it.
pub(super) fn record(
    connection: &Connection,
    user: i64,
    message: &MessageId,
    outcome: &Outcome,
    mark: Option<Tally>,
    now: i64,
) -> rusqlite::Result<bool> {
    let refusal = outcome.as_ref().err();
    let answer = outcome.as_ref().ok().and_then(Option::as_ref);
    let inserted = connection
        .prepare_cached(
            "INSERT INTO sends (user, id, code, message, created_at, answer, marked, marked_bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            user,
            message.as_str(),
            refusal.map(Refusal::code),
            refusal.map(Refusal::message),
            now,
            answer.map(SendAnswer::as_json),
            mark.map(|tally| tally.outcomes),
            mark.map(|tally| tally.bytes),
        ])?;
    Ok(inserted > 0)
}

/// Overwrites what `change` deletes, instead of only unlinking it. What SQLite has moved before may
/// leave a fragment here and there until its place is used again.
pub(super) fn securely<T>(
    connection: &Connection,
    change: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.pragma_update(None, "secure_delete", true)?;
    let changed = change();
    connection.pragma_update(None, "secure_delete", false)?;
    changed
}

/// A number of rows, as SQLite counts.
pub(super) fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// At most 2⁵³−1, so the sign is never in question.
pub(super) fn signed(position: Seq) -> i64 {
    i64::try_from(position.get()).unwrap_or(i64::MAX)
}

pub(super) fn seq(row: &Row<'_>, column: usize) -> rusqlite::Result<Seq> {
    let number: i64 = row.get(column)?;
    u64::try_from(number)
        .ok()
        .and_then(Seq::new)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

pub(super) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<MessageId> {
    row.get_ref(column)?.as_str()?.parse().map_err(|error| invalid(column, error))
}

pub(super) fn optional_id(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<MessageId>> {
    row.get_ref(column)?.as_str_or_null()?.map(|_| id(row, column)).transpose()
}

/// The same for an id that only proves something: one that was changed in the file proves nothing.
pub(super) fn readable_id(row: &Row<'_>, column: usize) -> Option<MessageId> {
    optional_id(row, column).ok().flatten()
}

pub(super) fn invalid(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
