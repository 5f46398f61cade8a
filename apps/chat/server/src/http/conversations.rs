//! History. The mailbox's head is read before the rows, and rows are committed before they are
//! appended: whatever is newer than `as_of_seq` comes over the WebSocket, and nothing is missed.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};
use tetherline_server::Head;

use super::{error::ApiError, extract::Signed};
use crate::{chat::Shared, history, jobs};

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    signed: Signed,
) -> Result<Json<Value>, ApiError> {
    let head = head(&shared, &signed).await?;
    let conversations = shared
        .database
        .read(move |connection| history::conversations(connection, signed.user.as_str()))
        .await?;
    Ok(Json(json!({
        "conversations": conversations,
        "as_of_seq": head.seq,
        "epoch": head.epoch,
    })))
}

pub(super) async fn messages(
    State(shared): State<Arc<Shared>>,
    signed: Signed,
    Path(uuid): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let head = head(&shared, &signed).await?;
    let found = shared
        .database
        .read(move |connection| {
            let user = signed.user.as_str();
            let Some(conversation) = history::conversation(connection, user, &uuid)? else {
                return Ok(None);
            };
            Ok(Some(json!({
                "conversation": conversation,
                "messages": history::messages(connection, user, &uuid)?,
                "newest_leaf": history::newest_leaf(connection, user, &uuid)?,
                "pending": jobs::pending(connection, user, &uuid)?,
            })))
        })
        .await?;
    let Some(mut answer) = found else {
        return Err(ApiError::not_found("This conversation does not exist."));
    };
    answer["as_of_seq"] = json!(head.seq);
    answer["epoch"] = json!(head.epoch);
    Ok(Json(answer))
}

async fn head(shared: &Shared, signed: &Signed) -> Result<Head, ApiError> {
    shared.server.head(&signed.user).await.map_err(|error| ApiError::internal(&error))
}
