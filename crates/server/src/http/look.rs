//! What applications and whoever is on call may see of users: messages, devices, who is connected, streams, and why a
//! message did not arrive. Nothing of it changes anything.

pub(super) mod inspection;
pub(super) mod trace;
mod verdict;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use tetherline_protocol::{
    ErrorCode, Seq, UserId,
    limits::{REPLAY_PIECE_BYTES_MAX, USER_ID_BYTES_MAX},
};
use utoipa::{IntoParams, ToSchema};

use super::{
    answer::Problem,
    description::schemas::{Bodied, Keyed, MailboxPage, PageLimit, Position, User, Users},
    publish::{RETRY, utf8},
    publisher::{Admin, Reader},
    segments::Segments,
};
use crate::{
    server::Shared,
    store::{Report, Room, StoreError},
};

use inspection::{DeviceView, SignOut, Stream};
pub use trace::TRACE_HEARTBEAT;

/// Messages of one page at most.
pub const PAGE_MESSAGES_MAX: usize = 256;
const PAGE_MESSAGES: usize = 100;
/// Users about whom one request may ask.
pub const PRESENCE_USERS_MAX: usize = 1_000;
/// Ids of so many users, every byte of them escaped (`\u0061`), and what is around them, in bytes.
pub const PRESENCE_BYTES_MAX: usize = PRESENCE_USERS_MAX * (6 * USER_ID_BYTES_MAX + 16);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// The position that the page begins behind.
    #[param(value_type = Option<Position>, nullable = false)]
    after: Option<u64>,
    /// So many messages at most.
    #[param(value_type = Option<PageLimit>, nullable = false)]
    limit: Option<usize>,
}

/// Reads a mailbox page by page.
///
/// Answers what it has after a position, as it goes over the wire.
#[utoipa::path(
    get, path = "/v1/users/{user}/messages", operation_id = "readMailbox",
    tag = "Messages",
    params(("user" = User, Path, description = "Whose mailbox it is"), Page),
    responses((status = 200, body = MailboxPage, description = "A page"), Keyed),
    security(("key" = ["read", "publish"])),
)]
pub(super) async fn messages(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    page: Result<Query<Page>, QueryRejection>,
    reader: Reader,
) -> Result<Response, Problem> {
    let user = reader.user(&user)?;
    if !reader.may_publish() {
        // Keys that read were for positions alone, before there was this.
        let message = "This API key is not for what messages say: it lacks the scope `publish`.";
        return Err(Problem::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message));
    }
    let Ok(Query(Page { after, limit })) = page else {
        return Err(Problem::invalid("query", "`after` is a position, and `limit` a number."));
    };
    let after = Seq::new(after.unwrap_or(0))
        .ok_or_else(|| Problem::invalid("after", "There is no such position."))?;
    let limit = limit.unwrap_or(PAGE_MESSAGES);
    if !(1..=PAGE_MESSAGES_MAX).contains(&limit) {
        let message = format!("`limit` is from 1 to {PAGE_MESSAGES_MAX}.");
        return Err(Problem::invalid("limit", message));
    }
    let head = shared.store.head(&user).await.map_err(not_read)?;
    let room = Room { messages: limit, bytes: REPLAY_PIECE_BYTES_MAX };
    let read = shared.store.read(&user, &head.epoch, after, room).await.map_err(not_read)?;
    // Frames are JSON already; those that cannot be read any more are left out, as clients hear of them.
    let mut body = String::from(r#"{"messages":["#);
    // Where nothing follows, everything up to the head, which was looked at before, is read or gone.
    let mut next = if read.is_empty() { head.seq } else { after };
    for (n, delivery) in read.iter().enumerate() {
        next = delivery.seq;
        if !delivery.is_unreadable() {
            let has_before = n > 0 && !body.ends_with('[');
            body.push_str(if has_before { "," } else { "" });
            body.push_str(&delivery.text);
        }
    }
    let (epoch, head) = (head.epoch, head.seq);
    let end = format!(r#"],"next":{next},"head":{head},"epoch":"{}"}}"#, epoch.as_str());
    body.push_str(&end);
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}

/// Answers where each device is.
#[utoipa::path(
    get, path = "/v1/users/{user}/devices", operation_id = "devices",
    tag = "Users",
    params(("user" = User, Path, description = "Whose mailbox it is")),
    responses((status = 200, body = [DeviceView], description = "Those that are known"), Keyed),
    security(("key" = ["read"])),
)]
pub(super) async fn devices(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    reader: Reader,
) -> Result<impl IntoResponse, Problem> {
    let report = report(&shared, &reader.user(&user)?, None).await?;
    Ok(Json(inspection::devices(&report)))
}

/// Answers which sign-ins have ended before their tokens.
#[utoipa::path(
    get, path = "/v1/users/{user}/sessions", operation_id = "signOuts",
    tag = "Users",
    params(("user" = User, Path, description = "Whose mailbox it is")),
    responses((status = 200, body = [SignOut], description = "Those that are remembered"), Keyed),
    security(("key" = ["admin"])),
)]
pub(super) async fn sign_outs(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    admin: Admin,
) -> Result<impl IntoResponse, Problem> {
    let report = report(&shared, &admin.user(&user)?, None).await?;
    Ok(Json(inspection::sign_outs(&report)))
}

/// Answers which streams are not finished.
#[utoipa::path(
    get, path = "/v1/users/{user}/streams", operation_id = "streams",
    tag = "Streams",
    params(("user" = User, Path, description = "Whose mailbox it is")),
    responses((status = 200, body = [Stream], description = "Those of this user"), Keyed),
    security(("key" = ["read"])),
)]
pub(super) async fn streams(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    reader: Reader,
) -> Result<impl IntoResponse, Problem> {
    let report = report(&shared, &reader.user(&user)?, None).await?;
    Ok(Json(inspection::streams(&report)))
}

#[derive(Serialize, ToSchema)]
struct Presence {
    #[schema(value_type = User)]
    user: UserId,
    connections: usize,
}

/// Answers how many connections of a user are open.
#[utoipa::path(
    get, path = "/v1/users/{user}/presence", operation_id = "presence",
    tag = "Users",
    params(("user" = User, Path, description = "Whose mailbox it is")),
    responses((status = 200, body = Presence, description = "At this server"), Keyed),
    security(("key" = ["read"])),
)]
pub(super) async fn presence(
    State(shared): State<Arc<Shared>>,
    Segments(user): Segments<String>,
    reader: Reader,
) -> Result<impl IntoResponse, Problem> {
    let user = reader.user(&user)?;
    let connections = shared.hub.connections_of(&user);
    Ok(Json(Presence { user, connections }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Who {
    users: Vec<UserId>,
}

#[derive(Serialize, ToSchema)]
struct PresenceOfMany {
    /// How many connections of each are open.
    connections: BTreeMap<String, usize>,
}

/// Answers how many connections of each of many users are open.
#[utoipa::path(
    post, path = "/v1/presence", operation_id = "presenceOfMany",
    tag = "Users",
    request_body = Users,
    responses((status = 200, body = PresenceOfMany, description = "At this server"), Keyed, Bodied),
    security(("key" = ["read"])),
)]
pub(super) async fn presence_of_many(
    State(shared): State<Arc<Shared>>,
    reader: Reader,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let body = shared.bodies.read(&reader.headers, body, PRESENCE_BYTES_MAX).await;
    let body = body.map_err(|error| error.of("PRESENCE_BYTES_MAX"))?;
    let Who { users } = serde_json::from_str(&utf8(body)?).map_err(|error| {
        Problem::invalid("users", format!("The body is `{{\"users\": [\"…\"]}}`: {error}."))
    })?;
    if users.len() > PRESENCE_USERS_MAX {
        let message = format!("One request asks about {PRESENCE_USERS_MAX} users at most.");
        return Err(Problem::invalid("users", message));
    }
    let mut connections = BTreeMap::new();
    for user in users {
        reader.expect(&user)?;
        connections.insert(user.as_str().to_owned(), shared.hub.connections_of(&user));
    }
    Ok(Json(PresenceOfMany { connections }))
}

async fn report(shared: &Shared, user: &UserId, seq: Option<Seq>) -> Result<Report, Problem> {
    shared.store.report(user, seq).await.map_err(not_read)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn not_read(error: StoreError) -> Problem {
    // The store has said it, as often as is good.
    tracing::debug!(%error, "a mailbox was not read");
    Problem::unavailable("The mailbox was not read; try again.", RETRY)
}
