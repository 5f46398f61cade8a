//! How often things may happen, on a real socket.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, future::BoxFuture};
use serde_json::json;
use support::{TestServer, config};
use tetherline_protocol::CloseCode;
use tetherline_server::{Application, HOLDS_MAX, Incoming, Rate, Rates, Refusal, SendAnswer};
use tokio_tungstenite::tungstenite::Message as Frame;

struct Yes;

impl Application for Yes {
    fn receive(&self, _: Incoming) -> BoxFuture<'_, Result<Option<SendAnswer>, Refusal>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

async fn start(change: impl FnOnce(&mut Rates)) -> TestServer {
    let mut config = config();
    change(&mut config.rates);
    TestServer::start_with(config, Some(Arc::new(Yes))).await
}

#[tokio::test]
async fn the_last_send_that_fits_is_taken_and_one_more_is_told_when_to_come_again() {
    let server = start(|rates| rates.sends_per_connection = Some(Rate::per_minute(3))).await;
    let mut client = server.connect("ada", "laptop").await;
    for n in 0..3 {
        client.send(&format!(r#"{{"type":"ask","id":"m{n}"}}"#)).await;
        assert_eq!(client.next().await, json!({"type":"accepted","ref":format!("m{n}")}));
    }
    client.send(r#"{"type":"ask","id":"m3"}"#).await;
    let refused = client.next_of("error").await;
    assert_eq!((&refused["code"], &refused["ref"]), (&json!("rate_limited"), &json!("m3")));
    assert_eq!(refused["retryable"], true);
    let wait = refused["retry_after_ms"].as_u64().unwrap();
    assert!((15_000..=20_000).contains(&wait), "{refused}");
    // Another user is not concerned, nor is another connection.
    for name in ["ada", "bob"] {
        let mut other = server.connect(name, "phone").await;
        other.send(r#"{"type":"ask","id":"m4"}"#).await;
        assert_eq!(other.next().await, json!({"type":"accepted","ref":"m4"}));
    }
}

#[tokio::test]
async fn a_user_has_no_more_sends_for_many_connections_nor_for_another_one() {
    let server = start(|rates| rates.sends_per_user = Some(Rate::per_minute(2))).await;
    for (device, n) in [("laptop", 0), ("phone", 1)] {
        let mut client = server.connect("ada", device).await;
        client.send(&format!(r#"{{"type":"ask","id":"m{n}"}}"#)).await;
        client.next_of("accepted").await;
    }
    let mut client = server.connect("ada", "tablet").await;
    client.send(r#"{"type":"stop","id":"m2","ref":"m0"}"#).await;
    assert_eq!(client.next_of("error").await["code"], "rate_limited");
}

#[tokio::test]
async fn a_user_may_say_no_more_for_coming_back() {
    let server = start(|rates| rates.controls_per_user = Some(Rate::per_hour(4))).await;
    for _ in 0..2 {
        let mut client = server.connect("ada", "laptop").await;
        for _ in 0..2 {
            client.send(r#"{"type":"ping","timestamp":1}"#).await;
            client.next_of("pong").await;
        }
    }
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"ping","timestamp":1}"#).await;
    client.next_of("pong").await;
    assert_eq!(client.next_of("error").await["code"], "rate_limited");
    let mut other = server.connect("bob", "laptop").await;
    other.send(r#"{"type":"ping","timestamp":1}"#).await;
    other.next_of("pong").await;
}

#[tokio::test]
async fn a_flood_of_pings_is_answered_at_its_rate_and_ends_with_4429() {
    let rate = Rate::per_second(50).at_once(50);
    let server = start(|rates| rates.controls_per_connection = Some(rate)).await;
    let mut client = server.connect("ada", "laptop").await;
    let began = Instant::now();
    let mut pongs = 0;
    let mut told = 0;
    let flood = u64::from(50 + HOLDS_MAX * 100);
    for _ in 0..flood {
        client.send(r#"{"type":"ping","timestamp":1}"#).await;
    }
    loop {
        match client.socket.next().await {
            Some(Ok(Frame::Text(text))) => {
                pongs += u64::from(text.contains(r#""pong""#));
                told += u64::from(text.contains("rate_limited"));
            }
            Some(Ok(Frame::Close(Some(close)))) => {
                assert_eq!(u16::from(close.code), 4429);
                // It was always told a minute, also where a part of the minute had gone by.
                let told = CloseCode::retry_after_ms(&close.reason).expect("when to come back");
                let gone = u64::try_from(began.elapsed().as_millis()).expect("a short test");
                assert!(told < 60_000, "{}", close.reason);
                assert!(told + gone >= 60_000, "{} after {gone} ms", close.reason);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(told, u64::from(HOLDS_MAX));
    assert!(pongs as f64 <= 50.0 * (seconds + 1.0) + f64::from(HOLDS_MAX) + 1.0, "{pongs}");
}

#[tokio::test]
async fn a_few_bytes_fetch_no_more_than_is_allowed_and_in_the_end_all_of_it() {
    // Thirty-six bytes fetched 3 MiB, as often as somebody sent them.
    const ASK: &str = r#"{"type":"get_pending","after":0}"#;
    let rate = Rate::per_second(256 * 1024).at_once(128 * 1024);
    let server = start(|rates| rates.replay_bytes_per_user = Some(rate)).await;
    let text = "x".repeat(1_000);
    for n in 1..=384 {
        server.publish("ada", &format!(r#"{{"type":"number","n":{n},"text":"{text}"}}"#)).await;
    }
    let mut client = server.connect("ada", "laptop").await;
    let began = Instant::now();
    for _ in 0..20 {
        client.send(ASK).await;
    }
    // What was begun for the earlier ones is given up: the last counts.
    let mut bytes = 0;
    let mut last = 0;
    while last < 384 {
        let frame = client.next().await;
        bytes += frame.to_string().len();
        last = frame["n"].as_u64().unwrap_or(last);
    }
    let allowed = 128.0 * 1024.0 + 256.0 * 1024.0 * began.elapsed().as_secs_f64();
    let slack = 64.0 * 1024.0;
    assert!(bytes as f64 <= allowed + slack, "{bytes} bytes, and {allowed} are allowed");
    assert!(began.elapsed() > Duration::from_millis(800), "{:?}", began.elapsed());
}
