use axum::extract::Query;
use http::{HeaderMap, Uri};
use tetherline_protocol::{DeviceId, IdempotencyKey};

use super::{
    credentials::{self, Parameters},
    publish,
};

/// The token that a handshake shows.
#[must_use]
pub fn token(headers: &HeaderMap, query: &str, allow_query_token: bool) -> Option<String> {
    credentials::token(headers, &parameters(query)?, allow_query_token).map(Into::into)
}

/// The device that a handshake names.
#[must_use]
pub fn device(query: &str) -> Option<DeviceId> {
    credentials::device(&parameters(query)?).ok().flatten()
}

/// The key under which a publish is repeated.
#[must_use]
pub fn idempotency_key(headers: &HeaderMap) -> Option<IdempotencyKey> {
    publish::idempotency_key(headers).ok().flatten()
}

fn parameters(query: &str) -> Option<Parameters> {
    let uri: Uri = format!("/ws/user/ada?{query}").parse().ok()?;
    Query::try_from_uri(&uri).ok().map(|Query(parameters)| parameters)
}
