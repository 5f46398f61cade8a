//! Publish keys over HTTP: which there are, a new one, what one is for, and one that counts no more.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Deserializer, Serialize};
use tetherline_protocol::ErrorCode;
use utoipa::ToSchema;

use super::{
    answer::Problem,
    description::schemas::{
        Bodied, Changed, Conflicting, IfMatch, KeyName, KeyUse, KeyWish, Keyed, Time, Unasserted,
        Unknown, User,
    },
    publish::{RETRY, utf8},
    publisher::Admin,
    segments::Segments,
};
use crate::{
    ApiKeyFile, ApiKeyFileError, ApiKeyName, ApiKeyVersion, NamedApiKey, Scope, UserPrefix,
    server::Shared,
};

/// A name, scopes and a prefix, escaped, and what is around them, in bytes.
const BODY_BYTES_MAX: usize = 4 * 1024;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Use {
    scopes: Vec<String>,
    #[serde(default, deserialize_with = "said")]
    users: Option<UserPrefix>,
}

/// `null` is no prefix: whoever has lost theirs would make a key for everybody.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UserPrefix>, D::Error> {
    UserPrefix::deserialize(deserializer).map(Some)
}

/// Answers which keys there are.
///
/// In the order in which they were added, and without what is secret.
#[utoipa::path(
    get, path = "/v1/keys", operation_id = "keys",
    tag = "Keys",
    responses((status = 200, body = [KeyView], description = "All of them"), Keyed, Unknown),
    security(("key" = ["admin"])),
)]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    admin: Admin,
) -> Result<impl IntoResponse, Problem> {
    admin.expect_everybody()?;
    let keys = change(&shared, ApiKeyFile::list).await?;
    Ok(Json(keys.iter().map(KeyView::of).collect::<Vec<_>>()))
}

/// Makes a key.
///
/// It may do no more than the key that asks for it. The answer has it, once: it is kept nowhere.
#[utoipa::path(
    post, path = "/v1/keys", operation_id = "addKey",
    tag = "Keys",
    request_body = KeyWish,
    responses(
        (status = 201, body = NewKey, description = "It counts from now on"),
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
    let scopes = handed_out(&admin, &scopes)?;
    let asked = name.clone();
    let (key, made) = change(&shared, move |file| {
        let key = file.add(&name, &scopes, users.as_ref())?;
        Ok((key, file.get(&name)?))
    })
    .await?;
    tracing::info!(
        key = asked.as_str(),
        by = admin.key_name(),
        "a publish key was added over HTTP"
    );
    let headers = (etag(&made), [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]);
    let new = NewKey { made: KeyView::of(&made), key };
    Ok((StatusCode::CREATED, headers.0, headers.1, Json(new)).into_response())
}

/// Answers what a key is for.
///
/// Its `ETag` is what changing it asks for.
#[utoipa::path(
    get, path = "/v1/keys/{name}", operation_id = "key",
    tag = "Keys",
    params(("name" = KeyName, Path, description = "What it is called")),
    responses((status = 200, body = KeyView, description = "As it is now"), Keyed, Unknown),
    security(("key" = ["admin"])),
)]
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Segments(name): Segments<String>,
    admin: Admin,
) -> Result<Response, Problem> {
    admin.expect_everybody()?;
    let name = parse(&name)?;
    let key = change(&shared, move |file| file.get(&name)).await?;
    Ok((etag(&key), Json(KeyView::of(&key))).into_response())
}

/// Changes what a key is for.
///
/// `If-Match` has the `ETag` that the change is made from, so that of two who change it the second hears of the first.
#[utoipa::path(
    put, path = "/v1/keys/{name}", operation_id = "changeKey",
    tag = "Keys",
    params(("name" = KeyName, Path, description = "What it is called"), IfMatch),
    request_body = KeyUse,
    responses(
        (status = 200, body = KeyView, description = "It is for that from now on"),
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
    let name = parse(&name)?;
    let from = if_match(&admin.headers)?;
    if matches!(from, Match::Unsaid) {
        let message = "`If-Match` says which state of the key is changed: the `ETag` of `GET`.";
        let status = StatusCode::PRECONDITION_REQUIRED;
        return Err(Problem::new(status, ErrorCode::BadFrame, message).field("If-Match"));
    }
    let Use { scopes, users } = read(&shared, &admin, body).await?;
    let scopes = handed_out(&admin, &scopes)?;
    let version = allowed(&shared, &admin, &name, from).await?;
    let asked = name.clone();
    let update = move |file: &ApiKeyFile| file.update(&name, &version, &scopes, users.as_ref());
    let key = change(&shared, update).await?;
    tracing::info!(
        key = asked.as_str(),
        by = admin.key_name(),
        "a publish key was changed over HTTP"
    );
    Ok((etag(&key), Json(KeyView::of(&key))).into_response())
}

/// Has a key count no more.
///
/// Requests that are under way with it end, but long ones of streams, which are cut. With `If-Match` it stays if it was
/// changed meanwhile.
#[utoipa::path(
    delete, path = "/v1/keys/{name}", operation_id = "removeKey",
    tag = "Keys",
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
    let name = parse(&name)?;
    let version = allowed(&shared, &admin, &name, if_match(&admin.headers)?).await?;
    let asked = name.clone();
    change(&shared, move |file| file.remove_as(&name, &version)).await?;
    tracing::info!(
        key = asked.as_str(),
        by = admin.key_name(),
        "a publish key was removed over HTTP"
    );
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
    let body = utf8(shared.bodies.read(&admin.headers, body, BODY_BYTES_MAX).await?)?;
    serde_json::from_str(&body).map_err(|error| {
        let message = format!(
            "The body says what the key is for, as in {{\"scopes\": [\"publish\"]}}: {error}."
        );
        Problem::invalid("body", message)
    })
}

fn parse(name: &str) -> Result<ApiKeyName, Problem> {
    name.parse().map_err(|error| Problem::invalid("name", format!("The key's name: {error}.")))
}

/// Scopes that a key may have which is made with this one.
fn handed_out(admin: &Admin, scopes: &[String]) -> Result<Vec<Scope>, Problem> {
    let scopes: Result<Vec<Scope>, _> = scopes.iter().map(|scope| scope.parse()).collect();
    let scopes = scopes
        .map_err(|error| Problem::invalid("scopes", format!("The key's scopes: {error}.")))?;
    if scopes.is_empty() {
        return Err(Problem::invalid("scopes", "A key is for something: publish, read or admin."));
    }
    admin.expect_scopes(&scopes)?;
    Ok(scopes)
}

/// The version of a key that this one may change: whoever could change one that may do more could take it over. What is
/// changed is what was looked at here, also where any version will do.
async fn allowed(
    shared: &Shared,
    admin: &Admin,
    name: &ApiKeyName,
    from: Match,
) -> Result<ApiKeyVersion, Problem> {
    let name = name.clone();
    let key = change(shared, move |file| file.get(&name)).await?;
    admin.expect_scopes(key.scopes())?;
    Ok(match from {
        Match::Version(version) => version,
        Match::Any | Match::Unsaid => key.version(),
    })
}

fn etag(key: &NamedApiKey) -> [(http::HeaderName, HeaderValue); 1] {
    let etag = HeaderValue::try_from(format!("\"{}\"", key.version().as_str()));
    [(header::ETAG, etag.expect("base64url is text"))]
}

/// What a change is made from, as `If-Match` says it (RFC 9110, section 13.1.1).
enum Match {
    Unsaid,
    /// `*`: as the key is, if it is there.
    Any,
    Version(ApiKeyVersion),
}

fn if_match(headers: &HeaderMap) -> Result<Match, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(Match::Unsaid) };
    let tag = value.to_str().ok().map(str::trim);
    if tag == Some("*") {
        return Ok(Match::Any);
    }
    let quoted = tag.and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"'));
    match quoted.filter(|tag| !tag.contains('"')) {
        Some(tag) => Ok(Match::Version(tag.into())),
        None => Err(Problem::invalid("If-Match", "`If-Match` is one `ETag`, in its quotes.")),
    }
}

async fn change<T: Send + 'static>(
    shared: &Shared,
    change: impl FnOnce(&ApiKeyFile) -> Result<T, ApiKeyFileError> + Send + 'static,
) -> Result<T, Problem> {
    let Some(changed) = shared.api_keys.change(change).await else {
        let message = "This server has no file of keys.";
        return Err(Problem::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message));
    };
    changed.map_err(|error| refused(&error))
}

fn refused(error: &ApiKeyFileError) -> Problem {
    let (status, code) = match error {
        ApiKeyFileError::Taken(_) | ApiKeyFileError::TooMany => {
            (StatusCode::CONFLICT, ErrorCode::Conflict)
        }
        ApiKeyFileError::Unknown(_) => (StatusCode::NOT_FOUND, ErrorCode::NotFound),
        ApiKeyFileError::Changed(_) => (StatusCode::PRECONDITION_FAILED, ErrorCode::Conflict),
        error => {
            tracing::error!(%error, "publish keys cannot be read or written");
            return Problem::unavailable("The keys cannot be read or written right now.", RETRY);
        }
    };
    Problem::new(status, code, format!("Nothing was changed: {error}."))
}
