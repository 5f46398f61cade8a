//! Whom somebody's credentials speak for: a token of the server's own keys, or what the connect hook says of
//! anything else.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tetherline_protocol::{DeviceId, UserId};

use super::{
    auth::{Identity, InvalidToken},
    hook::Party,
};
use crate::{ConnectRequest, Network, server::Shared};

/// Who somebody is, and what the connect hook was asked for it.
pub(crate) struct Identified {
    pub(crate) identity: Identity,
    pub(crate) asked: Option<Box<ConnectRequest>>,
}

/// What becomes of a renewal.
pub(crate) enum Renewed {
    Now(Result<Identity, InvalidToken>),
    Later(BoxFuture<'static, Result<Identity, InvalidToken>>),
}

/// What a token says by itself.
enum Verdict {
    Settled(Result<Identity, InvalidToken>),
    /// The application has to be asked, whatever the token came to without it.
    Ask(Result<Identity, InvalidToken>),
}

impl Shared {
    /// `request` has the token, or cookies, or both.
    pub(crate) async fn identify(
        &self,
        request: ConnectRequest,
    ) -> Result<Identified, InvalidToken> {
        let verdict = match request.token.as_deref() {
            Some(token) => self.verdict(token),
            None => Verdict::Ask(Err(InvalidToken::Malformed)),
        };
        match verdict {
            Verdict::Settled(settled) => {
                settled.map(|identity| Identified { identity, asked: None })
            }
            Verdict::Ask(by_itself) => {
                let party = Party::Stranger(request.address.map(Network::of));
                let identity = self.ask(request.clone(), party, by_itself).await?;
                // What it was asked about is what it is asked about again, with another token.
                let asked = ConnectRequest { token: None, renewal: true, ..request };
                Ok(Identified { identity, asked: Some(Box::new(asked)) })
            }
        }
    }

    /// The same for a token that came over an open connection, with what the connection began with.
    pub(crate) fn renew(
        self: &Arc<Self>,
        token: Box<str>,
        asked: Option<&ConnectRequest>,
        (user, device): (&UserId, Option<&DeviceId>),
    ) -> Renewed {
        let by_itself = match self.verdict(&token) {
            Verdict::Settled(settled) => return Renewed::Now(settled),
            Verdict::Ask(by_itself) => by_itself,
        };
        let request = asked.cloned().unwrap_or(ConnectRequest {
            user: Some(user.clone()),
            token_user: None,
            device: device.cloned(),
            origin: None,
            token: None,
            cookies: None,
            address: None,
            renewal: true,
        });
        let request = ConnectRequest { token: Some(token), ..request };
        let (shared, party) = (self.clone(), Party::User(user.clone()));
        Renewed::Later(Box::pin(async move { shared.ask(request, party, by_itself).await }))
    }

    fn verdict(&self, token: &str) -> Verdict {
        match (self.current().jwt.verify(token), self.connect_hook()) {
            // None of the keys that are here has signed it: it is a token of the application's own, perhaps.
            (by_itself @ Err(InvalidToken::Malformed | InvalidToken::KeysAway { .. }), Some(_)) => {
                Verdict::Ask(by_itself)
            }
            (by_itself @ Ok(_), Some(hook)) if hook.is_always_asked() => Verdict::Ask(by_itself),
            (verified, _) => Verdict::Settled(verified),
        }
    }

    /// A token that is good by itself counts for no longer than it says, and for nobody else.
    async fn ask(
        &self,
        request: ConnectRequest,
        party: Party,
        by_itself: Result<Identity, InvalidToken>,
    ) -> Result<Identity, InvalidToken> {
        let hook = self.connect_hook().ok_or(InvalidToken::Malformed)?;
        let token_user = by_itself.as_ref().ok().map(|identity| identity.user.clone());
        let said = hook.ask(ConnectRequest { token_user, ..request }, party).await;
        let (good, said) = match (by_itself, said) {
            (Ok(good), said) => (good, said?),
            // The application does not know it. Whether it is the provider's shows when its keys are back.
            (Err(away @ InvalidToken::KeysAway { .. }), Err(no)) if no.wait().is_none() => {
                return Err(away);
            }
            (Err(_), said) => return said,
        };
        if said.user != good.user {
            // Who a token of ours speaks for is for nobody else to say.
            return Err(InvalidToken::OtherUser);
        }
        let expires_in = said.expires_in.min(good.expires_in);
        // Whoever ends the token's own sign-in ends it.
        let session = good.session.or(said.session);
        Ok(Identity { session, made_ms: good.made_ms, expires_in, ..said })
    }
}
