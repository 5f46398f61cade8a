//! What commands print for scripts: one JSON object on stdout, and nothing else there.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::{Server, run, text};

/// The object that a command prints that does what it is to.
fn said(arguments: &[&str]) -> Value {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    object(&output)
}

fn object(output: &Output) -> Value {
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told.lines().count(), 1, "{output:?}");
    assert!(!told.contains('\u{1b}') && !output.stderr.contains(&0x1b), "{output:?}");
    serde_json::from_str(&told).unwrap()
}

#[test]
fn what_is_done_for_a_user_is_said_to_a_script() {
    let server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    let (secret, key) = (server.file("jwt.secret"), server.file("api.key"));
    let token = ["token", "--jwt-secret-file", text(&secret), "--user", "ada", "--json"];
    let made = said(&[&token[..], &["--session", "s1", "--ttl", "90s"]].concat());
    assert_eq!(
        made,
        json!({ "token": made["token"], "user": "ada", "session": "s1", "expires_in_s": 90 })
    );
    assert_eq!(made["token"].as_str().unwrap().split('.').count(), 3);
    assert_eq!(said(&token)["session"], Value::Null);

    let of = |task, more: &[&str]| {
        let api = [task, "--url", &server.url, "--api-key-file", text(&key), "--user", "ada"];
        said(&[&api[..], more, &["--json"]].concat())
    };
    let one = of("sign-out", &["--session", "s1"]);
    assert_eq!(one, json!({ "signed_out": "ada", "session": "s1" }));
    assert_eq!(of("sign-out", &[]), json!({ "signed_out": "ada", "session": null }));
    assert_eq!(of("erase", &["--yes"]), json!({ "erased": "ada" }));
    let ready = said(&["health", "--url", &server.url, "--json"]);
    assert_eq!(ready, json!({ "ready": true, "status": 200, "reason": null }));
}

#[test]
fn a_server_that_is_not_ready_is_said_to_a_script_with_its_reason_and_an_exit_code() {
    // More than any disk has.
    let more = ["--space-bytes-min", "9007199254740991"];
    let server = Server::start_on(tempfile::tempdir().unwrap(), &more);
    let output = run(&["health", "--url", &server.url, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(object(&output), json!({ "ready": false, "status": 503, "reason": "no_space" }));
}

#[test]
fn keys_are_said_to_a_script() {
    let folder = tempfile::tempdir().unwrap();
    let keys = |words: &[&str]| {
        said(&[&["keys"], words, &["--data", text(folder.path()), "--json"]].concat())
    };
    let named = json!({ "name": "app", "scopes": ["publish", "read"], "users": "ad" });
    let added = keys(&["add", "app", "--scope", "publish,read", "--users", "ad"]);
    let mut expected = named.clone();
    expected["key"] = added["key"].clone();
    assert_eq!(added, expected);
    assert!(added["key"].as_str().unwrap().len() > 20);
    let file = folder.path().join("letter.key");
    let filed = keys(&["add", "letter", "--scope", "admin", "--out", text(&file)]);
    assert_eq!(filed, json!({ "name": "letter", "scopes": ["admin"], "key_file": text(&file) }));

    let listed = keys(&["list"]);
    let mut expected = named;
    expected["added_at"] = listed["keys"][0]["added_at"].clone();
    assert_eq!(listed["keys"][0], expected);
    assert_eq!(listed["keys"].as_array().unwrap().len(), 2);
    assert_eq!(keys(&["remove", "app"]), json!({ "removed": "app" }));
    assert_eq!(keys(&["remove", "letter"]), json!({ "removed": "letter" }));
    assert_eq!(keys(&["list"]), json!({ "keys": [] }));
}

#[test]
fn a_restore_is_said_to_a_script() {
    let server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    let folder = server.stop();
    let backup = folder.path().join("backup.db");
    said(&["backup", "--data", text(folder.path()), "--to", text(&backup), "--json"]);
    let restore = |data: &str, more: &[&str]| {
        let line = ["restore", "--from", text(&backup), "--data", data, "--json"];
        said(&[&line[..], more].concat())
    };
    let fresh = folder.path().join("fresh");
    let expected = json!({
        "restored": text(&backup), "replaced": null, "sign_outs_kept": false,
        "missing_secrets": ["jwt.secret", "api.key"],
    });
    assert_eq!(restore(text(&fresh), &[]), expected);
    let again = restore(text(folder.path()), &["--replace"]);
    let replaced = again["replaced"].as_str().unwrap();
    assert!(std::path::Path::new(replaced).exists(), "{again}");
    assert_eq!((&again["sign_outs_kept"], &again["missing_secrets"]), (&json!(true), &json!([])));
}
