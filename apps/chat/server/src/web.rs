//! The built web application, with the headers that keep a page safe and its caches right.

use std::{path::PathBuf, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use tetherline_server::Origin;
use tower::ServiceExt;
use tower_http::services::{ServeDir, ServeFile};

/// Where the page's files are, if anywhere.
#[derive(Clone)]
pub(crate) struct Web {
    folder: Option<Arc<PathBuf>>,
    policy: HeaderValue,
}

const NO_WEB: &str = "\
This is the Tetherline chat's server. Its API is at /api and its WebSocket at /ws/user/{user},
but it was started without the web application: build that, and start the server with
--web and the folder of the built files.
";

impl Web {
    pub(crate) fn new(folder: Option<PathBuf>, origins: &[Origin]) -> Self {
        Self { folder: folder.map(Arc::new), policy: content_security_policy(origins) }
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .fallback(serve)
            .layer(from_fn_with_state(self.clone(), add_headers))
            .with_state(self)
    }
}

async fn serve(State(web): State<Web>, request: Request) -> Response {
    let Some(folder) = &web.folder else {
        return (StatusCode::NOT_FOUND, NO_WEB).into_response();
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let is_navigation = is_navigation(request.headers());
    let headers = request.headers().clone();
    let found = match ServeDir::new(folder.as_path()).oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    };
    if found.status() != StatusCode::NOT_FOUND || !is_navigation {
        return found;
    }
    // A link into the application: it finds its own way from the path.
    let mut index = Request::new(Body::empty());
    *index.headers_mut() = headers;
    match ServeFile::new(folder.join("index.html")).oneshot(index).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

/// Browsers ask for pages with `text/html`, and for scripts and images without.
fn is_navigation(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

async fn add_headers(State(web): State<Web>, request: Request, next: Next) -> Response {
    let is_hashed = request.uri().path().starts_with("/assets/");
    let mut response = next.run(request).await;
    // Built files carry a hash of their content in their names; a missing one may yet appear.
    let cache = if is_hashed && response.status().is_success() {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::CONTENT_SECURITY_POLICY, web.policy);
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The page runs its own scripts and its WebAssembly, and connects to where it came from.
///
/// Older browsers do not count `ws:` as `'self'`, so the sockets are named. Answers are a model's
/// words: their images are not loaded from elsewhere, because an address can carry text away.
fn content_security_policy(origins: &[Origin]) -> HeaderValue {
    let sockets: String = origins
        .iter()
        .filter_map(|origin| origin.as_str().strip_prefix("http"))
        // The policy's grammar has no IPv6 addresses, and browsers complain about them.
        .filter(|rest| !rest.contains('['))
        .flat_map(|rest| [" ws", rest])
        .collect();
    let policy = format!(
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; \
         style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; \
         connect-src 'self'{sockets}; object-src 'none'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    );
    // Origins are checked to be plain ASCII, so this is the policy; if not, the strictest one is.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}
