//! Publishing over HTTP.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use futures_util::FutureExt as _;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use support::{API_KEY, TestServer, config, eventually, user};
use tetherline_protocol::frame::Message;

fn post(server: &TestServer, user: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    reqwest::Client::new()
        .post(server.http(&format!("/v1/users/{user}/messages")))
        .bearer_auth(API_KEY)
        .body(body)
}

/// A percent-encoded segment as others would have written it.
fn relaxed(segment: &str) -> String {
    let mut parts = segment.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |written, part| match &part[..2] {
        "40" => written + "@" + &part[2..],
        "27" => written + "'" + &part[2..],
        digits => written + "%" + &digits.to_lowercase() + &part[2..],
    })
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_published_message_is_answered_with_its_position_and_delivered() {
    let server = TestServer::start(config()).await;
    let mut client = server.connect("ada", "laptop").await;
    client.pending(r#"{"type":"get_pending"}"#).await;
    let (status, receipt) = answer(post(&server, "ada", r#"{"type":"number","n":1}"#)).await;
    assert_eq!((status, &receipt["seq"]), (StatusCode::CREATED, &json!(1)));
    let delivered = client.next_of("number").await;
    assert_eq!((&delivered["seq"], &delivered["id"]), (&json!(1), &receipt["id"]));
}

#[tokio::test]
async fn a_publisher_that_leaves_before_the_answer_has_published_all_the_same() {
    // The message was stored, and whoever was connected heard of it only with the next one.
    let server = TestServer::start(config()).await;
    let mut client = server.connect("ada", "laptop").await;
    client.pending(r#"{"type":"get_pending"}"#).await;
    let ada = user("ada");
    let message = Message::parse(r#"{"type":"number","n":1}"#).unwrap();
    assert!(server.server.publish(&ada, None, message).now_or_never().is_none());
    eventually(|| async { server.server.head(&ada).await.unwrap().seq.get() == 1 }).await;
    assert_eq!(client.numbers(1).await, [1]);
}

#[tokio::test]
async fn only_the_api_key_publishes() {
    let server = TestServer::start(config()).await;
    let url = server.http("/v1/users/ada/messages");
    let http = reqwest::Client::new();
    let keyless = http.post(&url).body(r#"{"type":"t"}"#);
    assert_eq!(answer(keyless).await.0, StatusCode::UNAUTHORIZED);
    let wrong = http.post(&url).bearer_auth("another key").body(r#"{"type":"t"}"#);
    let (status, body) = answer(wrong).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (StatusCode::UNAUTHORIZED, &json!("unauthorized"))
    );

    let mut closed = config();
    closed.api_key = None;
    let server = TestServer::start(closed).await;
    let (status, _) = answer(post(&server, "ada", r#"{"type":"t"}"#)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_repeated_key_publishes_once_also_after_a_restart() {
    let server = TestServer::start(config()).await;
    let publish = |server: &TestServer, body: &'static str| {
        answer(post(server, "ada", body).header("idempotency-key", "order 7".replace(' ', "-")))
    };
    let (status, first) = publish(&server, r#"{"type":"t","a":1}"#).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(publish(&server, r#"{"type":"t","a":1}"#).await, (StatusCode::OK, first.clone()));

    let server = server.restart(config(), None).await;
    assert_eq!(publish(&server, r#"{"type":"t","a":1}"#).await, (StatusCode::OK, first));
    let (status, body) = publish(&server, r#"{"type":"t","a":2}"#).await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::CONFLICT, &json!("conflict")));
    let other_user = post(&server, "bob", r#"{"type":"t","a":2}"#);
    let (status, _) = answer(other_user.header("idempotency-key", "order-7")).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(server.server.head(&support::user("ada")).await.unwrap().seq.get(), 1);
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_with_the_field_named_and_not_stored() {
    let server = TestServer::start(config()).await;
    for (body, field) in [
        ("nonsense", Value::Null),
        ("[]", Value::Null),
        ("{}", json!("type")),
        (r#"{"type":"a b"}"#, json!("type")),
        (r#"{"type":"pong"}"#, json!("type")),
        (r#"{"type":"t","seq":9}"#, json!("seq")),
        (r#"{"type":"t","id":9}"#, json!("id")),
        (r#"{"type":"t","timestamp":{}}"#, json!("timestamp")),
    ] {
        let (status, answer) = answer(post(&server, "ada", body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer["error"]["field"], field, "{body}");
    }
    let (status, body) = answer(post(&server, "a%2Fb", r#"{"type":"t"}"#)).await;
    assert_eq!((status, &body["error"]["field"]), (StatusCode::BAD_REQUEST, &json!("user")));
    let keyed = post(&server, "ada", r#"{"type":"t"}"#).header("idempotency-key", "a b");
    let (status, body) = answer(keyed).await;
    assert_eq!(
        (status, &body["error"]["field"]),
        (StatusCode::BAD_REQUEST, &json!("Idempotency-Key"))
    );
    let binary = answer(post(&server, "ada", vec![0xc3, 0x28])).await;
    assert_eq!(binary.0, StatusCode::BAD_REQUEST);
    assert_eq!(server.server.head(&support::user("ada")).await.unwrap().seq.get(), 0);
}

#[tokio::test]
async fn a_user_is_percent_encoded_in_a_path_and_decoded_once() {
    let server = TestServer::start(config()).await;
    for name in support::NAMES {
        let mut client = server.connect(name, "laptop").await;
        assert_eq!(client.established["user_uuid"], name);
        client.pending(r#"{"type":"get_pending"}"#).await;
        let segment = user(name).in_url().to_string();
        let (status, receipt) = answer(post(&server, &segment, r#"{"type":"number","n":1}"#)).await;
        assert_eq!((status, &receipt["seq"]), (StatusCode::CREATED, &json!(1)), "{name}");
        // As others encode: small digits, and nothing that a path may have as it is.
        let segment = relaxed(&segment);
        let (status, receipt) = answer(post(&server, &segment, r#"{"type":"number","n":2}"#)).await;
        assert_eq!((status, &receipt["seq"]), (StatusCode::CREATED, &json!(2)), "{name}");
        assert_eq!(client.numbers(2).await, [1, 2], "{name}");
    }
}

#[tokio::test]
async fn a_path_that_is_no_text_is_refused_as_everything_else() {
    // The answer had no form at all.
    let server = TestServer::start(config()).await;
    let (status, body) = answer(post(&server, "%FF", r#"{"type":"t"}"#)).await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("bad_frame")));
    let socket = reqwest::Client::new().get(server.http("/ws/user/%C3%28"));
    let (status, body) = answer(socket.bearer_auth(support::token("ada"))).await;
    assert_eq!((status, &body["error"]["field"]), (StatusCode::BAD_REQUEST, &json!("path")));
}

#[tokio::test]
async fn the_largest_body_is_stored_and_one_more_byte_is_not() {
    let mut config = config();
    config.limits.publish_bytes_max = 2_000;
    let server = TestServer::start(config).await;
    let body = |bytes: usize| {
        let empty = r#"{"type":"t","a":""}"#.len();
        format!(r#"{{"type":"t","a":"{}"}}"#, "x".repeat(bytes - empty))
    };
    assert_eq!(answer(post(&server, "ada", body(2_000))).await.0, StatusCode::CREATED);
    let (status, answer) = answer(post(&server, "ada", body(2_001))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer["error"]["code"], "message_too_large");
    // Without a Content-Length the limit holds all the same.
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(body(2_001))]);
    let chunked = post(&server, "ada", reqwest::Body::wrap_stream(chunks));
    assert_eq!(chunked.send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_publisher_reads_where_a_mailbox_ends() {
    // Only Rust could ask for the position as of which a history is true.
    let server = TestServer::start(config()).await;
    let url = server.http("/v1/users/ada");
    let http = reqwest::Client::new();
    let (status, empty) = answer(http.get(&url).bearer_auth(API_KEY)).await;
    let (epoch, life) = (empty["epoch"].clone(), empty["server"].clone());
    assert!(epoch.is_string() && life.is_string(), "{empty}");
    let expected =
        json!({"user": "ada", "head": 0, "epoch": epoch, "connections": 0, "server": life});
    assert_eq!((status, empty), (StatusCode::OK, expected));
    server.publish_numbers("ada", 1..=2).await;
    let newest = server.publish("ada", r#"{"type":"number","n":3}"#).await;
    let (_, head) = answer(http.get(&url).bearer_auth(API_KEY)).await;
    let expected = json!({
        "user": "ada", "head": 3, "head_id": newest.id.as_str(), "epoch": epoch,
        "connections": 0, "server": life
    });
    assert_eq!(head, expected);

    assert_eq!(answer(http.get(&url)).await.0, StatusCode::UNAUTHORIZED);
    let nobody = server.http("/v1/users/%2F");
    let (status, body) = answer(http.get(nobody).bearer_auth(API_KEY)).await;
    assert_eq!((status, &body["error"]["field"]), (StatusCode::BAD_REQUEST, &json!("user")));
}
