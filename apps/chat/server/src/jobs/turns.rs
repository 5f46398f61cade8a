//! What a provider is told of a conversation.

use rusqlite::{Connection, params};

use super::{Job, Turn};
use crate::{
    history::Role,
    limits::{HISTORY_BYTES_MAX, HISTORY_MESSAGES_MAX},
};

/// The question and what it follows, up to the root of its branch or as much as fits, oldest first.
/// Of what stands before the question there is at least the end.
/// Answers without text are left out.
pub(super) fn up_to(connection: &Connection, job: &Job) -> rusqlite::Result<Vec<Turn>> {
    let mut statement = connection.prepare_cached(
        "WITH RECURSIVE branch (uuid, depth) AS (
             VALUES (?2, 0)
             UNION ALL
             SELECT m.parent, branch.depth + 1
             FROM branch JOIN messages m ON m.user_uuid = ?1 AND m.uuid = branch.uuid
             WHERE m.parent IS NOT NULL AND branch.depth + 1 < ?3
         )
         SELECT m.role = 'user', m.content
         FROM branch JOIN messages m ON m.user_uuid = ?1 AND m.uuid = branch.uuid
         WHERE m.content <> '' ORDER BY branch.depth",
    )?;
    let newest_first = statement.query_map(
        params![job.user.as_str(), job.question, HISTORY_MESSAGES_MAX],
        |row| {
            let role = if row.get(0)? { Role::User } else { Role::Assistant };
            Ok(Turn { role, content: row.get(1)? })
        },
    )?;
    let mut turns: Vec<Turn> = Vec::new();
    let mut room = HISTORY_BYTES_MAX;
    for turn in newest_first {
        let mut turn = turn?;
        if turn.content.len() > room && turns.len() == 1 {
            // What the question is about: that an answer goes on, perhaps.
            let start = turn.content.ceil_char_boundary(turn.content.len() - room);
            turn.content.drain(..start);
        } else if turn.content.len() > room && !turns.is_empty() {
            break;
        }
        room = room.saturating_sub(turn.content.len());
        turns.push(turn);
    }
    turns.reverse();
    Ok(turns)
}
