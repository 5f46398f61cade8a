//! Where somebody's mailbox begins and ends, who stands where in it, and what is there: as a snapshot of the
//! file and what memory knew before it show it together.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tetherline_protocol::{DeviceId, Epoch, MessageId, Seq, UserId};

use super::{
    super::{Head, Place, Resumed, Room, Standing},
    cursors::Position,
    index, messages,
    recent::Recent,
    statements::{invalid, readable_id, seq, signed},
};

/// One user's row, where the mailbox ends, and up to where it was trimmed when this was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mailbox {
    pub(super) user: i64,
    pub(super) head: Seq,
    pub(super) trimmed: Seq,
}

/// Makes one for a user who has none.
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
    let view = View::of(connection, user, recent)?;
    Ok(view.map(|View { mailbox: user, head, trimmed, .. }| Mailbox { user, head, trimmed }))
}

/// Where a mailbox ends.
pub(super) fn head(
    connection: &Connection,
    user: &UserId,
    recent: &Recent,
    store_epoch: &str,
) -> rusqlite::Result<Head> {
    match View::of(connection, user, recent)? {
        Some(view) => view.head(store_epoch),
        None => unknown_head(store_epoch),
    }
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
    let Some(view) = View::of(connection, user, recent)? else {
        let standing = if after > Seq::ZERO { Standing::Nothing } else { Standing::Forgotten };
        return Ok(Resumed { head: unknown_head(store_epoch)?, standing, messages: Vec::new() });
    };
    let standing = if after > view.head {
        Standing::Nothing
    } else {
        view.id_at(after)?.map_or(Standing::Forgotten, Standing::Message)
    };
    let (mailbox, after) = ((user, view.mailbox), after.max(view.trimmed));
    let messages = messages::read_mailbox(connection, mailbox, recent, after, room)?;
    Ok(Resumed { head: view.head(store_epoch)?, standing, messages })
}

/// Where a device stands, which may be ahead of the file, and when it was last used, in ms since 1970,
/// if it is known.
///
/// The file may show cursors that have moved on since `recent` was asked for: they count up to the head.
pub(super) fn place(
    connection: &Connection,
    user: &UserId,
    device: Option<&DeviceId>,
    ahead: Position,
    recent: &Recent,
    store_epoch: &str,
) -> rusqlite::Result<(Place, Option<i64>)> {
    let mut statement = connection.prepare_cached(
        "SELECT id, epoch, trimmed, trimmed_id, max(floor, ?3),
             coalesce(max(cursor, ?4), max(floor, ?3)), seen_at
         FROM users LEFT JOIN devices ON devices.user = users.id AND devices.name = ?2
         WHERE users.name = ?1",
    )?;
    let device = device.map(DeviceId::as_str);
    let asked = params![user.as_str(), device, signed(ahead.floor), signed(ahead.cursor)];
    let mut rows = statement.query(asked)?;
    let Some(row) = rows.next()? else { return Ok((unknown_place(store_epoch)?, None)) };
    let view = View::of_row(connection, row, recent)?;
    let head = view.head(store_epoch)?;
    let (floor, cursor) = (seq(row, 4)?.min(head.seq), seq(row, 5)?.min(head.seq));
    let cursor_id = if cursor == head.seq { head.id.clone() } else { view.id_at(cursor)? };
    let View { trimmed, trimmed_id, .. } = view;
    Ok((Place { head, cursor, cursor_id, floor, trimmed, trimmed_id }, row.get(6)?))
}

struct View<'a> {
    connection: &'a Connection,
    recent: &'a Recent,
    mailbox: i64,
    epoch: i64,
    head: Seq,
    trimmed: Seq,
    trimmed_id: Option<MessageId>,
}

impl<'a> View<'a> {
    fn of(
        connection: &'a Connection,
        user: &UserId,
        recent: &'a Recent,
    ) -> rusqlite::Result<Option<Self>> {
        connection
            .prepare_cached("SELECT id, epoch, trimmed, trimmed_id FROM users WHERE name = ?1")?
            .query_row([user.as_str()], |row| Self::of_row(connection, row, recent))
            .optional()
    }

    /// Of a row that begins with these columns.
    fn of_row(
        connection: &'a Connection,
        row: &Row<'_>,
        recent: &'a Recent,
    ) -> rusqlite::Result<Self> {
        let (mailbox, epoch, trimmed) = (row.get(0)?, row.get(1)?, seq(row, 2)?);
        let head = index::newest(connection, mailbox, recent)?.max(trimmed);
        let trimmed_id = readable_id(row, 3);
        Ok(Self { connection, recent, mailbox, epoch, head, trimmed, trimmed_id })
    }

    fn head(&self, store_epoch: &str) -> rusqlite::Result<Head> {
        let epoch = epoch(store_epoch, self.epoch)?;
        Ok(Head { seq: self.head, id: self.id_at(self.head)?, epoch })
    }

    /// The id of the message at a position, unless it is forgotten, or cannot be read.
    fn id_at(&self, at: Seq) -> rusqlite::Result<Option<MessageId>> {
        if at <= self.trimmed {
            return Ok(self.trimmed_id.clone().filter(|_| at == self.trimmed));
        }
        let row = index::row_at(self.connection, self.mailbox, self.recent, at)?;
        let Some(number) = row else { return Ok(None) };
        let found = self
            .connection
            .prepare_cached("SELECT id FROM messages WHERE number = ?1 AND user = ?2")?
            .query_row([number, self.mailbox], |row| Ok(readable_id(row, 0)))
            .optional()?;
        Ok(found.flatten())
    }
}

/// Of somebody of whom nothing is known.
fn unknown_place(store_epoch: &str) -> rusqlite::Result<Place> {
    Ok(Place {
        head: unknown_head(store_epoch)?,
        cursor: Seq::ZERO,
        cursor_id: None,
        floor: Seq::ZERO,
        trimmed: Seq::ZERO,
        trimmed_id: None,
    })
}

fn unknown_head(store_epoch: &str) -> rusqlite::Result<Head> {
    Ok(Head { seq: Seq::ZERO, id: None, epoch: epoch(store_epoch, 0)? })
}

fn epoch(store: &str, user: i64) -> rusqlite::Result<Epoch> {
    format!("{store}.{user}").parse().map_err(|error| invalid(0, error))
}

/// A user's own part of an epoch, which each erasure draws anew; `None` if it is none of this store.
pub(super) fn users_epoch(epoch: &Epoch, store: &str) -> Option<i64> {
    epoch.as_str().strip_prefix(store)?.strip_prefix('.')?.parse().ok()
}
