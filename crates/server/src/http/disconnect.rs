use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use super::{
    answer::Problem,
    description::schemas::{Keyed, User},
    publisher::Admin,
    segments::Segments,
};
use crate::server::Shared;

/// Closes what is open of a user.
///
/// Clients come back by themselves.
#[utoipa::path(
    post, path = "/v1/users/{user}/disconnect", operation_id = "disconnect",
    tag = "Users",
    params(("user" = User, Path, description = "Whose mailbox it is")),
    responses((status = 204, description = "All of them are told"), Keyed),
    security(("key" = ["admin"])),
)]
pub(super) async fn disconnect(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    admin: Admin,
) -> Result<StatusCode, Problem> {
    shared.hub.disconnect(&admin.user(&user)?);
    Ok(StatusCode::NO_CONTENT)
}
