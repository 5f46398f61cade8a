use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use tetherline_protocol::{ErrorCode, UserId};

use super::{answer::Problem, publish::RETRY, publisher::Admin, segments::Segments};
use crate::{server::Shared, store::SignOutError};

/// `DELETE /v1/users/{user}/sessions`: ends every token of a user that was made until now. Answers once nobody is
/// connected with one.
pub(super) async fn all(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    admin: Admin,
) -> Result<StatusCode, Problem> {
    sign_out(&shared, &admin.user(&user)?, None).await
}

/// `DELETE /v1/users/{user}/sessions/{session}`: the same of the tokens with this `sid`.
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
