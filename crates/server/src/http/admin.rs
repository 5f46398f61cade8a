//! What the admin listener answers: it is for loopback and the inner network. What tells of users needs a key of
//! scope `admin` there, too; the rest tells nothing of anybody, and needs none.

mod backlogs;
mod guard;
mod metrics;
mod page;

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{delete, get, post},
};

use super::{disconnect, erase, health, look, not_allowed, nothing_there, sign_out};
use crate::server::Shared;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/v1/backlogs", get(backlogs::backlogs))
        .route("/v1/users/{user}", delete(erase::erase))
        .route("/v1/users/{user}/inspection", get(look::inspection::inspect))
        .route("/v1/users/{user}/sessions", delete(sign_out::all))
        .route("/v1/users/{user}/trace", get(look::trace::trace))
        .route("/v1/users/{user}/disconnect", post(disconnect::disconnect))
        .route("/v1/users/{user}/connections/{connection_id}", delete(disconnect::disconnect_one))
        .merge(page::routes())
        .fallback(nothing_there)
        .method_not_allowed_fallback(not_allowed)
        .layer(middleware::from_fn(guard::check))
        .with_state(shared)
}
