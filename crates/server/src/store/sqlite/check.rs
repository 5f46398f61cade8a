//! Whether a mailbox file is what it has to be: what SQLite promises of a file, and what this store promises of its rows.

mod finding;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row};

use super::{
    backup::{BackupError, Progress, checking, open_to_read},
    messages, outcomes, own_log, schema, stream_log, stream_rows,
};
pub use finding::Finding;

/// What is found beyond that is not told: a file with so much wrong with it has to be replaced.
pub const FINDINGS_MAX: usize = 100;

/// What somebody has found who read a whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// The file's format.
    pub version: usize,
    /// The newest that is known here; a file of an older one is brought up to date by the next start, and looked at less
    /// closely until then.
    pub newest: usize,
    /// How many users there are.
    pub users: u64,
    /// How many messages there are.
    pub messages: u64,
    /// What is wrong, at most [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
}

/// Why nothing can be said of a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] BackupError),
    /// It is some other file.
    #[error("{} is no mailbox ({problem}); name a data folder\u{2019}s mailbox.db, or a backup of one", path.display())]
    NotAMailbox {
        /// Which file.
        path: PathBuf,
        /// What it is instead.
        problem: String,
    },
    /// A newer version of this program wrote it.
    #[error(
        "the file has format {version}, but this program knows only {newest}; check it with the newer one"
    )]
    Newer {
        /// The file's format.
        version: usize,
        /// The newest that is known here.
        newest: usize,
    },
}

/// Reads a whole mailbox file as it is at this moment, whether a server has it open or not. Nobody waits for it; the
/// log of a server that writes meanwhile grows until it is done.
pub fn check_mailbox(
    path: &Path,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Checked, CheckError> {
    own_log::expect_own(path)?;
    let connection = open_to_read(path)?;
    let not = |problem: String| CheckError::NotAMailbox { path: path.into(), problem };
    let sqlite = |source| BackupError::Sqlite { path: path.into(), source };
    let looked = schema::version(&connection)
        .and_then(|version| Ok((version, schema::has_tables(&connection)?)));
    let version = match looked {
        Ok((version, true)) => version,
        Ok((_, false)) => return Err(not("it has other tables, or none".to_owned())),
        Err(error) if schema::is_damage(&error) => return Err(not(error.to_string())),
        Err(error) => return Err(sqlite(error).into()),
    };
    if version > schema::NEWEST {
        return Err(CheckError::Newer { version, newest: schema::NEWEST });
    }
    checking(progress, || checked(&connection, version)).map_err(|error| sqlite(error).into())
}

fn checked(connection: &Connection, version: usize) -> rusqlite::Result<Checked> {
    // All questions are about one moment.
    connection.execute_batch("BEGIN")?;
    let mut findings = damage(connection)?;
    let mut count = |table: &str| -> rusqlite::Result<u64> {
        or_damage(number(connection, &format!("SELECT count(*) FROM {table}")), &mut findings)
    };
    let (users, messages) = (count("users")?, count("messages")?);
    // Whatever else is wrong with a damaged file follows from that.
    if findings.is_empty() {
        let changed = messages::count_changed(connection)?;
        findings.extend((changed > 0).then_some(Finding::Changed { messages: changed }));
        if version == schema::NEWEST {
            not_dense(connection, &mut findings)?;
            ahead_of_the_head(connection, &mut findings)?;
            trimmed_too_high(connection, &mut findings)?;
            streams(connection, &mut findings)?;
            let marks = outcomes::count_wrong_marks(connection)?;
            findings.extend((marks > 0).then_some(Finding::Marks { marks }));
            nobodys(connection, &mut findings)?;
            keys_of_nothing(connection, &mut findings)?;
            let count = number(connection, "SELECT count(*) FROM meta WHERE epoch <> ''")?;
            findings.extend((count != 1).then_some(Finding::Epochs { count }));
        }
    }
    findings.truncate(FINDINGS_MAX);
    Ok(Checked { version, newest: schema::NEWEST, users, messages, findings })
}

/// What SQLite finds by itself.
fn damage(connection: &Connection) -> rusqlite::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({FINDINGS_MAX})"))?;
    let said = statement.query_map([], |row| row.get::<_, String>(0))?;
    for problem in said {
        let problem = or_damage(problem, &mut findings)?;
        if problem != "ok" && !problem.is_empty() {
            findings.push(Finding::Damaged(problem));
        }
    }
    Ok(findings)
}

/// A page that cannot be read is what is looked for.
fn or_damage<T: Default>(
    read: rusqlite::Result<T>,
    findings: &mut Vec<Finding>,
) -> rusqlite::Result<T> {
    match read {
        Err(error) if schema::is_damage(&error) => {
            findings.push(Finding::Damaged(error.to_string()));
            Ok(T::default())
        }
        read => read,
    }
}

fn not_dense(connection: &Connection, findings: &mut Vec<Finding>) -> rusqlite::Result<()> {
    // A message that is gone from the end is known to the index still.
    let sql = "WITH kept AS (SELECT user, seq FROM messages JOIN users ON users.id = user WHERE seq > trimmed),
                   ends AS (SELECT user, max(seq) AS head FROM
                       (SELECT user, seq FROM kept UNION ALL SELECT user, seq FROM positions) GROUP BY user),
                   counts AS (SELECT user, count(*) AS messages FROM kept GROUP BY user)
               SELECT name, trimmed, head, coalesce(messages, 0)
               FROM users JOIN ends ON ends.user = id LEFT JOIN counts ON counts.user = id
               WHERE head > trimmed AND coalesce(messages, 0) <> head - trimmed";
    some(connection, sql, findings, |row| {
        Ok(Finding::NotDense {
            user: row.get(0)?,
            trimmed: row.get(1)?,
            head: row.get(2)?,
            messages: row.get(3)?,
        })
    })
}

fn ahead_of_the_head(connection: &Connection, findings: &mut Vec<Finding>) -> rusqlite::Result<()> {
    const HEADS: &str = "WITH newest AS (SELECT user, max(seq) AS seq FROM messages GROUP BY user),
             heads AS (SELECT id, name, floor, max(trimmed, coalesce(seq, 0)) AS head
                 FROM users LEFT JOIN newest ON newest.user = id)";
    let devices = "SELECT heads.name, devices.name, cursor, head
                   FROM devices JOIN heads ON heads.id = devices.user WHERE cursor > head";
    some(connection, &format!("{HEADS} {devices}"), findings, |row| {
        Ok(Finding::AheadOfTheHead {
            user: row.get(0)?,
            device: row.get(1)?,
            cursor: row.get(2)?,
            head: row.get(3)?,
        })
    })?;
    let floors = "SELECT name, floor, head FROM heads WHERE floor > head";
    some(connection, &format!("{HEADS} {floors}"), findings, |row| {
        Ok(Finding::FloorAhead { user: row.get(0)?, floor: row.get(1)?, head: row.get(2)? })
    })
}

fn trimmed_too_high(connection: &Connection, findings: &mut Vec<Finding>) -> rusqlite::Result<()> {
    // What is trimmed is deleted in the same commit.
    let sql = "SELECT name, trimmed, count(*) FROM messages JOIN users ON users.id = messages.user
               WHERE seq <= trimmed GROUP BY users.id";
    some(connection, sql, findings, |row| {
        Ok(Finding::TrimmedTooHigh {
            user: row.get(0)?,
            trimmed: row.get(1)?,
            messages: row.get(2)?,
        })
    })
}

fn streams(connection: &Connection, findings: &mut Vec<Finding>) -> rusqlite::Result<()> {
    let rows = stream_log::count_unreadable(connection)?;
    findings.extend((rows > 0).then_some(Finding::StreamText { rows }));
    match stream_rows::unfinished(connection, 0) {
        // SQLite has no part in it: what is in the row is no stream.
        Err(error) if error.sqlite_error().is_none() => {
            findings.push(Finding::Streams(error.to_string()));
            Ok(())
        }
        read => read.map(drop),
    }
}

fn nobodys(connection: &Connection, findings: &mut Vec<Finding>) -> rusqlite::Result<()> {
    for table in ["messages", "devices", "publishes", "sends", "streams", "stream_stops"] {
        // Those of who was erased are still to be deleted.
        let rows = number(
            connection,
            &format!(
                "SELECT count(*) FROM {table} WHERE user NOT IN (SELECT id FROM users)
                 AND user NOT IN (SELECT user FROM erased)"
            ),
        )?;
        findings.extend((rows > 0).then_some(Finding::Nobodys { table, rows }));
    }
    Ok(())
}

fn keys_of_nothing(connection: &Connection, findings: &mut Vec<Finding>) -> rusqlite::Result<()> {
    let keys = number(
        connection,
        "SELECT count(*) FROM publish_keys WHERE user IN (SELECT id FROM users) AND NOT EXISTS
             (SELECT 1 FROM publishes WHERE publishes.number = publish_keys.number)",
    )?;
    findings.extend((keys > 0).then_some(Finding::KeysOfNothing { keys }));
    Ok(())
}

fn some(
    connection: &Connection,
    sql: &str,
    findings: &mut Vec<Finding>,
    finding: impl Fn(&Row<'_>) -> rusqlite::Result<Finding>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let found = statement.query_map([], |row| finding(row))?.take(FINDINGS_MAX);
    findings.extend(found.collect::<rusqlite::Result<Vec<_>>>()?);
    Ok(())
}

fn number(connection: &Connection, sql: &str) -> rusqlite::Result<u64> {
    let number: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(number.unsigned_abs())
}
