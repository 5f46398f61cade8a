use std::sync::Arc;

use axum::Router;

use crate::server::Shared;

pub(crate) fn router(_shared: Arc<Shared>) -> Router {
    Router::new()
}
