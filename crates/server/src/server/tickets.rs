//! What stands for a token once: for whoever can send none.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use tetherline_protocol::UserId;

use super::Shared;
use crate::{
    May, clock,
    security::{
        auth::{Identity, InvalidToken},
        keys::{Grant, Scope},
    },
    store::{KeepTicketError, StoreError, Ticket},
};

/// How long a ticket is good for.
pub const TICKET_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may last that an application's ticket has opened, unless a token renews it.
pub const TICKET_CONNECTION_TIMEOUT: Duration = Duration::from_hours(1);

/// Random bits in a ticket, in bytes.
const TICKET_BYTES: usize = 24;
/// The same as text.
const TICKET_TEXT_BYTES: usize = 32;

impl Shared {
    /// A ticket that stands for what somebody has shown, and was made with that publish key.
    pub(crate) async fn issue_ticket(
        &self,
        identity: Identity,
        key: Option<[u8; 32]>,
    ) -> Result<String, KeepTicketError> {
        let mut secret = [0_u8; TICKET_BYTES];
        getrandom::fill(&mut secret)
            .map_err(|error| StoreError::new(format!("no random numbers: {error}")))?;
        let text = BASE64_URL_SAFE_NO_PAD.encode(secret);
        let Identity { user, session, made_ms, expires_in, may } = identity;
        let ticket = Ticket { user, session, made_ms, expires_in, may, key };
        self.store.keep_ticket(Sha256::digest(&text).into(), ticket, TICKET_TIMEOUT).await?;
        Ok(text)
    }

    /// Whom a ticket speaks for, if it is this user's. It is used up then.
    pub(crate) async fn redeem_ticket(
        &self,
        text: &str,
        user: Option<&UserId>,
    ) -> Result<Identity, InvalidToken> {
        if text.len() != TICKET_TEXT_BYTES {
            return Err(InvalidToken::Ticket);
        }
        let taken = self.store.take_ticket(Sha256::digest(text).into(), user).await;
        let Ticket { user, session, made_ms, expires_in, may, key } = taken
            .map_err(|error| {
                // The store has said it, as often as is good.
                tracing::debug!(%error, "a ticket could not be looked up");
                InvalidToken::Undecided
            })?
            .ok_or(InvalidToken::Ticket)?;
        let grant = |key| self.api_keys.grant(&key);
        let vouches = |grant: Grant| grant.has(Scope::Admin) && grant.is_for(&user);
        // It was withdrawn since, or is for something else.
        if key.is_some_and(|key| !grant(key).is_some_and(vouches)) {
            return Err(InvalidToken::Ticket);
        }
        Ok(Identity { user, session, made_ms, expires_in, may })
    }
}

/// Somebody of whom an application says that it is them.
pub(crate) fn vouched_for(user: UserId) -> Identity {
    let (expires_in, may) = (TICKET_CONNECTION_TIMEOUT, May::EVERYTHING);
    Identity { user, session: None, made_ms: Some(clock::now_ms()), expires_in, may }
}
