//! Every pair of limits at its edge: what the store has taken reaches its user, however large its frame
//! and however slow the reader.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{API_KEY, Client, TestServer, config, user};
use tetherline_protocol::{Limits, limits::STREAM_FIELDS_BYTES_MAX};
use tokio::{io::AsyncReadExt as _, time::timeout};
use tokio_tungstenite::tungstenite::Message as Frame;

/// Larger frames take longer, on a machine that does other things, too.
const PATIENCE: Duration = Duration::from_mins(2);

async fn post(server: &TestServer, path: &str, body: String) -> (StatusCode, Value) {
    let url = server.http(&format!("/v1/users/ada/{path}"));
    let request = reqwest::Client::new().post(url).bearer_auth(API_KEY).body(body);
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, answer.json().await.unwrap_or(Value::Null))
}

/// What stands around the padding of a message.
const FRAME: [&str; 2] = [r#"{"type":"large","a":""#, r#""}"#];

/// A message of this size.
fn message(bytes: usize) -> String {
    let [before, after] = FRAME;
    format!("{before}{}{after}", "x".repeat(padding(bytes)))
}

fn padding(bytes: usize) -> usize {
    bytes - FRAME.concat().len()
}

/// Writes a stream to its end, with the largest fields that there may be.
async fn write_stream(server: &TestServer, text: &str) {
    let padding = "x".repeat(STREAM_FIELDS_BYTES_MAX - r#""a":"""#.len());
    let (status, opened) = post(server, "streams", json!({ "a": padding }).to_string()).await;
    assert_eq!(status, StatusCode::CREATED, "{opened}");
    let name = format!("streams/{}/1", opened["message_uuid"].as_str().unwrap());
    // One piece escaped is below what a body may have.
    for piece in text.as_bytes().chunks(128 * 1024) {
        let piece = json!({ "text": std::str::from_utf8(piece).unwrap() }).to_string();
        let (status, added) = post(server, &format!("{name}/text"), piece).await;
        assert_eq!(status, StatusCode::OK, "{added}");
    }
    let (status, full) = post(server, &format!("{name}/text"), r#"{"text":"!"}"#.into()).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{full}");
    let ending = json!({ "b": padding, "message": { "a": padding } }).to_string();
    let (status, finished) = post(server, &format!("{name}/finish"), ending).await;
    assert_eq!(status, StatusCode::OK, "{finished}");
}

/// The sizes of what comes: a large message's padding, or the text of a stream that is `sign` only.
async fn received(client: &mut Client, sign: &str, count: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    while sizes.len() < count {
        let frame = timeout(PATIENCE, client.next()).await.expect("a frame in time");
        match frame["type"].as_str().unwrap() {
            "large" => sizes.push(frame["a"].as_str().unwrap().len()),
            "message_generate" => {
                let content = frame["message"]["content"].as_str().unwrap();
                assert!(content.split(sign).all(str::is_empty), "nothing else");
                sizes.push(content.len());
            }
            _ => {}
        }
    }
    sizes
}

#[tokio::test]
async fn the_largest_that_is_taken_is_received_whole_live_and_in_a_replay() {
    // A finished stream locked its user out: its frame, escaped, was larger than a connection's write
    // buffer, and every connection was cut off at it, without a close code.
    let limits = Limits::default();
    for sign in ["\n", "\u{1}"] {
        let server = TestServer::start(config()).await;
        let mut live = server.connect("ada", "laptop").await;
        live.send(r#"{"type":"get_pending"}"#).await;
        live.next_of("pending_check_complete").await;
        let text = sign.repeat(limits.stream_bytes_max);
        let (publish_max, mut expected) = (limits.publish_bytes_max, Vec::new());
        for _ in 0..3 {
            let (status, _) = post(&server, "messages", message(publish_max + 1)).await;
            assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
            let (status, published) = post(&server, "messages", message(publish_max)).await;
            assert_eq!(status, StatusCode::CREATED, "{published}");
            write_stream(&server, &text).await;
            expected.extend([padding(publish_max), limits.stream_bytes_max]);
            assert_eq!(received(&mut live, sign, 2).await, expected[..2]);
        }
        let mut late = server.connect("ada", "phone").await;
        late.send(r#"{"type":"get_pending","have":[]}"#).await;
        assert_eq!(received(&mut late, sign, expected.len()).await, expected);
        late.next_of("pending_check_complete").await;
        late.assert_quiet().await;
    }
}

/// A server that holds readers to it soon, with more for Ada than any buffer in between takes.
async fn with_much_to_read(stuck_timeout_ms: u64) -> TestServer {
    let mut config = config();
    config.limits.stuck_timeout_ms = stuck_timeout_ms;
    let server = TestServer::start(config).await;
    for _ in 0..12 {
        server.publish("ada", &message(1_000_000)).await;
    }
    server
}

#[tokio::test]
async fn who_reads_evenly_is_not_stuck_and_who_reads_nothing_is() {
    // The clock ran from a batch's start: whoever took longer than that for it was closed with 4413.
    let server = with_much_to_read(5_000).await;
    let mut slow = server.connect("ada", "laptop").await;
    slow.send(r#"{"type":"get_pending"}"#).await;
    let stream = slow.socket.get_mut();
    let began = Instant::now();
    let mut piece = [0; 8 * 1024];
    // 160 kB/s: far below what would take a message in time, and for three times as long as that.
    while began.elapsed() < Duration::from_secs(15) {
        stream.read_exact(&mut piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.server.connections(), 1);
    // From here on it takes nothing.
    support::eventually(|| async { server.server.connections() == 0 }).await;
}

/// The numbers of the messages that came whole, and the close's code if there was one.
async fn until_the_end(client: &mut Client) -> (Vec<u64>, Option<u16>) {
    let mut numbers = Vec::new();
    loop {
        match timeout(PATIENCE, client.socket.next()).await.expect("an end in time") {
            Some(Ok(Frame::Text(text))) => {
                let frame: Value = serde_json::from_str(&text).unwrap();
                numbers.extend(frame["n"].as_u64());
            }
            Some(Ok(Frame::Close(close))) => {
                return (numbers, close.map(|close| close.code.into()));
            }
            None | Some(Err(_)) => return (numbers, None),
            Some(Ok(_)) => {}
        }
    }
}

#[tokio::test]
async fn who_was_silent_or_stuck_comes_back_to_all_the_rest_and_to_nothing_twice() {
    const SIZE: usize = 900_000;
    let mut config = config();
    config.limits.idle_timeout_ms = 2_000;
    config.limits.stuck_timeout_ms = 2_000;
    let server = TestServer::start(config).await;
    let publish = async |n: u64, bytes: usize| {
        let padding = "x".repeat(bytes);
        server.publish("ada", &format!(r#"{{"type":"t","n":{n},"a":"{padding}"}}"#)).await;
    };
    // More than any buffer in between takes for the one, little for the other.
    for (bytes, code) in [(0, Some(4408)), (SIZE, None)] {
        let first = server.server.head(&user("ada")).await.unwrap().seq.get() + 1;
        for n in first..first + 12 {
            publish(n, bytes).await;
        }
        let mut client = server.connect("ada", "laptop").await;
        client.send(&json!({ "type": "get_pending", "after": first - 1 }).to_string()).await;
        // Nobody reads, and so nobody answers a Ping.
        support::eventually(|| async { server.server.connections() == 0 }).await;
        publish(first + 12, bytes).await;
        let (mut numbers, closed) = until_the_end(&mut client).await;
        // Who is stuck does not get to the close.
        assert_eq!(closed, code);
        let after = numbers.last().copied().unwrap_or(first - 1);
        let mut back = server.connect("ada", "laptop").await;
        back.send(&json!({ "type": "get_pending", "after": after }).to_string()).await;
        while numbers.len() < 13 {
            let frame = timeout(PATIENCE, back.next()).await.expect("the rest in time");
            numbers.extend(frame["n"].as_u64());
        }
        assert_eq!(numbers, (first..=first + 12).collect::<Vec<_>>());
        back.next_of("pending_check_complete").await;
        back.assert_quiet().await;
        drop(back);
        support::eventually(|| async { server.server.connections() == 0 }).await;
    }
}
