//! The operator's own backend says who connects.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::mpsc::{Receiver, channel},
    thread,
};

use serde_json::{Value, json};
use tetherline::Client;

use crate::{
    support::{PATIENCE, Server, complaint, text},
    webhook::backend,
};

/// Knows one token, and tells what it was asked.
fn application() -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/connect?key=secret", listener.local_addr().unwrap());
    let (sender, asked) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            let answer = match body["token"].as_str() {
                Some("adas-session") => json!({"user": "ada", "expires_in_ms": 60_000}),
                _ => json!({"refuse": "Nobody is signed in here."}),
            }
            .to_string();
            let _ = sender.send(body);
            let head = format!("content-length: {}\r\nconnection: close", answer.len());
            let _ = write!(reader.get_mut(), "HTTP/1.1 200 OK\r\n{head}\r\n\r\n{answer}");
        }
    });
    (url, asked)
}

#[tokio::test]
async fn an_application_without_jwts_lets_its_own_users_in() {
    let ((url, asked), (webhook, request)) = (application(), backend());
    let server = Server::start_with(&["--connect-hook-url", &url, "--webhook-url", &webhook]);
    let client = Client::builder(&server.url)
        .user("ada".parse().unwrap())
        .device("laptop".parse().unwrap())
        .only_token("adas-session")
        .connect()
        .unwrap();
    client.send(r#"{"type":"ask"}"#).await.unwrap();
    let body: Value = serde_json::from_str(&request.join().unwrap().1).unwrap();
    assert_eq!((&body["user"], &body["device"]), (&json!("ada"), &json!("laptop")));
    let asked = asked.recv_timeout(PATIENCE).unwrap();
    assert_eq!((&asked["user"], &asked["type"]), (&json!("ada"), &json!("connect")));
}

#[test]
fn an_address_that_is_none_is_named_and_so_is_one_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", text(folder.path())];
    let said = complaint(&[&serve[..], &["--connect-hook-url", "x"]].concat());
    assert!(said.contains("--connect-hook-url") && said.contains("http://"), "{said}");
    let said = complaint(&[&serve[..], &["--connect-hook-always"]].concat());
    assert!(said.contains("--connect-hook-url"), "{said}");
}
