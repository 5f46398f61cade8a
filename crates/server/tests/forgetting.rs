//! What is not kept any more, seen from a connection: a gap is said, and nobody is told of one who has
//! none.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::{fs, path::Path};

use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{API_KEY, Client, TestServer, config, eventually, user};
use tetherline_server::Config;

const ALL: &str = r#"{"type":"get_pending","after":0}"#;
const MINE: &str = r#"{"type":"get_pending"}"#;

fn keeps(messages: u64) -> Config {
    let mut config = config();
    config.limits.retention_messages_max = messages;
    config
}

/// Waits until only so many messages are left.
async fn left(server: &TestServer, count: usize) {
    eventually(|| async {
        let mut looking = server.connect("ada", "looking").await;
        looking.pending(ALL).await.0.len() == count
    })
    .await;
}

async fn acknowledged(server: &TestServer, device: &str, seq: u64) {
    let mut client = server.connect("ada", device).await;
    client.pending(MINE).await;
    client.send(&format!(r#"{{"type":"ack","seq":{seq}}}"#)).await;
    eventually(|| async { server.connect("ada", device).await.established["cursor"] == seq }).await;
}

fn summary(delivered: u64, head: u64, recovered: bool) -> Value {
    json!({"delivered": delivered, "head": head, "recovered": recovered, "streams": 0})
}

#[tokio::test]
async fn only_who_lacks_what_was_trimmed_hears_of_a_gap() {
    let server = TestServer::start(keeps(5)).await;
    // Who is connected may still find in memory what was just trimmed, so this one leaves.
    assert_eq!(server.connect("ada", "behind").await.established["cursor"], 0);
    server.publish_numbers("ada", 1..=5).await;
    acknowledged(&server, "ahead", 5).await;
    server.publish_numbers("ada", 6..=10).await;
    left(&server, 5).await;

    let mut ahead = server.connect("ada", "ahead").await;
    assert_eq!(ahead.established["limits"]["retention_messages_max"], 5);
    assert_eq!(ahead.pending(MINE).await, (vec![6, 7, 8, 9, 10], summary(5, 10, true)));
    let mut behind = server.connect("ada", "behind").await;
    assert_eq!(behind.pending(MINE).await, (vec![6, 7, 8, 9, 10], summary(5, 10, false)));
    let mut new = server.connect("ada", "new").await;
    assert_eq!(new.established["cursor"], 5, "the floor: somebody had what was trimmed");
    assert_eq!(new.pending(MINE).await, (vec![6, 7, 8, 9, 10], summary(5, 10, true)));

    let epoch = new.established["epoch"].as_str().unwrap();
    let ask = |after| format!(r#"{{"type":"get_pending","after":{after},"epoch":"{epoch}"}}"#);
    let mut page = server.connect("ada", "page").await;
    assert_eq!(page.pending(&ask(5)).await.1["recovered"], true, "the last that has everything");
    assert_eq!(page.pending(&ask(4)).await.1["recovered"], false, "and the first that lacks one");
    server.publish_numbers("ada", 11..=11).await;
    assert_eq!(page.numbers(1).await, [11]);
}

#[tokio::test]
async fn a_new_device_hears_of_what_nobody_had() {
    let server = TestServer::start(keeps(5)).await;
    server.publish_numbers("ada", 1..=6).await;
    left(&server, 5).await;
    let mut new = server.connect("ada", "new").await;
    assert_eq!(new.established["cursor"], 0);
    assert_eq!(new.pending(MINE).await, (vec![2, 3, 4, 5, 6], summary(5, 6, false)));
}

#[tokio::test]
async fn a_mailbox_of_which_nothing_is_left_says_so_and_goes_on() {
    let server = TestServer::start(config()).await;
    server.publish_numbers("ada", 1..=3).await;
    let mut aging = config();
    aging.limits.retention_age_ms = 1;
    let server = server.restart(aging, None).await;
    left(&server, 0).await;
    let mut client = server.connect("ada", "laptop").await;
    assert_eq!(client.established["head"], 3);
    assert_eq!(client.pending(MINE).await, (vec![], summary(0, 3, false)));

    // From then on nothing is missing, for who says so.
    client.send(r#"{"type":"ack","seq":3}"#).await;
    eventually(|| async { server.connect("ada", "laptop").await.established["cursor"] == 3 }).await;
    let mut client = server.connect("ada", "laptop").await;
    assert_eq!(client.pending(MINE).await, (vec![], summary(0, 3, true)));
    let server = server.restart(config(), None).await;
    server.publish_numbers("ada", 4..=4).await;
    let mut client = server.connect("ada", "laptop").await;
    assert_eq!(client.pending(MINE).await, (vec![4], summary(1, 4, true)));
}

#[tokio::test]
async fn a_plain_client_is_told_of_what_is_gone() {
    let mut config = keeps(5);
    config.allow_query_token = true;
    let server = TestServer::start(config).await;
    server.publish_numbers("ada", 1..=8).await;
    left(&server, 5).await;
    let mut plain = server.connect_plain("ada").await;
    assert_eq!(plain.pending(MINE).await, (vec![4, 5, 6, 7, 8], summary(5, 8, false)));
}

#[tokio::test]
async fn a_publish_is_recognised_when_its_message_is_long_gone() {
    let server = TestServer::start(keeps(1)).await;
    let publish = || async {
        let request = reqwest::Client::new()
            .post(server.http("/v1/users/ada/messages"))
            .bearer_auth(API_KEY)
            .header("idempotency-key", "order-7")
            .body(r#"{"type":"number","n":1}"#);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let (status, receipt) = publish().await;
    assert_eq!(status, StatusCode::CREATED);
    server.publish_numbers("ada", 2..=4).await;
    left(&server, 1).await;
    assert_eq!(publish().await, (StatusCode::OK, receipt));
    assert_eq!(server.server.head(&user("ada")).await.unwrap().seq.get(), 4);
}

async fn erase(server: &TestServer, name: &str, key: &str) -> StatusCode {
    let url = server.http(&format!("/v1/users/{name}"));
    reqwest::Client::new().delete(url).bearer_auth(key).send().await.unwrap().status()
}

#[tokio::test]
async fn who_is_erased_while_connected_comes_back_to_an_empty_mailbox_and_hears_of_it() {
    let server = TestServer::start(config()).await;
    server.publish_numbers("ada", 1..=3).await;
    let mut laptop = server.connect("ada", "laptop").await;
    let mut phone = server.connect("ada", "phone").await;
    let mut bob = server.connect("bob", "laptop").await;
    assert_eq!(laptop.pending(MINE).await.0, [1, 2, 3]);
    laptop.send(r#"{"type":"ack","seq":3}"#).await;
    let epoch = laptop.established["epoch"].as_str().unwrap().to_owned();

    assert_eq!(erase(&server, "ada", API_KEY).await, StatusCode::NO_CONTENT);
    assert_eq!((laptop.closed().await, phone.closed().await), (4410, 4410));
    bob.assert_quiet().await;

    let mut laptop = server.connect("ada", "laptop").await;
    assert_ne!(laptop.established["epoch"], *epoch);
    assert_eq!(laptop.established["cursor"], 3, "positions go on");
    let old = format!(r#"{{"type":"get_pending","after":3,"epoch":"{epoch}"}}"#);
    assert_eq!(laptop.pending(&old).await, (vec![], summary(0, 3, false)));
    server.publish_numbers("ada", 4..=4).await;
    assert_eq!(laptop.next_of("number").await["seq"], 4);
    let mut fresh = server.connect("ada", "fresh").await;
    assert_eq!(fresh.pending(MINE).await, (vec![4], summary(1, 4, true)));
    // Nothing comes out of memory either.
    assert_eq!(fresh.pending(ALL).await, (vec![4], summary(1, 4, false)));
}

#[tokio::test]
async fn erasing_is_for_the_api_key_and_twice_is_once() {
    let server = TestServer::start(config()).await;
    server.publish_numbers("ada", 1..=1).await;
    assert_eq!(erase(&server, "ada", "another key").await, StatusCode::UNAUTHORIZED);
    assert_eq!(erase(&server, "a%5Cb", API_KEY).await, StatusCode::BAD_REQUEST);
    left(&server, 1).await;
    for _ in 0..2 {
        assert_eq!(erase(&server, "ada", API_KEY).await, StatusCode::NO_CONTENT);
        left(&server, 0).await;
    }
    assert_eq!(erase(&server, "nobody", API_KEY).await, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_publish_that_is_answered_after_an_erasure_is_kept() {
    let server = TestServer::start(config()).await;
    server.publish_numbers("ada", 1..=1).await;
    let ada = user("ada");
    // Publishers go on all the time while the user is erased again and again.
    let erasing = async {
        for _ in 0..20 {
            server.server.erase(&ada).await.unwrap();
        }
        server.server.head(&ada).await.unwrap()
    };
    let (last, ()) = tokio::join!(erasing, server.publish_numbers("ada", 2..=200));
    let head = server.server.head(&ada).await.unwrap();
    assert_eq!((head.seq.get(), &head.epoch), (200, &last.epoch));
    let mut client: Client = server.connect("ada", "laptop").await;
    let (kept, _) = client.pending(ALL).await;
    assert!(kept.len() as u64 >= 200 - last.seq.get(), "{last:?}: {kept:?}");
    assert!(kept.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{kept:?}");
    assert!(kept.is_empty() || kept.last() == Some(&200), "{kept:?}");
}

#[tokio::test]
async fn a_message_that_was_changed_in_the_file_is_a_gap() {
    // It was delivered as it was, invalid JSON included.
    let server = TestServer::start(config()).await;
    server.publish_numbers("ada", 1..=4).await;
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        for text in [r#""n":2"#, r#""n":4"#] {
            let at = bytes.windows(text.len()).position(|window| window == text.as_bytes());
            bytes[at.unwrap()] ^= 0x10;
        }
        fs::write(path, bytes).unwrap();
    };
    let server = server.restart_after(flip).await;
    let mut page = server.connect("ada", "page").await;
    page.send(ALL).await;
    assert_eq!(page.next_of("number").await["n"], 1);
    let gap = page.next_of("mailbox_gap").await;
    assert_eq!((&gap["after"], &gap["next"]), (&json!(1), &json!(3)));
    assert_eq!(page.next_of("number").await["n"], 3);
    let gap = page.next_of("mailbox_gap").await;
    assert_eq!((&gap["after"], &gap["next"]), (&json!(3), &json!(5)));
    let complete = page.next_of("pending_check_complete").await;
    assert_eq!(complete["data"], summary(2, 4, false));
    // And it goes on.
    server.publish_numbers("ada", 5..=5).await;
    assert_eq!(page.next_of("number").await["seq"], 5);
    assert_eq!(server.connect("ada", "page").await.pending(ALL).await.0, [1, 3, 5]);
}
