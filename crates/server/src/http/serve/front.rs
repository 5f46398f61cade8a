//! What every request meets before any route, and every answer on its way out.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Version, header, uri::Authority};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tetherline_protocol::ErrorCode;
use tower::ServiceExt as _;
use tracing::{Instrument as _, Span};

use super::{
    HttpConnection,
    peer::Exchange,
    request_id::{REQUEST_ID, RequestIds},
};
use crate::{
    clock,
    http::{Problem, counted::route_of},
    rates::Meters,
};

/// The rest of a request that is read without ado, so that a refusal does not cost the connection.
const SMALL_BODY_BYTES: u64 = 16 * 1024;

/// The application, as one connection sees it.
pub(super) struct Front {
    pub(super) app: Router,
    pub(super) request_ids: RequestIds,
    /// Who counts what is answered, where a server of ours listens itself.
    pub(super) meters: Option<Arc<Meters>>,
    pub(super) exchange: Exchange,
    /// Who is at the other end: a proxy, perhaps. Nothing of ours is decided by it; an application's router finds it
    /// as axum's `ConnectInfo`.
    pub(super) peer: SocketAddr,
    pub(super) admitted: HttpConnection,
}

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.admitted.asks();
        request.extensions_mut().insert(ConnectInfo(self.peer));
        request.extensions_mut().insert(self.admitted.requester());
        let id = self.request_ids.next(request.headers());
        let span = span(&request, &id);
        let (app, exchange, admitted) =
            (self.app.clone(), self.exchange.clone(), self.admitted.clone());
        let meters = self.meters.clone();
        let (route, method) = (route_of(request.uri().path()), request.method().clone());
        let answered = async move {
            let mut answer = answer(app, exchange, request).await;
            if let (Ok(answer), Some(meters)) = (&answer, meters) {
                meters.metrics.answered(route, &method, answer.status());
            }
            if let Ok(answer) = &mut answer {
                answer.headers_mut().insert(REQUEST_ID, id);
            }
            admitted.is_answered(answer.as_ref().is_ok_and(is_upgraded));
            answer
        };
        Box::pin(answered.instrument(span))
    }
}

/// What every line of the log about a request has with it: its id, and more only for who looks closer. Never the query: it
/// may hold a token.
fn span(request: &Request<Incoming>, id: &HeaderValue) -> Span {
    let id = id.to_str().unwrap_or_default();
    if !tracing::span_enabled!(tracing::Level::DEBUG) {
        return tracing::error_span!("request", request_id = id);
    }
    let (method, path) = (request.method(), request.uri().path());
    tracing::debug_span!("request", request_id = id, %method, path)
}

async fn answer(
    app: Router,
    exchange: Exchange,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let began = Instant::now();
    let size = request.body().size_hint();
    if request.body().is_end_stream() {
        exchange.request_ended();
    } else if size.exact().is_none() {
        exchange.unannounced();
    }
    let mut response = match malformed(&request) {
        Some(problem) => problem.into_response(),
        None => app.oneshot(request.map(|body| Watched::body(body, exchange.clone()))).await?,
    };
    date(response.headers_mut());
    tracing::debug!(status = response.status().as_u16(), took = ?began.elapsed(), "answered");
    if is_upgraded(&response) {
        exchange.upgraded();
    } else if exchange.is_asking() && size.upper().is_none_or(|bytes| bytes > SMALL_BODY_BYTES) {
        tracing::debug!(
            "the answer came before the end of the request; the connection ends with it"
        );
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

fn is_upgraded(response: &Response) -> bool {
    response.status() == StatusCode::SWITCHING_PROTOCOLS
}

/// When it was answered (RFC 9110, 6.6.1), unless the clock says nothing that could be written.
fn date(headers: &mut HeaderMap) {
    let now_s = clock::now_ms().unsigned_abs() / 1_000;
    if now_s > 0 {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now_s));
        if let Ok(date) = HeaderValue::from_str(&date) {
            headers.insert(header::DATE, date);
        }
    }
}

/// What RFC 9112 has a server refuse, whatever was asked for (sections 3.2 and 6.1).
fn malformed(request: &Request<Incoming>) -> Option<Problem> {
    let (headers, version) = (request.headers(), request.version());
    // Only a proxy is asked for a host and a port, and a page's files have no such name.
    if !request.uri().path().starts_with('/') && request.uri().path() != "*" {
        let message = "A request says what it is for by a path.";
        return Some(Problem::new(StatusCode::BAD_REQUEST, ErrorCode::BadFrame, message));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let has_host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_host(host),
        (None, _) => version < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    };
    if !has_host {
        return Some(Problem::invalid(
            "Host",
            "A request has exactly one `Host`, a name or address.",
        ));
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        let message = "This server knows no transfer coding but `chunked`.";
        return Some(
            Problem::new(StatusCode::NOT_IMPLEMENTED, ErrorCode::BadFrame, message)
                .field("Transfer-Encoding"),
        );
    }
    None
}

fn is_host(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    bytes.is_empty() || (!bytes.contains(&b'@') && Authority::try_from(bytes).is_ok())
}

/// A request's body that says when it was read to its end.
struct Watched {
    body: Incoming,
    exchange: Exchange,
}

impl Watched {
    fn body(body: Incoming, exchange: Exchange) -> Body {
        if body.is_end_stream() { Body::empty() } else { Body::new(Self { body, exchange }) }
    }
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            self.exchange.request_ended();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
