use std::{env, fs, path::Path};

use super::*;

#[test]
fn whatever_is_referred_to_is_there() {
    let description = serde_json::to_value(description("")).unwrap();
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
}

#[test]
fn the_file_is_what_the_server_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let page = description("").to_pretty_json().unwrap() + "\n";
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
