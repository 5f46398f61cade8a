use std::{collections::BTreeSet, env, fs, path::Path};

use super::*;

#[test]
fn every_route_is_described_and_there_is_no_other() {
    let source = include_str!("../../http.rs");
    let mut routed = BTreeSet::new();
    for line in source.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")) {
        let (path, handlers) = line.split_once("\", ").unwrap();
        for method in ["get", "post", "delete"] {
            if handlers.starts_with(&format!("{method}("))
                || handlers.contains(&format!(").{method}("))
            {
                routed.insert((method.to_owned(), path.to_owned()));
            }
        }
    }
    // WebSockets are no requests that are answered once.
    routed.retain(|(_, path)| !path.starts_with("/ws"));
    let described =
        OPERATIONS.iter().map(|it| (it.method.to_owned(), it.path.to_owned())).collect();
    assert_eq!(routed, described);
}

#[test]
fn whatever_is_referred_to_is_there() {
    let description = description("");
    let text = description.to_string();
    let schemas = description["components"]["schemas"].as_object().unwrap();
    for name in text.split("#/components/schemas/").skip(1) {
        let name = name.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    for name in schemas.keys() {
        assert!(
            text.contains(&format!("#/components/schemas/{name}\"")),
            "nobody refers to {name}"
        );
    }
    let ids: BTreeSet<_> = OPERATIONS.iter().map(|operation| operation.id).collect();
    assert_eq!(ids.len(), OPERATIONS.len());
}

#[test]
fn the_file_is_what_the_server_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let page = format!("{:#}\n", description(""));
    // `cargo xtask codegen` runs this test so.
    if env::var_os("TETHERLINE_CODEGEN").is_some() {
        return fs::write(path, page).unwrap();
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/openapi.json is not what the server says: `cargo xtask codegen`"
    );
}
