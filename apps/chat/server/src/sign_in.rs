//! Sign-ins and their refresh tokens.
//!
//! A refresh token is used once: every refresh answers with its successor. The successor is
//! computed from the token and a key, so that two tabs which present the same cookie at the same
//! moment can be given the same one, although only hashes are stored. A used token that comes
//! back after [`REFRESH_GRACE_MS`] was copied by somebody, and the whole sign-in is revoked.

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sha2::{Digest, Sha256};

use crate::{
    accounts::User,
    clock::now_ms,
    database::{Database, DatabaseError},
    limits::{
        REFRESH_GRACE_MS, REFRESH_GRACE_ROTATIONS_MAX, SIGN_IN_TTL_MS, SIGN_INS_PER_USER_MAX,
    },
};

/// What turns a refresh token into its successor.
#[derive(Clone)]
pub(crate) struct RefreshKey(Vec<u8>);

/// The secret in the cookie.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken([u8; 32]);

/// One sign-in of one person; `uuid` is the `sid` of their access tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignIn {
    pub(crate) uuid: String,
    pub(crate) user: User,
}

/// What became of a refresh.
pub(crate) enum Refreshed {
    /// This is the token from now on.
    Renewed { sign_in: SignIn, token: RefreshToken },
    /// An old token came back; its sign-in is revoked.
    Stolen { sign_in: SignIn },
    /// No such sign-in, or no longer.
    SignedOut,
}

impl RefreshKey {
    pub(crate) fn new(secret: &str) -> Self {
        Self(secret.as_bytes().to_vec())
    }
}

impl RefreshToken {
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }

    pub(crate) fn to_text(&self) -> String {
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    fn successor(&self, key: &RefreshKey) -> Self {
        // HMAC takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes any key");
        mac.update(&self.0);
        Self(mac.finalize().into_bytes().into())
    }
}

/// Opens a sign-in under the uuid. What has expired counts for nothing, and is forgotten when there are
/// too many of this person: a clock that is wrong for a moment must not sign everybody out for good.
pub(crate) fn start(
    transaction: &Transaction<'_>,
    uuid: &str,
    user: &User,
    token: &RefreshToken,
    now_ms: i64,
) -> rusqlite::Result<()> {
    transaction.execute(
        "DELETE FROM sign_ins WHERE uuid IN
             (SELECT uuid FROM sign_ins WHERE user_uuid = ?1
              ORDER BY expires_at DESC LIMIT -1 OFFSET ?2)",
        params![user.uuid, SIGN_INS_PER_USER_MAX - 1],
    )?;
    transaction.execute(
        "INSERT INTO sign_ins (uuid, user_uuid, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
        params![uuid, user.uuid, now_ms, now_ms + SIGN_IN_TTL_MS],
    )?;
    insert_token(transaction, uuid, token)
}

/// Exchanges a refresh token for its successor.
pub(crate) fn refresh(
    transaction: &Transaction<'_>,
    key: &RefreshKey,
    token: &RefreshToken,
    now_ms: i64,
) -> rusqlite::Result<Refreshed> {
    let Some((sign_in, used_at)) = find(transaction, token, now_ms)? else {
        return Ok(Refreshed::SignedOut);
    };
    match used_at {
        None => {
            let successor = rotate(transaction, key, &sign_in, token, now_ms)?;
            Ok(Refreshed::Renewed { sign_in, token: successor })
        }
        Some(used_at) if now_ms - used_at <= REFRESH_GRACE_MS => {
            match newest_after(transaction, key, token)? {
                Some(newest) => Ok(Refreshed::Renewed { sign_in, token: newest }),
                None => Ok(Refreshed::SignedOut),
            }
        }
        Some(_) => {
            revoke(transaction, &sign_in.uuid, now_ms)?;
            Ok(Refreshed::Stolen { sign_in })
        }
    }
}

/// What signing out has ended.
pub(crate) enum Ended {
    SignIn(SignIn),
    /// The token was worth nothing any more.
    Nothing,
    /// Nothing: another person has signed in since, whose token it is.
    SomebodyElses,
}

/// Ends the sign-in that the token belongs to, used or not, if it is this user's.
pub(crate) fn end(
    transaction: &Transaction<'_>,
    token: &RefreshToken,
    user: Option<&str>,
    now_ms: i64,
) -> rusqlite::Result<Ended> {
    let Some((sign_in, _)) = find(transaction, token, now_ms)? else {
        return Ok(Ended::Nothing);
    };
    if user.is_some_and(|user| user != sign_in.user.uuid) {
        return Ok(Ended::SomebodyElses);
    }
    revoke(transaction, &sign_in.uuid, now_ms)?;
    Ok(Ended::SignIn(sign_in))
}

/// Whether access tokens of this sign-in still count.
pub(crate) async fn stands(database: &Database, uuid: String) -> Result<bool, DatabaseError> {
    database.read(move |connection| is_live(connection, &uuid, now_ms())).await
}

fn is_live(connection: &Connection, uuid: &str, now_ms: i64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM sign_ins WHERE uuid = ?1 AND revoked_at IS NULL AND expires_at >= ?2",
        )?
        .exists(params![uuid, now_ms])
}

fn find(
    connection: &Connection,
    token: &RefreshToken,
    now_ms: i64,
) -> rusqlite::Result<Option<(SignIn, Option<i64>)>> {
    connection
        .prepare_cached(
            "SELECT s.uuid, u.uuid, u.name, u.email, t.used_at
             FROM refresh_tokens t
             JOIN sign_ins s ON s.uuid = t.sign_in_uuid
             JOIN users u ON u.uuid = s.user_uuid
             WHERE t.hash = ?1 AND s.revoked_at IS NULL AND s.expires_at >= ?2",
        )?
        .query_row(params![token.hash(), now_ms], |row| {
            let user = User { uuid: row.get(1)?, name: row.get(2)?, email: row.get(3)? };
            Ok((SignIn { uuid: row.get(0)?, user }, row.get(4)?))
        })
        .optional()
}

fn rotate(
    transaction: &Transaction<'_>,
    key: &RefreshKey,
    sign_in: &SignIn,
    token: &RefreshToken,
    now_ms: i64,
) -> rusqlite::Result<RefreshToken> {
    transaction.execute(
        "UPDATE refresh_tokens SET used_at = ?2 WHERE hash = ?1",
        params![token.hash(), now_ms],
    )?;
    transaction.execute(
        "UPDATE sign_ins SET expires_at = ?2 WHERE uuid = ?1",
        params![sign_in.uuid, now_ms + SIGN_IN_TTL_MS],
    )?;
    // The cookies that held these are gone for as long as a sign-in lasts.
    transaction.execute(
        "DELETE FROM refresh_tokens WHERE sign_in_uuid = ?1 AND used_at < ?2",
        params![sign_in.uuid, now_ms - SIGN_IN_TTL_MS],
    )?;
    let successor = token.successor(key);
    insert_token(transaction, &sign_in.uuid, &successor)?;
    Ok(successor)
}

fn insert_token(
    transaction: &Transaction<'_>,
    sign_in: &str,
    token: &RefreshToken,
) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO refresh_tokens (hash, sign_in_uuid) VALUES (?1, ?2)",
        params![token.hash(), sign_in],
    )?;
    Ok(())
}

/// Follows the successors of a used token to the one that is not used yet.
fn newest_after(
    connection: &Connection,
    key: &RefreshKey,
    token: &RefreshToken,
) -> rusqlite::Result<Option<RefreshToken>> {
    let mut statement =
        connection.prepare_cached("SELECT used_at IS NULL FROM refresh_tokens WHERE hash = ?1")?;
    let mut token = token.clone();
    for _ in 0..REFRESH_GRACE_ROTATIONS_MAX {
        token = token.successor(key);
        match statement.query_row([token.hash()], |row| row.get(0)).optional()? {
            Some(true) => return Ok(Some(token)),
            Some(false) => {}
            // The key was replaced in between; the person signs in again.
            None => return Ok(None),
        }
    }
    Ok(None)
}

fn revoke(transaction: &Transaction<'_>, uuid: &str, now_ms: i64) -> rusqlite::Result<()> {
    transaction
        .execute("UPDATE sign_ins SET revoked_at = ?2 WHERE uuid = ?1", params![uuid, now_ms])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts;

    struct Story {
        _folder: tempfile::TempDir,
        database: Database,
        key: RefreshKey,
    }

    /// What the person with the cookie sees.
    #[derive(Debug, PartialEq)]
    enum Seen {
        Token(String),
        Stolen,
        SignedOut,
    }

    impl Story {
        async fn signed_in() -> (Self, String) {
            let (folder, database) = crate::database::tests::temporary();
            let token = RefreshToken::random().unwrap();
            let text = token.to_text();
            database
                .write(move |transaction| {
                    let user = User {
                        uuid: "ada".into(),
                        name: "Ada".into(),
                        email: "ada@example.org".into(),
                    };
                    accounts::add(transaction, &user, "hash", 0)?;
                    start(transaction, "sign-in", &user, &token, 0)
                })
                .await
                .unwrap();
            (Self { _folder: folder, database, key: RefreshKey::new("key") }, text)
        }

        /// The same person, on another device.
        async fn signs_in(&self, number: u32, now_ms: i64) {
            let token = RefreshToken::random().unwrap();
            self.database
                .write(move |transaction| {
                    let user = User {
                        uuid: "ada".into(),
                        name: "Ada".into(),
                        email: "ada@example.org".into(),
                    };
                    start(transaction, &format!("sign-in {number}"), &user, &token, now_ms)
                })
                .await
                .unwrap();
        }

        async fn refresh(&self, token: &str, now_ms: i64) -> Seen {
            let token = RefreshToken::parse(token).unwrap();
            let key = self.key.clone();
            let refreshed = self
                .database
                .write(move |transaction| refresh(transaction, &key, &token, now_ms))
                .await
                .unwrap();
            match refreshed {
                Refreshed::Renewed { token, .. } => Seen::Token(token.to_text()),
                Refreshed::Stolen { .. } => Seen::Stolen,
                Refreshed::SignedOut => Seen::SignedOut,
            }
        }

        async fn renewed(&self, token: &str, now_ms: i64) -> String {
            match self.refresh(token, now_ms).await {
                Seen::Token(token) => token,
                other => panic!("not renewed: {other:?}"),
            }
        }

        async fn is_live(&self, now_ms: i64) -> bool {
            self.database
                .read(move |connection| is_live(connection, "sign-in", now_ms))
                .await
                .unwrap()
        }
    }

    #[tokio::test]
    async fn every_refresh_answers_with_a_new_token() {
        let (story, first) = Story::signed_in().await;
        let second = story.renewed(&first, 1_000).await;
        let third = story.renewed(&second, 2_000).await;
        assert_ne!(first, second);
        assert_ne!(second, third);
    }

    #[tokio::test]
    async fn two_tabs_that_refresh_at_once_are_given_the_same_token() {
        let (story, first) = Story::signed_in().await;
        let one = story.renewed(&first, 1_000).await;
        let other = story.renewed(&first, 1_000 + REFRESH_GRACE_MS).await;
        assert_eq!(one, other);
    }

    #[tokio::test]
    async fn a_straggler_is_given_the_newest_token_not_one_that_is_used_already() {
        let (story, first) = Story::signed_in().await;
        let second = story.renewed(&first, 1_000).await;
        let third = story.renewed(&second, 2_000).await;
        assert_eq!(story.renewed(&first, 3_000).await, third);
    }

    #[tokio::test]
    async fn an_old_token_that_comes_back_later_ends_the_sign_in_for_everybody() {
        let (story, first) = Story::signed_in().await;
        let second = story.renewed(&first, 1_000).await;
        assert!(story.is_live(2_000).await);
        let late = 1_000 + REFRESH_GRACE_MS + 1;
        assert_eq!(story.refresh(&first, late).await, Seen::Stolen);
        assert_eq!(story.refresh(&second, late).await, Seen::SignedOut);
        assert!(!story.is_live(late).await);
    }

    #[tokio::test]
    async fn a_sign_in_lasts_thirty_days_from_its_last_refresh() {
        let (story, first) = Story::signed_in().await;
        let second = story.renewed(&first, SIGN_IN_TTL_MS).await;
        let last_moment = 2 * SIGN_IN_TTL_MS;
        assert!(story.is_live(last_moment).await);
        assert_eq!(story.refresh(&second, last_moment + 1).await, Seen::SignedOut);
    }

    #[tokio::test]
    async fn a_clock_that_is_wrong_for_a_moment_signs_nobody_out() {
        // Whoever signed in while the clock was forty days ahead had everybody else forgotten.
        let (story, first) = Story::signed_in().await;
        story.signs_in(1, SIGN_IN_TTL_MS + 10 * 24 * 60 * 60 * 1_000).await;
        assert!(story.is_live(1_000).await);
        story.renewed(&first, 2_000).await;
    }

    #[tokio::test]
    async fn a_person_has_so_many_sign_ins_and_the_one_that_expires_first_makes_room() {
        let (story, first) = Story::signed_in().await;
        for number in 1..SIGN_INS_PER_USER_MAX {
            story.signs_in(number, i64::from(number)).await;
        }
        let second = story.renewed(&first, 0).await;
        story.signs_in(SIGN_INS_PER_USER_MAX, 1_000).await;
        assert_eq!(story.refresh(&second, 1_000).await, Seen::SignedOut);
    }

    #[tokio::test]
    async fn tokens_whose_cookies_are_long_gone_are_not_kept() {
        let (story, mut token) = Story::signed_in().await;
        for month in 1..=5 {
            token = story.renewed(&token, month * SIGN_IN_TTL_MS).await;
        }
        let count = "SELECT count(*) FROM refresh_tokens";
        let kept: u32 = story
            .database
            .read(move |connection| connection.query_row(count, [], |row| row.get(0)))
            .await
            .unwrap();
        assert_eq!(kept, 3, "the one in use, and those used in the last month");
    }

    #[tokio::test]
    async fn a_made_up_token_is_signed_out() {
        let (story, _) = Story::signed_in().await;
        let made_up = RefreshToken::random().unwrap().to_text();
        assert_eq!(story.refresh(&made_up, 0).await, Seen::SignedOut);
        assert!(RefreshToken::parse("nonsense").is_none());
        assert!(RefreshToken::parse(&"é".repeat(32)).is_none());
    }
}
