//! What large messages leave in a server's memory.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::json;

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
