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
    /// The application has to be asked, about a token that is good or about one that is nobody's that we know.
    Ask(Option<Identity>),
}

impl Shared {
    /// `request` has the token, or cookies, or both.
    pub(crate) async fn identify(
        &self,
        request: ConnectRequest,
    ) -> Result<Identified, InvalidToken> {
        let verdict = match request.token.as_deref() {
            Some(token) => self.verdict(token),
            None => Verdict::Ask(None),
        };
        match verdict {
            Verdict::Settled(settled) => {
                settled.map(|identity| Identified { identity, asked: None })
            }
            Verdict::Ask(good) => {
                let party = Party::Stranger(request.address.map(Network::of));
                let identity = self.ask(request.clone(), party, good).await?;
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
        let good = match self.verdict(&token) {
            Verdict::Settled(settled) => return Renewed::Now(settled),
            Verdict::Ask(good) => good,
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
        Renewed::Later(Box::pin(async move { shared.ask(request, party, good).await }))
    }

    fn verdict(&self, token: &str) -> Verdict {
        match (self.config.jwt.verify(token), self.connect_hook()) {
            // It was not signed by anybody whose keys are here: a token of the application's own, perhaps.
            (Err(InvalidToken::Malformed), Some(_)) => Verdict::Ask(None),
            (Ok(identity), Some(hook)) if hook.is_always_asked() => Verdict::Ask(Some(identity)),
            (verified, _) => Verdict::Settled(verified),
        }
    }

    /// A token that is `good` counts for no longer than it says itself, and for nobody else.
    async fn ask(
        &self,
        request: ConnectRequest,
        party: Party,
        good: Option<Identity>,
    ) -> Result<Identity, InvalidToken> {
        let hook = self.connect_hook().ok_or(InvalidToken::Malformed)?;
        let token_user = good.as_ref().map(|identity| identity.user.clone());
        let said = hook.ask(ConnectRequest { token_user, ..request }, party).await?;
        let Some(good) = good else { return Ok(said) };
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
