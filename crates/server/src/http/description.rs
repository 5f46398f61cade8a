//! The HTTP API in `OpenAPI` 3.1, for whoever writes a client in a language of theirs, and for programs that try it out.
//!
//! A table of our own and no macros on the handlers: these parse their bodies themselves, byte by byte, so that a library
//! that reads types would describe something else than what is taken. A test holds the table to the router.

mod operations;
mod schemas;

use axum::{
    extract::OriginalUri,
    response::{IntoResponse, Response},
};
use http::header;
use serde_json::{Map, Value, json};

use operations::{Body, OPERATIONS, Operation};

/// `GET /v1/openapi.json`: nobody has to show anything, and nothing is told of anybody.
pub(super) async fn openapi(OriginalUri(uri): OriginalUri) -> Response {
    let prefix = uri.path().strip_suffix("/v1/openapi.json").unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], description(prefix).to_string()).into_response()
}

/// `prefix`: below which path all of it lies; none where it is the root.
fn description(prefix: &str) -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = described(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tetherline",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
            "description": "Publishing to users, streams, and looking at users. WebSockets are in docs/protocol.md.",
        },
        "servers": [{ "url": if prefix.is_empty() { "/" } else { prefix } }],
        "paths": paths,
        "components": {
            "securitySchemes": { "key": {
                "type": "http", "scheme": "bearer", "description": "An API key of the scope that the operation names.",
            } },
            "schemas": schemas::all(),
        },
    })
}

fn described(operation: &Operation) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters(operation),
        "responses": responses(operation),
    });
    if let Some(scope) = operation.scope {
        described["security"] = json!([{ "key": [] }]);
        described["description"] = json!(format!("Needs the scope `{scope}`."));
    }
    if let Some(Body { schema, is_required, media }) = &operation.body {
        let content: Map<_, _> =
            media.iter().map(|media| ((*media).to_owned(), content(media, schema))).collect();
        described["requestBody"] = json!({ "required": is_required, "content": content });
    }
    described
}

/// Lines are described as the text that they are.
fn content(media: &str, schema: &str) -> Value {
    match media {
        "application/x-ndjson" => json!({ "schema": { "type": "string" } }),
        _ => json!({ "schema": reference(schema) }),
    }
}

fn parameters(operation: &Operation) -> Vec<Value> {
    let in_path = operation.path.split(['{', '}']).skip(1).step_by(2);
    let in_path = in_path.map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": schemas::of_parameter(name) })
    });
    let in_query = operation
        .query
        .iter()
        .map(|name| json!({ "name": name, "in": "query", "schema": schemas::of_parameter(name) }));
    let in_header = operation
        .headers
        .iter()
        .map(|name| json!({ "name": name, "in": "header", "schema": schemas::of_parameter(name) }));
    in_path.chain(in_query).chain(in_header).collect()
}

fn responses(operation: &Operation) -> Value {
    let mut responses = Map::new();
    for (status, schema) in operation.answers {
        let mut answer = json!({ "description": words(*status) });
        if !schema.is_empty() {
            answer["content"] = json!({ "application/json": { "schema": reference(schema) } });
        }
        responses.insert(status.to_string(), answer);
    }
    for status in operation.refusals() {
        let problem = json!({ "application/problem+json": { "schema": reference("Problem") } });
        let answer = json!({ "description": words(status), "content": problem });
        responses.insert(status.to_string(), answer);
    }
    Value::Object(responses)
}

fn words(status: u16) -> &'static str {
    http::StatusCode::from_u16(status)
        .ok()
        .and_then(|it| it.canonical_reason())
        .unwrap_or("An answer")
}

fn reference(schema: &str) -> Value {
    match schema.strip_suffix("[]") {
        Some(item) => json!({ "type": "array", "items": reference(item) }),
        None => json!({ "$ref": format!("#/components/schemas/{schema}") }),
    }
}

#[cfg(test)]
mod tests;
