//! What a server that ends does to whoever is connected, and to whoever comes.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, future::join_all};
use http::StatusCode;
use serde_json::Value;
use support::{API_KEY, Client, PATIENCE, TestServer, config, token};
use tetherline_protocol::CloseCode;
use tetherline_server::{DRAIN_RETURN_MIN, DRAIN_TIMEOUT, Drain};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::protocol::Message as Frame;

/// The code and the reason of the close that comes next.
async fn goodbye(client: &mut Client) -> (u16, String) {
    loop {
        match timeout(PATIENCE, client.socket.next()).await.expect("a close in time") {
            Some(Ok(Frame::Close(Some(close)))) => {
                return (close.code.into(), close.reason.to_string());
            }
            Some(Ok(_)) => {}
            other => panic!("no close: {other:?}"),
        }
    }
}

async fn get(server: &TestServer, path: &str) -> (StatusCode, Value) {
    let answer = reqwest::get(server.http(path)).await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    (answer.status(), answer.json().await.unwrap())
}

/// A short text frame as a client writes it, with a mask that changes nothing.
fn masked(text: &[u8]) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 126);
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text].concat()
}

/// A peer that upgrades and then reads nothing and says nothing any more.
async fn deaf(server: &TestServer, user: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!(
        "GET /ws/user/{user} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Authorization: Bearer {}\r\n\r\n",
        token(user)
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    stream
}

#[tokio::test]
async fn everybody_is_told_another_time_to_come_back() {
    // All came back in the same half second.
    let server = TestServer::start(config()).await;
    let users: Vec<String> = (0..40).map(|number| format!("u{number}")).collect();
    let mut clients = join_all(users.iter().map(|user| server.connect(user, "laptop"))).await;
    let goodbyes = join_all(clients.iter_mut().map(goodbye));
    let (goodbyes, ()) = tokio::join!(goodbyes, server.server.drain());
    let mut told: Vec<u64> = goodbyes
        .iter()
        .map(|(code, reason)| {
            assert_eq!(*code, 1012);
            assert!(reason.starts_with("the server restarts; "), "{reason}");
            CloseCode::retry_after_ms(reason).unwrap()
        })
        .collect();
    told.sort_unstable();
    let soonest = DRAIN_RETURN_MIN.as_millis() as u64;
    assert!(told.iter().all(|ms| (soonest..soonest + 400).contains(ms)), "{told:?}");
    assert!(told.windows(2).all(|pair| pair[1] - pair[0] < 40), "no crowd and no hole: {told:?}");
    told.dedup();
    assert!(told.len() > 30, "{told:?}");
}

#[tokio::test]
async fn while_a_server_drains_it_lets_nobody_in_says_so_and_goes_on_publishing() {
    let server = TestServer::start(config()).await;
    assert_eq!(
        get(&server, "/readyz").await,
        (StatusCode::OK, serde_json::json!({ "status": "ready" }))
    );
    // Somebody who does not answer the close, so that it takes a moment.
    let _deaf = deaf(&server, "ada").await;
    let draining = tokio::spawn({
        let server = server.server.clone();
        async move { server.drain().await }
    });
    support::eventually(|| async { get(&server, "/readyz").await.0 == 503 }).await;
    let (_, body) = get(&server, "/readyz").await;
    assert_eq!(body["error"]["reason"], "draining");
    assert_eq!(
        get(&server, "/healthz").await,
        (StatusCode::OK, serde_json::json!({ "status": "ok" }))
    );

    let http = reqwest::Client::new();
    let connect = http.get(server.http("/ws/user/eve")).bearer_auth(token("eve")).send();
    let refused = connect.await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["error"]["code"], "unavailable");
    assert!(refused["error"]["retry_after_ms"].as_u64().unwrap() >= 1_000);

    let publish = http
        .post(server.http("/v1/users/eve/messages"))
        .bearer_auth(API_KEY)
        .body(r#"{"type":"note"}"#);
    assert_eq!(publish.send().await.unwrap().status(), 201);
    draining.await.unwrap();
    let server = server.restart(config(), None).await;
    let mut eve = server.connect("eve", "laptop").await;
    eve.send(r#"{"type":"get_pending","after":0}"#).await;
    eve.next_of("note").await;
}

#[tokio::test]
async fn peers_that_hear_no_goodbye_do_not_hold_up_the_end() {
    let server = TestServer::start(config()).await;
    let large = format!(r#"{{"type":"note","text":"{}"}}"#, "x".repeat(1_000_000));
    for _ in 0..8 {
        server.publish("eve", &large).await;
    }
    let mut deaf = join_all((0..20).map(|_| deaf(&server, "eve"))).await;
    // Half of them have asked for more than anything between here and there holds, and read none of it; of these
    // some go on talking all the while.
    for stream in &mut deaf[..10] {
        stream.write_all(&masked(br#"{"type":"get_pending","after":0}"#)).await.unwrap();
    }
    let talking = deaf.split_off(15).into_iter().map(|mut stream| {
        tokio::spawn(async move {
            while stream.write_all(&masked(br#"{"type":"ping"}"#)).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    });
    let talking: Vec<_> = talking.collect();
    let mut bystander = server.connect("ada", "laptop").await;
    let began = Instant::now();
    let (told, ()) = tokio::join!(goodbye(&mut bystander), server.server.drain());
    assert_eq!(told.0, 1012);
    // Nothing but the promised bound; what a loaded machine takes on top is not the server's.
    assert!(began.elapsed() < DRAIN_TIMEOUT + Duration::from_secs(5), "{:?}", began.elapsed());
    // Who talks on is cut off, too.
    for one in talking {
        timeout(PATIENCE, one).await.expect("it is cut off").unwrap();
    }
}

#[tokio::test]
async fn one_by_one_whoever_is_sent_away_may_come_back_at_once() {
    let mut config = config();
    config.drain = Drain::OneByOne;
    let server = TestServer::start(config).await;
    let users: Vec<String> = (0..20).map(|number| format!("u{number}")).collect();
    let mut clients = join_all(users.iter().map(|user| server.connect(user, "laptop"))).await;
    let goodbyes = join_all(clients.iter_mut().map(goodbye));
    let (goodbyes, ()) = tokio::join!(goodbyes, server.server.drain());
    for (code, reason) in goodbyes {
        assert_eq!((code, CloseCode::retry_after_ms(&reason)), (1012, Some(0)));
    }
}
