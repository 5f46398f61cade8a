//! What the file's index does not have yet, as a start finds it in the table of messages.

use std::collections::HashMap;

use rusqlite::Connection;
use tetherline_protocol::{Seq, UserId};

use super::{
    index, messages,
    recent::{MessageRow, Recent},
    statements::seq,
};

/// The rows after `folded_until`, of everybody who has a name. Of who was erased everything is in the index.
pub(super) fn find(
    connection: &Connection,
    folded_until: i64,
) -> rusqlite::Result<HashMap<UserId, Recent>> {
    let mut statement = connection.prepare(
        "SELECT messages.number, messages.user, messages.seq, users.name
         FROM messages JOIN users ON users.id = messages.user
         WHERE messages.number > ?1 ORDER BY messages.number",
    )?;
    let mut rows = statement.query([folded_until])?;
    let mut found: HashMap<UserId, Recent> = HashMap::new();
    while let Some(row) = rows.next()? {
        // One whose name was changed in the file is nobody.
        let Ok(user) = row.get_ref(3)?.as_str()?.parse() else { continue };
        let (number, mailbox, stored) = (row.get(0)?, row.get(1)?, seq(row, 2).ok());
        let recent = found.entry(user).or_default();
        if let Some(seq) = position(connection, (mailbox, number), stored, recent)? {
            // An earlier one that stood here was damaged, and somebody else's.
            recent.rows.retain(|row| row.seq < seq);
            recent.add(mailbox, MessageRow { seq, number });
        }
    }
    Ok(found)
}

/// Where a row stands. The disk may have changed what it says of that: then it counts as the next one, so that
/// neither its position nor a later one is given to another message. Whether it is the one that was written there
/// is proved to whoever reads it.
fn position(
    connection: &Connection,
    (mailbox, number): (i64, i64),
    stored: Option<Seq>,
    recent: &Recent,
) -> rusqlite::Result<Option<Seq>> {
    let expected = match recent.rows.last() {
        Some(last) => last.seq.next(),
        None => first(connection, (mailbox, number), stored)?,
    };
    let is_right = stored == expected || messages::is_whole(connection, number)?;
    Ok(if is_right { stored } else { expected })
}

/// Where a mailbox goes on after what was folded in; this very row may have been, before a crash.
fn first(
    connection: &Connection,
    (mailbox, number): (i64, i64),
    stored: Option<Seq>,
) -> rusqlite::Result<Option<Seq>> {
    let none = Recent::default();
    if let Some(stored) = stored
        && index::row_at(connection, mailbox, &none, stored)? == Some(number)
    {
        return Ok(Some(stored));
    }
    let trimmed = index::trimmed(connection, mailbox)?.unwrap_or(Seq::ZERO);
    Ok(index::newest(connection, mailbox, &none)?.max(trimmed).next())
}
