use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use super::{answer::Problem, publisher::Admin, segments::Segments};
use crate::server::Shared;

/// `POST /v1/users/{user}/disconnect`: closes what is open of a user, which comes back by itself.
pub(super) async fn disconnect(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    admin: Admin,
) -> Result<StatusCode, Problem> {
    shared.hub.disconnect(&admin.user(&user)?);
    Ok(StatusCode::NO_CONTENT)
}
