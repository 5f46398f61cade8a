//! What somebody meets who comes too often, or whose network does.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap, StatusCode};
use tetherline_protocol::ErrorCode;

use super::answer::Problem;
use crate::{Network, rates::TooFast, server::Shared};

/// Where a request comes from, if whoever serves the router says it.
pub(super) fn network(
    shared: &Shared,
    extensions: &Extensions,
    headers: &HeaderMap,
) -> Option<Network> {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
    shared.meters.network_of(peer, headers)
}

/// Somebody tries something that strangers may try only so often.
pub(super) fn attempt(shared: &Shared, network: Option<Network>) -> Result<(), Problem> {
    let Some(network) = network else { return Ok(()) };
    shared.meters.attempt(network, Instant::now()).map_err(|wait| {
        rate_limited("Too many attempts come from this address; try again later.", wait)
    })
}

/// Somebody reads what describes the API.
pub(super) fn describe(shared: &Shared, network: Option<Network>) -> Result<(), Problem> {
    let Some(network) = network else { return Ok(()) };
    shared.meters.describe(network, Instant::now()).map_err(|wait| {
        rate_limited(
            "The description is asked for too often from this address; try again later.",
            wait,
        )
    })
}

pub(super) fn rate_limited(message: &str, wait: Duration) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, ErrorCode::RateLimited, message).retry_after(wait)
}

impl From<TooFast> for Problem {
    fn from(too_fast: TooFast) -> Self {
        match too_fast {
            TooFast::User(wait) => {
                rate_limited("This user opens connections too fast; try again later.", wait)
            }
            TooFast::Server(wait) => Self::unavailable(
                "The server opens as many connections at once as it may; try again later.",
                wait,
            ),
        }
    }
}
