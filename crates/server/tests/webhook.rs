//! Sends that go to an application behind a URL: signed, under one key, until the outcome is known.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use axum::{Router, extract::State, http::HeaderMap, response::IntoResponse, routing::post};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use support::{TestServer, config};
use tetherline_server::{InvalidWebhook, Webhook};
use tokio::sync::Mutex;

const SECRET: &str = "the-secret-that-both-know";

#[derive(Clone, Default)]
struct Receiver {
    requests: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    /// What it answers, in order; 204 when there is nothing left.
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
}

impl Receiver {
    async fn start(answers: &[(u16, &str)]) -> (Self, SocketAddr) {
        let receiver = Self::default();
        for &(status, body) in answers {
            receiver.answers.lock().await.push_back((status, body.into()));
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/hook", post(receive)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (receiver, address)
    }

    async fn keys(&self) -> Vec<String> {
        let requests = self.requests.lock().await;
        requests.iter().map(|(headers, _)| text(headers, "idempotency-key")).collect()
    }
}

async fn receive(
    State(receiver): State<Receiver>,
    headers: HeaderMap,
    body: String,
) -> impl IntoResponse {
    receiver.requests.lock().await.push((headers, body));
    let answer = receiver.answers.lock().await.pop_front();
    let (status, body) = answer.unwrap_or((204, String::new()));
    (axum::http::StatusCode::from_u16(status).unwrap(), body)
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers[name].to_str().unwrap().to_owned()
}

async fn server_with(address: SocketAddr) -> TestServer {
    let webhook = Webhook::new(&format!("http://{address}/hook"), SECRET).unwrap();
    TestServer::start_with(config(), Some(Arc::new(webhook))).await
}

#[tokio::test]
async fn a_send_becomes_one_signed_request_and_its_2xx_accepts_it() {
    let (receiver, address) = Receiver::start(&[]).await;
    let server = server_with(address).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"ask","id":"m1","timestamp":1,"text":"Grüße"}"#).await;
    assert_eq!(client.next().await, json!({"type":"accepted","ref":"m1"}));

    let requests = receiver.requests.lock().await;
    let [(headers, body)] = &requests[..] else { panic!("{requests:?}") };
    let body_value: Value = serde_json::from_str(body).unwrap();
    let message = json!({"type":"ask","id":"m1","timestamp":1,"text":"Grüße"});
    assert_eq!(body_value, json!({"user":"ada","device":"laptop","message":message}));
    assert_eq!(text(headers, "idempotency-key"), "ada/m1");

    let signed = format!("ada/m1.{}.{body}", text(headers, "webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    let expected = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(text(headers, "webhook-signature"), expected);
}

#[tokio::test]
async fn a_stop_is_told_as_a_send_is() {
    let (receiver, address) = Receiver::start(&[]).await;
    let server = server_with(address).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"message_stop","id":"s1","ref":"q1"}"#).await;
    assert_eq!(client.next().await, json!({"type":"accepted","ref":"s1"}));
    let requests = receiver.requests.lock().await;
    let [(headers, body)] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(text(headers, "idempotency-key"), "ada/s1");
    let mut told: Value = serde_json::from_str(body).unwrap();
    assert!(told["message"]["timestamp"].take().is_string());
    let message = json!({"type":"message_stop","id":"s1","timestamp":null,"ref":"q1"});
    assert_eq!(told, json!({"user":"ada","device":"laptop","message":message}));
}

#[tokio::test]
async fn a_backend_that_knows_no_stop_does_not_keep_one_from_counting() {
    // The answer was stopped, and the person read that it could not be.
    let (_, address) = Receiver::start(&[(422, "")]).await;
    let server = server_with(address).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"message_stop","id":"s1","ref":"q1"}"#).await;
    assert_eq!(client.next().await, json!({"type":"accepted","ref":"s1"}));
}

#[tokio::test]
async fn a_4xx_refuses_for_good_in_the_applications_own_words() {
    let own = r#"{"error":{"code":"quota_used_up","message":"Come back tomorrow."}}"#;
    let (receiver, address) = Receiver::start(&[(402, own), (400, "<html>")]).await;
    let server = server_with(address).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    let refused = client.next_of("error").await;
    assert_eq!((&refused["ref"], &refused["retryable"]), (&json!("m1"), &json!(false)));
    assert_eq!(refused["code"], "quota_used_up");
    assert_eq!(refused["message"], "Come back tomorrow.");

    client.send(r#"{"type":"ask","id":"m2"}"#).await;
    assert_eq!(client.next_of("error").await["code"], "rejected");

    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    assert_eq!(client.next_of("error").await["code"], "quota_used_up");
    assert_eq!(receiver.keys().await, ["ada/m1", "ada/m2"], "a final outcome is not asked again");
}

#[tokio::test]
async fn an_unknown_outcome_is_asked_again_under_the_same_key() {
    let (receiver, address) = Receiver::start(&[(500, ""), (429, "")]).await;
    let server = server_with(address).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    assert_eq!(client.next().await, json!({"type":"accepted","ref":"m1"}));
    assert_eq!(receiver.keys().await, ["ada/m1", "ada/m1", "ada/m1"]);
}

#[tokio::test]
async fn an_application_that_is_gone_makes_the_client_come_again() {
    let (receiver, address) = Receiver::start(&[(503, ""), (503, ""), (503, "")]).await;
    let server = server_with(address).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    let refused = client.next_of("error").await;
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("unavailable"), &json!(true)));
    assert_eq!(refused["retry_after_ms"], 2_000);

    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    assert_eq!(client.next().await, json!({"type":"accepted","ref":"m1"}));
    assert_eq!(receiver.keys().await.len(), 4);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (receiver, address) = Receiver::start(&[(307, ""), (307, ""), (307, "")]).await;
    let server = server_with(address).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    assert_eq!(client.next_of("error").await["code"], "unavailable");
    assert_eq!(receiver.keys().await.len(), 3);
}

#[test]
fn only_http_addresses_are_webhooks() {
    for address in ["ftp://example.com", "not an address", "http://", "/hook"] {
        let refused = Webhook::new(address, SECRET);
        assert!(matches!(refused, Err(InvalidWebhook::Address(_))), "{address}");
    }
}
