//! What pages of other origins may ask, and see (Fetch, section 3.2).

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tetherline_protocol::ErrorCode;

use super::answer::Problem;
use crate::{security::origin::RequestOrigin, server::Shared};

/// Lets a page that may connect ask with this method and these headers.
pub(super) fn preflight(
    (method, allowed_headers): (&'static str, &'static str),
    shared: &Shared,
    headers: &HeaderMap,
) -> Response {
    let origin = RequestOrigin::of(headers, &shared.current().allowed_origins);
    if !matches!(origin, RequestOrigin::Allowed(_)) {
        return foreign().into_response();
    }
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, method),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, allowed_headers),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    with_cors((StatusCode::NO_CONTENT, allowed).into_response(), &origin)
}

pub(super) fn foreign() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        ErrorCode::Forbidden,
        "Pages of this origin may not connect; the server's operator can allow it.",
    )
}

pub(super) fn with_cors(mut response: Response, origin: &RequestOrigin) -> Response {
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let RequestOrigin::Allowed(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers
            .insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
    }
    response
}
