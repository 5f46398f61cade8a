//! Publish keys over HTTP: which there are, a new one, what one is for, and one that counts no more.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Deserializer, Serialize};
use tetherline_protocol::ErrorCode;
use utoipa::ToSchema;

use super::{
    answer::Problem,
    description::schemas::{
        Bodied, Changed, Conflicting, IfMatch, IfMatchNeeded, KeyName, KeyUse as KeyUseSchema,
        KeyWish, Keyed, Time, Unasserted, Unknown, User,
    },
    publish::{RETRY, utf8},
    publisher::{Admin, shows_key},
    segments::Segments,
};
use crate::{
    ApiKeyFileError, ApiKeyName, NamedApiKey, Scope, UserPrefix,
    security::keys::{ApiKeyVersion, KeyChangeError, KeyState, KeyUse, Made, Power},
    server::Shared,
};

/// A request that says what a key is to be for: a name, scopes and a prefix, escaped, and what is around them, in bytes.
pub const KEY_REQUEST_BYTES_MAX: usize = 4 * 1024;

/// A key, without what is secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
struct KeyView {
    #[schema(value_type = KeyName)]
    name: ApiKeyName,
    scopes: Vec<&'static str>,
    /// How the ids begin of the users that it is for; none for everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = User, nullable = false)]
    users: Option<UserPrefix>,
    #[schema(value_type = Time)]
    added_at: String,
}

/// A key that was made just now.
#[derive(Serialize, ToSchema)]
struct NewKey {
    #[serde(flatten)]
    made: KeyView,
    /// What to show. It is kept nowhere.
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    name: ApiKeyName,
    scopes: Vec<String>,
    #[serde(default, deserialize_with = "said")]
    users: Option<UserPrefix>,
}

/// Of a key that is there: for whom has to be said, as whoever left it out would have it be for everybody.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Use {
    scopes: Vec<String>,
    #[serde(default, deserialize_with = "said")]
    users: Option<UserPrefix>,
    #[serde(default)]
    everybody: bool,
}

/// `null` is no prefix: whoever has lost theirs would make a key for everybody.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UserPrefix>, D::Error> {
    UserPrefix::deserialize(deserializer).map(Some)
}

/// Answers which keys there are.
///
/// In the order in which they were added, and without what is secret. The key that asks has to be for everybody.
#[utoipa::path(
    get, path = "/v1/keys", operation_id = "keys", tag = "Keys",
    responses((status = 200, body = [KeyView], description = "All of them"), Keyed, Unknown),
    security(("key" = ["admin"])),
)]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
) -> Result<impl IntoResponse, Problem> {
    let keys = listed(&shared, &admin).await?;
    Ok(Json(keys.iter().map(KeyView::of).collect::<Vec<_>>()))
}

/// Makes a key.
///
/// It may do no more than the key that asks for it, which has to be for everybody. The answer has it, once: it is kept
/// nowhere. Without `users` it is for everybody.
#[utoipa::path(
    post, path = "/v1/keys", operation_id = "addKey", tag = "Keys",
    request_body = KeyWish,
    responses(
        (status = 201, body = NewKey, description = "It counts from now on", headers(("ETag" = String))),
        Keyed, Bodied, Unknown, Conflicting,
    ),
    security(("key" = ["admin"])),
)]
pub(super) async fn add(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
    body: Body,
) -> Result<Response, Problem> {
    admin.expect_everybody()?;
    let Wish { name, scopes, users } = read(&shared, &admin, body).await?;
    let wanted = KeyUse { scopes: parse_scopes(&scopes)?, users };
    let what = ("added", name.clone());
    let Made { key, secret } =
        change(&shared, &admin, what, move |power, keys| power.add(keys, name, wanted)).await?;
    let not_kept = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    let new = NewKey { made: KeyView::of(&key), key: secret };
    Ok((StatusCode::CREATED, etag(&key), not_kept, Json(new)).into_response())
}

/// Answers what a key is for.
///
/// Its `ETag` is what changing it asks for. The key that asks has to be for everybody.
#[utoipa::path(
    get, path = "/v1/keys/{name}", operation_id = "key", tag = "Keys",
    params(("name" = KeyName, Path, description = "What it is called")),
    responses(
        (status = 200, body = KeyView, description = "As it is now", headers(("ETag" = String))),
        Keyed, Unknown,
    ),
    security(("key" = ["admin"])),
)]
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Segments(name): Segments<String>,
    admin: Admin,
) -> Result<Response, Problem> {
    let name = parse_name(&name)?;
    let keys = listed(&shared, &admin).await?;
    let key = keys.iter().find(|key| *key.name() == name);
    let key = key.ok_or_else(|| not_found(format!("There is no key called {name}.")))?;
    Ok((etag(key), Json(KeyView::of(key))).into_response())
}

/// Changes what a key is for.
///
/// `If-Match` has the `ETag` that the change is made from, so that of two who change it the second hears of the first.
/// The body says for whom: `users`, or `everybody`. The key that asks has to be for everybody, and may do what this one
/// may, before and after. What is under way with the key and not for it any more is cut.
#[utoipa::path(
    put, path = "/v1/keys/{name}", operation_id = "changeKey", tag = "Keys",
    params(("name" = KeyName, Path, description = "What it is called"), IfMatchNeeded),
    request_body = KeyUseSchema,
    responses(
        (status = 200, body = KeyView, description = "It is for that from now on", headers(("ETag" = String))),
        Keyed, Bodied, Unknown, Changed, Unasserted,
    ),
    security(("key" = ["admin"])),
)]
pub(super) async fn update(
    State(shared): State<Arc<Shared>>,
    Segments(name): Segments<String>,
    admin: Admin,
    body: Body,
) -> Result<Response, Problem> {
    admin.expect_everybody()?;
    let name = parse_name(&name)?;
    let from = if_match(&admin.headers)?.ok_or_else(|| {
        let message = "`If-Match` says which state of the key is changed: the `ETag` of `GET`.";
        Problem::new(StatusCode::PRECONDITION_REQUIRED, ErrorCode::BadFrame, message)
            .field("If-Match")
    })?;
    let Use { scopes, users, everybody } = read(&shared, &admin, body).await?;
    if users.is_some() == everybody {
        let message = "The body says for whom the key is to be: `users`, or `\"everybody\": true`.";
        return Err(Problem::invalid("users", message));
    }
    let wanted = KeyUse { scopes: parse_scopes(&scopes)?, users };
    let what = ("changed", name.clone());
    let update = move |power: &Power, keys: &mut Vec<NamedApiKey>| {
        power.update(keys, (&name, &from), wanted)
    };
    let key = change(&shared, &admin, what, update).await?;
    Ok((etag(&key), Json(KeyView::of(&key))).into_response())
}

/// Has a key count no more.
///
/// Requests that are under way with it end, but long ones of streams, which are cut. With `If-Match` it stays if it was
/// changed meanwhile. The key that asks has to be for everybody, and may do what this one may.
#[utoipa::path(
    delete, path = "/v1/keys/{name}", operation_id = "removeKey", tag = "Keys",
    params(("name" = KeyName, Path, description = "What it is called"), IfMatch),
    responses((status = 204, description = "It counts for nothing"), Keyed, Unknown, Changed),
    security(("key" = ["admin"])),
)]
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Segments(name): Segments<String>,
    admin: Admin,
) -> Result<StatusCode, Problem> {
    admin.expect_everybody()?;
    let name = parse_name(&name)?;
    let from = if_match(&admin.headers)?.unwrap_or(KeyState::Any);
    let what = ("removed", name.clone());
    change(&shared, &admin, what, move |power, keys| power.remove(keys, (&name, &from))).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl KeyView {
    fn of(key: &NamedApiKey) -> Self {
        Self {
            name: key.name().clone(),
            scopes: key.scopes().iter().map(|scope| scope.as_str()).collect(),
            users: key.users().cloned(),
            added_at: key.added_at().to_owned(),
        }
    }
}

async fn read<T: for<'de> Deserialize<'de>>(
    shared: &Shared,
    admin: &Admin,
    body: Body,
) -> Result<T, Problem> {
    let body = shared.bodies.read(&admin.headers, body, KEY_REQUEST_BYTES_MAX).await;
    let body = utf8(body.map_err(|error| error.of("KEY_REQUEST_BYTES_MAX"))?)?;
    serde_json::from_str(&body).map_err(|error| {
        let message = format!(
            "The body says what the key is for, as in {{\"scopes\": [\"publish\"]}}: {error}."
        );
        Problem::invalid("body", message)
    })
}

fn parse_name(name: &str) -> Result<ApiKeyName, Problem> {
    name.parse().map_err(|error| Problem::invalid("name", format!("The key's name: {error}")))
}

fn parse_scopes(scopes: &[String]) -> Result<Vec<Scope>, Problem> {
    let scopes: Result<Vec<Scope>, _> = scopes.iter().map(|scope| scope.parse()).collect();
    let scopes = scopes
        .map_err(|error| Problem::invalid("scopes", format!("The key's scopes: {error}.")))?;
    if scopes.is_empty() {
        return Err(Problem::invalid("scopes", "A key is for something: publish, read or admin."));
    }
    Ok(scopes)
}

fn etag(key: &NamedApiKey) -> [(HeaderName, HeaderValue); 1] {
    let etag = HeaderValue::try_from(format!("\"{}\"", key.version().as_str()));
    [(header::ETAG, etag.expect("base64url is text"))]
}

/// What a change is made from (RFC 9110, section 13.1.1); none if nothing is said. A weak tag counts as well: it is
/// made of what the key is for and not of bytes, and a proxy that compresses the answer makes it weak.
fn if_match(headers: &HeaderMap) -> Result<Option<KeyState>, Problem> {
    let mut versions = Vec::new();
    for value in headers.get_all(header::IF_MATCH) {
        let tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
        for tag in tags {
            if tag == "*" {
                return Ok(Some(KeyState::Any));
            }
            let opaque = tag.strip_prefix("W/").unwrap_or(tag);
            let opaque = opaque.strip_prefix('"').and_then(|opaque| opaque.strip_suffix('"'));
            let opaque = opaque.ok_or_else(|| {
                let message =
                    "`If-Match` is the `ETag` of an answer in its quotes, several of them, or `*`.";
                Problem::invalid("If-Match", message)
            })?;
            versions.push(ApiKeyVersion::from(opaque));
        }
    }
    Ok((!versions.is_empty()).then_some(KeyState::OneOf(versions)))
}

async fn listed(shared: &Shared, admin: &Admin) -> Result<Vec<NamedApiKey>, Problem> {
    admin.expect_everybody()?;
    let listed = shared.api_keys.list().await.ok_or_else(|| not_found(NO_FILE))?;
    listed.map_err(unreadable)
}

async fn change<T: Send + 'static>(
    shared: &Shared,
    admin: &Admin,
    what: (&'static str, ApiKeyName),
    change: impl FnOnce(&Power, &mut Vec<NamedApiKey>) -> Result<T, KeyChangeError> + Send + 'static,
) -> Result<T, Problem> {
    // While the body came, the key that was shown may have been taken back.
    let grant = shows_key(shared, &admin.headers).ok_or_else(withdrawn)?;
    let who = (grant.asker(), grant.name());
    let changed = shared.api_keys.change(who, what, change).await;
    changed.ok_or_else(|| not_found(NO_FILE))?.map_err(refused)
}

const NO_FILE: &str = "This server has no file of keys.";

fn refused(error: KeyChangeError) -> Problem {
    let conflict = |status, error: &dyn std::fmt::Display| {
        Problem::new(status, ErrorCode::Conflict, format!("Nothing was changed: {error}."))
    };
    match error {
        KeyChangeError::Withdrawn => withdrawn(),
        KeyChangeError::Narrowed => {
            let message = "This API key is not for keys any more: nothing was changed.";
            Problem::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message)
        }
        KeyChangeError::Excess => {
            let message = "This API key may do less than the key that this is about, and so not hand that out.";
            Problem::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message).field("scopes")
        }
        error @ KeyChangeError::Changed(_) => conflict(StatusCode::PRECONDITION_FAILED, &error),
        KeyChangeError::File(error @ (ApiKeyFileError::Taken(_) | ApiKeyFileError::TooMany)) => {
            conflict(StatusCode::CONFLICT, &error)
        }
        KeyChangeError::File(ApiKeyFileError::Unknown(name)) => {
            not_found(format!("There is no key called {name}."))
        }
        KeyChangeError::File(error) => unreadable(error),
    }
}

fn withdrawn() -> Problem {
    Problem::unauthorized("The API key was withdrawn: nothing was changed.")
}

fn not_found(message: impl Into<String>) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message)
}

/// What lasts is not to be tried again by a program, and is for whoever runs the server.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn unreadable(error: ApiKeyFileError) -> Problem {
    if matches!(error, ApiKeyFileError::Busy) {
        return Problem::unavailable("Somebody else is changing the keys; try again.", RETRY);
    }
    tracing::error!(%error, "publish keys cannot be read or written over HTTP");
    let message =
        "The server cannot use its file of keys, and its log says why; nothing was changed.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message)
}
