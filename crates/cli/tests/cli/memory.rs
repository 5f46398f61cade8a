//! What large messages leave in a server's memory.

use std::{
    fs,
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::json;
use tetherline_server::SENDS_BYTES_PER_USER_MAX;

use crate::{
    socket::Socket,
    support::{PATIENCE, Server, run, text},
};

const USERS: usize = 10;
const DEVICES: usize = 8;
const MESSAGE_BYTES: usize = 900_000;

/// What may stay in all: a quarter of a message for each, most of it the caches of the store.
const LEFT_BYTES_MAX: u64 = (USERS * DEVICES * MESSAGE_BYTES / 4) as u64;

#[tokio::test]
async fn what_a_large_message_took_is_given_back() {
    // One message of 900 kB kept 1.1 MB for each connection that got it, for as long as that lasted.
    let server = Server::start();
    let names: Vec<String> = (0..USERS).map(|n| format!("u{n}")).collect();
    let mut pages = Vec::new();
    for name in &names {
        for device in 0..DEVICES {
            pages.push(Socket::of(&server, name, &format!("d{device}")).await);
        }
    }
    for page in &mut pages {
        page.send(&json!({"type": "get_pending", "after": 0})).await;
        page.frame("pending_check_complete").await;
    }
    let before = server.memory_bytes();
    let text = "x".repeat(MESSAGE_BYTES);
    publish(
        &server,
        &json!({"users": names, "message": {"type": "note", "text": text}}).to_string(),
    );
    join_all(pages.iter_mut().map(|page| page.frame("note"))).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = server.memory_bytes().saturating_sub(before);
        if left < LEFT_BYTES_MAX {
            break;
        }
        assert!(Instant::now() < deadline, "{left} bytes stay");
        thread::sleep(Duration::from_millis(100));
    }
    // They are connected still, or nothing would have been shown.
    server.publish("u0", r#"{"n": 1}"#);
    assert_eq!(pages[0].frame("note").await["n"], 1);
}

fn publish(server: &Server, line: &str) {
    let (file, key) = (server.file("batch.ndjson"), server.file("api.key"));
    fs::write(&file, line).unwrap();
    let publish = ["publish", "--url", &server.url, "--api-key-file", text(&key)];
    let output = run(&[&publish[..], &["--batch", text(&file)]].concat());
    assert!(output.status.success(), "{output:?}");
}

const CONNECTIONS: usize = 64;
const SENDS: usize = 20;
const SEND_BYTES: usize = 60_000;

/// What may wait for the application of one user's, and as much again twice for what is being handed over: as a
/// message, as a request, and as the socket has it.
const SENDS_LEFT_BYTES_MAX: u64 = 3 * SENDS_BYTES_PER_USER_MAX as u64 + 20 * 1024 * 1024;

/// Takes every request, and answers none.
fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        let held: Vec<_> = listener.incoming().map_while(Result::ok).collect();
        drop(held);
    });
    url
}

#[tokio::test]
async fn what_one_user_sends_to_a_slow_application_takes_so_much_memory_and_no_more() {
    // 64 connections of one user held 155 MB.
    let url = silent();
    // As if they had had the time to send all of it.
    let mut options = vec!["--webhook-url", &url];
    for rate in ["--sends-per-connection", "--sends-per-user"] {
        options.extend([rate, "off"]);
    }
    for rate in ["--send-bytes-per-connection", "--send-bytes-per-user"] {
        options.extend([rate, "off"]);
    }
    let server = Server::start_with(&options);
    let mut pages = Vec::new();
    for n in 0..CONNECTIONS {
        pages.push(Socket::of(&server, "ada", &format!("d{n}")).await);
    }
    let before = server.memory_bytes();
    let text = "x".repeat(SEND_BYTES);
    let refused = join_all(pages.iter_mut().map(async |page| {
        for n in 0..SENDS {
            page.send(&json!({"type": "ask", "id": format!("m{n}"), "text": text})).await;
        }
        page.send(&json!({"type": "ping"})).await;
        let mut refused = 0;
        loop {
            let frame = page.next().await.unwrap();
            match frame["type"].as_str().unwrap() {
                "pong" => return refused,
                "error" => {
                    assert_eq!(
                        (&frame["code"], &frame["retryable"]),
                        (&json!("rate_limited"), &json!(true))
                    );
                    refused += 1;
                }
                _ => {}
            }
        }
    }))
    .await;
    let left = server.memory_bytes().saturating_sub(before);
    let held = CONNECTIONS * SENDS - refused.iter().sum::<usize>();
    assert!(left < SENDS_LEFT_BYTES_MAX, "{left} bytes stay of {held} sends");
    assert_eq!(held, SENDS_BYTES_PER_USER_MAX / SEND_BYTES, "as many as fit wait");
}
