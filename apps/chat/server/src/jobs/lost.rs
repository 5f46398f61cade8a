//! What the mailbox had and has no more: it came back from a backup that is older than this database.

use rusqlite::{Connection, Transaction, params};
use tetherline_protocol::Seq;

use super::outbox::signed;

/// Each person to whom something was published lately, and the last position of it.
pub(crate) fn last_sent(connection: &Connection) -> rusqlite::Result<Vec<(String, Seq)>> {
    connection
        .prepare(
            "SELECT user_uuid, max(seq) FROM publications WHERE seq IS NOT NULL
             GROUP BY user_uuid",
        )?
        .query_map([], |row| {
            let seq = u64::try_from(row.get::<_, i64>(1)?).ok().and_then(Seq::new);
            Ok((row.get(0)?, seq.unwrap_or_default()))
        })?
        .collect()
}

/// Has everything of a person brought to the mailbox again that it had behind this position.
pub(crate) fn send_again(
    transaction: &Transaction<'_>,
    user: &str,
    head: Seq,
) -> rusqlite::Result<usize> {
    transaction.execute(
        "UPDATE publications SET sent_at = NULL, seq = NULL, is_again = 1
         WHERE user_uuid = ?1 AND seq > ?2",
        params![user, signed(head)],
    )
}
