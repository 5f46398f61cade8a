//! What goes over HTTP and is read or written byte by byte, as JSON schemas; other types derive theirs.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tetherline_protocol::limits::{
    ID_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, PUBLISH_ITEMS_MAX, USER_ID_BYTES_MAX,
};
use utoipa::{
    IntoParams, IntoResponses, PartialSchema, ToSchema,
    openapi::{
        ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

use crate::{
    Scope,
    http::{PAGE_MESSAGES_MAX, PRESENCE_USERS_MAX},
};

/// Positions count up to what JavaScript counts exactly.
const SEQ_MAX: u64 = (1 << 53) - 1;

/// A type that is there for its schema alone.
macro_rules! schemas {
    ($($(#[doc = $text:literal])* $name:ident = $schema:expr;)*) => {$(
        $(#[doc = $text])*
        pub(in crate::http) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                written(stringify!($name), $schema)
            }
        }

        impl ToSchema for $name {}
    )*};
}

schemas! {
    /// Whose mailbox it is.
    User = json!({
        "type": "string", "minLength": 1, "maxLength": USER_ID_BYTES_MAX,
        "pattern": r"^[^\u0000-\u001f\u007f-\u009f/\\]+$",
        "description": "255 bytes of UTF-8 at most, without control characters, slash and backslash",
        "examples": ["ada", "auth0|5f7c"],
    });
    /// A seq, or 0 before the first.
    Position = json!({ "type": "integer", "minimum": 0, "maximum": SEQ_MAX });
    /// The seq of a message.
    MessageSeq = json!({ "type": "integer", "minimum": 1, "maximum": SEQ_MAX });
    /// When something was, in RFC 3339.
    Time = json!({ "type": "string", "format": "date-time" });
    IdempotencyKey = json!({
        "type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_BYTES_MAX, "pattern": "^[!-~]+$",
    });
    /// A stream's `message_uuid`.
    StreamName = json!({
        "type": "string", "minLength": 1, "maxLength": ID_BYTES_MAX, "pattern": "^[A-Za-z0-9._~-]+$",
    });
    PageLimit = json!({ "type": "integer", "minimum": 1, "maximum": PAGE_MESSAGES_MAX });
    Users = json!({
        "type": "object", "required": ["users"], "additionalProperties": false, "properties": {
            "users": { "type": "array", "maxItems": PRESENCE_USERS_MAX, "items": reference("User") },
        },
        "examples": [{ "users": ["ada", "bob"] }],
    });
    /// Which attempt at a stream.
    Attempt = json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX });
    /// A token's `sid`, or a connection's id.
    Name = json!({ "type": "string", "minLength": 1 });
    KeyName = json!({ "type": "string", "pattern": r"^[A-Za-z0-9._-]{1,64}$", "examples": ["billing"] });
    /// What a new key is to be called, and for.
    KeyWish = json!({
        "type": "object", "required": ["name", "scopes"], "additionalProperties": false, "properties": {
            "name": reference("KeyName"), "scopes": scopes(), "users": reference("User"),
        },
        "examples": [{ "name": "billing", "scopes": ["publish"] }],
    });
    /// What a key is to be for.
    KeyUse = json!({
        "oneOf": [reference("KeyUseForSome"), reference("KeyUseForEverybody")],
        "example": { "scopes": ["publish", "read"], "everybody": true },
    });
    KeyUseForSome = json!({
        "type": "object", "required": ["scopes", "users"], "additionalProperties": false,
        "properties": { "scopes": scopes(), "users": reference("User") },
    });
    KeyUseForEverybody = json!({
        "type": "object", "required": ["scopes", "everybody"], "additionalProperties": false,
        "properties": { "scopes": scopes(), "everybody": { "type": "boolean", "enum": [true] } },
    });
    Message = json!({
        "type": "object", "required": ["type"], "properties": { "type": { "type": "string", "minLength": 1 } },
        "additionalProperties": true, "examples": [{ "type": "note", "text": "hello" }],
    });
    Items = json!({
        "type": "array", "maxItems": PUBLISH_ITEMS_MAX, "items": reference("Item"),
        "examples": [[{ "users": ["ada", "bob"], "message": { "type": "note", "text": "hello" } }]],
    });
    Item = json!({
        "type": "object", "required": ["message"], "additionalProperties": false, "properties": {
            "user": reference("User"), "users": { "type": "array", "items": reference("User") },
            "everybody": { "type": "boolean", "enum": [true] }, "message": reference("Message"),
            "idempotency_key": reference("IdempotencyKey"), "durable": { "type": "boolean" },
        },
    });
    MailboxPage = json!({
        "type": "object", "required": ["messages", "next", "head", "epoch"], "properties": {
            "messages": { "type": "array", "items": reference("Message") },
            "next": reference("Position"), "head": reference("Position"), "epoch": { "type": "string" },
        },
    });
    StreamOpening = json!({
        "type": "object", "additionalProperties": true, "properties": { "message_uuid": reference("StreamName") },
        "examples": [{ "message_uuid": "answer-1" }],
    });
    StreamEnding = json!({ "type": "object", "additionalProperties": true, "examples": [{}] });
    /// One thing that happened, or that nothing did.
    TraceLine = json!({
        "type": "object", "required": ["event", "at"], "properties": {
            "event": { "type": "string" }, "at": { "type": "string", "format": "date-time" },
            "connection_id": { "type": "string" },
            "connections": { "type": "array", "items": reference("Connection") },
        },
    });
    Description = json!({ "type": "object" });
    Health = json!({
        "type": "object", "required": ["status"], "properties": { "status": { "type": "string" } },
    });
    /// RFC 9457.
    Problem = json!({
        "type": "object", "required": ["type", "title", "status", "detail", "error"], "properties": {
            "type": { "type": "string" }, "title": { "type": "string" }, "status": { "type": "integer" },
            "detail": { "type": "string" }, "error": reference("Error"),
        },
    });
    /// What stands in a problem as `error`.
    Error = json!({
        "type": "object", "required": ["code", "message"], "properties": {
            "code": { "type": "string" }, "message": { "type": "string" }, "field": { "type": "string" },
            "reason": { "type": "string" }, "retry_after_ms": { "type": "integer", "minimum": 0 },
            "next_offset": { "type": "integer", "minimum": 0 }, "attempt": { "type": "integer", "minimum": 1 },
            "status": { "type": "string" },
        },
    });
}

fn scopes() -> Value {
    let scopes = Scope::ALL.map(Scope::as_str);
    json!({ "type": "array", "minItems": 1, "items": { "type": "string", "enum": scopes } })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn written(name: &str, schema: Value) -> RefOr<Schema> {
    let schema = serde_json::from_value(schema);
    schema.unwrap_or_else(|error| panic!("the schema of {name} is written in this file: {error}"))
}

/// The header `Idempotency-Key`.
pub(in crate::http) struct Repeatable;

impl IntoParams for Repeatable {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let header = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("A repeat with the same key is recognised."))
            .schema(Some(Ref::from_schema_name("IdempotencyKey")));
        vec![header.build()]
    }
}

/// The header `If-Match`.
pub(in crate::http) struct IfMatch;

/// The same where it has to be.
pub(in crate::http) struct IfMatchNeeded;

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![if_match(Required::False)]
    }
}

impl IntoParams for IfMatchNeeded {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![if_match(Required::True)]
    }
}

fn if_match(required: Required) -> Parameter {
    let tag = json!({ "type": "string", "pattern": r#"^("[!#-~]*"|\*)$"# });
    let header = ParameterBuilder::new()
        .name("If-Match")
        .parameter_in(ParameterIn::Header)
        .required(required)
        .description(Some("The `ETag` that the change is made from."))
        .schema(Some(written("If-Match", tag)));
    header.build()
}

/// Ways to be refused that several operations share, by their status.
macro_rules! refusals {
    ($($(#[doc = $text:literal])* $name:ident = $statuses:expr;)*) => {$(
        $(#[doc = $text])*
        pub(in crate::http) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                problems(&$statuses)
            }
        }
    )*};
}

refusals! {
    /// Without a key, with a wrong one, one for something else, from an address that tries too many.
    Keyed = [400, 401, 403, 429, 503];
    /// With a body that is none, too slow, too large, or coded.
    Bodied = [400, 408, 413, 415, 503];
    /// There is no such thing.
    Unknown = [404];
    /// Too many come from there.
    Hurried = [429];
    /// It contradicts what is there.
    Conflicting = [409];
    /// It is not any more as `If-Match` has it.
    Changed = [412];
    /// `If-Match` is needed.
    Unasserted = [428];
    /// The server is not ready.
    Unready = [503];
}

fn problems(statuses: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    let problem = |status: &u16| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let words = http::StatusCode::from_u16(*status).ok().and_then(|it| it.canonical_reason());
        let response = ResponseBuilder::new()
            .description(words.unwrap_or("A refusal"))
            .content("application/problem+json", content);
        (status.to_string(), response.build().into())
    };
    statuses.iter().map(problem).collect()
}
