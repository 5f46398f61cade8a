//! Whether a mailbox file is what it has to be: what SQLite promises of a file, and what this store promises of its rows.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, Row};

use super::{
    backup::{BackupError, Progress, checking, open_to_read},
    messages, schema,
};

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

/// Something that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// SQLite cannot read all of it, or finds that it contradicts itself.
    Damaged(String),
    /// Messages were changed in the file, or its index does not find them. They are not delivered.
    Changed {
        /// How many.
        messages: u64,
    },
    /// Between the first and the last message of a user some are missing, or some are there twice.
    NotDense {
        /// Whose.
        user: String,
        /// After this position.
        trimmed: i64,
        /// Up to this one.
        head: i64,
        /// So many are there instead.
        messages: i64,
    },
    /// A device has handled more than there is.
    AheadOfTheHead {
        /// Whose.
        user: String,
        /// Which one.
        device: String,
        /// What it has handled.
        cursor: i64,
        /// What there is.
        head: i64,
    },
    /// Rows of a user that there is not.
    Nobodys {
        /// In which table.
        table: &'static str,
        /// How many.
        rows: u64,
    },
    /// Keys that stand for no publish.
    KeysOfNothing {
        /// How many.
        keys: u64,
    },
    /// There has to be one epoch.
    Epochs {
        /// So many there are.
        count: u64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(problem) => write!(out, "the file is damaged: {problem}"),
            Self::Changed { messages } => write!(
                out,
                "{messages} messages were changed in the file, or are not found by its index; they are not delivered"
            ),
            Self::NotDense { user, trimmed, head, messages } => write!(
                out,
                "{user} has {messages} messages after position {trimmed} and up to {head}, and has to have {}",
                head - trimmed
            ),
            Self::AheadOfTheHead { user, device, cursor, head } => write!(
                out,
                "the device {device} of {user} has handled messages up to position {cursor}, but there are {head}"
            ),
            Self::Nobodys { table, rows } => {
                write!(out, "{rows} rows of `{table}` are of a user that there is not")
            }
            Self::KeysOfNothing { keys } => {
                write!(out, "{keys} idempotency keys stand for no publish")
            }
            Self::Epochs { count } => write!(out, "there are {count} epochs, and has to be one"),
        }
    }
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
    let sql = "WITH heads AS (SELECT user, max(seq) AS head FROM messages GROUP BY user)
               SELECT users.name, devices.name, cursor, max(trimmed, coalesce(head, 0))
               FROM devices JOIN users ON users.id = devices.user LEFT JOIN heads ON heads.user = devices.user
               WHERE cursor > max(trimmed, coalesce(head, 0))";
    some(connection, sql, findings, |row| {
        Ok(Finding::AheadOfTheHead {
            user: row.get(0)?,
            device: row.get(1)?,
            cursor: row.get(2)?,
            head: row.get(3)?,
        })
    })
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
