//! Sign-ins that have ended although their tokens have not, in the file; tickets, in memory.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::future::{BoxFuture, ready};
use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};
use tetherline_protocol::UserId;

use super::{
    super::{
        StoreError,
        credentials::{
            Credentials, KeepTicketError, SIGN_OUTS_PER_USER_MAX, SignOut, SignOutError, SignOuts,
            Ticket, TicketDigest,
        },
    },
    SqliteStore,
    aging::ROWS_MAX,
    commands::Command,
    rules::Rule,
    schedule::Wish,
    schema, statements,
    times::{Moment, uptime_ms},
};
use crate::{clock::whole_ms, lock::lock};

/// In the place of a session's name, for all of a user.
const ALL: &[u8] = &[];

/// Whether anything is remembered at all, so that nobody is looked up where nobody was ever signed out.
#[derive(Default)]
pub(super) struct AreAny(AtomicBool);

impl AreAny {
    pub(super) fn load(&self, connection: &Connection) -> rusqlite::Result<()> {
        let any = "SELECT EXISTS (SELECT 1 FROM sign_outs)";
        self.0.store(connection.query_row(any, [], |row| row.get(0))?, Ordering::SeqCst);
        Ok(())
    }

    pub(super) fn are_any(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Credentials for SqliteStore {
    fn sign_out(&self, user: &UserId, ended: SignOut) -> BoxFuture<'_, Result<(), SignOutError>> {
        let user = user.clone();
        Box::pin(async move {
            // Before the commit: whoever asks after it has to find it.
            self.memory.sign_outs.0.store(true, Ordering::SeqCst);
            self.writer.ask(0, |reply| Command::SignOut { user, ended, reply }).await?
        })
    }

    fn sign_outs(
        &self,
        user: &UserId,
        session: Option<&str>,
    ) -> BoxFuture<'_, Result<SignOuts, StoreError>> {
        if !self.memory.sign_outs.are_any() {
            return Box::pin(ready(Ok(SignOuts::default())));
        }
        let (user, session) = (user.clone(), session.map(digest));
        Box::pin(self.readers.run(move |connection, _| read(connection, &user, session)))
    }

    fn keep_sign_outs_for(&self, time: Duration) {
        self.rules.keep_sign_outs_for(whole_ms(time));
        self.writer.look_after(Wish::Look);
    }

    fn keep_ticket(
        &self,
        digest: TicketDigest,
        ticket: Ticket,
        kept_for: Duration,
    ) -> BoxFuture<'_, Result<(), KeepTicketError>> {
        let kept_for_ms = whole_ms(kept_for).unsigned_abs();
        let kept = lock(&self.tickets).keep(digest, ticket, self.uptime_ms(), kept_for_ms);
        Box::pin(ready(kept))
    }

    fn take_ticket(
        &self,
        digest: TicketDigest,
        user: Option<&UserId>,
    ) -> BoxFuture<'_, Result<Option<Ticket>, StoreError>> {
        let taken = lock(&self.tickets).take(&digest, user, self.uptime_ms());
        Box::pin(ready(Ok(taken)))
    }
}

impl SqliteStore {
    fn uptime_ms(&self) -> u64 {
        uptime_ms((self.clock)().1).unsigned_abs()
    }
}

/// Sessions' names are other people's, and of any length.
fn digest(session: &str) -> [u8; 32] {
    Sha256::digest(session).into()
}

fn read(
    connection: &Connection,
    user: &UserId,
    session: Option<[u8; 32]>,
) -> rusqlite::Result<SignOuts> {
    let mut statement = connection.prepare_cached(
        "SELECT session, before FROM sign_outs WHERE user = ?1 AND session IN (?2, ?3)",
    )?;
    let session = session.as_ref().map_or(ALL, |session| session);
    let mut rows = statement.query(params![user.as_str(), ALL, session])?;
    let mut found = SignOuts::default();
    while let Some(row) = rows.next()? {
        match row.get(1)? {
            Some(before_ms) => found.before_ms = Some(before_ms),
            None => found.session_ended = true,
        }
    }
    Ok(found)
}

/// A session that has ended again is remembered for longer. When all of a user's end and there is no room for one
/// more session, the one is forgotten that ended first: its tokens were made before, too, for all that clocks say.
pub(super) fn write(
    connection: &Connection,
    user: &UserId,
    ended: &SignOut,
    now: Moment,
) -> rusqlite::Result<Result<(), SignOutError>> {
    let user = user.as_str();
    let (session, before_ms) = match ended {
        SignOut::Before(before_ms) => {
            make_room(connection, user)?;
            (ALL.to_vec(), Some(*before_ms))
        }
        SignOut::Session(session) => {
            let session = digest(session).to_vec();
            if sessions(connection, user, &session)? >= statements::count(SIGN_OUTS_PER_USER_MAX) {
                return Ok(Err(SignOutError::TooMany));
            }
            (session, None)
        }
    };
    connection
        .prepare_cached(
            "INSERT INTO sign_outs (user, session, before, created_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET before = excluded.before, created_at = excluded.created_at",
        )?
        .execute(params![user, session, before_ms, now.created_ms])?;
    Ok(Ok(()))
}

/// How many of a user's are remembered as ended, besides this one.
fn sessions(connection: &Connection, user: &str, besides: &[u8]) -> rusqlite::Result<i64> {
    let others = "SELECT count(*) FROM sign_outs WHERE user = ?1 AND session NOT IN (?2, ?3)";
    connection.prepare_cached(others)?.query_row(params![user, ALL, besides], |row| row.get(0))
}

fn make_room(connection: &Connection, user: &str) -> rusqlite::Result<()> {
    let too_many = sessions(connection, user, ALL)? + 1 - statements::count(SIGN_OUTS_PER_USER_MAX);
    if too_many > 0 {
        connection
            .prepare_cached(
                "DELETE FROM sign_outs WHERE user = ?1 AND session IN
                     (SELECT session FROM sign_outs WHERE user = ?1 AND session <> ?2
                      ORDER BY created_at LIMIT ?3)",
            )?
            .execute(params![user, ALL, too_many])?;
    }
    Ok(())
}

/// Has a file know of what another remembers, which no server has open.
pub(super) fn carry_over(from: &Path, to: &Path) -> rusqlite::Result<()> {
    let from = from.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(from.into()))?;
    let connection = schema::connect(to)?;
    connection.execute("ATTACH ?1 AS before", [from])?;
    // A mailbox of a version before there were any is brought up to date when it is served, and not here.
    let has_any = "SELECT count(*) FROM before.sqlite_schema WHERE name = 'sign_outs'";
    if connection.query_row(has_any, [], |row| row.get::<_, i64>(0))? == 0 {
        return connection.close().map_err(|(_, error)| error);
    }
    connection.execute(
        "INSERT INTO sign_outs SELECT user, session, before, created_at FROM before.sign_outs WHERE true
         ON CONFLICT DO UPDATE SET before = max(before, excluded.before),
             created_at = max(created_at, excluded.created_at)",
        [],
    )?;
    connection.execute_batch("DETACH before")?;
    // This folds the log in and takes it away.
    connection.close().map_err(|(_, error)| error)
}

/// Forgets some of those that no token can outlive any more. What a clock that was wrong has dated later than
/// now happened now at the latest: nobody shall be kept out until that time has come.
pub(super) fn forget(connection: &Connection, rule: &Rule, now: Moment) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM sign_outs WHERE (user, session) IN
                 (SELECT user, session FROM sign_outs WHERE created_at < ?1 LIMIT ?2)",
        )?
        .execute([now.age_ms.saturating_sub(rule.sign_outs_kept_ms), ROWS_MAX])?;
    connection
        .prepare_cached(
            "UPDATE sign_outs SET created_at = ?1, before = min(before, ?1) WHERE created_at > ?1",
        )?
        .execute([now.created_ms])?;
    Ok(())
}
