//! What the admin listener answers: it is for loopback and the inner network. What tells of users needs a key of
//! scope `admin` there, too; the rest tells nothing of anybody, and needs none.

mod guard;
mod metrics;

use std::sync::Arc;

use axum::{Router, middleware, routing::get};

use super::{health, not_allowed, nothing_there};
use crate::server::Shared;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .fallback(nothing_there)
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn(guard::check))
        .with_state(shared)
}
