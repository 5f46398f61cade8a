//! Who connects and disconnects, told to whoever wants to hear it.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::post};
use futures_util::{
    FutureExt as _, SinkExt as _,
    future::{BoxFuture, pending},
};
use serde_json::{Value, json};
use support::{API_KEY, TestServer, config, eventually, user};
use tetherline_protocol::ErrorCode;
use tetherline_server::{
    Application, ConnectionChange, ConnectionEvent, ConnectionEvents, DRAIN_TIMEOUT, Incoming,
    Refusal, SendAnswer, Webhook, WebhookOptions,
};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message as Frame};

#[derive(Default)]
struct Listener {
    heard: Mutex<Vec<ConnectionEvents>>,
    /// So often it cannot take them at first.
    fails: AtomicUsize,
    /// So often it has a bug.
    panics: AtomicUsize,
    /// It takes so long to hear that a connection has ended, and never settles a send.
    late: Option<Duration>,
}

impl Application for Listener {
    fn receive(&self, _: Incoming) -> BoxFuture<'_, Result<Option<SendAnswer>, Refusal>> {
        if self.late.is_some() {
            return pending().boxed();
        }
        async { Ok(None) }.boxed()
    }

    fn hears_of_connections(&self) -> bool {
        true
    }

    fn connections_changed(&self, events: ConnectionEvents) -> BoxFuture<'_, Result<(), Refusal>> {
        let is_left = |count: &AtomicUsize| {
            count
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok()
        };
        async move {
            assert!(!is_left(&self.panics), "a bug in the application, on purpose");
            if is_left(&self.fails) {
                return Err(Refusal::new(ErrorCode::Unavailable, "Not now."));
            }
            let is_end = |event: &ConnectionEvent| event.change != ConnectionChange::Connected;
            if let Some(late) = self.late
                && events.events.iter().any(is_end)
            {
                tokio::time::sleep(late).await;
            }
            self.heard.lock().unwrap().push(events);
            Ok(())
        }
        .boxed()
    }
}

impl Listener {
    fn events(&self) -> Vec<ConnectionEvent> {
        self.heard.lock().unwrap().iter().flat_map(|batch| batch.events.clone()).collect()
    }

    async fn heard(&self, count: usize) -> Vec<ConnectionEvent> {
        eventually(async || self.events().len() >= count).await;
        self.events()
    }
}

fn end(event: &ConnectionEvent) -> (String, Option<u16>) {
    match event.change {
        ConnectionChange::Disconnected(end) => (end.reason().into_owned(), end.code()),
        change => panic!("{change:?}"),
    }
}

#[tokio::test]
async fn each_connection_is_told_and_how_it_ends() {
    let listener = Arc::new(Listener::default());
    let server = TestServer::start_with(config(), Some(listener.clone())).await;
    let mut closes = server.connect("ada", "laptop").await;
    let events = listener.heard(1).await;
    assert_eq!((events[0].number, events[0].change), (1, ConnectionChange::Connected));
    assert_eq!(
        (events[0].user.as_str(), events[0].device.as_ref().unwrap().as_str()),
        ("ada", "laptop")
    );
    assert_eq!(events[0].connection.as_str(), closes.established["connection_id"]);
    let close = CloseFrame { code: 4999.into(), reason: "".into() };
    closes.socket.send(Frame::Close(Some(close))).await.unwrap();
    assert_eq!(end(&listener.heard(2).await[1]), ("client".to_owned(), Some(4999)));

    drop(server.connect("ada", "phone").await);
    assert_eq!(end(&listener.heard(4).await[3]), ("gone".to_owned(), None));

    let mut signed_out = server.connect("ada", "phone").await;
    signed_out
        .send(&json!({"type":"authenticate","token":support::token("bob")}).to_string())
        .await;
    assert_eq!(signed_out.closed().await, 4403);
    assert_eq!(end(&listener.heard(6).await[5]), ("other_user".to_owned(), Some(4403)));

    let mut drained = server.connect("bob", "tablet").await;
    let draining = server.server.clone();
    let drain = tokio::spawn(async move { draining.drain().await });
    assert_eq!(drained.closed().await, 1012);
    drain.await.unwrap();
    let events = listener.events();
    assert_eq!(end(&events[7]), ("restart".to_owned(), Some(1012)), "the drain waits for it");
    let numbers: Vec<u64> = events.iter().map(|event| event.number).collect();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    assert!(listener.heard.lock().unwrap().iter().all(|batch| batch.server == *server.server.id()));
}

#[tokio::test]
async fn a_drain_that_waited_for_sends_waits_a_moment_more_until_the_last_ends_are_heard() {
    // A send that nobody settled took all the time there was, and the application was not told of the last ends.
    let late = Some(DRAIN_TIMEOUT + Duration::from_millis(700));
    let listener = Arc::new(Listener { late, ..Listener::default() });
    let server = TestServer::start_with(config(), Some(listener.clone())).await;
    let mut ada = server.connect("ada", "laptop").await;
    ada.send(r#"{"type":"question","id":"s1"}"#).await;
    ada.send(r#"{"type":"ping","timestamp":1}"#).await;
    ada.next_of("pong").await;
    let (code, ()) = tokio::join!(ada.closed(), server.server.drain());
    assert_eq!(code, 1012);
    let events = listener.events();
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(end(&events[1]), ("restart".to_owned(), Some(1012)));
}

#[tokio::test]
async fn what_was_not_taken_comes_again_before_what_is_behind_it_and_a_bug_ends_nothing() {
    let listener = Arc::new(Listener::default());
    listener.fails.store(1, Ordering::SeqCst);
    let server = TestServer::start_with(config(), Some(listener.clone())).await;
    let _ada = server.connect("ada", "laptop").await;
    let _bob = server.connect("bob", "laptop").await;
    let events = listener.heard(2).await;
    assert_eq!((events[0].user.as_str(), events[1].user.as_str()), ("ada", "bob"));
    listener.panics.store(1, Ordering::SeqCst);
    drop(server.connect("eve", "laptop").await);
    eventually(async || listener.panics.load(Ordering::SeqCst) == 0).await;
    let _cy = server.connect("cy", "laptop").await;
    eventually(async || listener.events().iter().any(|event| event.user.as_str() == "cy")).await;
}

#[tokio::test]
async fn order_holds_for_each_of_many_connections() {
    let listener = Arc::new(Listener::default());
    let server = TestServer::start_with(config(), Some(listener.clone())).await;
    for round in 0..10 {
        let devices = (0..5).map(|n| format!("d{round}-{n}")).collect::<Vec<_>>();
        let connects = devices.iter().map(|device| server.connect("ada", device));
        drop(futures_util::future::join_all(connects).await);
    }
    let mut open = HashMap::new();
    for event in listener.heard(100).await {
        let before = open.insert(event.connection, event.change);
        match event.change {
            ConnectionChange::Connected => assert_eq!(before, None),
            _ => assert_eq!(before, Some(ConnectionChange::Connected)),
        }
    }
    assert_eq!(open.len(), 50);
}

#[tokio::test]
async fn a_webhook_is_told_when_it_wants_to_be_and_can_find_out_who_is_left() {
    let bodies = Arc::new(Mutex::new(Vec::<(String, Value)>::new()));
    let (kept, refuses) = (bodies.clone(), AtomicUsize::new(1));
    let receive = async move |headers: axum::http::HeaderMap, body: String| {
        if refuses
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok()
        {
            // A proxy during a deploy.
            return StatusCode::NOT_FOUND;
        }
        let id = headers["webhook-id"].to_str().unwrap().to_owned();
        kept.lock().unwrap().push((id, serde_json::from_str(&body).unwrap()));
        StatusCode::NO_CONTENT
    };
    let receive = Arc::new(receive);
    let router = Router::new().route(
        "/hook",
        post(async move |headers: axum::http::HeaderMap, body: String| {
            receive(headers, body).await
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

    let mut options = WebhookOptions::new(&url, "the-secret-that-both-know");
    options.connection_events = true;
    let webhook = Arc::new(Webhook::open(options).unwrap());
    let server = TestServer::start_with(config(), Some(webhook)).await;
    let client = server.connect("ada", "laptop").await;
    let id = client.established["connection_id"].clone();
    eventually(async || bodies.lock().unwrap().len() == 1).await;
    let instance = server.server.id().as_str();
    let (key, body) = bodies.lock().unwrap()[0].clone();
    assert_eq!(key, format!("connections/{instance}/1"));
    let at = body["events"][0]["timestamp"].clone();
    assert!(at.as_str().unwrap().ends_with('Z'), "{at}");
    let expected = json!({"type": "connections", "server": instance, "events": [
        {"number": 1, "type": "connected", "timestamp": at, "connection_id": id, "user": "ada", "device": "laptop"}
    ]});
    assert_eq!(body, expected);

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let count = async || {
        let asked =
            http.get(server.http("/v1/users/ada")).bearer_auth(API_KEY).send().await.unwrap();
        asked.json::<Value>().await.unwrap()
    };
    let said = count().await;
    assert_eq!((&said["connections"], &said["server"]), (&json!(1), &json!(instance)));
    drop(client);
    eventually(async || bodies.lock().unwrap().len() == 2).await;
    let event = bodies.lock().unwrap()[1].1["events"][0].clone();
    assert_eq!(
        (&event["number"], &event["type"], &event["reason"]),
        (&json!(2), &json!("disconnected"), &json!("gone"))
    );
    eventually(async || count().await["connections"] == 0).await;
    assert_eq!(server.server.head(&user("ada")).await.unwrap().seq.get(), 0);
}
