use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use serde::Serialize;
use tetherline_protocol::{Epoch, MessageId, Seq, UserId};
use utoipa::ToSchema;

use super::{
    answer::Problem,
    description::schemas::{Keyed, Position, User},
    publish::RETRY,
    publisher::Reader,
    segments::Segments,
};
use crate::{server::Shared, store::Head};

/// Where a mailbox ends, and who reads it.
#[derive(Serialize, ToSchema)]
#[schema(as = Head)]
struct MailboxHead {
    #[schema(value_type = User)]
    user: UserId,
    #[schema(value_type = Position)]
    head: Seq,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, nullable = false)]
    head_id: Option<MessageId>,
    #[schema(value_type = String)]
    epoch: Epoch,
    /// How many connections of the user's are open.
    connections: usize,
    /// Which life of the server counts them.
    #[schema(value_type = String)]
    server: MessageId,
}

/// Answers where a mailbox ends.
///
/// Nobody is unknown: a user for whom nothing was published is at 0.
#[utoipa::path(
    get, path = "/v1/users/{user}", operation_id = "head",
    tag = "Messages",
    params(("user" = User, Path, description = "Whose mailbox it is")),
    responses((status = 200, body = MailboxHead, description = "The newest position"), Keyed),
    security(("key" = ["read"])),
)]
pub(super) async fn head(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    reader: Reader,
) -> Result<impl IntoResponse, Problem> {
    let user = reader.user(&user)?;
    let Head { seq: head, id: head_id, epoch } =
        shared.store.head(&user).await.map_err(|error| {
            // The store has said it, as often as is good.
            tracing::debug!(%error, "a mailbox's head was not read");
            Problem::unavailable("The mailbox was not read; try again.", RETRY)
        })?;
    let connections = shared.hub.connections_of(&user);
    let server = shared.server_id().clone();
    Ok(Json(MailboxHead { user, head, head_id, epoch, connections, server }))
}
