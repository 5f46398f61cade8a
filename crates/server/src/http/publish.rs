use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    response::IntoResponse,
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use tetherline_protocol::{ErrorCode, IdempotencyKey, MessageId, Seq, frame::Message};
use utoipa::{IntoParams, ToSchema};

use super::{
    answer::Problem,
    body::BodyError,
    description::schemas::{self, Bodied, Conflicting, Keyed, Position, Repeatable, User},
    publisher::Publisher,
    segments::Segments,
};
use crate::{
    rates::Amount,
    server::{PublishError, Published, Shared},
    store::AppendError,
};

pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";
pub(super) const RETRY: Duration = Duration::from_secs(1);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Parameters {
    /// Whether it is kept.
    #[serde(default = "durable")]
    #[param(default = true)]
    durable: bool,
}

fn durable() -> bool {
    true
}

#[derive(Serialize, ToSchema)]
#[schema(as = Published)]
struct Receipt {
    #[schema(value_type = String)]
    id: MessageId,
    /// None if it is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Position, nullable = false)]
    seq: Option<Seq>,
}

/// Publishes a message to a user.
///
/// The body is the message. Answers once it is durable; with `?durable=false`, once whoever is connected can have it.
#[utoipa::path(
    post, path = "/v1/users/{user}/messages", operation_id = "publish",
    tag = "Messages",
    params(("user" = User, Path, description = "Whose mailbox it is"),
        Parameters, Repeatable),
    request_body = schemas::Message,
    responses((status = 201, body = Receipt, description = "It is durable"),
        (status = 200, body = Receipt, description = "It was published before, with this key"),
        (status = 202, body = Receipt, description = "Whoever is connected can have it"),
        Keyed, Bodied, Conflicting),
    security(("key" = ["publish"])),
)]
pub(super) async fn publish(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    publisher: Publisher,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let user = publisher.user(&user)?;
    let headers = &publisher.headers;
    let Ok(Query(Parameters { durable })) = parameters else {
        return Err(Problem::invalid("durable", "`durable` is `true` or `false`."));
    };
    let key = idempotency_key(headers)?;
    if key.is_some() && !durable {
        return Err(Problem::invalid(
            "Idempotency-Key",
            "A live-only message is not kept, so a repeat cannot be recognised; leave the \
             `Idempotency-Key` out.",
        ));
    }
    let message = message(&shared, headers, body).await?;
    let bytes = message.fields().len() as u64;
    publisher.publishes(&shared, Amount { messages: 1, bytes })?;
    if !durable {
        let id = shared.publish_live(&user, &message).map_err(refused_here)?;
        return Ok((StatusCode::ACCEPTED, Json(Receipt { id, seq: None })));
    }
    let Published { id, seq, repeated } =
        shared.publish(&user, key.as_ref(), message).await.map_err(refused_here)?;
    let status = if repeated { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(Receipt { id, seq: Some(seq) })))
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let parsed = value.to_str().ok().map(str::parse);
    match parsed {
        Some(Ok(key)) => Ok(Some(key)),
        _ => Err(Problem::invalid(
            "Idempotency-Key",
            "`Idempotency-Key` is 1 to 255 visible ASCII characters.",
        )),
    }
}

async fn message(shared: &Shared, headers: &HeaderMap, body: Body) -> Result<Message, Problem> {
    let text = text_of(shared, headers, body).await?;
    Message::parse(&text).map_err(|error| {
        let message = format!("The message was not understood: {error}.");
        Problem::unreadable(error.code(), error.field(), message)
    })
}

/// A whole body of at most `publish_bytes_max`.
pub(super) async fn text_of(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<String, Problem> {
    let bytes_max = shared.current().limits.publish_bytes_max;
    let bytes = shared.bodies.read(headers, body, bytes_max).await?;
    utf8(bytes)
}

pub(super) fn utf8(bytes: Bytes) -> Result<String, Problem> {
    String::from_utf8(bytes.into()).map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, ErrorCode::BadJson, "The body is not UTF-8.")
    })
}

fn refused_here(error: PublishError) -> Problem {
    refused(error, "Idempotency-Key")
}

/// `key`: where the idempotency key stood.
pub(super) fn refused(error: PublishError, key: &'static str) -> Problem {
    match error {
        PublishError::TooLarge { bytes_max } => BodyError::TooLarge { bytes_max }.into(),
        PublishError::Append(AppendError::Conflict) => Problem::new(
            StatusCode::CONFLICT,
            ErrorCode::Conflict,
            format!("This `{key}` was used before, for another message; use a new one."),
        )
        .field(key),
        PublishError::Append(error) => {
            // The store has said it, once; here it would be a line for every request on a full disk.
            tracing::debug!(%error, "a publish failed");
            Problem::unavailable("The message was not stored; try again.", RETRY)
        }
    }
}
