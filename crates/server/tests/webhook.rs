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
use tetherline_protocol::limits::{ANSWER_BYTES_MAX, NESTING_MAX};
use tetherline_server::{
    InvalidWebhook, NoHttpClient, WEBHOOK_ANSWER_BYTES_MAX, Webhook, WebhookOptions,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{Mutex, Notify, Semaphore},
};

const SECRET: &str = "the-secret-that-both-know";

#[derive(Clone)]
struct Receiver {
    requests: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    /// What it answers, in order; 204 when there is nothing left.
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    /// Answers while nobody holds it.
    gate: Arc<Semaphore>,
    came: Arc<Notify>,
}

impl Default for Receiver {
    fn default() -> Self {
        let gate = Arc::new(Semaphore::new(1));
        Self { requests: Arc::default(), answers: Arc::default(), gate, came: Arc::default() }
    }
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

    /// Waits until so many requests have come.
    async fn asked(&self, times: usize) {
        while self.requests.lock().await.len() < times {
            self.came.notified().await;
        }
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
    receiver.came.notify_one();
    drop(receiver.gate.acquire().await.unwrap());
    let answer = receiver.answers.lock().await.pop_front();
    let (status, body) = answer.unwrap_or((204, String::new()));
    let kind =
        if body.starts_with("OK") { "text/plain" } else { "application/json; charset=utf-8" };
    (axum::http::StatusCode::from_u16(status).unwrap(), [("content-type", kind)], body)
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers[name].to_str().unwrap().to_owned()
}

fn signature(key: &[u8], (headers, body): &(HeaderMap, String)) -> String {
    let (id, timestamp) = (text(headers, "webhook-id"), text(headers, "webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
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

    let expected = signature(SECRET.as_bytes(), &requests[0]);
    assert_eq!(text(headers, "webhook-signature"), expected);
}

#[tokio::test]
async fn what_a_2xx_says_as_json_is_the_answer() {
    // It was thrown away, so that a send could not be a question.
    let bytes = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let (largest, larger) = (bytes(ANSWER_BYTES_MAX), bytes(ANSWER_BYTES_MAX + 1));
    let deep = format!("{}{}", "[".repeat(NESTING_MAX), "]".repeat(NESTING_MAX));
    let said = [
        (r#"{ "price": 1.20 }"#, json!({"price": 1.2})),
        ("false", json!(false)),
        (&largest, json!("x".repeat(ANSWER_BYTES_MAX - 2))),
        // Nobody has answered anything here, and the send is accepted all the same.
        ("", Value::Null),
        ("null", Value::Null),
        ("OK", Value::Null),
        (&larger, Value::Null),
        (&deep, Value::Null),
        ("{\"price\":", Value::Null),
    ];
    let answers: Vec<_> = said.iter().map(|(body, _)| (200, *body)).collect();
    let (receiver, address) = Receiver::start(&answers).await;
    let server = server_with(address).await;
    let mut client = server.connect("ada", "laptop").await;
    for (number, (body, answer)) in said.iter().enumerate() {
        for _ in ["sent", "repeated"] {
            client.send(&format!(r#"{{"type":"ask","id":"m{number}"}}"#)).await;
            let mut expected = json!({"type":"accepted","ref":format!("m{number}")});
            if !answer.is_null() {
                expected["answer"] = answer.clone();
            }
            assert_eq!(client.next().await, expected, "{body:.20}");
        }
    }
    assert_eq!(receiver.requests.lock().await.len(), said.len(), "each was asked once");
}

#[tokio::test]
async fn a_yes_whose_answer_breaks_off_is_a_yes() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = server_with(listener.local_addr().unwrap()).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    let (mut connection, _) = listener.accept().await.unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    let _ = connection.read(&mut [0; 4096]).await.unwrap();
    connection.write_all(head.as_bytes()).await.unwrap();
    drop(connection);
    assert_eq!(client.next().await, json!({"type":"accepted","ref":"m1"}));
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
    let in_our_form = r#"{"error":{"code":"unknown_type"}}"#;
    for answers in [vec![(422, in_our_form)], vec![(404, "<html>"); 3]] {
        let (receiver, address) = Receiver::start(&answers).await;
        let server = server_with(address).await;
        let mut client = server.connect("ada", "laptop").await;
        client.send(r#"{"type":"message_stop","id":"s1","ref":"q1"}"#).await;
        assert_eq!(client.next().await, json!({"type":"accepted","ref":"s1"}));
        assert_eq!(receiver.keys().await.len(), answers.len());
    }
}

#[tokio::test]
async fn a_4xx_refuses_for_good_in_the_applications_own_words() {
    let own = r#"{"error":{"code":"quota_used_up","message":"Come back tomorrow."}}"#;
    let in_short = r#"{"error":{"code":"no","more":1},"else":[]}"#;
    let (receiver, address) = Receiver::start(&[(402, own), (400, in_short)]).await;
    let server = server_with(address).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    let refused = client.next_of("error").await;
    assert_eq!((&refused["ref"], &refused["retryable"]), (&json!("m1"), &json!(false)));
    assert_eq!(refused["code"], "quota_used_up");
    assert_eq!(refused["message"], "Come back tomorrow.");

    client.send(r#"{"type":"ask","id":"m2"}"#).await;
    let refused = client.next_of("error").await;
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("no"), &json!(false)));

    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    assert_eq!(client.next_of("error").await["code"], "quota_used_up");
    assert_eq!(receiver.keys().await, ["ada/m1", "ada/m2"], "a final outcome is not asked again");
}

#[tokio::test]
async fn a_4xx_of_something_in_between_is_asked_again() {
    // A proxy's 404 during a deploy refused people's messages for good.
    let almost_too_large = |bytes: usize| {
        let (start, end) = (r#"{"error":{"code":"no","message":""#, r#""}}"#);
        format!("{start}{}{end}", "x".repeat(bytes - start.len() - end.len()))
    };
    let not_ours = [
        "",
        "<html>404 Not Found</html>",
        r#"{"message":"Forbidden"}"#,
        r#"{"error":"not found"}"#,
        r#"{"error":{"code":404,"message":"not found"}}"#,
        r#"{"error":{"code":"","message":"not found"}}"#,
        r#"{"error":{"message":"not found"}}"#,
        r#"{"error":{"code":"unavailable","message":"what is not final is no refusal"}}"#,
        r#"{"error":{"code":"no","message":"half"#,
        &almost_too_large(WEBHOOK_ANSWER_BYTES_MAX + 1),
    ];
    for body in not_ours {
        let (receiver, address) = Receiver::start(&[(404, body), (403, body)]).await;
        let server = server_with(address).await;
        let mut client = server.connect("ada", "laptop").await;
        client.send(r#"{"type":"ask","id":"m1"}"#).await;
        assert_eq!(client.next().await, json!({"type":"accepted","ref":"m1"}), "{body}");
        assert_eq!(receiver.keys().await, ["ada/m1", "ada/m1", "ada/m1"]);
    }
    let (_, address) = Receiver::start(&[(404, &almost_too_large(WEBHOOK_ANSWER_BYTES_MAX))]).await;
    let server = server_with(address).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    assert_eq!(client.next_of("error").await["code"], "no");
}

#[tokio::test]
async fn a_longer_deploy_makes_the_client_come_again() {
    let (receiver, address) = Receiver::start(&[(404, "<html>"); 3]).await;
    let server = server_with(address).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    let refused = client.next_of("error").await;
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("unavailable"), &json!(true)));
    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    assert_eq!(client.next().await, json!({"type":"accepted","ref":"m1"}));
    assert_eq!(receiver.keys().await.len(), 4);
}

/// Takes one request on each connection and answers it with these very bytes, then hangs up.
async fn liar(answers: &'static [&'static [u8]]) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}}") {
                socket.read_buf(&mut request).await.unwrap();
            }
            socket.write_all(answer).await.unwrap();
        }
        std::future::pending::<()>().await;
    });
    address
}

#[tokio::test]
async fn an_answer_that_breaks_or_is_none_leaves_the_outcome_unknown() {
    let address = liar(&[
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 403 Forbidden\r\ncontent-length: 100\r\n\r\n{\"error\":{\"code\":\"no\"}}",
    ])
    .await;
    let server = server_with(address).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    let refused = client.next_of("error").await;
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("unavailable"), &json!(true)));
}

#[tokio::test]
async fn a_2xx_settles_whatever_its_body_is() {
    let answers: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n<garbage>",
        b"HTTP/1.1 202 Accepted\r\ncontent-length: 1099511627776\r\n\r\nnever",
    ];
    let address = liar(answers).await;
    let server = server_with(address).await;
    let mut client = server.connect("ada", "laptop").await;
    for id in ["m1", "m2"] {
        client.send(&json!({"type": "ask", "id": id}).to_string()).await;
        assert_eq!(client.next().await, json!({"type": "accepted", "ref": id}));
    }
}

#[tokio::test]
async fn a_webhook_that_hangs_takes_no_more_than_its_share() {
    // Every connection had a request of its own with a webhook that answered none, without bound.
    let (receiver, address) = Receiver::start(&[]).await;
    let open = receiver.gate.clone().acquire_owned().await.unwrap();
    let url = format!("http://{address}/hook");
    let mut options = WebhookOptions::new(&url, SECRET);
    (options.requests_max, options.bytes_max) = (1, 2 * 1024);
    let webhook = Webhook::open(options).unwrap();
    let server = TestServer::start_with(config(), Some(Arc::new(webhook))).await;
    let ask = r#"{"type":"ask","id":"m1"}"#;
    let mut asked = server.connect("ada", "laptop").await;
    asked.send(ask).await;
    receiver.asked(1).await;
    // The next two have no order among each other: one waits for its turn, the other is too much.
    let (mut bob, mut eve) = (server.connect("bob", "a").await, server.connect("eve", "a").await);
    bob.send(ask).await;
    eve.send(ask).await;
    let (refused, mut waiting, mut other) = tokio::select! {
        refused = bob.next() => (refused, eve, bob),
        refused = eve.next() => (refused, bob, eve),
    };
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("unavailable"), &json!(true)));
    assert_eq!(receiver.keys().await, ["ada/m1"], "one at a time");

    drop(open);
    let accepted = json!({"type":"accepted","ref":"m1"});
    assert_eq!(asked.next().await, accepted);
    assert_eq!(waiting.next().await, accepted);
    other.send(ask).await;
    assert_eq!(other.next().await, accepted);
}

#[tokio::test]
async fn users_reach_the_application_whatever_they_are_called() {
    // A quotation mark in a user's id wrote fields into the webhook's JSON.
    let (receiver, address) = Receiver::start(&[]).await;
    let server = server_with(address).await;
    for name in support::NAMES {
        let mut client = server.connect(name, "laptop").await;
        client.send(r#"{"type":"ask","id":"m1"}"#).await;
        assert_eq!(client.next().await, json!({"type":"accepted","ref":"m1"}), "{name}");
        client.send(r#"{"type":"message_stop","id":"m2","ref":"m1"}"#).await;
        assert_eq!(client.next().await, json!({"type":"accepted","ref":"m2"}), "{name}");
        for id in ["m1", "m2"] {
            let (headers, body) = receiver.requests.lock().await.remove(0);
            let body: Value = serde_json::from_str(&body).unwrap();
            let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
            assert_eq!(fields, ["device", "message", "user"], "{name}");
            assert_eq!((&body["user"], &body["message"]["id"]), (&json!(name), &json!(id)));
            for header in ["idempotency-key", "webhook-id"] {
                let key = text(&headers, header);
                let (user, message) = key.split_once('/').unwrap();
                assert_eq!((support::decoded(user).as_str(), message), (name, id));
            }
        }
    }
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
async fn what_only_something_in_between_says_is_never_final() {
    // A proxy that wanted a password settled a send for good, by chance in the application's form.
    let refusal = r#"{"error":{"code":"rejected","message":"Log in."}}"#;
    for status in [407, 408, 425, 429] {
        let (receiver, address) = Receiver::start(&[(status, refusal)]).await;
        let server = server_with(address).await;
        let mut client = server.connect("ada", "laptop").await;
        client.send(r#"{"type":"ask","id":"m1"}"#).await;
        assert_eq!(client.next().await, json!({"type":"accepted","ref":"m1"}), "{status}");
        assert_eq!(receiver.keys().await, ["ada/m1", "ada/m1"], "{status}");
    }
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

#[tokio::test]
async fn a_secret_of_standard_webhooks_is_the_key_that_it_says() {
    // A library took the secret for base64, and every request of ours for a forged one.
    let key = [7; 32];
    let secret = format!("whsec_{}", BASE64_STANDARD.encode(key));
    let (receiver, address) = Receiver::start(&[]).await;
    let webhook = Webhook::new(&format!("http://{address}/hook"), &secret).unwrap();
    let server = TestServer::start_with(config(), Some(Arc::new(webhook))).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    client.next().await;
    let requests = receiver.requests.lock().await;
    assert_eq!(text(&requests[0].0, "webhook-signature"), signature(&key, &requests[0]));
    let refused = Webhook::new("http://127.0.0.1/", "whsec_not base64");
    assert!(matches!(refused, Err(InvalidWebhook::Secret)));
}

#[test]
fn only_http_addresses_are_webhooks() {
    for address in ["ftp://example.com", "not an address", "http://", "/hook"] {
        let refused = Webhook::new(address, SECRET);
        assert!(
            matches!(refused, Err(InvalidWebhook::Http(NoHttpClient::Address(_)))),
            "{address}"
        );
    }
}
