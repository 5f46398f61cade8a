//! What the file knows of one user, in a few reads of one snapshot.

use futures_util::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tetherline_protocol::{Attempt, Seq, UserId};

use super::{
    super::{
        DeviceReport, MessageReport, REPORTED_SENDS_MAX, REPORTED_SIGN_OUTS_MAX, Report,
        SendReport, SignOutReport, StoreError, StreamReport,
    },
    SqliteStore,
    cursors::Positions,
    index,
    recent::Recent,
    statements::{self, id, invalid, seq},
    view,
};

pub(super) fn of<'a>(
    store: &'a SqliteStore,
    user: &UserId,
    about: Option<Seq>,
) -> BoxFuture<'a, Result<Report, StoreError>> {
    let user = user.clone();
    Box::pin(async move {
        // Before the file is read: what is written meanwhile is there then.
        let ahead = store.memory.cursors.of_all(&user).unwrap_or_default();
        let recent = store.memory.recents.of(&user);
        let read = store.readers.run(move |connection, epoch| {
            report(connection, &user, (&ahead, &recent), about, epoch)
        });
        read.await
    })
}

fn report(
    connection: &Connection,
    user: &UserId,
    (ahead, recent): (&Positions, &Recent),
    about: Option<Seq>,
    store_epoch: &str,
) -> rusqlite::Result<Report> {
    let sign_outs = sign_outs(connection, user)?;
    let head = view::head(connection, user, recent, store_epoch)?;
    let Some(mailbox) = view::known_mailbox(connection, user, recent)? else {
        let (devices, sends, streams) = (Vec::new(), Vec::new(), Vec::new());
        let (trimmed, message) = (Seq::ZERO, None);
        return Ok(Report { head, trimmed, devices, message, sends, sign_outs, streams });
    };
    let trimmed = mailbox.trimmed;
    let message = match about.filter(|seq| *seq > trimmed) {
        Some(seq) => message(connection, mailbox.user, recent, seq)?,
        None => None,
    };
    let devices = devices(connection, mailbox.user, ahead, mailbox.head)?;
    let sends = sends(connection, mailbox.user)?;
    let streams = streams(connection, mailbox.user)?;
    Ok(Report { head, trimmed, devices, message, sends, sign_outs, streams })
}

fn devices(
    connection: &Connection,
    user: i64,
    ahead: &Positions,
    head: Seq,
) -> rusqlite::Result<Vec<DeviceReport>> {
    let sql =
        "SELECT name, cursor, seen_at FROM devices WHERE user = ?1 ORDER BY seen_at DESC, name";
    let mut devices = all(connection, sql, user, |row| {
        let device: String = row.get(0)?;
        let device = device.parse().map_err(|error| invalid(0, error))?;
        Ok(DeviceReport { device, cursor: seq(row, 1)?, seen_at: row.get(2)? })
    })?;
    for device in &mut devices {
        let known = ahead.devices.iter().find(|(name, _)| *name == device.device);
        let cursor = known.map_or(device.cursor, |(_, cursor)| device.cursor.max(*cursor));
        device.cursor = cursor.min(head);
    }
    Ok(devices)
}

fn message(
    connection: &Connection,
    user: i64,
    recent: &Recent,
    at: Seq,
) -> rusqlite::Result<Option<MessageReport>> {
    let Some(number) = index::row_at(connection, user, recent, at)? else { return Ok(None) };
    connection
        .prepare_cached(
            "SELECT id, kind, created_at FROM messages WHERE number = ?1 AND user = ?2",
        )?
        .query_row([number, user], |row| {
            Ok(MessageReport { id: id(row, 0)?, kind: row.get(1)?, published_at: row.get(2)? })
        })
        .optional()
}

/// A user may have 250,000, and only the index by id has them together: their numbers are looked through there, and no
/// more rows are fetched than are told of.
const NEWEST_SENDS: &str = "SELECT id, created_at, code FROM sends WHERE number IN
         (SELECT number FROM sends WHERE user = ?1 ORDER BY number DESC LIMIT ?2)
     ORDER BY number DESC";

fn sends(connection: &Connection, user: i64) -> rusqlite::Result<Vec<SendReport>> {
    let mut statement = connection.prepare_cached(NEWEST_SENDS)?;
    let rows = statement.query_map([user, statements::count(REPORTED_SENDS_MAX)], |row| {
        Ok(SendReport { id: row.get(0)?, decided_at: row.get(1)?, refused: row.get(2)? })
    })?;
    rows.collect()
}

fn sign_outs(connection: &Connection, user: &UserId) -> rusqlite::Result<Vec<SignOutReport>> {
    let sql = "SELECT length(session) = 0, created_at FROM sign_outs WHERE user = ?1
               ORDER BY created_at DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement
        .query_map(params![user.as_str(), statements::count(REPORTED_SIGN_OUTS_MAX)], |row| {
            Ok(SignOutReport { everywhere: row.get(0)?, at: row.get(1)? })
        })?;
    rows.collect()
}

fn streams(connection: &Connection, user: i64) -> rusqlite::Result<Vec<StreamReport>> {
    let sql = "SELECT uuid, attempt, opened_at FROM streams
               WHERE user = ?1 AND finished_at IS NULL ORDER BY number";
    all(connection, sql, user, |row| {
        let attempt: u32 = row.get(1)?;
        let attempt =
            Attempt::new(attempt).ok_or(rusqlite::Error::IntegralValueOutOfRange(1, 0))?;
        Ok(StreamReport { message_uuid: row.get(0)?, attempt, opened_at: row.get(2)? })
    })
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    user: i64,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([user], |row| read(row))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::file::File, *};

    #[test]
    fn whoever_asks_for_the_newest_sends_fetches_no_others() {
        // Of a user with 250,000 all were fetched and sorted, for 60 ms where they were in memory.
        let file = File::new();
        let connection = file.connect();
        let explain = format!("EXPLAIN QUERY PLAN {NEWEST_SENDS}");
        let mut explain = connection.prepare(&explain).unwrap();
        let plan = explain.query_map([1, 20], |row| row.get(3)).unwrap();
        let plan: Vec<String> = plan.map(Result::unwrap).collect();
        let by_user: Vec<_> = plan.iter().filter(|step| step.contains("(user=?)")).collect();
        assert_eq!(by_user, ["SEARCH sends USING COVERING INDEX sends_by_id (user=?)"]);
        assert!(plan.contains(&"SEARCH sends USING INTEGER PRIMARY KEY (rowid=?)".to_owned()));
    }
}
