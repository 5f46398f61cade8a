//! Who was erased is in no backup. In the mailbox their rows wait to be deleted, a few at a time; a copy
//! would keep them for ever.

use rusqlite::Connection;

use super::super::stream_log;

/// Every table that has rows of a user's.
const TABLES: [&str; 8] = [
    "messages",
    "positions",
    "publishes",
    "publish_keys",
    "sends",
    "devices",
    "streams",
    "stream_stops",
];

/// Answers whether there was something to delete. It is unlinked only: what is to be kept has to be
/// written anew.
pub(super) fn delete(copy: &Connection) -> rusqlite::Result<bool> {
    if !has_table(copy, "erased")? || !copy.prepare("SELECT 1 FROM erased")?.exists([])? {
        return Ok(false);
    }
    for table in TABLES {
        // An older program's file has fewer.
        if has_table(copy, table)? {
            let rows = format!("DELETE FROM {table} WHERE user IN (SELECT user FROM erased)");
            copy.execute(&rows, [])?;
        }
    }
    if has_table(copy, "stream_log")? {
        stream_log::keep_needed(copy)?;
    }
    copy.execute("DELETE FROM erased", [])?;
    Ok(true)
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?
        .exists([name])
}
