//! Live-only messages: for whoever is connected now, and kept for nobody.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{API_KEY, Client, TestServer, config, user};
use tetherline_protocol::frame::Message;

const MINE: &str = r#"{"type":"get_pending"}"#;
/// More than the sockets between two ends take, so that a reader that reads nothing holds up.
const LARGE_BYTES: usize = 512 * 1024;
const LARGE_MESSAGES: u64 = 48;

async fn post(server: &TestServer, query: &str, key: Option<&str>) -> (StatusCode, Value) {
    let mut request = reqwest::Client::new()
        .post(server.http(&format!("/v1/users/ada/messages{query}")))
        .bearer_auth(API_KEY)
        .body(r#"{"type":"typing","who":"bob"}"#);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

fn say(server: &TestServer, text: &str) -> String {
    let message = Message::parse(text).unwrap();
    server.server.publish_live(&user("ada"), &message).unwrap().as_str().to_owned()
}

#[tokio::test]
async fn a_live_only_message_has_an_id_and_no_position_and_is_not_there_later() {
    let server = TestServer::start(config()).await;
    assert_eq!(post(&server, "?durable=false", None).await.0, StatusCode::ACCEPTED, "to nobody");
    // Also before it has asked for anything: it is connected.
    let mut laptop = server.connect("ada", "laptop").await;
    let mut phone = server.connect("ada", "phone").await;
    let mut bob = server.connect("bob", "laptop").await;
    let (status, receipt) = post(&server, "?durable=false", None).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(receipt, json!({"id": receipt["id"]}));
    for client in [&mut laptop, &mut phone] {
        let frame = client.next_of("typing").await;
        assert_eq!((&frame["id"], &frame["who"]), (&receipt["id"], &json!("bob")));
        assert_eq!(frame.get("seq"), None);
        assert!(frame["timestamp"].is_string());
        client.assert_quiet().await;
    }
    bob.assert_quiet().await;
    assert_eq!(laptop.pending(MINE).await.1["delivered"], 0);
    assert_eq!(say(&server, r#"{"type":"typing","id":"mine"}"#), "mine");
    assert_eq!(laptop.next_of("typing").await["id"], "mine");
}

#[tokio::test]
async fn what_asks_for_both_keeping_and_not_keeping_is_refused() {
    let server = TestServer::start(config()).await;
    let (status, body) = post(&server, "?durable=false", Some("order-7")).await;
    assert_eq!(
        (status, &body["error"]["field"]),
        (StatusCode::BAD_REQUEST, &json!("Idempotency-Key"))
    );
    let (status, body) = post(&server, "?durable=perhaps", None).await;
    assert_eq!((status, &body["error"]["field"]), (StatusCode::BAD_REQUEST, &json!("durable")));
    let (status, _) = post(&server, "?durable=true", Some("order-7")).await;
    assert_eq!(status, StatusCode::CREATED);
}

#[tokio::test]
async fn live_only_messages_are_limited_in_size_as_all_are() {
    let mut config = config();
    config.limits.publish_bytes_max = 24;
    let server = TestServer::start(config).await;
    let publish = |text| server.server.publish_live(&user("ada"), &Message::parse(text).unwrap());
    assert!(publish(r#"{"type":"t","a":"xxxxxxxxxxxxxxxxxx"}"#).is_ok());
    assert!(publish(r#"{"type":"t","a":"xxxxxxxxxxxxxxxxxxx"}"#).is_err());
}

#[tokio::test]
async fn one_who_is_slow_misses_the_oldest_and_delays_nobody() {
    let mut config = config();
    (config.limits.live_messages_max, config.limits.live_bytes_max) = (4, usize::MAX);
    let server = TestServer::start(config).await;
    let mut fast = server.connect("ada", "fast").await;
    let mut slow = server.connect("ada", "slow").await;
    fast.pending(MINE).await;
    slow.pending(MINE).await;
    let padding = "x".repeat(LARGE_BYTES);
    for n in 1..=LARGE_MESSAGES {
        say(&server, &format!(r#"{{"type":"live","n":{n},"padding":"{padding}"}}"#));
        assert_eq!(fast.next_of("live").await["n"], n);
    }
    server.publish_numbers("ada", 1..=3).await;
    assert_eq!(fast.numbers(3).await, [1, 2, 3]);

    let (live, durable) = until_the_last(&mut slow).await;
    assert_eq!(durable, [1, 2, 3], "what is kept comes to everybody, in order");
    assert!(live.is_sorted_by(|one, next| one < next), "{live:?}");
    assert!(live.len() < usize::try_from(LARGE_MESSAGES).unwrap(), "it was not slow: {live:?}");
    let newest = LARGE_MESSAGES - 3..=LARGE_MESSAGES;
    assert!(newest.clone().all(|n| live.contains(&n)), "the ring has 4: {live:?}");
}

/// The live-only messages and the others up to the last of both.
async fn until_the_last(client: &mut Client) -> (Vec<u64>, Vec<u64>) {
    let (mut live, mut durable) = (Vec::new(), Vec::new());
    while live.last() != Some(&LARGE_MESSAGES) || durable.len() < 3 {
        let frame = client.next().await;
        let numbers = if frame["type"] == "live" { &mut live } else { &mut durable };
        numbers.push(frame["n"].as_u64().unwrap());
    }
    (live, durable)
}

#[tokio::test]
async fn whoever_reads_on_gets_all_of_them_in_order_beside_what_is_kept() {
    let server = TestServer::start(config()).await;
    server.publish_numbers("ada", 1..=300).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(MINE).await;
    let (mut live, mut durable) = (Vec::new(), Vec::new());
    for n in 1..=100_u64 {
        say(&server, &format!(r#"{{"type":"live","n":{n}}}"#));
    }
    server.publish_numbers("ada", 301..=301).await;
    while live.len() < 100 || durable.len() < 301 {
        let frame = client.next().await;
        match frame["type"].as_str().unwrap() {
            "live" => live.push(frame["n"].as_u64().unwrap()),
            "number" => durable.push(frame["n"].as_u64().unwrap()),
            other => assert_eq!(other, "pending_check_complete"),
        }
    }
    assert_eq!(live, (1..=100).collect::<Vec<_>>());
    assert_eq!(durable, (1..=301).collect::<Vec<_>>());
}
