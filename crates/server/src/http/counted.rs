//! Every request that is answered is counted, by what of it has few values.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};

use crate::server::Shared;

/// A layer of our own routes: whatever else an application serves beside them is not ours to count.
pub(super) async fn count(
    State(shared): State<Arc<Shared>>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    shared.meters.metrics.answered(route, &method, response.status());
    response
}
