//! What supervisors and load balancers ask. Nobody has to show anything, and nothing is told that is not
//! for everybody.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use serde_json::json;

use super::{
    answer::Problem,
    description::schemas::{Health, Unready},
};
use crate::{Readiness, server::Shared};

/// When a server may be asked again that was not ready.
const RETRY: Duration = Duration::from_secs(1);

/// Says that the process serves.
#[utoipa::path(
    get, path = "/healthz", operation_id = "health",
    tag = "Server",
    responses((status = 200, body = Health, description = "It does")),
)]
pub(super) async fn alive() -> Response {
    now(Json(json!({ "status": "ok" })).into_response())
}

/// Says whether to send anybody here.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readiness",
    tag = "Server",
    responses((status = 200, body = Health, description = "Everything works"), Unready),
)]
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let not_ready =
        |message, reason| now(Problem::unavailable(message, RETRY).reason(reason).into_response());
    match shared.readiness().await {
        Readiness::Ready => now(Json(json!({ "status": "ready" })).into_response()),
        Readiness::Draining => not_ready("The server restarts.", "draining"),
        Readiness::NoSpace { .. } => not_ready("The server's disk is nearly full.", "no_space"),
        // Why is in the log, and not for strangers.
        Readiness::NoStore(_) | Readiness::StoreSilent => {
            not_ready("Nothing can be read or kept right now.", "store_unavailable")
        }
    }
}

/// It is true of this moment.
fn now(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
