//! What somebody shows who connects.

use std::{net::SocketAddr, sync::Arc};

use axum::extract::ConnectInfo;
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde::Deserialize;
use tetherline_protocol::{
    BEARER_PREFIX, DeviceId, ErrorCode, NO_TOKEN, SUBPROTOCOL, TOKEN_HEADER, UserId,
};

use super::answer::{Problem, bearer};
use crate::{ConnectRequest, Proxies, security::origin::RequestOrigin};

/// The longest `Cookie` header that is handed to a connect hook, in bytes: it is kept for as long as the connection
/// is open.
pub const COOKIE_BYTES_MAX: usize = 8 * 1024;

#[derive(Default, Deserialize)]
pub(super) struct Parameters {
    device: Option<String>,
    token: Option<String>,
    /// What stands for a token, once.
    pub(super) ticket: Option<String>,
}

/// Where cookies count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cookies {
    /// Nobody is asked who could tell whose they are.
    Nowhere,
    /// With an upgrade only from a page whose origin is allowed: a browser sends them along for any page, and tells
    /// it whatever comes back over a WebSocket. Of an answer without one, no other page sees anything.
    WithOrigin { upgrades: bool },
}

/// What counts of it.
#[derive(Clone)]
pub(super) struct Rules {
    /// Whether a token may stand in the query.
    pub(super) allow_query_token: bool,
    pub(super) cookies: Cookies,
    /// Who is believed when they say who asks.
    pub(super) proxies: Arc<Proxies>,
}

/// Reads what a request to connect shows: a token, or cookies where they count.
pub(super) fn credentials(
    request: &Parts,
    parameters: &Parameters,
    user: Option<UserId>,
    origin: &RequestOrigin,
    Rules { allow_query_token, cookies, proxies }: Rules,
) -> Result<ConnectRequest, Problem> {
    let headers = &request.headers;
    let token = token(headers, parameters, allow_query_token).map(Into::into);
    let origin = match origin {
        RequestOrigin::Allowed(origin) => origin.to_str().ok().map(Into::into),
        RequestOrigin::None | RequestOrigin::Foreign => None,
    };
    let shown = headers.contains_key(header::COOKIE);
    let cookies = match cookies {
        Cookies::Nowhere => None,
        Cookies::WithOrigin { upgrades: true } if origin.is_none() => {
            if shown && token.is_none() {
                return Err(Problem::new(
                    StatusCode::FORBIDDEN,
                    ErrorCode::Forbidden,
                    "Cookies count only with the Origin of a page that may connect, and there is none; \
                     a program shows a token.",
                ));
            }
            None
        }
        Cookies::WithOrigin { .. } => cookies_in(headers)?,
    };
    if token.is_none() && cookies.is_none() {
        return Err(Problem::unauthorized(
            "A token is needed: as the subprotocol `bearer.<token>` or as \
             `Authorization: Bearer <token>`.",
        )
        .reason(NO_TOKEN));
    }
    let address = request.extensions.get::<ConnectInfo<SocketAddr>>();
    Ok(ConnectRequest {
        user,
        token_user: None,
        // Whether it is one is of interest only to whoever is let in.
        device: device(parameters).ok().flatten(),
        origin,
        token,
        cookies,
        address: address.map(|ConnectInfo(peer)| proxies.address_of(peer.ip(), headers)),
        renewal: false,
    })
}

/// `Authorization` comes after what nobody but a client writes: a gateway puts a `Bearer` of its own there.
pub(super) fn token<'a>(
    headers: &'a HeaderMap,
    parameters: &'a Parameters,
    allow_query_token: bool,
) -> Option<&'a str> {
    own_header(headers)
        .or_else(|| protocols(headers).find_map(|name| name.strip_prefix(BEARER_PREFIX)))
        .or_else(|| bearer(headers))
        .or_else(|| parameters.token.as_deref().filter(|_| allow_query_token))
}

/// Whether the client speaks the protocol, and not only its quick start's wire.
pub(super) fn speaks_v1(headers: &HeaderMap) -> bool {
    protocols(headers).any(|name| name == SUBPROTOCOL)
}

/// The token in the header that is only for it, as a page gives it where a proxy wants
/// `Authorization` for itself.
fn own_header(headers: &HeaderMap) -> Option<&str> {
    headers.get(TOKEN_HEADER)?.to_str().ok().map(str::trim)
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// One text, as RFC 6265 has it; HTTP/2 lets a proxy split it.
fn cookies_in(headers: &HeaderMap) -> Result<Option<Box<str>>, Problem> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies = cookies.filter(|value| !value.trim().is_empty()).collect::<Vec<_>>().join("; ");
    if cookies.len() > COOKIE_BYTES_MAX {
        return Err(Problem::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            ErrorCode::BadFrame,
            format!("The cookies have more than {COOKIE_BYTES_MAX} bytes; delete some."),
        )
        .field("cookie"));
    }
    Ok((!cookies.is_empty()).then(|| cookies.into()))
}

pub(super) fn device(parameters: &Parameters) -> Result<Option<DeviceId>, Problem> {
    let parsed = parameters.device.as_deref().map(str::parse).transpose();
    parsed
        .map_err(|error| Problem::invalid("device", format!("`device` is no device id: {error}.")))
}
