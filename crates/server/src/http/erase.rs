use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use super::{
    answer::Problem,
    description::schemas::{Keyed, User},
    publish::RETRY,
    publisher::Admin,
    segments::Segments,
};
use crate::server::Shared;

/// Forgets everything about a user.
///
/// Answers once that is durable.
#[utoipa::path(
    delete, path = "/v1/users/{user}", operation_id = "erase",
    tag = "Users",
    params(("user" = User, Path, description = "Whose mailbox it is")),
    responses((status = 204, description = "Nothing is left"), Keyed),
    security(("key" = ["admin"])),
)]
pub(super) async fn erase(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    admin: Admin,
) -> Result<StatusCode, Problem> {
    shared.store.erase(&admin.user(&user)?).await.map_err(|error| {
        // The store has said it, as often as is good.
        tracing::debug!(%error, "a user was not erased");
        Problem::unavailable("The user was not erased; try again.", RETRY)
    })?;
    Ok(StatusCode::NO_CONTENT)
}
