use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::workspace::output;

/// Which crates of this workspace each may use: ARCHITECTURE.md draws the same as a picture.
const MAY_USE: [(&str, &[&str]); 16] = [
    ("tetherline-protocol", &[]),
    ("tetherline-engine", &["tetherline-protocol"]),
    ("tetherline", &["tetherline-engine", "tetherline-protocol"]),
    ("tetherline-wasm", &["tetherline-engine", "tetherline-protocol"]),
    ("tetherline-server", &["tetherline-protocol"]),
    ("tetherline-process", &[]),
    (
        "tetherline-cli",
        &["tetherline", "tetherline-process", "tetherline-server", "tetherline-protocol"],
    ),
    (
        "tetherline-sim",
        &["tetherline-engine", "tetherline-process", "tetherline-server", "tetherline-protocol"],
    ),
    ("tetherline-store-conformance", &["tetherline-server", "tetherline-protocol"]),
    // It knows the server only as a binary.
    ("tetherline-kill-test", &["tetherline", "tetherline-process"]),
    // So does this, and speaks the wire itself: it measures what any client sees.
    ("tetherline-stream-bench", &["tetherline-process"]),
    ("tetherline-server-bench", &["tetherline-process"]),
    (
        "tetherline-hot-paths",
        &["tetherline-engine", "tetherline-process", "tetherline-server", "tetherline-protocol"],
    ),
    ("tetherline-echo", &["tetherline-process", "tetherline-server"]),
    ("tetherline-chat", &["tetherline-process", "tetherline-server", "tetherline-protocol"]),
    ("xtask", &["tetherline-process", "tetherline-protocol", "tetherline-wasm"]),
];

/// What a crate may use in its tests beyond that: the native client is tested against the server, and
/// whoever has a store holds it to what every store promises.
const TESTS_MAY_USE: [(&str, &[&str]); 3] = [
    ("tetherline", &["tetherline-server"]),
    ("tetherline-server", &["tetherline-store-conformance"]),
    ("tetherline-sim", &["tetherline-store-conformance"]),
];

pub(super) fn problems(root: &Path) -> Result<Vec<String>> {
    let text = output(root, "cargo", &["metadata", "--no-deps", "--format-version", "1"])?;
    let metadata: Value = serde_json::from_str(&text).context("`cargo metadata` wrote no JSON")?;
    Ok(problems_in(&metadata))
}

fn problems_in(metadata: &Value) -> Vec<String> {
    let empty = Vec::new();
    let mut problems = Vec::new();
    for package in metadata["packages"].as_array().unwrap_or(&empty) {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = of(&MAY_USE, name) else {
            problems.push(format!(
                "crate {name} has no entry in xtask/src/tidy/crates.rs: say there what it may use"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap_or(&empty) {
            let used = dependency["name"].as_str().unwrap_or_default();
            // Only this workspace's own crates have a path.
            if dependency["path"].is_null() || allowed.contains(&used) {
                continue;
            }
            let for_tests = dependency["kind"] == "dev";
            if for_tests && of(&TESTS_MAY_USE, name).is_some_and(|tests| tests.contains(&used)) {
                continue;
            }
            problems.push(format!(
                "crate {name} uses {used}, which the house does not allow: it may use [{}]. Move \
                 the code to where both may be used",
                allowed.join(", ")
            ));
        }
    }
    problems
}

fn of<'a>(table: &'a [(&str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    table.iter().find(|(entry, _)| *entry == name).map(|(_, allowed)| *allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(name: &str, used: &str, kind: &Value) -> Value {
        serde_json::json!({"packages": [{
            "name": name,
            "dependencies": [{"name": used, "path": "somewhere", "kind": kind}],
        }]})
    }

    #[test]
    fn the_server_never_uses_the_client() {
        let problems = problems_in(&metadata("tetherline-server", "tetherline", &Value::Null));
        assert!(problems[0].contains("tetherline-server uses tetherline,"), "{problems:?}");
    }

    #[test]
    fn the_client_uses_the_server_in_tests_alone() {
        let dev = Value::from("dev");
        assert!(problems_in(&metadata("tetherline", "tetherline-server", &dev)).is_empty());
        assert!(
            !problems_in(&metadata("tetherline", "tetherline-server", &Value::Null)).is_empty()
        );
    }
}
