use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};
use uuid::Uuid;

use super::OpenError;

/// Every step that a file went through; `user_version` says how many it has behind it. Once a
/// version with a step was given to anybody, that step stays as it is.
const MIGRATIONS: [&str; 12] = [
    // `messages` is ordered by append, so that a commit touches its end only.
    "CREATE TABLE meta (epoch TEXT NOT NULL) STRICT;
     CREATE TABLE users (
         id INTEGER PRIMARY KEY,
         name TEXT NOT NULL UNIQUE,
         epoch INTEGER NOT NULL DEFAULT 0,
         floor INTEGER NOT NULL DEFAULT 0
     ) STRICT;
     CREATE TABLE messages (
         number INTEGER PRIMARY KEY,
         user INTEGER NOT NULL,
         seq INTEGER NOT NULL,
         id TEXT NOT NULL,
         kind TEXT NOT NULL,
         reference TEXT,
         timestamp TEXT,
         created_at INTEGER NOT NULL,
         fields TEXT NOT NULL
     ) STRICT;
     CREATE UNIQUE INDEX messages_by_position ON messages (user, seq);
     CREATE TABLE devices (
         user INTEGER NOT NULL,
         name TEXT NOT NULL,
         cursor INTEGER NOT NULL,
         seen_at INTEGER NOT NULL,
         PRIMARY KEY (user, name)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE publishes (
         number INTEGER PRIMARY KEY,
         user INTEGER NOT NULL,
         key TEXT NOT NULL,
         digest BLOB NOT NULL,
         id TEXT NOT NULL,
         seq INTEGER NOT NULL,
         created_at INTEGER NOT NULL
     ) STRICT;
     CREATE UNIQUE INDEX publishes_by_key ON publishes (user, key);
     CREATE TABLE sends (
         number INTEGER PRIMARY KEY,
         user INTEGER NOT NULL,
         id TEXT NOT NULL,
         code TEXT,
         message TEXT,
         created_at INTEGER NOT NULL
     ) STRICT;
     CREATE UNIQUE INDEX sends_by_id ON sends (user, id);",
    // `erased` has the numbers under which erased users' rows are still to be deleted.
    "ALTER TABLE users ADD COLUMN trimmed INTEGER NOT NULL DEFAULT 0;
     CREATE TABLE erased (user INTEGER PRIMARY KEY) STRICT;",
    // `streams` has the newest attempt at each stream; `text` its text up to row `logged` of
    // the log, and nothing when it is finished. `stream_log` has what came since, of all streams, one
    // row for each commit. `stream_stops` has the sends that are not to be answered any more.
    "CREATE TABLE streams (
         number INTEGER PRIMARY KEY,
         user INTEGER NOT NULL,
         uuid TEXT NOT NULL,
         attempt INTEGER NOT NULL,
         kind TEXT NOT NULL,
         reference TEXT,
         opened_at INTEGER NOT NULL,
         stopped_at INTEGER,
         finished_at INTEGER,
         status TEXT,
         id TEXT,
         seq INTEGER,
         length INTEGER,
         logged INTEGER NOT NULL,
         fields TEXT NOT NULL,
         text TEXT NOT NULL DEFAULT ''
     ) STRICT;
     CREATE UNIQUE INDEX streams_by_uuid ON streams (user, uuid);
     CREATE INDEX streams_by_reference ON streams (user, reference) WHERE reference IS NOT NULL;
     CREATE INDEX streams_unfinished ON streams (number) WHERE finished_at IS NULL;
     CREATE TABLE stream_log (number INTEGER PRIMARY KEY, pieces TEXT NOT NULL) STRICT;
     CREATE TABLE stream_stops (
         number INTEGER PRIMARY KEY,
         user INTEGER NOT NULL,
         reference TEXT NOT NULL,
         created_at INTEGER NOT NULL
     ) STRICT;
     CREATE UNIQUE INDEX stream_stops_by_reference ON stream_stops (user, reference);",
    // Once they were users; in a URL they are ways. No user of before has a `%`, so these are free.
    "UPDATE users SET name = '%2E' WHERE name = '.';
     UPDATE users SET name = '%2E%2E' WHERE name = '..';",
    // Which message stood at `trimmed`, so that a page that stands there can prove its history.
    "ALTER TABLE users ADD COLUMN trimmed_id TEXT;",
    // `clock_ms` is what time it was when somebody last looked, by what is believed of the clock; from
    // row `misdated_from` on messages may have been dated by a clock that was wrong.
    "ALTER TABLE meta ADD COLUMN clock_ms INTEGER;
     ALTER TABLE meta ADD COLUMN misdated_from INTEGER;",
    // What a row has to add up to; see `messages`. One of before has none, and proves nothing.
    "ALTER TABLE messages ADD COLUMN checksum INTEGER;",
    // What an application answered beside its yes, as JSON.
    "ALTER TABLE sends ADD COLUMN answer TEXT;",
    // Which row of `publishes` has a key, up to row `keys_folded`; see `keys`.
    "CREATE TABLE publish_keys (
         user INTEGER NOT NULL,
         key TEXT NOT NULL,
         number INTEGER NOT NULL,
         PRIMARY KEY (user, key)
     ) STRICT, WITHOUT ROWID;
     INSERT INTO publish_keys SELECT user, key, number FROM publishes ORDER BY user, key;
     DROP INDEX publishes_by_key;
     ALTER TABLE meta ADD COLUMN keys_folded INTEGER NOT NULL DEFAULT 0;
     UPDATE meta SET keys_folded = (SELECT coalesce(max(number), 0) FROM publishes);",
    // Which row of `messages` is at a position, up to row `positions_folded`; see `index`. No number up to
    // `messages_numbered` is given to another row.
    "CREATE TABLE positions (
         user INTEGER NOT NULL,
         seq INTEGER NOT NULL,
         number INTEGER NOT NULL,
         PRIMARY KEY (user, seq)
     ) STRICT, WITHOUT ROWID;
     INSERT INTO positions SELECT user, seq, number FROM messages ORDER BY user, seq;
     DROP INDEX messages_by_position;
     ALTER TABLE meta ADD COLUMN positions_folded INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE meta ADD COLUMN messages_numbered INTEGER NOT NULL DEFAULT 0;
     UPDATE meta SET positions_folded = (SELECT coalesce(max(number), 0) FROM messages);",
    // Sign-ins that have ended although their tokens have not: a session, by its name's SHA-256, or, without
    // a name, all whose tokens were made before. By the user's name, as no erasure takes them.
    "CREATE TABLE sign_outs (
         user TEXT NOT NULL,
         session BLOB NOT NULL,
         before INTEGER,
         created_at INTEGER NOT NULL,
         PRIMARY KEY (user, session)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX sign_outs_by_age ON sign_outs (created_at);
     -- Some rows have marks: how many of the user's rows there are since the mark before, with the row, and of how
     -- many bytes. See `outcomes`.
     ALTER TABLE sends ADD COLUMN marked INTEGER;
     ALTER TABLE sends ADD COLUMN marked_bytes INTEGER;
     UPDATE sends SET marked = 256, marked_bytes = bytes FROM (
         SELECT number AS marks, row_number() OVER (PARTITION BY user ORDER BY number) AS nth,
             sum(octet_length(id) + coalesce(octet_length(message), 0) + coalesce(octet_length(answer), 0))
                 OVER (PARTITION BY user ORDER BY number ROWS 255 PRECEDING) AS bytes
         FROM sends
     ) WHERE number = marks AND nth % 256 = 0;
     CREATE INDEX sends_marked ON sends (user, number, marked, marked_bytes) WHERE marked IS NOT NULL;",
    // From here on a file may say that it has no log; see `own_log`. A program that does not know would not take it back.
    "",
];

/// How long a connection waits for a lock that another program holds.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(2);

pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Checkpoints have their own connection, so that no commit waits for one.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // Whoever closes the log leaves nothing of it; the writer keeps some while it runs.
    connection.pragma_update(None, "journal_size_limit", 0)?;
    connection.busy_timeout(LOCK_WAIT)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Otherwise a statement is planned anew for each user that it is asked about.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// How many steps a file that is up to date has behind it.
pub(super) const NEWEST: usize = MIGRATIONS.len();

/// Connects to a mailbox, or to nothing yet. Nothing is written into the file of another program.
pub(super) fn connect_to_mailbox(path: &Path) -> Result<Connection, OpenError> {
    let is_another = |problem: String| OpenError::NotAMailbox { path: path.into(), problem };
    let looked = connect(path).and_then(|connection| {
        let version = version(&connection)?;
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let is_mailbox = if version == 0 { tables == 0 } else { has_tables(&connection)? };
        Ok((connection, is_mailbox))
    });
    match looked {
        Ok((connection, true)) => Ok(connection),
        Ok((_, false)) => Err(is_another("it is another program\u{2019}s database".to_owned())),
        Err(error) if is_damage(&error) => Err(is_another(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// Whether it has what every mailbox had from the beginning.
pub(super) fn has_tables(connection: &Connection) -> rusqlite::Result<bool> {
    let tables = "SELECT count(*) = 3 FROM sqlite_schema
                  WHERE type = 'table' AND name IN ('meta', 'users', 'messages')";
    connection.query_row(tables, [], |row| row.get(0))
}

pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

/// How many steps the file has behind it; none if there is nothing in it.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<usize> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))? as usize)
}

/// Brings the file up to date and answers the store's epoch.
pub(super) fn migrate(connection: &mut Connection) -> Result<String, OpenError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let version = version(connection)?;
    let newest = NEWEST;
    let Some(steps) = MIGRATIONS.get(version..) else {
        return Err(OpenError::Newer { version, newest });
    };
    if !steps.is_empty() {
        let transaction = connection.transaction()?;
        for step in steps {
            transaction.execute_batch(step)?;
        }
        if version == 0 {
            transaction.execute("INSERT INTO meta (epoch) VALUES (?1)", [fresh_epoch()])?;
        }
        transaction.pragma_update(None, "user_version", newest as u32)?;
        transaction.commit()?;
    }
    Ok(connection.query_row("SELECT epoch FROM meta", [], |row| row.get(0))?)
}

/// The file counts in another history from now on.
pub(super) fn renew_epoch(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE meta SET epoch = ?1", [fresh_epoch()])?;
    Ok(())
}

fn fresh_epoch() -> String {
    Uuid::new_v4().simple().to_string()
}
