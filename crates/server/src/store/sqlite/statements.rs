//! Every statement that is run, and the types it speaks.

use rusqlite::{Connection, OptionalExtension as _, Row, params, types::Type};
use tetherline_protocol::{DeviceId, Epoch, MessageId, Seq, UserId, frame::SendAnswer};

use super::{
    super::{Head, Outcome, Place, Resumed, Room, Standing},
    cursors::{Position, Positions},
    messages,
};
use crate::Refusal;

/// One user's row, where the mailbox ends, and up to where it was trimmed when this was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mailbox {
    pub(super) user: i64,
    pub(super) head: Seq,
    pub(super) trimmed: Seq,
}

/// What stands at a position, and what comes after it. Both are of one moment, because whoever reads
/// has a snapshot.
pub(super) fn resume(
    connection: &Connection,
    user: &UserId,
    after: Seq,
    room: Room,
    store_epoch: &str,
) -> rusqlite::Result<Resumed> {
    let (place, _) = place(connection, user, None, Position::default(), store_epoch)?;
    let standing = if after > place.head.seq {
        Standing::Nothing
    } else if after <= place.trimmed {
        let last = place.trimmed_id.filter(|_| after == place.trimmed);
        last.map_or(Standing::Forgotten, Standing::Message)
    } else {
        let name = "SELECT id FROM messages
             WHERE user = (SELECT id FROM users WHERE name = ?1) AND seq = ?2";
        let mut statement = connection.prepare_cached(name)?;
        let found = statement
            .query_row(params![user.as_str(), signed(after)], |row| Ok(readable_id(row, 0)))
            .optional()?
            .flatten();
        found.map_or(Standing::Forgotten, Standing::Message)
    };
    let erasures = erasures(&place.head.epoch, store_epoch).unwrap_or_default();
    let messages = messages::read(connection, user, erasures, after, room)?;
    Ok(Resumed { head: place.head, standing, messages })
}

/// Where a device stands, which may be ahead of the file, and when it was last used, in ms since 1970,
/// if it is known.
pub(super) fn place(
    connection: &Connection,
    user: &UserId,
    device: Option<&DeviceId>,
    ahead: Position,
    store_epoch: &str,
) -> rusqlite::Result<(Place, Option<i64>)> {
    let device = device.map(DeviceId::as_str);
    let asked = params![user.as_str(), device, signed(ahead.floor), signed(ahead.cursor)];
    let found = connection
        .prepare_cached(
            "SELECT epoch, floor, trimmed,
                 max(trimmed, (SELECT coalesce(max(seq), 0) FROM messages WHERE user = at.id)),
                 cursor, seen_at, trimmed_id,
                 coalesce((SELECT id FROM messages WHERE user = at.id
                     ORDER BY seq DESC LIMIT 1), trimmed_id),
                 coalesce((SELECT id FROM messages WHERE user = at.id AND seq = cursor),
                     iif(cursor = trimmed, trimmed_id, NULL))
             FROM (SELECT id, epoch, trimmed, trimmed_id, max(floor, ?3) AS floor, seen_at,
                     coalesce(max(cursor, ?4), max(floor, ?3)) AS cursor
                 FROM users LEFT JOIN devices ON devices.user = users.id AND devices.name = ?2
                 WHERE users.name = ?1) AS at",
        )?
        .query_row(asked, |row| {
            let epoch = epoch(store_epoch, row.get(0)?)?;
            let place = Place {
                head: Head { seq: seq(row, 3)?, id: readable_id(row, 7), epoch },
                cursor: seq(row, 4)?,
                cursor_id: readable_id(row, 8),
                floor: seq(row, 1)?,
                trimmed: seq(row, 2)?,
                trimmed_id: readable_id(row, 6),
            };
            Ok((place, row.get(5)?))
        })
        .optional()?;
    if let Some(found) = found {
        return Ok(found);
    }
    let head = Head { seq: Seq::ZERO, id: None, epoch: epoch(store_epoch, 0)? };
    let place = Place {
        head,
        cursor: Seq::ZERO,
        cursor_id: None,
        floor: Seq::ZERO,
        trimmed: Seq::ZERO,
        trimmed_id: None,
    };
    Ok((place, None))
}

fn epoch(store: &str, erasures: i64) -> rusqlite::Result<Epoch> {
    format!("{store}.{erasures}").parse().map_err(|error| invalid(0, error))
}

/// How often a user had been erased when this epoch began; `None` if it is none of this store.
pub(super) fn erasures(epoch: &Epoch, store: &str) -> Option<i64> {
    epoch.as_str().strip_prefix(store)?.strip_prefix('.')?.parse().ok()
}

pub(super) fn mailbox(connection: &Connection, user: &UserId) -> rusqlite::Result<Mailbox> {
    connection
        .prepare_cached("INSERT INTO users (name) VALUES (?1) ON CONFLICT DO NOTHING")?
        .execute([user.as_str()])?;
    known_mailbox(connection, user)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// The same, unless nothing is known of this user.
pub(super) fn known_mailbox(
    connection: &Connection,
    user: &UserId,
) -> rusqlite::Result<Option<Mailbox>> {
    connection
        .prepare_cached(
            "SELECT id, trimmed,
                 max(trimmed, (SELECT coalesce(max(seq), 0) FROM messages WHERE user = users.id))
             FROM users WHERE name = ?1",
        )?
        .query_row([user.as_str()], |row| {
            Ok(Mailbox { user: row.get(0)?, head: seq(row, 2)?, trimmed: seq(row, 1)? })
        })
        .optional()
}

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
    if devices >= i64::try_from(devices_max).unwrap_or(i64::MAX) {
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

pub(super) fn record(
    connection: &Connection,
    user: i64,
    message: &MessageId,
    outcome: &Outcome,
    now: i64,
) -> rusqlite::Result<()> {
    let refusal = outcome.as_ref().err();
    let answer = outcome.as_ref().ok().and_then(Option::as_ref);
    connection
        .prepare_cached(
            "INSERT INTO sends (user, id, code, message, created_at, answer)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            user,
            message.as_str(),
            refusal.map(Refusal::code),
            refusal.map(Refusal::message),
            now,
            answer.map(SendAnswer::as_json),
        ])?;
    Ok(())
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
fn readable_id(row: &Row<'_>, column: usize) -> Option<MessageId> {
    optional_id(row, column).ok().flatten()
}

pub(super) fn invalid(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
