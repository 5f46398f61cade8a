//! The HTTP API in `OpenAPI` 3.1, for whoever writes a client in a language of theirs, and for programs that try it out.
//!
//! It is made from the handlers: what is routed is described, and what they answer are the types that they answer.

pub(super) mod page;
pub(super) mod schemas;

use std::sync::{Arc, LazyLock, OnceLock};

use axum::{
    extract::{FromRequestParts, OriginalUri},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::{header, request::Parts};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self, RefOr, Required, Server,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{
    answer::Problem,
    too_fast::{describe, network},
};
use crate::server::Shared;
use schemas::Hurried;

/// Where no body is as good as an empty one, which utoipa says only of bodies that may be `null`.
const BODY_NOT_NEEDED: [&str; 2] =
    ["/v1/tickets", "/v1/users/{user}/streams/{message_uuid}/{attempt}/finish"];

/// What stands around the operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tetherline",
        description = "Publishing to users, streams, and looking at users. What goes over a WebSocket is in `docs/protocol.md`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "Messages", description = "What is published to users, and what they still have to get."),
        (name = "Streams", description = "Answers that come in pieces: opened, written to, ended."),
        (name = "Users", description = "Who is connected, where their devices are, and ending what is theirs."),
        (name = "Keys", description = "API keys: each for some things, and perhaps for some users."),
        (name = "Server", description = "What supervisors and programs ask. Nobody has to show anything."),
    ),
    components(schemas(
        schemas::Problem,
        schemas::Error,
        schemas::User,
        schemas::Position,
        schemas::MessageSeq,
        schemas::IdempotencyKey,
        schemas::StreamName,
        schemas::Attempt,
        schemas::PageLimit,
        schemas::KeyName,
        schemas::KeyUseForSome,
        schemas::KeyUseForEverybody,
        schemas::Name,
        schemas::Message,
        schemas::Item,
    )),
    modifiers(&Key),
)]
pub(super) struct Frame;

struct Key;

impl Modify for Key {
    fn modify(&self, openapi: &mut openapi::OpenApi) {
        let key = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key of the scope that the operation names."));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(key.build()));
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A user's token, as for connecting."));
        components.add_security_scheme("token", SecurityScheme::Http(token.build()));
    }
}

/// Describes this API.
///
/// Nobody has to show anything, and nothing is told of anybody.
#[utoipa::path(
    get, path = "/v1/openapi.json", operation_id = "description",
    tag = "Server",
    responses((status = 200, body = schemas::Description, description = "This description"), Hurried),
)]
pub(super) async fn openapi(
    OriginalUri(uri): OriginalUri,
    _: DescriptionReader,
) -> Result<Response, Problem> {
    /// Of the prefix that was asked for first: a server has one.
    static WRITTEN: OnceLock<(String, Bytes)> = OnceLock::new();
    let prefix = uri.path().strip_suffix("/v1/openapi.json").unwrap_or_default();
    let (of, text) = WRITTEN.get_or_init(|| (prefix.to_owned(), written(prefix)));
    let text = if of == prefix { text.clone() } else { written(prefix) };
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

fn written(prefix: &str) -> Bytes {
    let text = description(prefix).to_json();
    text.expect("a description is texts and numbers").into()
}

/// Whoever reads what describes the API, and does not do so too often.
pub(super) struct DescriptionReader;

impl FromRequestParts<Arc<Shared>> for DescriptionReader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Problem> {
        describe(shared, network(shared, &parts.extensions, &parts.headers))?;
        Ok(Self)
    }
}

/// `prefix`: below which path all of it lies; none where it is the root.
fn description(prefix: &str) -> openapi::OpenApi {
    static ROUTED: LazyLock<openapi::OpenApi> = LazyLock::new(|| {
        let mut routed = super::api().into_openapi();
        for path in BODY_NOT_NEEDED {
            let operation = routed.paths.paths.get_mut(path).and_then(|path| path.post.as_mut());
            let body = operation.and_then(|operation| operation.request_body.as_mut());
            if let Some(RefOr::T(body)) = body {
                body.required = Some(Required::False);
            }
        }
        routed
    });
    let mut description = ROUTED.clone();
    description.servers = Some(vec![Server::new(if prefix.is_empty() { "/" } else { prefix })]);
    description
}

#[cfg(test)]
mod tests;
