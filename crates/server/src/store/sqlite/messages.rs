//! Messages as rows. Each proves itself: a disk, or whoever copied the file, may have changed a byte, and
//! SQLite does not notice. What does not add up is not delivered.

use crc32fast::Hasher;
use rusqlite::{Connection, Row, params};
use tetherline_protocol::{
    MessageId, Seq, UserId,
    frame::{Message, MessageParts},
};

use super::{
    super::{Appended, Delivery, Room},
    statements::{id, optional_id, seq, signed},
};
use crate::{
    clock,
    trouble::{SharedTrouble, Word},
};

/// Of the whole process, which has one log.
static DAMAGE: SharedTrouble = SharedTrouble::new();

pub(super) fn read(
    connection: &Connection,
    user: &UserId,
    erasures: i64,
    after: Seq,
    room: Room,
) -> rusqlite::Result<Vec<Delivery>> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, id, kind, reference, timestamp, created_at, fields, checksum, user FROM messages
         WHERE user = (SELECT id FROM users WHERE name = ?1 AND epoch = ?4) AND seq > ?2
         ORDER BY seq LIMIT ?3",
    )?;
    let limit = i64::try_from(room.messages).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![user.as_str(), signed(after), limit, erasures])?;
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

/// `None` if the row does not add up. What adds up was checked when it was written, and is copied once.
fn delivery(row: &Row<'_>) -> rusqlite::Result<Option<Delivery>> {
    let seq = seq(row, 0)?;
    let timestamp = row.get_ref(4)?.as_str_or_null()?;
    let created_at = clock::rfc3339(row.get(5)?);
    let parts = MessageParts {
        kind: row.get_ref(2)?.as_str()?,
        id: row.get_ref(1)?.as_str()?,
        seq: Some(seq),
        timestamp: timestamp.unwrap_or_else(|| created_at.quoted()),
        reference: row.get_ref(3)?.as_str_or_null()?,
        fields: row.get_ref(6)?.as_str()?,
    };
    let (stored, user): (Option<u32>, i64) = (row.get(7)?, row.get(8)?);
    let is_whole = match stored {
        Some(stored) => stored == proof(user, &parts, timestamp),
        // An older program wrote it, and nothing says whether it was changed.
        None => id(row, 1).is_ok() && optional_id(row, 3).is_ok(),
    };
    Ok(is_whole.then(|| Delivery { seq, text: parts.to_frame().into() }))
}

pub(super) fn append(
    connection: &Connection,
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
                 (user, seq, id, kind, reference, timestamp, created_at, fields, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
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
    let mut hasher = Hasher::new();
    hasher.update(&user.to_le_bytes());
    hasher.update(&seq.map_or(0, Seq::get).to_le_bytes());
    for part in [id, kind, reference.unwrap_or_default(), timestamp.unwrap_or_default(), fields] {
        // So that no byte can move from one to the next.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize()
}
