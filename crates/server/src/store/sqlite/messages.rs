//! Messages as rows. Each proves itself: a disk, or whoever copied the file, may have changed a byte, and
//! SQLite does not notice. What does not add up is not delivered.

use crc32fast::Hasher;
use rusqlite::{Connection, OptionalExtension as _, Rows, params};
use tetherline_protocol::{
    MessageId, Seq, UserId,
    frame::{Message, MessageParts},
};

use super::{
    super::{Appended, Delivery, Room},
    recent::{MessageRow, Recent},
    statements::{count, id, optional_id, seq, signed},
};
use crate::{
    clock,
    trouble::{SharedTrouble, Word},
};

/// Of the whole process, which has one log.
static DAMAGE: SharedTrouble = SharedTrouble::new();

/// Of the epoch of whose own part `epoch` is; nothing, if the user's mailbox counts in another by now.
pub(super) fn read(
    connection: &Connection,
    (user, epoch): (&UserId, i64),
    recent: &Recent,
    after: Seq,
    room: Room,
) -> rusqlite::Result<Vec<Delivery>> {
    let found = connection
        .prepare_cached("SELECT id, trimmed FROM users WHERE name = ?1 AND epoch = ?2")?
        .query_row(params![user.as_str(), epoch], |row| Ok((row.get(0)?, seq(row, 1)?)))
        .optional()?;
    let Some((mailbox, trimmed)) = found else { return Ok(Vec::new()) };
    read_mailbox(connection, (user, mailbox), recent, after.max(trimmed), room)
}

/// The same for somebody whose mailbox is known, of what is not trimmed.
pub(super) fn read_mailbox(
    connection: &Connection,
    (user, mailbox): (&UserId, i64),
    recent: &Recent,
    after: Seq,
    room: Room,
) -> rusqlite::Result<Vec<Delivery>> {
    let mut page = Page::new(user, room);
    let recent = recent.of_mailbox(mailbox);
    let before = recent.first().map_or(i64::MAX, |first| signed(first.seq));
    if signed(after) + 1 < before {
        let mut folded = connection.prepare_cached(
            "SELECT id, kind, reference, timestamp, created_at, fields, checksum, messages.seq,
                 positions.seq
             FROM positions JOIN messages
                 ON messages.number = positions.number AND messages.user = positions.user
             WHERE positions.user = ?1 AND positions.seq > ?2 AND positions.seq < ?3
             ORDER BY positions.seq LIMIT ?4",
        )?;
        let asked = [mailbox, signed(after), before, page.messages_left()];
        page.take(mailbox, folded.query(asked)?)?;
    }
    let mut run = connection.prepare_cached(
        "SELECT id, kind, reference, timestamp, created_at, fields, checksum, seq, number + ?3
         FROM messages WHERE number BETWEEN ?1 AND ?2 AND user = ?5 ORDER BY number LIMIT ?4",
    )?;
    let mut rest = &recent[recent.partition_point(|row| row.seq <= after)..];
    while !page.is_full
        && let Some((first, last, later)) = MessageRow::first_run(rest)
    {
        let ahead = signed(first.seq) - first.number;
        let asked = [first.number, last.number, ahead, page.messages_left(), mailbox];
        page.take(mailbox, run.query(asked)?)?;
        rest = later;
    }
    Ok(page.turn())
}

/// What is read at once.
struct Page<'a> {
    user: &'a UserId,
    room: Room,
    deliveries: Vec<Delivery>,
    bytes: usize,
    is_full: bool,
    damage: Option<Damage>,
}

impl<'a> Page<'a> {
    fn new(user: &'a UserId, room: Room) -> Self {
        Self { user, room, deliveries: Vec::new(), bytes: 0, is_full: false, damage: None }
    }

    fn messages_left(&self) -> i64 {
        count(self.room.messages - self.deliveries.len())
    }

    /// Takes what there is room for. The last column says at which position a row is expected.
    fn take(&mut self, mailbox: i64, mut rows: Rows<'_>) -> rusqlite::Result<()> {
        while let Some(row) = rows.next()? {
            let expected = seq(row, 8)?;
            let delivery = match delivery(row, mailbox, expected) {
                Ok(Some(delivery)) => delivery,
                // SQLite has no part in it: what is in the row is no message.
                Err(error) if error.sqlite_error().is_some() => return Err(error),
                damaged => self.unreadable(expected, damaged.err()),
            };
            self.bytes += delivery.text.len();
            if self.bytes > self.room.bytes && !self.deliveries.is_empty() {
                self.is_full = true;
                return Ok(());
            }
            self.deliveries.push(delivery);
        }
        self.is_full = self.deliveries.len() >= self.room.messages;
        Ok(())
    }

    fn unreadable(&mut self, seq: Seq, error: Option<rusqlite::Error>) -> Delivery {
        let error = error.map(tracing::field::display);
        tracing::debug!(user = ?self.user.as_str(), seq = seq.get(), error, "changed in the file");
        self.damage.get_or_insert(Damage { first: seq, messages: 0 }).messages += 1;
        Delivery::unreadable(seq)
    }

    fn turn(self) -> Vec<Delivery> {
        if let Some(damage) = self.damage {
            damage.say(self.user);
        }
        self.deliveries
    }
}

/// Whether a row is a message as it was written.
pub(super) fn is_whole(connection: &Connection, number: i64) -> rusqlite::Result<bool> {
    let found = connection
        .prepare_cached(
            "SELECT id, kind, reference, timestamp, created_at, fields, checksum, seq, user
             FROM messages WHERE number = ?1",
        )?
        .query_row([number], adds_up)
        .optional()?;
    Ok(found.unwrap_or(false))
}

fn adds_up(row: &rusqlite::Row<'_>) -> rusqlite::Result<bool> {
    match seq(row, 7).and_then(|seq| delivery(row, row.get(8)?, seq)) {
        Ok(found) => Ok(found.is_some()),
        // SQLite has no part in it: what is in the row is no message.
        Err(error) if error.sqlite_error().is_some() => Err(error),
        Err(_) => Ok(false),
    }
}

/// How many rows of a file nobody is given: they do not add up, or the file's index does not find them. Of what
/// an older program left there is nothing to add up.
pub(super) fn count_changed(connection: &Connection) -> rusqlite::Result<u64> {
    let has = |table: &str, column: &str| {
        let column = format!("SELECT 1 FROM pragma_table_info('{table}') WHERE name = '{column}'");
        connection.prepare(&column)?.exists([])
    };
    if !has("messages", "checksum")? {
        return Ok(0);
    }
    let mut statement = connection.prepare(
        "SELECT id, kind, reference, timestamp, created_at, fields, checksum, seq, user
         FROM messages ORDER BY number",
    )?;
    let mut rows = statement.query([])?;
    let mut changed = 0;
    while let Some(row) = rows.next()? {
        changed += u64::from(!adds_up(row)?);
    }
    if has("meta", "positions_folded")? {
        let not_found: i64 = connection.query_row(
            "SELECT count(*) FROM messages JOIN users ON users.id = messages.user
             WHERE messages.seq > trimmed AND number <= (SELECT positions_folded FROM meta)
                 AND number IS NOT (SELECT positions.number FROM positions
                     WHERE positions.user = messages.user AND positions.seq = messages.seq)",
            [],
            |row| row.get(0),
        )?;
        changed += not_found.unsigned_abs();
    }
    Ok(changed)
}

/// What a read has found that is no message any more.
struct Damage {
    first: Seq,
    messages: u64,
}

impl Damage {
    /// Now and then: every page that connects reads the same ones.
    fn say(&self, user: &UserId) {
        if let Some(Word::Fails { times }) = DAMAGE.failed_so_often_now(self.messages) {
            tracing::error!(
                user = ?user.as_str(),
                seq = self.first.get(),
                times,
                "messages were changed in the file and are not delivered, this one and perhaps more; \
                 restore a backup to have them back"
            );
        }
    }
}

/// The message that is expected at a position of a mailbox; `None` if the row does not add up to it. What adds
/// up was checked when it was written, and is copied once.
fn delivery(
    row: &rusqlite::Row<'_>,
    mailbox: i64,
    expected: Seq,
) -> rusqlite::Result<Option<Delivery>> {
    let timestamp = row.get_ref(3)?.as_str_or_null()?;
    let created_at = clock::rfc3339(row.get(4)?);
    let parts = MessageParts {
        kind: row.get_ref(1)?.as_str()?,
        id: row.get_ref(0)?.as_str()?,
        seq: Some(expected),
        timestamp: timestamp.unwrap_or_else(|| created_at.quoted()),
        reference: row.get_ref(2)?.as_str_or_null()?,
        fields: row.get_ref(5)?.as_str()?,
    };
    let is_whole = match row.get::<_, Option<u32>>(6)? {
        Some(stored) => stored == proof(mailbox, &parts, timestamp),
        // An older program wrote it, and nothing says whether it was changed.
        None => seq(row, 7)? == expected && id(row, 0).is_ok() && optional_id(row, 2).is_ok(),
    };
    Ok(is_whole.then(|| Delivery { seq: expected, text: parts.to_frame().into() }))
}

/// As row `number`.
pub(super) fn append(
    connection: &Connection,
    number: i64,
    user: i64,
    appended: &Appended,
    message: &Message,
) -> rusqlite::Result<()> {
    let parts = MessageParts {
        kind: message.kind(),
        id: appended.id.as_str(),
        seq: Some(appended.seq),
        timestamp: "",
        reference: message.reference().map(MessageId::as_str),
        fields: message.fields(),
    };
    connection
        .prepare_cached(
            "INSERT INTO messages
                 (number, user, seq, id, kind, reference, timestamp, created_at, fields, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            number,
            user,
            signed(appended.seq),
            parts.id,
            parts.kind,
            parts.reference,
            message.timestamp(),
            appended.created_at_ms,
            parts.fields,
            proof(user, &parts, message.timestamp()),
        ])?;
    Ok(())
}

/// What the row of a message adds up to, whose `timestamp` is its sender's own. Its date is left out,
/// because that may be repaired.
fn proof(user: i64, message: &MessageParts<'_>, timestamp: Option<&str>) -> u32 {
    let MessageParts { kind, id, seq, reference, fields, .. } = *message;
    let words = [id, kind, reference.unwrap_or_default(), timestamp.unwrap_or_default()];
    // At once: a hasher costs more to ask than it does for a short word.
    let mut start = Vec::with_capacity(words.iter().map(|word| word.len() + 8).sum::<usize>() + 24);
    start.extend(user.to_le_bytes());
    start.extend(seq.map_or(0, Seq::get).to_le_bytes());
    // Lengths, so that no byte can move from one to the next.
    for word in words {
        start.extend((word.len() as u64).to_le_bytes());
        start.extend(word.as_bytes());
    }
    start.extend((fields.len() as u64).to_le_bytes());
    let mut hasher = Hasher::new();
    hasher.update(&start);
    hasher.update(fields.as_bytes());
    hasher.finalize()
}
