//! The description as a page to read, in HTML that is made here: it runs no script and loads nothing from elsewhere.

mod example;

use std::sync::LazyLock;

use axum::response::Response;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::{Map, Value};

use super::{super::answer::part_of_a_page, DescriptionReader};
use example::{body_of, curl};

/// What a browser lets the page do: look as it does.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The look of the admin page, and what this one has besides.
const STYLE: &str = concat!(include_str!("../admin/page/page.css"), "\n", include_str!("page.css"));

/// `GET /v1/docs`.
pub(in crate::http) async fn page(_: DescriptionReader) -> Response {
    static PAGE: LazyLock<String> = LazyLock::new(|| {
        let description = serde_json::to_value(super::description(""));
        whole(&description.expect("a description is texts and numbers")).into_string()
    });
    file("text/html; charset=utf-8", &PAGE)
}

/// `GET /v1/docs.css`.
pub(in crate::http) async fn style(_: DescriptionReader) -> Response {
    file("text/css", STYLE)
}

fn file(kind: &'static str, text: &'static str) -> Response {
    part_of_a_page(kind, POLICY, text)
}

/// One way to ask something.
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    said: &'a Value,
}

fn whole(description: &Value) -> Markup {
    let (info, tags) = (&description["info"], list(&description["tags"]));
    let operations: Vec<Operation> = operations(description).collect();
    let of = |tag: &Value| {
        let name = tag["name"].clone();
        operations.iter().filter(move |operation| operation.said["tags"][0] == name)
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (text(&info["title"])) " HTTP API" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="docs.css";
            }
            body.api {
                header {
                    h1 { (text(&info["title"])) " HTTP API" }
                    p { "Version " (text(&info["version"])) ", as " a href="openapi.json" { "OpenAPI 3.1" } }
                }
                main {
                    p { (prose(&info["description"])) }
                    p {
                        "An operation that names a scope needs an API key for it: "
                        code { "Authorization: Bearer KEY" } ". Errors are problem details (RFC 9457): see "
                        a href="#schema-Problem" { "Problem" } "."
                    }
                    nav aria-label="Operations" {
                        @for tag in tags {
                            div {
                                p { strong { (text(&tag["name"])) } }
                                ul {
                                    @for operation in of(tag) {
                                        li { a href={ "#" (operation.id()) } { (operation.summary()) } }
                                    }
                                }
                            }
                        }
                    }
                    @for tag in tags {
                        section.operations {
                            h2 { (text(&tag["name"])) }
                            p { (prose(&tag["description"])) }
                            @for operation in of(tag) { (one(operation, description)) }
                        }
                    }
                    section {
                        h2 { "Schemas" }
                        @for (name, schema) in entries(&description["components"]["schemas"]) {
                            (schema_of(name, schema))
                        }
                    }
                }
            }
        }
    }
}

impl<'a> Operation<'a> {
    fn id(&self) -> &'a str {
        text(&self.said["operationId"])
    }

    fn summary(&self) -> &'a str {
        text(&self.said["summary"]).trim_end_matches('.')
    }
}

fn operations(description: &Value) -> impl Iterator<Item = Operation<'_>> {
    entries(&description["paths"]).flat_map(|(path, methods)| {
        entries(methods).map(move |(method, said)| Operation { method, path, said })
    })
}

fn one(operation: &Operation, description: &Value) -> Markup {
    let Operation { method, path, said } = operation;
    let scopes = list(&said["security"][0]["key"]);
    let parameters = list(&said["parameters"]);
    let is_refusal = |status: &str| status.starts_with(['4', '5']);
    let done = entries(&said["responses"]).filter(|(status, _)| !is_refusal(status));
    let statuses = entries(&said["responses"]).map(|(status, _)| status);
    let refused: Vec<&str> = statuses.filter(|status| is_refusal(status)).collect();
    html! {
        article.panel id=(operation.id()) {
            h3 { (operation.summary()) }
            p.line { span.method { (method.to_uppercase()) } " " code { (path) } }
            p { (prose(&said["description"])) }
            @if !scopes.is_empty() {
                p.soft {
                    "Needs the scope "
                    @for (n, scope) in scopes.iter().enumerate() {
                        @if n > 0 { " and " }
                        code { (text(scope)) }
                    }
                }
            }
            @if !parameters.is_empty() {
                h4 { "Parameters" }
                (table(&["Name", "In", "What it is", "Meaning"], parameters.iter().map(|parameter| [
                    html! { (text(&parameter["name"])) },
                    html! { (text(&parameter["in"])) @if parameter["required"] == true { ", required" } },
                    type_of(&parameter["schema"]),
                    prose(&parameter["description"]),
                ])))
            }
            @if let Some(content) = said["requestBody"]["content"].as_object() {
                h4 { "Body" }
                ul {
                    @for (media, body) in content {
                        li { code { (media) } ": " (type_of(&body["schema"])) }
                    }
                }
            }
            h4 { "Answers" }
            (table(&["Status", "Body", "When"], done.map(|(status, answer)| [
                html! { (status) },
                body_type(answer),
                prose(&answer["description"]),
            ])))
            @if !refused.is_empty() {
                p.soft { "Refused with " (refused.join(", ")) "." }
            }
            h4 { "For example" }
            pre tabindex="0" { code { (curl(operation, body_of(said, description))) } }
        }
    }
}

fn body_type(answer: &Value) -> Markup {
    let content = entries(&answer["content"]).next();
    html! { @if let Some((_, body)) = content { (type_of(&body["schema"])) } }
}

fn schema_of(name: &str, schema: &Value) -> Markup {
    html! {
        article.panel id={ "schema-" (name) } {
            h3 { (name) }
            p { (prose(&schema["description"])) }
            (shape_of(schema))
            @for (n, part) in list(&schema["allOf"]).iter().enumerate() {
                @if n > 0 { p.soft { "And besides:" } }
                (shape_of(part))
            }
        }
    }
}

fn shape_of(schema: &Value) -> Markup {
    let is_required = |field: &str| list(&schema["required"]).iter().any(|it| it == field);
    html! {
            @if schema["properties"].is_object() {
                (table(&["Field", "What it is", "Meaning"], entries(&schema["properties"]).map(|(field, of)| [
                    html! { (field) @if is_required(field) { ", required" } },
                    type_of(of),
                    prose(&of["description"]),
                ])))
                @if schema["additionalProperties"] == false { p.soft { "Nothing else." } }
            } @else if schema["allOf"].is_null() {
                p { (type_of(schema)) }
            }
    }
}

/// What a value is, in words, with a link to what has a name.
fn type_of(schema: &Value) -> Markup {
    if let Some(one) = schema["additionalProperties"].as_object() {
        let each = Value::Object(one.clone());
        return html! { "object: " (type_of(&each)) " by name" };
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|it| it.rsplit('/').next()) {
        return html! { a href={ "#schema-" (name) } { (name) } };
    }
    let either = list(&schema["oneOf"]);
    let bounds =
        ["minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern"];
    let bounds = bounds.iter().filter(|bound| !schema[**bound].is_null());
    html! {
        @for (n, one) in either.iter().enumerate() {
            @if n > 0 { " or " }
            (type_of(one))
        }
        @match &schema["type"] {
            Value::Array(types) => {
                @for (n, one) in types.iter().enumerate() {
                    @if n > 0 { " or " }
                    (text(one))
                }
            },
            Value::String(one) if one == "array" => { "array of " (type_of(&schema["items"])) },
            one => { (text(one)) },
        }
        @if let Some(format) = schema["format"].as_str() { ", " (format) }
        @if let Some(values) = schema["enum"].as_array() {
            ": "
            @for (n, value) in values.iter().enumerate() {
                @if n > 0 { ", " }
                code { (plain(value)) }
            }
        }
        @for bound in bounds { ", " (bound) " " code { (plain(&schema[*bound])) } }
    }
}

fn table<const N: usize>(heads: &[&str; N], rows: impl Iterator<Item = [Markup; N]>) -> Markup {
    html! {
        div.table tabindex="0" {
            table {
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody { @for row in rows { tr { @for cell in row { td { (cell) } } } } }
            }
        }
    }
}

/// A text in which `code` stands between backticks.
fn prose(said: &Value) -> Markup {
    let pieces = text(said).split('`').enumerate();
    html! {
        @for (n, piece) in pieces {
            @if n % 2 == 1 { code { (piece) } } @else { (piece) }
        }
    }
}

fn plain(value: &Value) -> PreEscaped<String> {
    let words = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    html! { (words) }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}
