//! Streams over HTTP, for a backend in any language: open one, add text, ask how far it got,
//! end it.

mod lines;
mod problems;

use std::{pin::pin, sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use futures_util::future::{Either, select};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use tetherline_protocol::{
    Attempt, MessageId, Seq, StreamStatus, UserId,
    frame::{StreamEnding, StreamOpening},
};
use tokio::time::sleep;
use utoipa::{IntoParams, ToSchema};

use super::{
    answer::Problem,
    body::check_coding,
    description::schemas::{self, Bodied, Conflicting, Keyed, Position, StreamName, Unknown, User},
    publish::{RETRY, text_of},
    publisher::{Publisher, Reader},
    segments::Segments,
};
use crate::{
    PipeError, StreamWriter,
    rates::Amount,
    server::Shared,
    store::{AppendTextError, StreamPhase},
};
use lines::Lines;
use problems::{not_added, not_finished, not_opened, not_understood, unknown};

/// How often a long request looks whether its attempt still takes text, and whether its key is still the configuration's.
const STILL_OPEN_INTERVAL: Duration = Duration::from_secs(2);
pub(super) const NDJSON: &str = "application/x-ndjson";

#[derive(Serialize, ToSchema)]
#[schema(as = OpenedStream)]
struct Opened {
    #[schema(value_type = String)]
    message_uuid: MessageId,
    #[schema(value_type = schemas::Attempt)]
    attempt: Attempt,
    next_offset: u64,
    stopped: bool,
}

#[derive(Serialize, ToSchema)]
struct Added {
    next_offset: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = FinishedStream)]
struct Ended {
    #[schema(value_type = String)]
    status: StreamStatus,
    #[schema(value_type = String)]
    id: MessageId,
    #[schema(value_type = Position)]
    seq: Seq,
}

#[derive(Serialize, ToSchema)]
#[schema(as = StreamState)]
struct Reading {
    #[schema(value_type = String)]
    message_uuid: MessageId,
    #[schema(value_type = schemas::Attempt)]
    attempt: Attempt,
    phase: &'static str,
    next_offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, nullable = false)]
    text: Option<Box<str>>,
}

#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({ "text": "Hello" })))]
struct Text {
    #[schema(value_type = String)]
    text: Box<str>,
    #[serde(default, deserialize_with = "whole")]
    #[schema(value_type = Position, nullable = false)]
    offset: Option<u64>,
}

/// JSON has one kind of number, and some languages write whole ones as `16.0`.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let is_whole = |number: &f64| number.fract() == 0.0 && (0.0..=SEQ_MAX).contains(number);
    let whole =
        number.as_u64().or_else(|| number.as_f64().filter(is_whole).map(|number| number as u64));
    whole.map(Some).ok_or_else(|| D::Error::custom("no whole number"))
}

/// Beyond it not every whole number is one in a double.
const SEQ_MAX: f64 = ((1_u64 << 53) - 1) as f64;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Whence {
    /// How much text there is before this, in UTF-16 units.
    #[param(value_type = Option<Position>, nullable = false)]
    offset: Option<u64>,
}

/// Begins an attempt at a stream.
#[utoipa::path(
    post, path = "/v1/users/{user}/streams", operation_id = "openStream",
    tag = "Streams",
    params(("user" = User, Path, description = "Whose mailbox it is")),
    request_body = schemas::StreamOpening,
    responses((status = 201, body = Opened, description = "It takes text"), Keyed, Bodied, Conflicting),
    security(("key" = ["publish"])),
)]
pub(super) async fn open(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    publisher: Publisher,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let user = publisher.user(&user)?;
    let text = text_of(&shared, &publisher.headers, body).await?;
    publisher.publishes(&shared, Amount { messages: 1, bytes: text.len() as u64 })?;
    let opening = StreamOpening::parse(&text).map_err(|error| not_understood(&error))?;
    let writer = shared.open_stream(&user, opening).await.map_err(|error| not_opened(&error))?;
    let opened = Opened {
        message_uuid: writer.message_uuid().clone(),
        attempt: writer.attempt(),
        next_offset: 0,
        stopped: writer.is_stopped(),
    };
    Ok((StatusCode::CREATED, Json(opened)))
}

/// Answers how far a stream is.
#[utoipa::path(
    get, path = "/v1/users/{user}/streams/{message_uuid}", operation_id = "readStream",
    tag = "Streams",
    params(("user" = User, Path, description = "Whose mailbox it is"),
        ("message_uuid" = StreamName, Path, description = "Which stream")),
    responses((status = 200, body = Reading, description = "Its newest attempt"), Keyed, Unknown),
    security(("key" = ["read"])),
)]
pub(super) async fn read(
    State(shared): State<Arc<Shared>>,
    Segments((user, message_uuid)): Segments<(String, String)>,
    reader: Reader,
) -> Result<impl IntoResponse, Problem> {
    let (user, message_uuid) = (reader.user(&user)?, parse_uuid(&message_uuid)?);
    let state = shared.store.stream(&user, &message_uuid).await.map_err(|error| {
        // The store has said it, as often as is good.
        tracing::debug!(%error, "a stream was not read");
        Problem::unavailable("The answer cannot be read right now; try again.", RETRY)
    })?;
    let state = state.ok_or_else(unknown)?;
    let phase = match state.phase {
        StreamPhase::Open => "open",
        StreamPhase::Stopped => "stopping",
        StreamPhase::Finished(status) => status.as_str(),
    };
    // What is written is for who goes on writing it, and not for who looks how far that is.
    let text = reader.may_publish().then_some(state.text);
    let (attempt, next_offset) = (state.attempt, state.next_offset);
    Ok(Json(Reading { message_uuid, attempt, phase, next_offset, text }))
}

/// Adds text to a stream.
///
/// A piece of it, or every line of a long request.
#[utoipa::path(
    post, path = "/v1/users/{user}/streams/{message_uuid}/{attempt}/text", operation_id = "addText",
    tag = "Streams",
    params(("user" = User, Path, description = "Whose mailbox it is"),
        ("message_uuid" = StreamName, Path, description = "Which stream"),
        ("attempt" = schemas::Attempt, Path, description = "Which attempt, as opening it answered"), Whence),
    request_body(content((Text = "application/json"), (String = "application/x-ndjson"))),
    responses((status = 200, body = Added, description = "It is added"), Keyed, Bodied, Unknown, Conflicting),
    security(("key" = ["publish"])),
)]
pub(super) async fn add(
    State(shared): State<Arc<Shared>>,
    Segments(name): Segments<(String, String, String)>,
    whence: Result<Query<Whence>, QueryRejection>,
    publisher: Publisher,
    body: Body,
) -> Result<Response, Problem> {
    let name = Name::parse(&name, &publisher)?;
    let Ok(Query(Whence { offset })) = whence else {
        return Err(Problem::invalid("offset", "`offset` is a number of UTF-16 units."));
    };
    if is_ndjson(&publisher.headers) {
        check_coding(&publisher.headers)?;
        return add_lines(&shared, name, offset, body, &publisher).await;
    }
    let body = text_of(&shared, &publisher.headers, body).await?;
    publisher.publishes(&shared, Amount { messages: 0, bytes: body.len() as u64 })?;
    let Text { text, offset: own } = serde_json::from_str(&body).map_err(|_| {
        Problem::invalid("text", "The body is {\"text\": …, \"offset\": …} in whole characters.")
    })?;
    let Name { user, message_uuid, attempt } = name;
    let offset = own.or(offset);
    let added = shared.append_text(&user, &message_uuid, attempt, offset, text).await;
    Ok(Json(Added { next_offset: added.map_err(|error| not_added(&error))? }).into_response())
}

/// Ends an attempt at a stream as the body says.
///
/// Without a body as with `{}`.
#[utoipa::path(
    post, path = "/v1/users/{user}/streams/{message_uuid}/{attempt}/finish", operation_id = "finishStream",
    tag = "Streams",
    params(("user" = User, Path, description = "Whose mailbox it is"),
        ("message_uuid" = StreamName, Path, description = "Which stream"),
        ("attempt" = schemas::Attempt, Path, description = "Which attempt, as opening it answered")),
    request_body = schemas::StreamEnding,
    responses((status = 200, body = Ended, description = "Its message is durable"), Keyed, Bodied, Unknown, Conflicting),
    security(("key" = ["publish"])),
)]
pub(super) async fn finish(
    State(shared): State<Arc<Shared>>,
    Segments(name): Segments<(String, String, String)>,
    publisher: Publisher,
    body: Body,
) -> Result<Response, Problem> {
    let name = Name::parse(&name, &publisher)?;
    let text = text_of(&shared, &publisher.headers, body).await?;
    publisher.publishes(&shared, Amount { messages: 0, bytes: text.len() as u64 })?;
    let text = if text.trim().is_empty() { "{}" } else { &text };
    let ending = StreamEnding::parse(text).map_err(|error| not_understood(&error))?;
    end(&shared, &name, ending).await
}

/// Ends an attempt at a stream as stopped.
#[utoipa::path(
    delete, path = "/v1/users/{user}/streams/{message_uuid}/{attempt}", operation_id = "cancelStream",
    tag = "Streams",
    params(("user" = User, Path, description = "Whose mailbox it is"),
        ("message_uuid" = StreamName, Path, description = "Which stream"),
        ("attempt" = schemas::Attempt, Path, description = "Which attempt, as opening it answered")),
    responses((status = 200, body = Ended, description = "Its message is durable"), Keyed, Unknown, Conflicting),
    security(("key" = ["publish"])),
)]
pub(super) async fn cancel(
    State(shared): State<Arc<Shared>>,
    Segments(name): Segments<(String, String, String)>,
    publisher: Publisher,
) -> Result<Response, Problem> {
    let name = Name::parse(&name, &publisher)?;
    end(&shared, &name, StreamEnding::plain(StreamStatus::Stopped)).await
}

/// Whose stream, which, and which attempt at it.
struct Name {
    user: UserId,
    message_uuid: MessageId,
    attempt: Attempt,
}

impl Name {
    fn parse(
        (user, message_uuid, attempt): &(String, String, String),
        publisher: &Publisher,
    ) -> Result<Self, Problem> {
        let attempt = attempt.parse().ok().and_then(Attempt::new).ok_or_else(|| {
            Problem::invalid("attempt", "The attempt is the number that opening answered.")
        })?;
        let message_uuid = parse_uuid(message_uuid)?;
        Ok(Self { user: publisher.user(user)?, message_uuid, attempt })
    }
}

async fn add_lines(
    shared: &Arc<Shared>,
    name: Name,
    offset: Option<u64>,
    body: Body,
    publisher: &Publisher,
) -> Result<Response, Problem> {
    let next_offset = match offset {
        Some(offset) => offset,
        None => shared
            .append_text(&name.user, &name.message_uuid, name.attempt, None, "".into())
            .await
            .map_err(|error| not_added(&error))?,
    };
    let Name { user, message_uuid, attempt } = &name;
    let mut writer = StreamWriter::going_on(
        shared.clone(),
        user.clone(),
        message_uuid.clone(),
        *attempt,
        next_offset,
    );
    let mut lines = Lines::of(body, shared.current().limits.publish_bytes_max, &shared.bodies);
    {
        let piped = pin!(writer.pipe(lines.texts()));
        let over = async {
            let withdrawn = pin!(publisher.withdrawn(&name.user));
            match select(pin!(over(shared, &name, publisher)), withdrawn).await {
                Either::Left((problem, _)) => problem,
                Either::Right(((), _)) => key_withdrawn(),
            }
        };
        // A writer that says nothing would not hear that there is nobody to say it to.
        match select(piped, pin!(over)).await {
            Either::Left((piped, _)) => piped.map_err(|error| match error {
                PipeError::Source(problem) => problem,
                PipeError::Text(error) => not_added(&error),
            })?,
            Either::Right((problem, _)) => return Err(problem),
        }
    }
    match lines.into_ending() {
        Some(ending) => end(shared, &name, ending).await,
        None => Ok(Json(Added { next_offset: writer.next_offset() }).into_response()),
    }
}

/// Why an attempt takes no text any more, as soon as it is not among the unfinished, or its writer's key is not the
/// configuration's any more.
async fn over(shared: &Arc<Shared>, name: &Name, publisher: &Publisher) -> Problem {
    let Name { user, message_uuid, attempt } = name;
    loop {
        sleep(STILL_OPEN_INTERVAL).await;
        if publisher.is_replaced(shared) {
            return key_withdrawn();
        }
        // A store that cannot tell is asked again, by the append if not by this.
        let page = shared.store.read_streams(user, &[], 0).page().await.unwrap_or_default();
        let is_unfinished = page.pieces.iter().any(|piece| {
            piece.position.message_uuid == *message_uuid && piece.position.attempt == *attempt
        });
        if is_unfinished {
            continue;
        }
        let nothing = shared.append_text(user, message_uuid, *attempt, None, "".into());
        match nothing.await {
            Ok(_) | Err(AppendTextError::Store(_) | AppendTextError::Crowded) => {}
            Err(error) => return not_added(&error),
        }
    }
}

fn key_withdrawn() -> Problem {
    Problem::unauthorized("The API key was withdrawn; what came before is added.")
}

async fn end(shared: &Arc<Shared>, name: &Name, ending: StreamEnding) -> Result<Response, Problem> {
    let Name { user, message_uuid, attempt } = name;
    let finished = shared
        .finish_stream(user, message_uuid, *attempt, ending)
        .await
        .map_err(|error| not_finished(&error))?;
    let ended = Ended { status: finished.status, id: finished.id, seq: finished.seq };
    Ok(Json(ended).into_response())
}

pub(super) fn is_ndjson(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(';').next().is_some_and(|kind| kind.trim() == NDJSON))
}

fn parse_uuid(text: &str) -> Result<MessageId, Problem> {
    text.parse()
        .map_err(|error| Problem::invalid("message_uuid", format!("The answer's name: {error}.")))
}
