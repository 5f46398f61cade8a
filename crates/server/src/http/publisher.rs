//! Who asks over HTTP with a key, and what that is for.

use std::{marker::PhantomData, sync::Arc, time::Instant};

use axum::extract::FromRequestParts;
use http::{HeaderMap, StatusCode, request::Parts};
use tetherline_protocol::{ErrorCode, UserId};

use super::{
    answer::{Problem, bearer},
    serve::Requester,
    too_fast::{attempt, network, rate_limited},
};
use crate::{
    Network,
    rates::Amount,
    security::keys::{Grant, Scope},
    server::Shared,
};

/// A request of somebody who has shown a key for what they want, with its headers. It is the only way to the users
/// that the key is for.
pub(super) struct Holder<For> {
    pub(super) headers: HeaderMap,
    grant: Grant,
    /// Where it comes from, if whoever serves the router says it.
    network: Option<Network>,
    wants: PhantomData<For>,
}

/// With a key for messages, batches, and streams and their text.
pub(super) type Publisher = Holder<Publishing>;
/// With a key for where a mailbox ends, and how far a stream is.
pub(super) type Reader = Holder<Reading>;
/// With a key for erasing, signing out, tickets for others, and keys.
pub(super) type Admin = Holder<Administering>;

/// What a route needs a key for.
pub(super) trait Wants {
    const SCOPE: Scope;
}

pub(super) struct Publishing;
pub(super) struct Reading;
pub(super) struct Administering;

impl Wants for Publishing {
    const SCOPE: Scope = Scope::Publish;
}

impl Wants for Reading {
    const SCOPE: Scope = Scope::Read;
}

impl Wants for Administering {
    const SCOPE: Scope = Scope::Admin;
}

impl<For: Wants + Send> FromRequestParts<Arc<Shared>> for Holder<For> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        let network = network(shared, &parts.extensions, &parts.headers);
        let grant = grant(shared, &parts.headers)
            .or_else(|problem| attempt(shared, network).and(Err(problem)))?;
        // Whoever serves the router in another way has its own rules for connections.
        if let Some(requester) = parts.extensions.get::<Requester>() {
            requester.shows_key();
        }
        expect(&grant, For::SCOPE)?;
        let headers = std::mem::take(&mut parts.headers);
        Ok(Self { headers, grant, network, wants: PhantomData })
    }
}

impl<For> Holder<For> {
    /// The user in a path, if the key is for them.
    pub(super) fn user(&self, user: &str) -> Result<UserId, Problem> {
        let user = user
            .parse()
            .map_err(|error| Problem::invalid("user", format!("The user: {error}.")))?;
        self.expect(&user)?;
        Ok(user)
    }

    /// Whether the key is for this user. The answer is the same whether there is anything of theirs or not.
    pub(super) fn expect(&self, user: &UserId) -> Result<(), Problem> {
        if self.grant.is_for(user) {
            Ok(())
        } else {
            Err(forbidden("This API key is not for this user.").field("user"))
        }
    }

    /// Whether the key is for writing, too.
    pub(super) fn may_publish(&self) -> bool {
        self.grant.has(Scope::Publish)
    }

    /// Whether the key is for all users.
    pub(super) fn expect_everybody(&self) -> Result<(), Problem> {
        if self.grant.is_for_everybody() {
            Ok(())
        } else {
            Err(forbidden("This API key is for some users only, and not for everybody.")
                .field("everybody"))
        }
    }

    /// Publishes so much, unless that comes too fast.
    pub(super) fn publishes(&self, shared: &Shared, amount: Amount) -> Result<(), Problem> {
        let published =
            shared.meters.publish(self.grant.name(), self.network, amount, Instant::now());
        published.map_err(|wait| {
            let message =
                "More is published than may be at once; nothing of this was kept. Try again later.";
            rate_limited(message, wait)
        })
    }

    /// Resolves when the key does not count any more, if it has a name. Nobody is told of the configuration's: see
    /// [`Holder::is_replaced`].
    pub(super) async fn withdrawn(&self, user: &UserId)
    where
        For: Wants,
    {
        self.grant.withdrawn(For::SCOPE, user).await;
    }

    /// Whether it was the key of the configuration, which has another one since: for what is under way to ask now and then.
    pub(super) fn is_replaced(&self, shared: &Shared) -> bool {
        self.grant.is_everything() && shows_key(shared, &self.headers).is_none()
    }
}

/// What somebody may do who has shown a key that counts.
pub(super) fn shows_key(shared: &Shared, headers: &HeaderMap) -> Option<Grant> {
    let shown = bearer(headers)?;
    if shared.current().api_key.as_ref().is_some_and(|key| key.matches(shown)) {
        return Some(Grant::Everything);
    }
    shared.api_keys.find(shown)
}

/// Whether a key is for what concerns others than its holder.
pub(super) fn administers(grant: &Grant) -> Result<(), Problem> {
    expect(grant, Scope::Admin)
}

fn expect(grant: &Grant, scope: Scope) -> Result<(), Problem> {
    if grant.has(scope) {
        return Ok(());
    }
    let scope = scope.as_str();
    Err(forbidden(format!("This API key is not for this: it lacks the scope `{scope}`.")))
}

fn forbidden(message: impl Into<String>) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message)
}

fn grant(shared: &Shared, headers: &HeaderMap) -> Result<Grant, Problem> {
    if let Some(grant) = shows_key(shared, headers) {
        return Ok(grant);
    }
    let has_none = shared.current().api_key.is_none() && shared.api_keys.count() == 0;
    Err(Problem::unauthorized(match bearer(headers) {
        _ if has_none => NO_KEYS,
        Some(_) => "The API key is wrong.",
        None => "An API key is needed: `Authorization: Bearer <api key>`.",
    }))
}

const NO_KEYS: &str =
    "This server has no API key, so nobody can publish over HTTP; start it with one, or add one.";
