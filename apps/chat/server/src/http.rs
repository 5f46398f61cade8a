//! The HTTP API, and how it is joined with the WebSocket and the web application.

mod auth;
mod conversations;
mod error;
mod extract;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, header},
    middleware::map_response,
    response::Response,
    routing::{get, post},
};
use serde_json::{Value, json};

use self::error::ApiError;
use crate::{chat::Shared, trouble::REQUESTS, web::Web};

/// Everything on one port.
pub(crate) fn router(shared: Arc<Shared>, web: Web) -> Router {
    let sockets = shared.server.router();
    Router::new().nest("/api", api(shared)).merge(sockets).fallback_service(web.router())
}

fn api(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/auth/sign-up", post(auth::sign_up))
        .route("/auth/sign-in", post(auth::sign_in))
        .route("/auth/refresh", post(auth::refresh))
        .route("/auth/sign-out", post(auth::sign_out))
        .route("/conversations", get(conversations::list))
        .route("/conversations/{uuid}/messages", get(conversations::messages))
        .fallback(async || ApiError::not_found("There is nothing at this address of the API."))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(map_response(personal))
        .with_state(shared)
}

/// Healthy is whoever can read its database.
async fn health(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, ApiError> {
    shared.database.read(|connection| connection.query_row("SELECT 1", [], |_| Ok(()))).await?;
    Ok(Json(json!({ "status": "ok" })))
}

/// Answers of the API are one person's, and no cache's.
async fn personal(mut response: Response) -> Response {
    if response.status().is_success() {
        REQUESTS.over();
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
