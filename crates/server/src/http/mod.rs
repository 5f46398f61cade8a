//! The HTTP surface: connecting, the same URL without an upgrade, publishing, and erasing.

mod answer;
mod connect;
mod erase;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod publish;

use std::sync::Arc;

use axum::{
    Router,
    routing::{delete, get, post},
};

use crate::server::Shared;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/ws/user/{user}", get(connect::connect).options(connect::preflight))
        .route("/v1/users/{user}", delete(erase::erase))
        .route("/v1/users/{user}/messages", post(publish::publish))
        .with_state(shared)
}
