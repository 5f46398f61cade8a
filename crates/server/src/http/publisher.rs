use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::{HeaderMap, request::Parts};

use super::{
    answer::{Problem, bearer},
    serve::Requester,
    too_fast::{attempt, network},
};
use crate::server::Shared;

/// A request of somebody who has shown the key for publishers, with its headers.
pub(super) struct Publisher(pub(super) HeaderMap);

impl FromRequestParts<Arc<Shared>> for Publisher {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        authorize(shared, &parts.headers).or_else(|problem| {
            let network = network(shared, &parts.extensions, &parts.headers);
            attempt(shared, network).and(Err(problem))
        })?;
        // Whoever serves the router in another way has its own rules for connections.
        if let Some(requester) = parts.extensions.get::<Requester>() {
            requester.is_authenticated();
        }
        Ok(Self(std::mem::take(&mut parts.headers)))
    }
}

fn authorize(shared: &Shared, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(expected) = &shared.config.api_key else {
        return Err(Problem::unauthorized(
            "This server has no API key, so nobody can publish over HTTP; start it with one.",
        ));
    };
    match bearer(headers) {
        Some(shown) if expected.matches(shown) => Ok(()),
        Some(_) => Err(Problem::unauthorized("The API key is wrong.")),
        None => {
            Err(Problem::unauthorized("An API key is needed: `Authorization: Bearer <api key>`."))
        }
    }
}
