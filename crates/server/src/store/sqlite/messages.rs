//! Messages as rows. Each proves itself: a disk, or whoever copied the file, may have changed a byte, and
//! SQLite does not notice. What does not add up is not delivered.

use crc32fast::Hasher;
use rusqlite::{Connection, Row, params};
use tetherline_protocol::{MessageId, Seq, UserId, frame::Message};

use super::{
    super::{Appended, Delivery, Room},
    statements::{id, optional_id, seq, signed},
};
use crate::trouble::{SharedTrouble, Word};

/// Of the whole process, which has one log.
static DAMAGE: SharedTrouble = SharedTrouble::new();

pub(super) fn read(
    connection: &Connection,
    user: &UserId,
    after: Seq,
    room: Room,
) -> rusqlite::Result<Vec<Delivery>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, id, kind, reference, timestamp, created_at, fields, checksum, user FROM messages
         WHERE user = (SELECT id FROM users WHERE name = ?1) AND seq > ?2
         ORDER BY seq LIMIT ?3",
    )?;
    let limit = i64::try_from(room.messages).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![user.as_str(), signed(after), limit])?;
    let mut page = Vec::new();
    let mut bytes = 0;
    let mut damage = None;
    while let Some(row) = rows.next()? {
        let delivery = match delivery(row) {
            Ok(Some(delivery)) => delivery,
            // SQLite has no part in it: what is in the row is no message.
            Err(error) if error.sqlite_error().is_some() => return Err(error),
            damaged => {
                let (seq, error) = (seq(row, 0)?, damaged.err());
                let error = error.map(tracing::field::display);
                tracing::debug!(user = ?user.as_str(), seq = seq.get(), error, "changed in the file");
                damage.get_or_insert(Damage { first: seq, messages: 0 }).messages += 1;
                Delivery::unreadable(seq)
            }
        };
        bytes += delivery.text.len();
        if bytes > room.bytes && !page.is_empty() {
            break;
        }
        page.push(delivery);
    }
    if let Some(damage) = damage {
        damage.say(user);
    }
    Ok(page)
}

/// How many rows of a file do not add up. One that an older program left has nothing to add up to.
pub(super) fn count_changed(connection: &Connection) -> rusqlite::Result<u64> {
    let column = "SELECT 1 FROM pragma_table_info('messages') WHERE name = 'checksum'";
    if !connection.prepare(column)?.exists([])? {
        return Ok(0);
    }
    let mut statement = connection.prepare(
        "SELECT seq, id, kind, reference, timestamp, created_at, fields, checksum, user
         FROM messages ORDER BY number",
    )?;
    let mut rows = statement.query([])?;
    let mut changed = 0;
    while let Some(row) = rows.next()? {
        match delivery(row) {
            Ok(Some(_)) => {}
            Err(error) if error.sqlite_error().is_some() => return Err(error),
            _ => changed += 1,
        }
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

/// `None` if the row does not add up.
fn delivery(row: &Row<'_>) -> rusqlite::Result<Option<Delivery>> {
    let appended = Appended {
        id: id(row, 1)?,
        seq: seq(row, 0)?,
        repeated: false,
        created_at_ms: row.get(5)?,
    };
    let reference = optional_id(row, 3)?;
    let timestamp: Option<String> = row.get(4)?;
    let message = Message::from_stored(row.get(2)?, reference, row.get(6)?);
    let (stored, user): (Option<u32>, i64) = (row.get(7)?, row.get(8)?);
    let (seq, id) = (appended.seq, &appended.id);
    let is_whole =
        stored.is_none_or(|stored| stored == proof(user, seq, id, &message, timestamp.as_deref()));
    if !is_whole {
        return Ok(None);
    }
    Ok(Some(match timestamp {
        None => Delivery::new(&message, &appended),
        Some(timestamp) => {
            Delivery { seq, text: message.to_frame(id, Some(seq), &timestamp).into() }
        }
    }))
}

pub(super) fn append(
    connection: &Connection,
    user: i64,
    appended: &Appended,
    message: &Message,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO messages
                 (user, seq, id, kind, reference, timestamp, created_at, fields, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            user,
            signed(appended.seq),
            appended.id.as_str(),
            message.kind(),
            message.reference().map(MessageId::as_str),
            message.timestamp(),
            appended.created_at_ms,
            message.fields(),
            proof(user, appended.seq, &appended.id, message, message.timestamp()),
        ])?;
    Ok(())
}

/// What the row of a message adds up to, whose `timestamp` is its sender's own. Its date is left out,
/// because that may be repaired.
fn proof(user: i64, seq: Seq, id: &MessageId, message: &Message, timestamp: Option<&str>) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&user.to_le_bytes());
    hasher.update(&seq.get().to_le_bytes());
    let reference = message.reference().map_or("", MessageId::as_str);
    let timestamp = timestamp.unwrap_or_default();
    for part in [id.as_str(), message.kind(), reference, timestamp, message.fields()] {
        // So that no byte can move from one to the next.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize()
}
