use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Once},
};

use axum::{
    extract::{ConnectInfo, FromRequest, FromRequestParts, Request},
    http::{HeaderMap, HeaderName, header, request::Parts},
};
use jsonwebtoken::{Algorithm, Validation};
use serde::{Deserialize, de::DeserializeOwned};
use tetherline_protocol::{TOKEN_HEADER, UserId, excerpt};
use tetherline_server::Network;

use super::error::ApiError;
use crate::{chat::Shared, limits::API_BODY_BYTES_MAX, sign_in};

/// A JSON body. Asking for the content type keeps plain HTML forms of other pages out.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &Arc<Shared>) -> Result<Self, ApiError> {
        let is_json = text(request.headers(), &header::CONTENT_TYPE)
            .is_some_and(|kind| kind.starts_with("application/json"));
        if !is_json {
            return Err(ApiError::invalid("Send JSON, with Content-Type: application/json."));
        }
        let (parts, body) = request.into_parts();
        let bytes = state.server.read_body(&parts.headers, body, API_BODY_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            // It quotes what was sent.
            let error = excerpt(&error.to_string());
            ApiError::invalid(format!("The JSON is not as expected: {error}."))
        })
    }
}

/// Whoever asks, by a good access token of a sign-in that still stands.
pub(super) struct Signed {
    pub(super) user: UserId,
}

impl FromRequestParts<Arc<Shared>> for Signed {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        let claims = bearer(&parts.headers)
            .and_then(|token| claims(shared, token))
            .ok_or_else(ApiError::unauthorized)?;
        let user = claims.sub.parse().map_err(|_| ApiError::unauthorized())?;
        let sign_in = claims.sid.ok_or_else(ApiError::unauthorized)?;
        if sign_in::stands(&shared.database, sign_in).await? {
            Ok(Self { user })
        } else {
            Err(ApiError::signed_out())
        }
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    sid: Option<String>,
}

fn claims(shared: &Shared, token: &str) -> Option<Claims> {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.leeway = 0;
    rules.set_required_spec_claims(&["exp", "sub"]);
    jsonwebtoken::decode(token, &shared.jwt_check, &rules).ok().map(|token| token.claims)
}

/// The page gives it in a header of its own: a proxy may want `Authorization` for itself.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    text(headers, &HeaderName::from_static(TOKEN_HEADER))
        .or_else(|| text(headers, &header::AUTHORIZATION)?.strip_prefix("Bearer "))
}

/// The network that a request comes from.
pub(super) struct FromNetwork(pub(super) Network);

impl FromRequestParts<Arc<Shared>> for FromNetwork {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Self, Infallible> {
        static WARNING: Once = Once::new();
        // Served by something else than `tetherline_server::serve`, everybody is one.
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |ConnectInfo(peer)| peer.ip());
        if shared.proxies.are_unknown(peer, &parts.headers) {
            WARNING.call_once(|| {
                tracing::warn!(
                    %peer,
                    "a proxy that is not trusted says whom it serves; all of them count as one when passwords are wrong \
                     too often, unless it is named with --trusted-proxy"
                );
            });
        }
        Ok(Self(shared.proxies.network_of(peer, &parts.headers)))
    }
}

/// A request from a page that may use the chat, or from no page at all.
pub(super) struct FriendlyPage {
    /// Whether the page came over https, so that its cookies can be kept to that.
    pub(super) is_https: bool,
}

impl FromRequestParts<Arc<Shared>> for FriendlyPage {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        let mut origins = parts.headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Ok(Self { is_https: false }),
            (Some(origin), None)
                if shared
                    .allowed_origins
                    .iter()
                    .any(|allowed| allowed.as_str().as_bytes() == origin.as_bytes()) =>
            {
                Ok(Self { is_https: origin.as_bytes().starts_with(b"https://") })
            }
            _ => Err(ApiError::foreign_origin()),
        }
    }
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
