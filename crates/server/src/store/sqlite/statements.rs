//! Every statement that is run, and the types it speaks.

use rusqlite::{Connection, OptionalExtension as _, Row, params, types::Type};
use tetherline_protocol::{DeviceId, Epoch, MessageId, Seq, UserId, frame::SendAnswer};

use super::{
    super::{Head, Outcome, Place, Resumed, Room, Standing},
    cursors::{Position, Positions},
    index, messages,
    recent::Recent,
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
    recent: &Recent,
    after: Seq,
    room: Room,
    store_epoch: &str,
) -> rusqlite::Result<Resumed> {
    let ahead = Position::default();
    let Some(found) = known_place(connection, user, None, ahead, recent, store_epoch)? else {
        let head = unknown_place(store_epoch)?.head;
        let standing = if after > Seq::ZERO { Standing::Nothing } else { Standing::Forgotten };
        return Ok(Resumed { head, standing, messages: Vec::new() });
    };
    let Found { mailbox, place, .. } = found;
    let standing = if after > place.head.seq {
        Standing::Nothing
    } else if after <= place.trimmed {
        let last = place.trimmed_id.filter(|_| after == place.trimmed);
        last.map_or(Standing::Forgotten, Standing::Message)
    } else {
        let found = id_at(connection, mailbox, recent, after)?;
        found.map_or(Standing::Forgotten, Standing::Message)
    };
    let after = after.max(place.trimmed);
    let messages = messages::read_mailbox(connection, (user, mailbox), recent, after, room)?;
    Ok(Resumed { head: place.head, standing, messages })
}

/// Where a device stands, which may be ahead of the file, and when it was last used, in ms since 1970,
/// if it is known.
pub(super) fn place(
    connection: &Connection,
    user: &UserId,
    device: Option<&DeviceId>,
    ahead: Position,
    recent: &Recent,
    store_epoch: &str,
) -> rusqlite::Result<(Place, Option<i64>)> {
    let found = known_place(connection, user, device, ahead, recent, store_epoch)?;
    match found {
        Some(Found { place, seen_at, .. }) => Ok((place, seen_at)),
        None => Ok((unknown_place(store_epoch)?, None)),
    }
}

struct Found {
    mailbox: i64,
    place: Place,
    seen_at: Option<i64>,
}

/// The file may show cursors that have moved on since `recent` was asked for: they count up to the head.
fn known_place(
    connection: &Connection,
    user: &UserId,
    device: Option<&DeviceId>,
    ahead: Position,
    recent: &Recent,
    store_epoch: &str,
) -> rusqlite::Result<Option<Found>> {
    let device = device.map(DeviceId::as_str);
    let mut statement = connection.prepare_cached(
        "SELECT id, epoch, max(floor, ?3), trimmed, trimmed_id,
             coalesce(max(cursor, ?4), max(floor, ?3)), seen_at
         FROM users LEFT JOIN devices ON devices.user = users.id AND devices.name = ?2
         WHERE users.name = ?1",
    )?;
    let asked = params![user.as_str(), device, signed(ahead.floor), signed(ahead.cursor)];
    let mut rows = statement.query(asked)?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (mailbox, epoch) = (row.get(0)?, epoch(store_epoch, row.get(1)?)?);
    let (trimmed, trimmed_id) = (seq(row, 3)?, readable_id(row, 4));
    let head = index::newest(connection, mailbox, recent)?.max(trimmed);
    let id_at = |position| match position {
        position if position == trimmed => Ok(trimmed_id.clone()),
        position if position < trimmed => Ok(None),
        position => id_at(connection, mailbox, recent, position),
    };
    let head = Head { seq: head, id: id_at(head)?, epoch };
    let cursor = seq(row, 5)?.min(head.seq);
    let cursor_id = if cursor == head.seq { head.id.clone() } else { id_at(cursor)? };
    let floor = seq(row, 2)?.min(head.seq);
    let place = Place { head, cursor, cursor_id, floor, trimmed, trimmed_id };
    Ok(Some(Found { mailbox, place, seen_at: row.get(6)? }))
}

/// Of somebody of whom nothing is known.
fn unknown_place(store_epoch: &str) -> rusqlite::Result<Place> {
    Ok(Place {
        head: Head { seq: Seq::ZERO, id: None, epoch: epoch(store_epoch, 0)? },
        cursor: Seq::ZERO,
        cursor_id: None,
        floor: Seq::ZERO,
        trimmed: Seq::ZERO,
        trimmed_id: None,
    })
}

/// The id of the message at a position that is not trimmed, if there is one that can be read.
fn id_at(
    connection: &Connection,
    mailbox: i64,
    recent: &Recent,
    at: Seq,
) -> rusqlite::Result<Option<MessageId>> {
    let Some(number) = index::row_at(connection, mailbox, recent, at)? else { return Ok(None) };
    let found = connection
        .prepare_cached("SELECT id FROM messages WHERE number = ?1")?
        .query_row([number], |row| Ok(readable_id(row, 0)))
        .optional()?;
    Ok(found.flatten())
}

fn epoch(store: &str, user: i64) -> rusqlite::Result<Epoch> {
    format!("{store}.{user}").parse().map_err(|error| invalid(0, error))
}

/// A user's own part of an epoch, which each erasure draws anew; `None` if it is none of this store.
pub(super) fn users_epoch(epoch: &Epoch, store: &str) -> Option<i64> {
    epoch.as_str().strip_prefix(store)?.strip_prefix('.')?.parse().ok()
}

pub(super) fn mailbox(
    connection: &Connection,
    user: &UserId,
    recent: &Recent,
) -> rusqlite::Result<Mailbox> {
    connection
        .prepare_cached("INSERT INTO users (name) VALUES (?1) ON CONFLICT DO NOTHING")?
        .execute([user.as_str()])?;
    known_mailbox(connection, user, recent)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// The same, unless nothing is known of this user.
pub(super) fn known_mailbox(
    connection: &Connection,
    user: &UserId,
    recent: &Recent,
) -> rusqlite::Result<Option<Mailbox>> {
    let found = connection
        .prepare_cached("SELECT id, trimmed FROM users WHERE name = ?1")?
        .query_row([user.as_str()], |row| Ok((row.get(0)?, seq(row, 1)?)))
        .optional()?;
    let Some((user, trimmed)) = found else { return Ok(None) };
    let head = index::newest(connection, user, recent)?.max(trimmed);
    Ok(Some(Mailbox { user, head, trimmed }))
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
