//! How to ask something from a shell.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Operation, entries, list, text};

/// A command for an operation, with its body; `URL`, `KEY` and what else begins with `$` are the reader's.
pub(super) fn curl(operation: &Operation, body: Option<Value>) -> String {
    let Operation { method, path, said } = operation;
    let mut command = String::from("curl");
    if *method != "get" {
        write!(command, " -X {}", method.to_uppercase()).expect("a text takes it");
    }
    write!(command, " \"$URL{}\"", filled(path)).expect("a text takes it");
    if !list(&said["security"]).is_empty() {
        command.push_str(" \\\n  -H \"Authorization: Bearer $KEY\"");
    }
    let mut parameters = list(&said["parameters"]).iter();
    if parameters.any(|it| it["name"] == "If-Match" && it["required"] == true) {
        command.push_str(" \\\n  -H \"If-Match: $ETAG\"");
    }
    if let Some(body) = body {
        // No example has a quote in it: a test runs them.
        write!(command, " \\\n  -H 'Content-Type: application/json' -d '{body}'")
            .expect("a text takes it");
    }
    command
}

fn filled(path: &str) -> String {
    let values = [
        ("{user}", "ada"),
        ("{message_uuid}", "answer-1"),
        ("{attempt}", "1"),
        ("{session}", "s1"),
        ("{name}", "billing"),
        ("{connection_id}", "$CONNECTION"),
    ];
    values.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// The first example of what is to be sent.
pub(super) fn body_of(said: &Value, description: &Value) -> Option<Value> {
    let (_, body) = entries(&said["requestBody"]["content"]).next()?;
    let name = text(&body["schema"]["$ref"]).rsplit('/').next()?;
    let schema = &description["components"]["schemas"][name];
    list(&schema["examples"]).first().or(schema.get("example")).cloned()
}
