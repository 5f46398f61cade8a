//! What clients send reaches the operator's own backend.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};
use tetherline::{Client, SendError};

use crate::support::{Process, Server, complaint, text};

/// Takes one request, answers 204, and gives back its headers and body.
pub(crate) fn backend() -> (String, JoinHandle<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/tetherline", listener.local_addr().unwrap());
    let request = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream);
        let mut headers = String::new();
        while !headers.ends_with("\r\n\r\n") {
            reader.read_line(&mut headers).unwrap();
        }
        let length = headers.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
        });
        let mut body = vec![0; length.unwrap()];
        reader.read_exact(&mut body).unwrap();
        reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        (headers, String::from_utf8(body).unwrap())
    });
    (url, request)
}

pub(crate) fn client(server: &Server) -> Client {
    client_of(server, "ada")
}

pub(crate) fn client_of(server: &Server, user: &str) -> Client {
    Client::builder(&server.url)
        .user(user.parse().unwrap())
        .device("laptop".parse().unwrap())
        .only_token(server.token(user))
        .connect()
        .unwrap()
}

#[tokio::test]
async fn a_send_is_handed_to_the_webhook_and_accepted() {
    let (url, request) = backend();
    let server = Server::start_with(&["--webhook-url", &url]);
    let accepted = client(&server).send(r#"{"type":"ask","text":"Hi"}"#).await.unwrap();

    let (headers, body) = request.join().unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["user"], &body["device"]), (&json!("ada"), &json!("laptop")));
    assert_eq!(body["message"]["text"], "Hi");
    assert_eq!(body["message"]["id"], accepted.id.as_str());
    assert!(headers.to_lowercase().contains("webhook-signature: v1,"), "{headers}");
    assert!(server.file("webhook.secret").exists());
}

#[tokio::test]
async fn without_one_a_send_is_refused_with_the_reason() {
    let server = Server::start();
    let refused = client(&server).send(r#"{"type":"ask"}"#).await.unwrap_err();
    assert!(
        matches!(&refused, SendError::Refused { code, .. } if &**code == "no_application"),
        "{refused:?}"
    );
}

#[test]
fn an_address_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(folder.path());
    let said =
        complaint(&["serve", "--listen", "127.0.0.1:0", "--data", data, "--webhook-url", "x"]);
    assert!(said.contains("--webhook-url") && said.contains("http://"), "{said}");
}

/// A backend that verifies with the library of Standard Webhooks, which npm has.
pub(crate) fn verifying(secret: &Path) -> (Process, String) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/webhook");
    let mut command = Command::new("node");
    command.args(["verifying.mjs", text(secret)]).current_dir(folder).stdin(Stdio::null());
    let process = Process::spawn(command);
    let url = process.line();
    (process, url)
}

#[tokio::test]
async fn the_library_of_standard_webhooks_takes_the_secret_from_its_file() {
    // It took the text for base64, and so every request for a forged one.
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("webhook.secret");
    let (_backend, url) = verifying(&secret);
    let server = Server::start_on(folder, &["--webhook-url", &url]);
    let made = fs::read_to_string(&secret).unwrap();
    assert!(made.starts_with("whsec_"), "a new one has the form of Standard Webhooks");
    for user in ["ada", "auth0|5f7c", "Ада \"Л\""] {
        client_of(&server, user).send(r#"{"type":"ask","text":"Grüße"}"#).await.unwrap();
    }
}

#[tokio::test]
async fn a_secret_of_before_goes_on_to_sign_as_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("before.secret");
    fs::write(&secret, "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n").unwrap();
    let (_backend, url) = verifying(&secret);
    let server =
        Server::start_with(&["--webhook-url", &url, "--webhook-secret-file", text(&secret)]);
    client(&server).send(r#"{"type":"ask","text":"Grüße"}"#).await.unwrap();
}

/// An example backend that answers what a thing costs.
fn price(program: &str, script: &str, secret: &Path) -> (Process, String) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/backends");
    let mut command = Command::new(program);
    command.args([script, text(secret)]).current_dir(folder).stdin(Stdio::null());
    let process = Process::spawn(command);
    let url = process.line();
    (process, url)
}

#[tokio::test]
async fn the_example_backends_answer_a_question_and_a_repeat_gets_the_same() {
    // What a webhook said beside its 2xx was thrown away.
    for (program, script) in [("node", "price.mjs"), ("python3", "price.py")] {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("webhook.secret");
        let (backend, url) = price(program, script, &secret);
        let server = Server::start_on(folder, &["--webhook-url", &url]);
        let (laptop, phone) = (client(&server), client(&server));
        let ask = |sku: &str| format!(r#"{{"type":"price_asked","id":"q-{sku}","sku":"{sku}"}}"#);
        let tea = laptop.send(&ask("tea")).await.unwrap().answer.unwrap();
        assert_eq!(tea.read::<Value>().unwrap(), json!({"price": "2.40"}), "{script}");
        let gold = laptop.send(&ask("gold")).await.unwrap().answer.unwrap();
        assert_eq!(gold.read::<Value>().unwrap(), json!({ "price": null }), "{script}");
        let refused = laptop.send(r#"{"type":"ask"}"#).await.unwrap_err();
        assert!(
            matches!(&refused, SendError::Refused { code, .. } if &**code == "unknown_type"),
            "{script}: {refused:?}"
        );
        // It is gone, so nobody but the server can say it again.
        drop(backend);
        assert_eq!(phone.send(&ask("tea")).await.unwrap().answer, Some(tea), "{script}");
    }
}

#[tokio::test]
async fn an_example_backend_with_an_older_secret_refuses_nothing_for_good() {
    // Its 401 gave a reason in our form, and that is an outcome: what was sent meanwhile was lost.
    for (program, script) in [("node", "price.mjs"), ("python3", "price.py")] {
        let folder = tempfile::tempdir().unwrap();
        let older = folder.path().join("older.secret");
        std::fs::write(&older, format!("whsec_{}", "A".repeat(32))).unwrap();
        let (_backend, url) = price(program, script, &older);
        let server = Server::start_on(folder, &["--webhook-url", &url]);
        let laptop = client(&server);
        let sent = laptop.send(r#"{"type":"price_asked","id":"q","sku":"tea"}"#);
        let settled = tokio::time::timeout(std::time::Duration::from_secs(2), sent).await;
        assert!(settled.is_err(), "{script}: {settled:?}");
    }
}
