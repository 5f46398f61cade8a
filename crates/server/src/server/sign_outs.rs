//! Sign-ins that end before their tokens do.

use std::{sync::Arc, time::Duration};

use tetherline_protocol::UserId;

use super::{Server, Shared};
use crate::{
    clock,
    security::auth::{Identity, InvalidToken},
    store::{SignOut, SignOutError, SignOuts, StoreError},
    trouble::Word,
};

/// What `iat` counts in.
const SECOND_MS: i64 = 1_000;

impl Server {
    /// Signs a user out: ends the tokens of one session (their `sid`), or all of the user's that were made until now.
    ///
    /// Connections that stand on them are closed with 4401, and no such token opens or renews one any more, over
    /// restarts too, until it would have expired. As `iat` counts in seconds, all of a user's end with the second
    /// that is under way, which this waits for; a token without `iat` is then no good for as long as this is
    /// remembered. A session that has ended stays so, even if tokens are made for it later.
    ///
    /// An application that knows by itself which sign-ins stand says so ([`Application::is_signed_in`](crate::Application::is_signed_in)) and calls
    /// [`Server::close_session`].
    pub async fn sign_out(&self, user: &UserId, session: Option<&str>) -> Result<(), SignOutError> {
        self.shared.sign_out(user, session).await
    }

    /// Closes the connections of one session (the token's `sid`) with 4401, and remembers nothing of it: from before
    /// this call on, [`Application::is_signed_in`](crate::Application::is_signed_in) has to answer that it has ended.
    pub fn close_session(&self, user: &UserId, session: &str) {
        self.shared.hub.sign_out(user, Some(session));
    }
}

impl Shared {
    /// Goes on if whoever asked for it leaves: what is remembered is also told to those who are connected.
    pub(crate) async fn sign_out(
        self: &Arc<Self>,
        user: &UserId,
        session: Option<&str>,
    ) -> Result<(), SignOutError> {
        let (shared, user, session) = (self.clone(), user.clone(), session.map(Box::<str>::from));
        let signing_out = tokio::spawn(async move {
            let now_ms = clock::now_ms();
            let before_ms = second_of(now_ms) + SECOND_MS;
            let ended = session.clone().map_or(SignOut::Before(before_ms), SignOut::Session);
            shared.store.sign_out(&user, ended).await?;
            if session.is_none() {
                // Whoever signs in anew when this is answered has a token of a later second.
                let left_ms = before_ms.saturating_sub(clock::now_ms()).clamp(0, SECOND_MS);
                tokio::time::sleep(Duration::from_millis(left_ms.unsigned_abs())).await;
            }
            shared.hub.sign_out(&user, session.as_deref());
            tracing::debug!(?user, of_one_session = session.is_some(), "signed out");
            Ok(())
        });
        let died = |_| SignOutError::from(StoreError::new("a sign-out was not carried out"));
        signing_out.await.map_err(died)?
    }

    /// Whether the sign-in behind a good token still stands.
    pub(crate) async fn still_stands(&self, identity: Identity) -> Result<Identity, InvalidToken> {
        let session = identity.session.as_deref();
        let known = self.store.sign_outs(&identity.user, session).await.map_err(|error| {
            // The store has said it, as often as is good.
            tracing::debug!(%error, "a sign-in could not be looked up");
            InvalidToken::Undecided
        })?;
        expect_to_stand(&identity, known, clock::now_ms())?;
        let (Some(application), Some(session)) = (self.application.get(), session) else {
            return Ok(identity);
        };
        match application.is_signed_in(&identity.user, session).await {
            Ok(is_signed_in) => {
                if let Some(Word::Works { times }) = self.sign_ins.worked_now() {
                    tracing::info!(failed_again = times, "sign-ins can be looked up again");
                }
                if is_signed_in { Ok(identity) } else { Err(InvalidToken::SignedOut) }
            }
            Err(error) => {
                if let Some(Word::Fails { times }) = self.sign_ins.failed_now() {
                    tracing::error!(%error, times, "a sign-in could not be looked up");
                }
                Err(InvalidToken::Undecided)
            }
        }
    }
}

/// A sign-out that is under way until this second ends stands for those of before it meanwhile.
fn expect_to_stand(identity: &Identity, known: SignOuts, now_ms: i64) -> Result<(), InvalidToken> {
    if known.session_ended {
        return Err(InvalidToken::SignedOut);
    }
    let Some(before_ms) = known.before_ms else { return Ok(()) };
    match identity.made_ms {
        None => Err(InvalidToken::Undated),
        Some(made_ms) if made_ms < before_ms.min(second_of(now_ms)) => Err(InvalidToken::SignedOut),
        Some(_) => Ok(()),
    }
}

/// Its beginning.
fn second_of(ms: i64) -> i64 {
    ms - ms.rem_euclid(SECOND_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::May;

    fn stands(made_ms: Option<i64>, before_ms: i64, now_ms: i64) -> bool {
        let user = "ada".parse().unwrap();
        let (expires_in, may) = (Duration::MAX, May::EVERYTHING);
        let identity = Identity { user, session: None, made_ms, expires_in, may };
        let known = SignOuts { before_ms: Some(before_ms), session_ended: false };
        expect_to_stand(&identity, known, now_ms).is_ok()
    }

    #[test]
    fn what_was_made_until_the_second_ends_has_ended_and_what_is_made_in_the_next_has_not() {
        // Signed out at 5,700, which ends with the second.
        assert!(!stands(Some(5_000), 6_000, 6_000));
        assert!(!stands(Some(5_999), 6_000, 6_000), "a fraction");
        assert!(stands(Some(6_000), 6_000, 6_000));
        assert!(!stands(None, 6_000, 6_000));
        // While it is under way: whoever comes now is sent away when the second ends.
        assert!(stands(Some(5_000), 6_000, 5_800));
        assert!(!stands(Some(4_000), 6_000, 5_800), "an earlier one may have ended this");
    }
}
