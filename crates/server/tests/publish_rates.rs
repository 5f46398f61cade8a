//! How much may be published over HTTP, by key, by address and altogether.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use serde_json::{Value, json};
use support::{API_KEY, TestServer, config};
use tetherline_server::{Proxies, Rate, Rates};

async fn start(change: impl FnOnce(&mut Rates)) -> TestServer {
    let mut config = config();
    config.proxies = Proxies { trusted: vec!["127.0.0.1".parse().unwrap()], ..Proxies::default() };
    change(&mut config.rates);
    TestServer::start(config).await
}

struct Answer {
    status: u16,
    retry_after_s: Option<u32>,
    body: Value,
}

async fn post(server: &TestServer, path: &str, from: &str, body: impl Into<String>) -> Answer {
    let request = reqwest::Client::new()
        .post(server.http(path))
        .bearer_auth(API_KEY)
        .header("x-forwarded-for", from)
        .body(body.into());
    let answer = request.send().await.unwrap();
    let retry_after_s = answer.headers().get("retry-after");
    Answer {
        status: answer.status().as_u16(),
        retry_after_s: retry_after_s.map(|wait| wait.to_str().unwrap().parse().unwrap()),
        body: answer.json().await.unwrap(),
    }
}

const HERE: &str = "203.0.113.1";
const MESSAGES: &str = "/v1/users/ada/messages";
const MESSAGE: &str = r#"{"type":"number","n":1}"#;

#[tokio::test]
async fn the_last_message_that_fits_is_published_and_one_more_is_told_when_to_come_again() {
    let limits: [fn(&mut Rates); 3] = [
        |rates| rates.publishes_per_key = Some(Rate::per_minute(2)),
        |rates| rates.publishes_per_address = Some(Rate::per_minute(2)),
        |rates| rates.publishes_per_server = Some(Rate::per_minute(2)),
    ];
    for limit in limits {
        let server = start(limit).await;
        for seq in 1..=2 {
            let published = post(&server, MESSAGES, HERE, MESSAGE).await;
            assert_eq!((published.status, published.body["seq"].as_u64()), (201, Some(seq)));
        }
        let refused = post(&server, MESSAGES, HERE, MESSAGE).await;
        assert_eq!(refused.status, 429);
        assert_eq!(refused.body["error"]["code"], "rate_limited");
        assert!((1..=30).contains(&refused.retry_after_s.unwrap()));
        assert_eq!(server.server.head(&support::user("ada")).await.unwrap().seq.get(), 2);
    }
}

#[tokio::test]
async fn another_address_is_not_concerned() {
    let server = start(|rates| rates.publishes_per_address = Some(Rate::per_hour(1))).await;
    assert_eq!(post(&server, MESSAGES, HERE, MESSAGE).await.status, 201);
    assert_eq!(post(&server, MESSAGES, HERE, MESSAGE).await.status, 429);
    assert_eq!(post(&server, MESSAGES, "203.0.113.2", MESSAGE).await.status, 201);
}

#[tokio::test]
async fn what_is_refused_by_one_rate_takes_nothing_of_the_others() {
    let server = start(|rates| {
        rates.publishes_per_key = Some(Rate::per_hour(2));
        rates.publishes_per_address = Some(Rate::per_hour(1));
    })
    .await;
    assert_eq!(post(&server, MESSAGES, HERE, MESSAGE).await.status, 201);
    for _ in 0..3 {
        assert_eq!(post(&server, MESSAGES, HERE, MESSAGE).await.status, 429);
    }
    assert_eq!(post(&server, MESSAGES, "203.0.113.2", MESSAGE).await.status, 201);
    assert_eq!(post(&server, MESSAGES, "203.0.113.3", MESSAGE).await.status, 429);
}

#[tokio::test]
async fn messages_count_in_bytes_too_and_streams_with_them() {
    let bytes = u32::try_from(r#"{"text":"xxxx"}"#.len()).unwrap();
    let server = start(|rates| {
        rates.publish_bytes_per_key = Some(Rate::per_hour(1).at_once(100 + 2 * bytes));
    })
    .await;
    let opening = format!(r#"{{"message_uuid":"m1","title":"{}"}}"#, "x".repeat(68));
    assert_eq!(opening.len(), 100);
    let opened = post(&server, "/v1/users/ada/streams", HERE, opening).await;
    assert_eq!(opened.status, 201, "{}", opened.body);
    let text = "/v1/users/ada/streams/m1/1/text";
    for _ in 0..2 {
        assert_eq!(post(&server, text, HERE, r#"{"text":"xxxx"}"#).await.status, 200);
    }
    assert_eq!(post(&server, text, HERE, r#"{"text":""}"#).await.status, 429);
    assert_eq!(post(&server, MESSAGES, HERE, MESSAGE).await.status, 429);
}

#[tokio::test]
async fn of_a_request_for_many_all_are_published_or_none() {
    let server = start(|rates| rates.publishes_per_key = Some(Rate::per_hour(1).at_once(5))).await;
    let items =
        |users: &[&str]| json!([{ "users": users, "message": { "type": "t" } }]).to_string();
    let three = post(&server, "/v1/messages", HERE, items(&["ada", "bob", "eve"])).await;
    assert_eq!(three.status, 200, "{}", three.body);
    let more = post(&server, "/v1/messages", HERE, items(&["ada", "bob", "eve"])).await;
    assert_eq!((more.status, &more.body["error"]["code"]), (429, &json!("rate_limited")));
    assert!(more.retry_after_s.is_some());
    assert_eq!(server.server.head(&support::user("ada")).await.unwrap().seq.get(), 1);
    let two = post(&server, "/v1/messages", HERE, items(&["ada", "bob"])).await;
    assert_eq!(two.status, 200, "what was refused took nothing");
}
