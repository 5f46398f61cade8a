//! The HTTP surface: connecting, the same URL without an upgrade, publishing, streams, erasing,
//! signing out, and whether to send anybody here.

pub(crate) mod admin;
mod answer;
mod body;
mod connect;
mod cors;
mod counted;
mod credentials;
mod description;
mod disconnect;
#[cfg(feature = "echo")]
mod echo;
mod erase;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod head;
mod health;
mod keys;
mod look;
mod publish;
mod publish_many;
mod publisher;
mod segments;
mod serve;
mod sign_out;
mod streams;
mod tickets;
mod too_fast;

use std::sync::Arc;

use axum::{
    Router,
    routing::{any, get, options},
};
use http::StatusCode;
use tetherline_protocol::ErrorCode;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::server::Shared;
pub(crate) use answer::Problem;
pub(crate) use body::Bodies;
pub use body::{
    BODY_PROGRESS_BYTES_MIN, BODY_PROGRESS_TIMEOUT, BodyError, REQUEST_BODIES_BYTES_MAX,
};
pub use credentials::COOKIE_BYTES_MAX;
#[cfg(feature = "echo")]
pub use echo::echo;
pub use keys::KEY_REQUEST_BYTES_MAX;
pub use look::{PAGE_MESSAGES_MAX, PRESENCE_BYTES_MAX, PRESENCE_USERS_MAX, TRACE_HEARTBEAT};
pub(crate) use publish_many::message_request_bytes;
pub use serve::{
    ANSWER_STUCK_TIMEOUT, DESCRIPTORS_RESERVED, HEADER_BYTES_MAX, HEADER_READ_TIMEOUT,
    LINGER_BYTES_MAX, LINGER_TIMEOUT, LINGER_UNANNOUNCED_TIMEOUT, LISTEN_BACKLOG, Listener,
    REQUESTS_GRACE, TLS_HANDSHAKE_TIMEOUT, UNAUTHENTICATED_CONNECTIONS_MAX,
    UNAUTHENTICATED_IDLE_GRACE, UNAUTHENTICATED_REQUEST_GRACE, listen, raise_descriptors, serve,
};
pub(crate) use serve::{Peer, Transport, serve_within};
pub use tickets::TICKET_REQUEST_BYTES_MAX;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let (api, _) = api().split_for_parts();
    api.route("/ws", get(connect::connect_whoever).options(connect::preflight))
        .route("/ws/user/{user}", get(connect::connect).options(connect::preflight))
        .route("/v1/tickets", options(tickets::preflight))
        .route("/v1/docs", get(description::page::page))
        .route("/v1/docs.css", get(description::page::style))
        // What else there may be is the business of whoever has this in a router of theirs.
        .route("/v1/{*rest}", any(nothing_there))
        .route("/ws/{*rest}", any(nothing_there))
        .method_not_allowed_fallback(not_allowed)
        .with_state(shared)
}

/// What is described: everything but `WebSockets`, which are no requests that are answered once.
fn api() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::with_openapi(description::Frame::openapi())
        .routes(routes!(publish::publish, look::messages))
        .routes(routes!(publish_many::publish_many))
        .routes(routes!(head::head, erase::erase))
        .routes(routes!(look::devices))
        .routes(routes!(look::presence))
        .routes(routes!(look::presence_of_many))
        .routes(routes!(look::inspection::inspect))
        .routes(routes!(look::trace::trace))
        .routes(routes!(disconnect::disconnect))
        .routes(routes!(disconnect::disconnect_one))
        .routes(routes!(sign_out::all, look::sign_outs))
        .routes(routes!(sign_out::one))
        .routes(routes!(tickets::issue))
        .routes(routes!(streams::open, look::streams))
        .routes(routes!(streams::read))
        .routes(routes!(streams::add))
        .routes(routes!(streams::finish))
        .routes(routes!(streams::cancel))
        .routes(routes!(keys::list, keys::add))
        .routes(routes!(keys::one, keys::update, keys::remove))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(description::openapi))
}

pub(crate) async fn nothing_there() -> Problem {
    let message = "There is nothing at this address.";
    Problem::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message)
}

/// Which methods are is in the header `Allow`.
async fn not_allowed() -> Problem {
    let message = "This address does not know this method.";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::BadFrame, message)
}
