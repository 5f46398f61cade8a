use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use tetherline_protocol::ErrorCode;

use super::{
    answer::Problem,
    description::schemas::{Keyed, Name, Unknown, User},
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

/// Closes one connection of a user.
///
/// Its client comes back by itself.
#[utoipa::path(
    delete, path = "/v1/users/{user}/connections/{connection_id}", operation_id = "disconnectOne",
    tag = "Users",
    params(("user" = User, Path, description = "Whose mailbox it is"),
        ("connection_id" = Name, Path, description = "As an inspection names it")),
    responses((status = 204, description = "It is told"), Keyed, Unknown),
    security(("key" = ["admin"])),
)]
pub(super) async fn disconnect_one(
    State(shared): State<Arc<Shared>>,
    Segments((user, connection)): Segments<(String, String)>,
    admin: Admin,
) -> Result<StatusCode, Problem> {
    if shared.hub.disconnect_one(&admin.user(&user)?, &connection) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let message = "This user has no such connection, or has none any more.";
    Err(Problem::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message))
}
