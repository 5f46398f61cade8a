use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use http::header;
use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

use crate::{metrics::text, server::Shared};

/// `GET /metrics`: what Prometheus scrapes.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")];
    (headers, text(&shared).await)
}
