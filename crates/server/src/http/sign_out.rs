use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use tetherline_protocol::{ErrorCode, UserId};

use super::{
    answer::Problem,
    description::schemas::{Conflicting, Keyed, Name, User},
    publish::RETRY,
    publisher::Admin,
    segments::Segments,
};
use crate::{server::Shared, store::SignOutError};

/// Signs a user out everywhere.
///
/// Ends every token of theirs that was made until now. Answers once nobody is connected with one.
#[utoipa::path(
    delete, path = "/v1/users/{user}/sessions", operation_id = "signOut",
    tag = "Users",
    params(("user" = User, Path, description = "Whose mailbox it is")),
    responses((status = 204, description = "Nobody is connected with one of them"), Keyed, Conflicting),
    security(("key" = ["admin"])),
)]
pub(super) async fn all(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    admin: Admin,
) -> Result<StatusCode, Problem> {
    sign_out(&shared, &admin.user(&user)?, None).await
}

/// Ends one session of a user.
///
/// The same of the tokens with this `sid`.
#[utoipa::path(
    delete, path = "/v1/users/{user}/sessions/{session}", operation_id = "signOutOfSession",
    tag = "Users",
    params(("user" = User, Path, description = "Whose mailbox it is"),
        ("session" = Name, Path, description = "The `sid` of its tokens")),
    responses((status = 204, description = "Nobody is connected with one of them"), Keyed, Conflicting),
    security(("key" = ["admin"])),
)]
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Segments((user, session)): Segments<(String, String)>,
    admin: Admin,
) -> Result<StatusCode, Problem> {
    sign_out(&shared, &admin.user(&user)?, Some(&session)).await
}

async fn sign_out(
    shared: &Arc<Shared>,
    user: &UserId,
    session: Option<&str>,
) -> Result<StatusCode, Problem> {
    shared.sign_out(user, session).await.map_err(|error| match error {
        SignOutError::TooMany => {
            let sentence = format!("Nobody was signed out: {error}.");
            Problem::new(StatusCode::CONFLICT, ErrorCode::Conflict, sentence)
        }
        SignOutError::Store(error) => {
            // The store has said it, as often as is good.
            tracing::debug!(%error, "a user was not signed out");
            Problem::unavailable("The user was not signed out; try again.", RETRY)
        }
    })?;
    Ok(StatusCode::NO_CONTENT)
}
