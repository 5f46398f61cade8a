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
    outbound::proxy,
    socket::Socket,
    support::{PATIENCE, Server, complaint, text},
    tls::front,
    webhook::backend,
};

/// Knows one token, and tells what it was asked.
pub(crate) fn application() -> (String, Receiver<Value>) {
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

/// Whether somebody with this token gets in at `/ws`, and as whom.
async fn gets_in(server: &Server, token: &str) -> Result<Value, u16> {
    let offer = ["tetherline.v1".to_owned(), format!("bearer.{token}")];
    let mut socket = Socket::open(&server.url, "/ws?device=laptop", &offer).await?;
    Ok(socket.frame("connection_established").await["user_uuid"].clone())
}

#[tokio::test]
async fn the_proxy_that_is_named_is_asked_and_none_of_the_environment() {
    let (elsewhere, passed) = proxy("HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n");
    let environment = ["HTTP_PROXY", "http_proxy", "ALL_PROXY"].map(|name| (name, &*elsewhere));
    let (url, asked) = application();
    let start =
        |options: &[&str]| Server::start_in(&environment, tempfile::tempdir().unwrap(), options);
    let server = start(&["--connect-hook-url", &url]);
    assert_eq!(gets_in(&server, "adas-session").await, Ok(json!("ada")));
    assert_eq!(gets_in(&server, "nobodys").await, Err(401));
    assert_eq!(asked.try_iter().count(), 2);
    assert_eq!(passed.try_recv().ok(), None);

    let (between, asked) = proxy(
        "HTTP/1.1 200 OK\r\ncontent-length: 14\r\nconnection: close\r\n\r\n{\"user\":\"ada\"}",
    );
    let hook = ["--connect-hook-url", "http://app.invalid/hook", "--connect-hook-proxy", &between];
    assert_eq!(gets_in(&start(&hook), "any").await, Ok(json!("ada")));
    assert_eq!(asked.recv_timeout(PATIENCE).unwrap(), "POST http://app.invalid/hook HTTP/1.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_may_have_a_certificate_of_its_own_and_who_trusts_it_not_asks_nothing() {
    let (url, asked) = application();
    let front = front(url.trim_end_matches("/connect?key=secret")).await;
    let url = format!("{}/connect?key=secret", front.url);
    let server = Server::start_with(&["--connect-hook-url", &url]);
    assert_eq!(gets_in(&server, "adas-session").await, Err(503));
    assert_eq!(asked.try_iter().count(), 0);
    let trusted = ["--connect-hook-url", &url, "--connect-hook-cacert", text(&front.certificate)];
    assert_eq!(gets_in(&Server::start_with(&trusted), "adas-session").await, Ok(json!("ada")));
}

#[tokio::test]
async fn who_is_asked_over_plain_http_elsewhere_is_warned_of_once() {
    // Cookies went in the clear to wherever it was, and nothing said so.
    let said = |url: &str| {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let data = tempfile::tempdir().unwrap();
        drop(Server::start_logging_on(data, &log, &["--connect-hook-url", url]));
        std::fs::read_to_string(log).unwrap()
    };
    for elsewhere in ["http://app:3000/hook?key=k7", "http://192.0.2.1/hook?key=k7"] {
        let said = said(elsewhere);
        let warnings: Vec<_> =
            said.lines().filter(|line| line.contains("over plain http")).collect();
        assert!(matches!(warnings[..], [line] if line.contains(" WARN ")), "{warnings:?}");
        assert!(!said.contains("key=k7"), "{said}");
    }
    let safe = ["http://localhost:3000/", "http://127.0.0.2/", "http://[::1]/", "https://app/hook"];
    for safe in safe {
        assert!(!said(safe).contains("plain http"), "{safe}");
    }
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
