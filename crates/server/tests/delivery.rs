//! What was published arrives once, in order, wherever and whenever the user connects.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use futures_util::StreamExt as _;
use serde_json::json;
use support::{TestServer, config, eventually};

const ALL: &str = r#"{"type":"get_pending","after":0}"#;
const MINE: &str = r#"{"type":"get_pending"}"#;

#[tokio::test]
async fn what_waited_comes_first_and_live_messages_follow_without_a_seam() {
    let server = TestServer::start(config()).await;
    server.publish_numbers("ada", 1..=50).await;
    let mut client = server.connect("ada", "laptop").await;
    assert_eq!(client.protocol.as_deref(), Some("tetherline.v1"));
    assert_eq!(client.established["head"], 50);
    assert_eq!(client.established["cursor"], 0);
    assert_eq!(client.established["user_uuid"], "ada");
    assert_eq!(client.established["protocol"], 1);
    assert_eq!(client.established["limits"]["message_bytes_max"], 65536);

    let (numbers, summary) = client.pending(MINE).await;
    assert_eq!(numbers, (1..=50).collect::<Vec<_>>());
    assert_eq!(summary, json!({"delivered": 50, "head": 50, "recovered": true, "streams": 0}));
    server.publish_numbers("ada", 51..=60).await;
    assert_eq!(client.numbers(10).await, (51..=60).collect::<Vec<_>>());
    client.assert_quiet().await;
}

#[tokio::test]
async fn a_frame_is_the_message_with_a_header_in_front() {
    let server = TestServer::start(config()).await;
    server
        .publish("ada", r#"{"type":"hello","id":"m1","ref":"q1","timestamp":7,"a":[1, 2.50]}"#)
        .await;
    server.publish("ada", r#"{"type":"hello"}"#).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(ALL).await;
    let first = client.next_of("hello").await;
    assert_eq!(
        first,
        json!({"type":"hello","id":"m1","seq":1,"timestamp":7,"ref":"q1","a":[1, 2.50]})
    );
    let second = client.next_of("hello").await;
    assert_eq!(second["seq"], 2);
    assert!(second["timestamp"].as_str().unwrap().ends_with('Z'), "{second}");
}

#[tokio::test]
async fn nothing_durable_is_sent_before_get_pending() {
    let server = TestServer::start(config()).await;
    server.publish_numbers("ada", 1..=3).await;
    let mut client = server.connect("ada", "laptop").await;
    server.publish_numbers("ada", 4..=4).await;
    client.assert_quiet().await;
    assert_eq!(client.pending(MINE).await.0, [1, 2, 3, 4]);
}

#[tokio::test]
async fn get_pending_reads_on_from_exactly_where_it_is_told_also_backwards() {
    let server = TestServer::start(config()).await;
    server.publish_numbers("ada", 1..=5).await;
    let mut client = server.connect("ada", "laptop").await;
    assert_eq!(client.pending(r#"{"type":"get_pending","after":3}"#).await.0, [4, 5]);
    assert_eq!(client.pending(r#"{"type":"get_pending","after":1}"#).await.0, [2, 3, 4, 5]);
    assert_eq!(client.pending(r#"{"type":"get_pending","after":5}"#).await.0, [0_u64; 0]);
}

#[tokio::test]
async fn an_unknown_epoch_or_position_resumes_from_the_cursor_and_says_so() {
    let server = TestServer::start(config()).await;
    server.publish_numbers("ada", 1..=5).await;
    let mut client = server.connect("ada", "laptop").await;
    let epoch = client.established["epoch"].as_str().unwrap().to_owned();
    client.pending(MINE).await;
    client.send(r#"{"type":"ack","seq":2}"#).await;
    wait_for_cursor(&server, "laptop", 2).await;

    let known = format!(r#"{{"type":"get_pending","after":4,"epoch":"{epoch}"}}"#);
    let (numbers, summary) = client.pending(&known).await;
    assert_eq!((numbers, &summary["recovered"]), (vec![5], &json!(true)));
    let (numbers, summary) =
        client.pending(r#"{"type":"get_pending","after":4,"epoch":"another"}"#).await;
    assert_eq!((numbers, &summary["recovered"]), (vec![3, 4, 5], &json!(false)));
    let (numbers, summary) = client.pending(r#"{"type":"get_pending","after":6}"#).await;
    assert_eq!((numbers, &summary["recovered"]), (vec![3, 4, 5], &json!(false)));
}

/// A device's cursor, as a new connection of it is told.
async fn wait_for_cursor(server: &TestServer, device: &str, cursor: u64) {
    eventually(|| async { server.connect("ada", device).await.established["cursor"] == cursor })
        .await;
}

#[tokio::test]
async fn every_device_has_its_own_cursor_and_a_new_one_starts_at_the_floor() {
    let server = TestServer::start(config()).await;
    server.publish_numbers("ada", 1..=4).await;
    let mut laptop = server.connect("ada", "laptop").await;
    let phone = server.connect("ada", "phone").await;
    assert_eq!(phone.established["cursor"], 0);
    assert_eq!(laptop.pending(MINE).await.0, [1, 2, 3, 4]);
    laptop.send(r#"{"type":"ack","seq":3}"#).await;
    wait_for_cursor(&server, "laptop", 3).await;

    let mut phone = server.connect("ada", "phone").await;
    assert_eq!(phone.pending(MINE).await.0, [1, 2, 3, 4], "the phone has handled nothing yet");
    let mut tablet = server.connect("ada", "tablet").await;
    assert_eq!(tablet.established["cursor"], 3);
    assert_eq!(tablet.pending(MINE).await.0, [4]);
    let mut laptop = server.connect("ada", "laptop").await;
    assert_eq!(laptop.pending(MINE).await.0, [4]);
}

#[tokio::test]
async fn an_acknowledgement_never_moves_a_cursor_back_or_past_the_head() {
    let server = TestServer::start(config()).await;
    server.publish_numbers("ada", 1..=4).await;
    let mut laptop = server.connect("ada", "laptop").await;
    laptop.pending(MINE).await;
    laptop.send(r#"{"type":"ack","seq":3}"#).await;
    laptop.send(r#"{"type":"ack","seq":1}"#).await;
    wait_for_cursor(&server, "laptop", 3).await;
    laptop.send(r#"{"type":"ack","seq":9000}"#).await;
    wait_for_cursor(&server, "laptop", 4).await;
}

#[tokio::test]
async fn two_connections_of_a_user_both_get_live_messages_once() {
    let server = TestServer::start(config()).await;
    let mut laptop = server.connect("ada", "laptop").await;
    let mut phone = server.connect("ada", "phone").await;
    laptop.pending(MINE).await;
    phone.pending(MINE).await;
    server.publish_numbers("ada", 1..=300).await;
    let expected: Vec<u64> = (1..=300).collect();
    assert_eq!(laptop.numbers(300).await, expected);
    assert_eq!(phone.numbers(300).await, expected);
    laptop.assert_quiet().await;
}

#[tokio::test]
async fn concurrent_publishers_leave_no_hole_and_no_double() {
    let server = TestServer::start(config()).await;
    let mut client = server.connect("ada", "laptop").await;
    client.pending(MINE).await;
    let publishers = (0..8_u64).map(|publisher| {
        let server = &server;
        async move {
            let first = publisher * 50 + 1;
            server.publish_numbers("ada", first..=first + 49).await;
        }
    });
    let (_, mut numbers) = tokio::join!(futures_util::future::join_all(publishers), async {
        let mut seqs = Vec::new();
        let mut numbers = Vec::new();
        for _ in 0..400 {
            let frame = client.next_of("number").await;
            seqs.push(frame["seq"].as_u64().unwrap());
            numbers.push(frame["n"].as_u64().unwrap());
        }
        assert_eq!(seqs, (1..=400).collect::<Vec<_>>());
        numbers
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=400).collect::<Vec<_>>());
}

#[tokio::test]
async fn messages_cursors_and_the_epoch_survive_a_restart() {
    let server = TestServer::start(config()).await;
    server.publish_numbers("ada", 1..=3).await;
    let mut client = server.connect("ada", "laptop").await;
    let epoch = client.established["epoch"].clone();
    client.pending(MINE).await;
    client.send(r#"{"type":"ack","seq":1}"#).await;
    wait_for_cursor(&server, "laptop", 1).await;
    drop(client);

    let server = server.restart(config(), None).await;
    server.publish_numbers("ada", 4..=4).await;
    let mut client = server.connect("ada", "laptop").await;
    assert_eq!(client.established["epoch"], epoch);
    assert_eq!(client.pending(MINE).await.0, [2, 3, 4]);
}

#[tokio::test]
async fn a_large_message_goes_through_alone() {
    let server = TestServer::start(config()).await;
    let text = "x".repeat(900_000);
    server.publish("ada", &format!(r#"{{"type":"large","text":"{text}"}}"#)).await;
    server.publish_numbers("ada", 2..=2).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(MINE).await;
    assert_eq!(client.next_of("large").await["text"], text);
    assert_eq!(client.numbers(1).await, [2]);
}

#[tokio::test]
async fn a_client_that_acknowledges_is_never_more_than_the_limit_ahead() {
    let mut config = config();
    config.limits.in_flight_messages_max = 10;
    let server = TestServer::start(config).await;
    server.publish_numbers("ada", 1..=40).await;
    let mut client = server.connect("ada", "laptop").await;
    client.pending(MINE).await;
    client.send(r#"{"type":"ack","seq":5}"#).await;
    client.send(r#"{"type":"get_pending","after":5}"#).await;
    assert_eq!(client.numbers(10).await, (6..=15).collect::<Vec<_>>());
    client.assert_quiet().await;
    client.send(r#"{"type":"ack","seq":8}"#).await;
    assert_eq!(client.numbers(3).await, [16, 17, 18]);
    client.assert_quiet().await;
}

#[tokio::test]
async fn a_client_that_never_acknowledges_is_not_held_back() {
    let mut config = config();
    config.limits.in_flight_messages_max = 10;
    let server = TestServer::start(config).await;
    server.publish_numbers("ada", 1..=40).await;
    let mut client = server.connect("ada", "laptop").await;
    assert_eq!(client.pending(ALL).await.0.len(), 40);
}

#[tokio::test]
async fn a_plain_client_lives_from_now_and_gets_older_messages_when_it_asks() {
    let mut config = config();
    config.allow_query_token = true;
    let server = TestServer::start(config).await;
    server.publish_numbers("ada", 1..=5).await;
    let mut laptop = server.connect("ada", "laptop").await;
    laptop.pending(MINE).await;
    laptop.send(r#"{"type":"ack","seq":2}"#).await;
    wait_for_cursor(&server, "laptop", 2).await;

    let mut plain = server.connect_plain("ada").await;
    assert_eq!(plain.protocol, None);
    server.publish_numbers("ada", 6..=7).await;
    assert_eq!(plain.numbers(2).await, [6, 7]);
    let (older, summary) = plain.pending(MINE).await;
    assert_eq!(older, [3, 4, 5], "from the floor, and nothing twice");
    assert_eq!(summary["delivered"], 3);
    assert_eq!(plain.pending(MINE).await.0, [0_u64; 0]);
    server.publish_numbers("ada", 8..=8).await;
    assert_eq!(plain.numbers(1).await, [8]);

    // Its Pongs are its acknowledgements: the floor moves, and a new device starts there. The
    // socket must be read for a Pong to be sent.
    plain.assert_quiet().await;
    let mut device = 0;
    eventually(|| {
        device += 1;
        let device = format!("new-{device}");
        let server = &server;
        async move { server.connect("ada", &device).await.established["cursor"] == 8 }
    })
    .await;
}

#[tokio::test]
async fn a_plain_client_that_did_not_ask_for_the_older_ones_has_not_handled_them() {
    let mut config = config();
    config.allow_query_token = true;
    let server = TestServer::start(config).await;
    server.publish_numbers("ada", 1..=2).await;
    let mut plain = server.connect_plain("ada").await;
    server.publish_numbers("ada", 3..=3).await;
    assert_eq!(plain.numbers(1).await, [3]);
    plain.assert_quiet().await;
    let mut again = server.connect_plain("ada").await;
    assert_eq!(again.pending(MINE).await.0, [1, 2, 3]);
}

#[tokio::test]
async fn what_is_acknowledged_right_before_the_goodbye_counts() {
    // The connection ended while the store was still at it, and the next page got messages again
    // that had been handled.
    let server = TestServer::start(config()).await;
    server.publish_numbers("ada", 1..=30).await;
    let mut client = server.connect("ada", "laptop").await;
    client.pending(MINE).await;
    for seq in 1..=30 {
        client.send(&format!(r#"{{"type":"ack","seq":{seq}}}"#)).await;
    }
    client.socket.close(None).await.unwrap();
    while let Some(Ok(_)) = client.socket.next().await {}
    assert_eq!(server.connect("ada", "laptop").await.established["cursor"], 30);
}
