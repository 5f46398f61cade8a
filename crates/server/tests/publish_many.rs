//! Publishing many with one request: as each alone, and with one commit.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::sync::Arc;

use reqwest::{Client, RequestBuilder, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};
use support::{API_KEY, TestServer, config, user};
use tetherline_protocol::{
    frame::Message,
    limits::{
        PUBLISH_ITEMS_MAX, PUBLISH_KEPT_BYTES_EACH, PUBLISH_KEPT_BYTES_MAX,
        PUBLISH_REQUEST_BYTES_MAX, PUBLISH_USERS_MAX,
    },
};
use tetherline_server::{Publish, PublishError};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const MINE: &str = r#"{"type":"get_pending"}"#;

fn post(server: &TestServer, body: impl Into<reqwest::Body>) -> RequestBuilder {
    Client::new().post(server.http("/v1/messages")).bearer_auth(API_KEY).body(body)
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn ask(server: &TestServer, items: &Value) -> (StatusCode, Value) {
    answer(post(server, items.to_string())).await
}

fn number(n: u64) -> Value {
    json!({"type": "number", "n": n})
}

async fn head(server: &TestServer, name: &str) -> u64 {
    server.server.head(&user(name)).await.unwrap().seq.get()
}

#[tokio::test]
async fn each_item_is_answered_and_delivered_as_if_it_came_alone() {
    let server = TestServer::start(config()).await;
    let mut ada = server.connect("ada", "laptop").await;
    let mut bob = server.connect("auth0|bob", "laptop").await;
    ada.pending(MINE).await;
    bob.pending(MINE).await;
    let items = json!([
        {"user": "ada", "message": number(1)},
        {"user": "auth0|bob", "message": number(2), "idempotency_key": "k"},
        {"user": "ada", "message": {"type": "number", "n": 3, "id": "mine"}},
        {"user": "auth0|bob", "message": number(2), "idempotency_key": "k"},
    ]);
    let (status, answers) = ask(&server, &items).await;
    assert_eq!(status, StatusCode::OK, "{answers}");
    let id = |place: usize| answers[place]["id"].clone();
    let expected = json!([
        {"status": 201, "id": id(0), "seq": 1, "repeated": false},
        {"status": 201, "id": id(1), "seq": 1, "repeated": false},
        {"status": 201, "id": "mine", "seq": 2, "repeated": false},
        {"status": 200, "id": id(1), "seq": 1, "repeated": true},
    ]);
    assert_eq!(answers, expected);
    let delivered = ada.next_of("number").await;
    assert_eq!((&delivered["n"], &delivered["id"]), (&json!(1), &id(0)));
    assert_eq!(ada.numbers(1).await, [3]);
    assert_eq!(bob.numbers(1).await, [2]);
    bob.assert_quiet().await;
}

#[tokio::test]
async fn one_message_for_many_has_a_position_and_an_outcome_for_each() {
    let server = TestServer::start(config()).await;
    server.publish_numbers("bob", 1..=2).await;
    let item =
        json!({"users": ["ada", "a/b", "bob"], "message": number(7), "idempotency_key": "k"});
    let (status, answers) = ask(&server, &json!([item])).await;
    assert_eq!((status, &answers[0]["status"]), (StatusCode::MULTI_STATUS, &json!(207)));
    let users = answers[0]["users"].clone();
    let seen = |place: usize| {
        let of = &users[place];
        (of["user"].as_str(), of["status"].as_u64(), of["seq"].as_u64(), of["repeated"].as_bool())
    };
    assert_eq!(seen(0), (Some("ada"), Some(201), Some(1), Some(false)));
    assert_eq!(seen(1), (Some("a/b"), Some(400), None, None));
    assert_eq!(users[1]["error"]["field"], "user");
    assert_eq!(seen(2), (Some("bob"), Some(201), Some(3), Some(false)));
    assert_ne!(users[0]["id"], users[2]["id"], "each is a message of its own");

    // The key is each user's own, as if each had been published alone.
    let alone = json!([{"user": "bob", "message": number(7), "idempotency_key": "k"}]);
    let (_, again) = ask(&server, &alone).await;
    let expected = json!([{"status": 200, "id": users[2]["id"], "seq": 3, "repeated": true}]);
    assert_eq!(again, expected);
    let both = json!([{"users": ["ada", "bob"], "message": number(7), "idempotency_key": "k"}]);
    let (status, answers) = ask(&server, &both).await;
    assert_eq!((status, &answers[0]["status"]), (StatusCode::OK, &json!(200)));
    assert_eq!((head(&server, "ada").await, head(&server, "bob").await), (1, 3));
}

#[tokio::test]
async fn a_bad_item_fails_alone_and_says_what_is_wrong_with_it() {
    let mut config = config();
    config.limits.publish_bytes_max = 40;
    let server = TestServer::start(config).await;
    let key = "k";
    let items = json!([
        {"user": "ada", "message": number(1), "idempotency_key": key},
        7,
        {"user": "ada", "mesage": number(2)},
        {"user": "ada", "message": {"type": "number", "seq": 2}},
        {"user": "ada", "message": {"type": "number", "padding": "x".repeat(40)}},
        {"user": "ada", "message": number(2), "idempotency_key": key},
        {"user": "a/b", "message": number(2)},
        {"user": "ada", "message": number(2)},
    ]);
    let (status, answers) = ask(&server, &items).await;
    assert_eq!(status, StatusCode::MULTI_STATUS);
    let seen: Vec<_> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| {
            let error = &answer["error"];
            (answer["status"].as_u64().unwrap(), error["code"].as_str(), error["field"].as_str())
        })
        .collect();
    assert_eq!(
        seen,
        [
            (201, None, None),
            (400, Some("bad_json"), None),
            (400, Some("bad_frame"), Some("mesage")),
            (400, Some("bad_frame"), Some("seq")),
            (413, Some("message_too_large"), None),
            (409, Some("conflict"), Some("idempotency_key")),
            (400, Some("bad_frame"), Some("user")),
            (201, None, None),
        ]
    );
    assert!(answers[2]["error"]["message"].as_str().unwrap().contains("`mesage`"), "{answers}");
    assert_eq!(head(&server, "ada").await, 2);
}

#[tokio::test]
async fn lines_are_answered_by_lines_and_a_broken_one_fails_alone() {
    let server = TestServer::start(config()).await;
    let lines = concat!(
        r#"{"user":"ada","message":{"type":"number","n":1}}"#,
        "\r\n\n",
        r#"{"user":"ada","message":{"type":"num"#,
        "\n",
        r#"{"user":"ada","message":{"type":"number","n":2}}"#,
    );
    let request = post(&server, lines).header(CONTENT_TYPE, "application/x-ndjson; charset=utf-8");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::MULTI_STATUS);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/x-ndjson");
    let text = response.text().await.unwrap();
    assert!(text.ends_with('\n'));
    let answers: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: Vec<u64> =
        answers.iter().map(|answer| answer["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 400, 201]);

    let mut client = server.connect("ada", "laptop").await;
    assert_eq!(client.pending(MINE).await.0, [1, 2]);
}

#[tokio::test]
async fn nothing_at_all_is_published_by_what_is_no_list_or_has_the_wrong_key() {
    let server = TestServer::start(config()).await;
    let item = r#"{"user":"ada","message":{"type":"t"}}"#;
    let list = format!("[{item}]");
    let unfinished = format!("[{item},");
    for body in [item, &unfinished, "", "nonsense"] {
        let (status, answer) = answer(post(&server, body.to_owned())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer["error"]["code"], "bad_json", "{body}");
    }
    let wrong = Client::new().post(server.http("/v1/messages")).bearer_auth("wrong");
    assert_eq!(answer(wrong.body(list.clone())).await.0, StatusCode::UNAUTHORIZED);
    let keyed = post(&server, list.clone()).header("idempotency-key", "k");
    let (status, body) = answer(keyed).await;
    assert_eq!(
        (status, &body["error"]["field"]),
        (StatusCode::BAD_REQUEST, &json!("Idempotency-Key"))
    );
    // Whoever wrote this does not want it kept.
    let url = server.http("/v1/messages?durable=false");
    let live = Client::new().post(url).bearer_auth(API_KEY).body(list);
    let (status, body) = answer(live).await;
    assert_eq!((status, &body["error"]["field"]), (StatusCode::BAD_REQUEST, &json!("query")));
    assert_eq!(head(&server, "ada").await, 0);
    assert_eq!(ask(&server, &json!([])).await, (StatusCode::OK, json!([])));
}

#[tokio::test]
async fn live_only_items_reach_who_is_connected_and_everybody_if_they_are_for_everybody() {
    let server = TestServer::start(config()).await;
    let mut ada = server.connect("ada", "laptop").await;
    let mut bob = server.connect("bob", "laptop").await;
    let items = json!([
        {"users": ["ada", "cyd"], "durable": false, "message": {"type": "typing"}},
        {"everybody": true, "durable": false, "message": {"type": "notice"}},
        {"everybody": true, "message": {"type": "notice"}},
        {"user": "ada", "durable": false, "idempotency_key": "k", "message": {"type": "typing"}},
    ]);
    let (status, answers) = ask(&server, &items).await;
    assert_eq!(status, StatusCode::MULTI_STATUS);
    let typing = ada.next_of("typing").await;
    assert_eq!(typing["id"], answers[0]["users"][0]["id"]);
    assert_eq!(answers[0]["users"][1]["status"], 202, "to nobody");
    let told = json!({"status": 202, "id": answers[1]["id"]});
    assert_eq!(answers[1], told);
    for client in [&mut ada, &mut bob] {
        let notice = client.next_of("notice").await;
        assert_eq!((&notice["id"], notice.get("seq")), (&answers[1]["id"], None));
        client.assert_quiet().await;
    }
    assert_eq!(answers[2]["error"]["field"], "everybody");
    assert_eq!(answers[3]["error"]["field"], "idempotency_key");
    assert_eq!((head(&server, "ada").await, head(&server, "bob").await), (0, 0));

    let notice = Message::parse(r#"{"type":"notice","id":"all"}"#).unwrap();
    let id = server.server.publish_live_to_everybody(&notice).unwrap();
    assert_eq!(id.as_str(), "all");
    assert_eq!(ada.next_of("notice").await["id"], "all");
    assert_eq!(bob.next_of("notice").await["id"], "all");
}

#[tokio::test]
async fn what_was_cut_off_and_is_repeated_under_its_keys_is_there_once() {
    let server = TestServer::start(config()).await;
    let item =
        |n: u64| json!({"user": "ada", "message": number(n), "idempotency_key": format!("k{n}")});
    let body = (1..=100).map(|n| item(n).to_string()).collect::<Vec<_>>().join("\n");
    // Half of a request: nothing of it counts, since nobody knows where it would have ended.
    let half = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {API_KEY}\r\n\
         content-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n{}",
        body.len(),
        &body[..body.len() / 2]
    );
    let mut cut = TcpStream::connect(server.address).await.unwrap();
    cut.write_all(half.as_bytes()).await.unwrap();
    cut.shutdown().await.unwrap();
    let mut said = String::new();
    let _ = cut.read_to_string(&mut said).await;
    assert!(!said.starts_with("HTTP/1.1 2"), "{said}");
    assert_eq!(head(&server, "ada").await, 0);

    // A part that was answered, and then all of it, over a restart.
    let some: Vec<Value> = (40..=60).map(item).collect();
    assert_eq!(ask(&server, &some.into()).await.0, StatusCode::OK);
    let server = server.restart(config(), None).await;
    let lines = |server: &TestServer| {
        post(server, body.clone()).header(CONTENT_TYPE, "application/x-ndjson").send()
    };
    assert_eq!(lines(&server).await.unwrap().status(), StatusCode::OK);
    let text = lines(&server).await.unwrap().text().await.unwrap();
    assert!(text.lines().all(|line| line.contains(r#""repeated":true"#)), "{text}");
    assert_eq!(head(&server, "ada").await, 100);
}

#[tokio::test]
async fn as_many_items_and_users_as_may_be_are_taken_and_one_more_is_not() {
    let server = TestServer::start(config()).await;
    let items = |count: usize| -> Value {
        let item = |n| json!({"user": "ada", "message": number(n)});
        (0..count as u64).map(item).collect()
    };
    let (status, answers) = ask(&server, &items(PUBLISH_ITEMS_MAX)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answers[PUBLISH_ITEMS_MAX - 1]["seq"], PUBLISH_ITEMS_MAX);
    let (status, answer) = ask(&server, &items(PUBLISH_ITEMS_MAX + 1)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer["error"]["code"], "message_too_large");
    assert_eq!(head(&server, "ada").await, PUBLISH_ITEMS_MAX as u64, "nothing of it was kept");

    let users = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("u{n}")).collect();
        json!([{"users": names, "message": number(1)}, {"user": "bob", "message": number(1)}])
    };
    let (status, answers) = ask(&server, &users(PUBLISH_USERS_MAX)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answers[0]["users"].as_array().unwrap().len(), PUBLISH_USERS_MAX);
    let (_, answers) = ask(&server, &users(PUBLISH_USERS_MAX + 1)).await;
    assert_eq!((&answers[0]["status"], &answers[1]["seq"]), (&json!(413), &json!(2)));
    assert_eq!(answers[0]["error"]["field"], "users");
    assert_eq!(head(&server, "u0").await, 1);
}

#[tokio::test]
async fn the_largest_request_is_taken_and_one_more_byte_is_not() {
    let server = TestServer::start(config()).await;
    let padded = |bytes: usize| {
        let item = r#"[{"user":"ada","message":{"type":"t"}}]"#;
        format!("{item}{}", " ".repeat(bytes - item.len()))
    };
    let (status, _) = answer(post(&server, padded(PUBLISH_REQUEST_BYTES_MAX))).await;
    assert_eq!(status, StatusCode::OK);
    let (status, body) = answer(post(&server, padded(PUBLISH_REQUEST_BYTES_MAX + 1))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(body["error"]["code"], "message_too_large");
    assert_eq!(head(&server, "ada").await, 1);

    // Who allows larger messages can publish them here, too.
    let mut config = config();
    config.limits.publish_bytes_max = 2 * PUBLISH_REQUEST_BYTES_MAX;
    let bytes_max = config.limits.publish_bytes_max;
    let server = TestServer::start(config).await;
    let message = |bytes: usize| {
        let empty = r#"{"type":"t","a":""}"#.len();
        format!(r#"{{"type":"t","a":"{}"}}"#, "x".repeat(bytes - empty))
    };
    let item = |bytes| format!(r#"[{{"user":"ada","message":{}}}]"#, message(bytes));
    let (status, answers) = answer(post(&server, item(bytes_max))).await;
    assert_eq!(status, StatusCode::OK, "{answers}");
    let (_, answers) = answer(post(&server, item(bytes_max + 1))).await;
    assert_eq!(answers[0]["status"], 413);
}

#[tokio::test]
async fn what_one_request_may_put_into_mailboxes_is_bounded_each_user_counted() {
    let server = TestServer::start(config()).await;
    // Of each message its fields count, and something for the rest of it.
    let fields = |bytes: usize| format!(r#""a":"{}""#, "x".repeat(bytes - r#""a":"""#.len()));
    let each = PUBLISH_KEPT_BYTES_MAX / 64 - PUBLISH_KEPT_BYTES_EACH;
    let items = |bytes: usize| {
        let users: Vec<String> = (0..64).map(|n| format!("\"u{n}\"")).collect();
        let message = format!(r#"{{"type":"t",{}}}"#, fields(bytes));
        format!(r#"[{{"users":[{}],"message":{message}}}]"#, users.join(","))
    };
    let (status, _) = answer(post(&server, items(each))).await;
    assert_eq!(status, StatusCode::OK);
    let (status, body) = answer(post(&server, items(each + 1))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
    assert_eq!(head(&server, "u0").await, 1);
    assert_eq!(head(&server, "u63").await, 1);
}

#[tokio::test]
async fn an_application_publishes_many_in_process() {
    let mut config = config();
    config.limits.publish_bytes_max = 20;
    let server = TestServer::start(config).await;
    let mut client = server.connect("ada", "laptop").await;
    client.pending(MINE).await;
    let shared = Arc::new(Message::parse(r#"{"type":"number","n":1}"#).unwrap());
    let large = Message::parse(&format!(r#"{{"type":"t","a":"{}"}}"#, "x".repeat(20))).unwrap();
    let key = "k".parse().unwrap();
    let published = server
        .server
        .publish_many(vec![
            Publish::new(user("ada"), shared.clone()).with_key(key),
            Publish::new(user("ada"), large),
            Publish::new(user("bob"), shared.clone()),
            Publish::new(user("ada"), shared),
        ])
        .await;
    let seqs: Vec<_> = published
        .iter()
        .map(|published| published.as_ref().ok().map(|published| published.seq.get()))
        .collect();
    assert_eq!(seqs, [Some(1), None, Some(1), Some(2)]);
    assert!(matches!(published[1], Err(PublishError::TooLarge { bytes_max: 20 })));
    assert_eq!(client.numbers(2).await, [1, 1]);
}
