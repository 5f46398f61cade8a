//! What clients send: in order, once, and with an answer.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use serde_json::json;
use support::{TestServer, config};
use tetherline_protocol::ErrorCode;
use tetherline_server::{Application, Incoming, Refusal, SendAnswer};
use tokio::sync::{Mutex, Semaphore};

/// Remembers what it took. It refuses `type: "bad"` for good and `type: "busy"` while it is busy,
/// panics at `type: "bug"`, takes `type: "slow"` only once it may, and answers `type: "count"` with how
/// many it has taken.
#[derive(Default)]
struct Recorder {
    taken: Mutex<Vec<Incoming>>,
    busy: AtomicBool,
    slow: Option<Semaphore>,
}

impl Application for Recorder {
    fn receive(&self, incoming: Incoming) -> BoxFuture<'_, Result<Option<SendAnswer>, Refusal>> {
        Box::pin(async move {
            let kind = incoming.message.kind().to_owned();
            match kind.as_str() {
                "busy" if self.busy.load(Ordering::SeqCst) => {
                    return Err(Refusal::new(ErrorCode::Unavailable, "Busy.")
                        .retry_after(Duration::from_millis(1500)));
                }
                "slow" => self.slow.as_ref().unwrap().acquire().await.unwrap().forget(),
                "bug" => panic!("a bug in the application, on purpose"),
                _ => {}
            }
            let mut taken = self.taken.lock().await;
            taken.push(incoming);
            if kind == "count" {
                return Ok(SendAnswer::of(&json!({ "taken": taken.len() })).ok());
            }
            if kind == "bad" { Err(Refusal::new(ErrorCode::Rejected, "No.")) } else { Ok(None) }
        })
    }
}

impl Recorder {
    async fn ids(&self) -> Vec<String> {
        self.taken.lock().await.iter().map(|incoming| incoming.id.to_string()).collect()
    }
}

#[tokio::test]
async fn a_send_reaches_the_application_and_is_accepted() {
    let recorder = Arc::new(Recorder::default());
    let server = TestServer::start_with(config(), Some(recorder.clone())).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"ask","id":"m1","text":"Hi"}"#).await;
    assert_eq!(client.next().await, json!({"type":"accepted","ref":"m1"}));
    client.send(r#"{"type":"ask","text":"no id"}"#).await;
    client.send(r#"{"type":"ask","id":"m3"}"#).await;
    assert_eq!(client.next().await["ref"], "m3", "without an id there is nothing to refer to");
    let taken = recorder.taken.lock().await;
    assert_eq!(taken.len(), 3);
    assert_eq!(taken[0].user.as_str(), "ada");
    assert_eq!(taken[0].device.as_ref().unwrap().as_str(), "laptop");
    assert_eq!(taken[0].message.to_object(), r#"{"text":"Hi"}"#);
}

#[tokio::test]
async fn what_the_application_answers_goes_to_whoever_sent_it_and_to_whoever_repeats_it() {
    // There was no way to answer a send but to publish to all of its user's devices.
    let recorder = Arc::new(Recorder { slow: Some(Semaphore::new(0)), ..Recorder::default() });
    let server = TestServer::start_with(config(), Some(recorder.clone())).await;
    let mut laptop = server.connect("ada", "laptop").await;
    let mut phone = server.connect("ada", "phone").await;
    let first = json!({"type":"accepted","ref":"m1","answer":{"taken":1}});
    laptop.send(r#"{"type":"count","id":"m1"}"#).await;
    assert_eq!(laptop.next().await, first);
    phone.send(r#"{"type":"count","id":"m1"}"#).await;
    assert_eq!(phone.next().await, first, "another device repeats it");
    phone.send(r#"{"type":"count","id":"m2"}"#).await;
    assert_eq!(phone.next().await["answer"], json!({"taken":2}));
    drop((laptop, phone));

    let server = server.restart(config(), Some(recorder.clone())).await;
    let mut laptop = server.connect("ada", "laptop").await;
    laptop.send(r#"{"type":"count","id":"m1"}"#).await;
    assert_eq!(laptop.next().await, first, "it is in the files");
    assert_eq!(recorder.ids().await, ["m1", "m2"]);
}

#[tokio::test]
async fn without_an_application_nobody_takes_a_send() {
    let server = TestServer::start(config()).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    let error = client.next_of("error").await;
    assert_eq!((&error["code"], &error["ref"]), (&json!("no_application"), &json!("m1")));
    assert_eq!(error["retryable"], false);
}

#[tokio::test]
async fn final_outcomes_are_repeated_to_a_repeater_also_after_a_restart() {
    let recorder = Arc::new(Recorder::default());
    let server = TestServer::start_with(config(), Some(recorder.clone())).await;
    let mut client = server.connect("ada", "laptop").await;
    let repeat = async |client: &mut support::Client| {
        client.send(r#"{"type":"ask","id":"m1"}"#).await;
        assert_eq!(client.next_of("accepted").await["ref"], "m1");
        client.send(r#"{"type":"bad","id":"m2"}"#).await;
        let error = client.next_of("error").await;
        assert_eq!((&error["code"], &error["message"]), (&json!("rejected"), &json!("No.")));
        assert_eq!((&error["ref"], &error["retryable"]), (&json!("m2"), &json!(false)));
    };
    repeat(&mut client).await;
    repeat(&mut client).await;
    drop(client);
    let server = server.restart(config(), Some(recorder.clone())).await;
    repeat(&mut server.connect("ada", "phone").await).await;
    assert_eq!(recorder.ids().await, ["m1", "m2"]);

    // Another user's message of the same name is another message.
    let mut bob = server.connect("bob", "laptop").await;
    bob.send(r#"{"type":"ask","id":"m1"}"#).await;
    bob.next_of("accepted").await;
    assert_eq!(recorder.ids().await, ["m1", "m2", "m1"]);
}

#[tokio::test]
async fn after_a_retryable_refusal_nothing_overtakes_the_refused_message() {
    let recorder = Arc::new(Recorder::default());
    recorder.busy.store(true, Ordering::SeqCst);
    let server = TestServer::start_with(config(), Some(recorder.clone())).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"busy","id":"m1"}"#).await;
    client.send(r#"{"type":"ask","id":"m2"}"#).await;
    for id in ["m1", "m2"] {
        let error = client.next_of("error").await;
        assert_eq!((&error["ref"], &error["code"]), (&json!(id), &json!("unavailable")));
        assert_eq!((&error["retryable"], &error["retry_after_ms"]), (&json!(true), &json!(1500)));
    }
    assert!(recorder.ids().await.is_empty());

    recorder.busy.store(false, Ordering::SeqCst);
    client.send(r#"{"type":"busy","id":"m1"}"#).await;
    client.send(r#"{"type":"ask","id":"m2"}"#).await;
    assert_eq!(client.next_of("accepted").await["ref"], "m1");
    assert_eq!(client.next_of("accepted").await["ref"], "m2");
    assert_eq!(recorder.ids().await, ["m1", "m2"]);
}

#[tokio::test]
async fn a_send_whose_client_vanished_is_finished_once() {
    let slow = Some(Semaphore::new(0));
    let recorder = Arc::new(Recorder { slow, ..Recorder::default() });
    let server = TestServer::start_with(config(), Some(recorder.clone())).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"slow","id":"m1"}"#).await;
    client.assert_quiet().await;
    drop(client);
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"slow","id":"m1"}"#).await;
    client.assert_quiet().await;
    recorder.slow.as_ref().unwrap().add_permits(2);
    assert_eq!(client.next_of("accepted").await["ref"], "m1");
    assert_eq!(recorder.ids().await, ["m1"]);
}

/// A server whose application is slow, with room for one send and three that wait.
async fn crowded() -> (Arc<Recorder>, TestServer) {
    let slow = Some(Semaphore::new(0));
    let recorder = Arc::new(Recorder { slow, ..Recorder::default() });
    let mut config = config();
    config.limits.sends_waiting_max = 3;
    let server = TestServer::start_with(config, Some(recorder.clone())).await;
    (recorder, server)
}

#[tokio::test]
async fn one_send_at_a_time_and_what_has_no_room_comes_again_in_its_order() {
    // From there on nothing of the connection was read: pings and acknowledgements waited, too.
    let (recorder, server) = crowded().await;
    let mut client = server.connect("ada", "laptop").await;
    for n in 1..=6 {
        client.send(&format!(r#"{{"type":"slow","id":"m{n}"}}"#)).await;
    }
    for id in ["m5", "m6"] {
        let error = client.next_of("error").await;
        assert_eq!((&error["ref"], &error["code"]), (&json!(id), &json!("rate_limited")));
        assert_eq!((&error["retryable"], &error["retry_after_ms"]), (&json!(true), &json!(5_000)));
    }
    client.assert_quiet().await;
    recorder.slow.as_ref().unwrap().add_permits(4);
    for id in ["m1", "m2", "m3", "m4"] {
        assert_eq!(client.next_of("accepted").await["ref"], id);
    }
    client.send(r#"{"type":"slow","id":"m6"}"#).await;
    assert_eq!(client.next_of("error").await["ref"], "m6", "m5 comes first");
    recorder.slow.as_ref().unwrap().add_permits(2);
    for id in ["m5", "m6"] {
        client.send(&format!(r#"{{"type":"slow","id":"{id}"}}"#)).await;
        assert_eq!(client.next_of("accepted").await["ref"], id);
    }
    assert_eq!(recorder.ids().await, ["m1", "m2", "m3", "m4", "m5", "m6"]);
}

#[tokio::test]
async fn who_leaves_gives_the_place_back_while_sends_are_worked_off() {
    // It was not seen to leave until the application had taken one of them.
    let (recorder, server) = crowded().await;
    let mut client = server.connect("ada", "laptop").await;
    for n in 1..=9 {
        client.send(&format!(r#"{{"type":"slow","id":"m{n}"}}"#)).await;
    }
    drop(client);
    support::eventually(|| async { server.server.connections() == 0 }).await;
    // What the application has is finished, and nothing of the rest is begun.
    recorder.slow.as_ref().unwrap().add_permits(9);
    support::eventually(|| async { recorder.ids().await == ["m1"] }).await;
    server.server.drain().await;
    assert_eq!(recorder.ids().await, ["m1"]);
}

#[tokio::test]
async fn a_drain_waits_for_what_the_application_has() {
    // The process ended, and the application's work with it.
    let (recorder, server) = crowded().await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"slow","id":"m1"}"#).await;
    client.assert_quiet().await;
    let (application, connections) = (recorder.clone(), server.server.clone());
    tokio::spawn(async move {
        support::eventually(|| async { connections.connections() == 0 }).await;
        // It takes this long.
        tokio::time::sleep(Duration::from_millis(300)).await;
        application.slow.as_ref().unwrap().add_permits(1);
    });
    let (code, ()) = tokio::join!(client.closed(), server.server.drain());
    assert_eq!(code, 1012);
    assert_eq!(recorder.ids().await, ["m1"]);
}

#[tokio::test]
async fn a_bug_in_the_application_is_answered_and_ends_nothing() {
    let recorder = Arc::new(Recorder::default());
    let server = TestServer::start_with(config(), Some(recorder.clone())).await;
    let mut client = server.connect("ada", "laptop").await;
    client.send(r#"{"type":"bug","id":"m1"}"#).await;
    let error = client.next_of("error").await;
    assert_eq!((&error["code"], &error["retryable"]), (&json!("internal"), &json!(true)));
    client.assert_quiet().await;
}

/// A send of exactly so many bytes.
fn sized(kind: &str, id: &str, bytes: usize) -> String {
    let frame = |text: &str| format!(r#"{{"type":"{kind}","id":"{id}","text":"{text}"}}"#);
    frame(&"x".repeat(bytes - frame("").len()))
}

#[tokio::test]
async fn what_waits_for_the_application_has_so_many_bytes_for_each_user_and_for_all() {
    // 64 connections of one user held 155 MB for an application that was slow.
    let recorder = Arc::new(Recorder { slow: Some(Semaphore::new(0)), ..Recorder::default() });
    let mut config = config();
    (config.sends_bytes_per_user_max, config.sends_bytes_max) = (20_000, 30_000);
    let server = TestServer::start_with(config, Some(recorder.clone())).await;
    let (mut laptop, mut phone) =
        (server.connect("ada", "laptop").await, server.connect("ada", "phone").await);
    laptop.send(&sized("slow", "m1", 12_000)).await;
    laptop.assert_quiet().await;
    phone.send(&sized("ask", "m2", 8_001)).await;
    let refused = phone.next_of("error").await;
    assert_eq!((&refused["ref"], &refused["code"]), (&json!("m2"), &json!("rate_limited")));
    assert_eq!((&refused["retryable"], &refused["retry_after_ms"]), (&json!(true), &json!(5_000)));
    phone.send(&sized("ask", "m3", 2_000)).await;
    assert_eq!(phone.next_of("error").await["ref"], "m3", "nothing overtakes it");
    phone.send(&sized("slow", "m2", 8_000)).await;
    phone.assert_quiet().await;

    let mut bobs = server.connect("bob", "laptop").await;
    bobs.send(&sized("ask", "m1", 10_001)).await;
    assert_eq!(bobs.next_of("error").await["code"], "rate_limited", "all have too much by now");
    bobs.send(&sized("ask", "m1", 10_000)).await;
    assert_eq!(bobs.next_of("accepted").await["ref"], "m1");

    recorder.slow.as_ref().unwrap().add_permits(2);
    laptop.next_of("accepted").await;
    phone.next_of("accepted").await;
    laptop.send(&sized("ask", "m4", 50_000)).await;
    assert_eq!(laptop.next_of("accepted").await["ref"], "m4", "what is larger than all takes all");
}

#[tokio::test]
async fn the_last_quarter_of_the_room_is_for_whoever_has_nothing_there_yet() {
    // Sixteen users whose sends the application did not settle kept everybody else from sending.
    let recorder = Arc::new(Recorder { slow: Some(Semaphore::new(0)), ..Recorder::default() });
    let mut config = config();
    (config.sends_bytes_per_user_max, config.sends_bytes_max) = (20_000, 40_000);
    let server = TestServer::start_with(config, Some(recorder.clone())).await;
    let (mut adas, mut bobs) =
        (server.connect("ada", "laptop").await, server.connect("bob", "laptop").await);
    adas.send(&sized("slow", "m1", 20_000)).await;
    bobs.send(&sized("slow", "m1", 8_976)).await;
    adas.assert_quiet().await;
    bobs.assert_quiet().await;
    let mut bobs = server.connect("bob", "phone").await;
    bobs.send(&sized("ask", "m2", 1_025)).await;
    assert_eq!(bobs.next_of("error").await["code"], "rate_limited", "30,001 of 40,000");
    bobs.send(&sized("ask", "m2", 1_024)).await;
    assert_eq!(bobs.next_of("accepted").await["ref"], "m2");
    let mut carols = server.connect("carol", "laptop").await;
    carols.send(&sized("ask", "m1", 11_024)).await;
    assert_eq!(carols.next_of("accepted").await["ref"], "m1");
    recorder.slow.as_ref().unwrap().add_permits(2);
}

#[tokio::test]
async fn who_leaves_and_comes_again_gets_no_more_room_for_it() {
    let recorder = Arc::new(Recorder { slow: Some(Semaphore::new(0)), ..Recorder::default() });
    let mut config = config();
    config.sends_bytes_per_user_max = 30_000;
    let server = TestServer::start_with(config, Some(recorder.clone())).await;
    for n in 0..3 {
        let mut client = server.connect("ada", "laptop").await;
        client.send(&sized("slow", &format!("m{n}"), 10_000)).await;
        client.assert_quiet().await;
    }
    let mut client = server.connect("ada", "laptop").await;
    client.send(&sized("ask", "m3", 1_000)).await;
    assert_eq!(client.next_of("error").await["code"], "rate_limited");
    recorder.slow.as_ref().unwrap().add_permits(1);
    support::eventually(async || recorder.taken.lock().await.len() == 1).await;
    loop {
        client.send(&sized("ask", "m3", 1_000)).await;
        if client.next().await["type"] == "accepted" {
            break;
        }
    }
}
