//! Streams: in over HTTP, out to whoever is connected.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use support::{API_KEY, Client, TestServer, config, eventually, user};
use tetherline_protocol::{Attempt, MessageId, StopTarget, StreamStatus, frame::StreamOpening};
use tetherline_server::{Application, Incoming, Refusal, SendAnswer, Stop};
use tokio::sync::Mutex;

/// A backend that speaks HTTP.
struct Backend<'a> {
    server: &'a TestServer,
    http: reqwest::Client,
}

impl<'a> Backend<'a> {
    fn of(server: &'a TestServer) -> Self {
        Self { server, http: reqwest::Client::new() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = self.server.http(&format!("/v1/users/{path}"));
        self.http.request(method, url).bearer_auth(API_KEY)
    }

    async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    async fn open(&self, user: &str, opening: Value) -> Value {
        let (status, opened) = self.post(&format!("{user}/streams"), opening).await;
        assert_eq!(status, StatusCode::CREATED, "{opened}");
        opened
    }

    async fn add(&self, name: &str, text: &str, offset: Option<u64>) -> (StatusCode, Value) {
        self.post(&format!("{name}/text"), json!({ "text": text, "offset": offset })).await
    }

    async fn finish(&self, name: &str, ending: Value) -> (StatusCode, Value) {
        self.post(&format!("{name}/finish"), ending).await
    }

    async fn lines(&self, name: &str, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
        let request = self.request(Method::POST, &format!("{name}/text"));
        answer(request.header("content-type", "application/x-ndjson").body(body)).await
    }
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// A client that sees streams.
async fn reader(server: &TestServer, device: &str, have: Value) -> Client {
    let mut client = server.connect("ada", device).await;
    client.send(&json!({ "type": "get_pending", "have": have }).to_string()).await;
    client
}

/// The text of a stream as a client puts it together, until the message that it becomes.
async fn watch(client: &mut Client) -> (String, Value) {
    watch_on(client, String::new()).await
}

/// The same, of which this much is there already.
async fn watch_on(client: &mut Client, mut text: String) -> (String, Value) {
    loop {
        let frame = client.next().await;
        match frame["type"].as_str().unwrap() {
            "message_start" => text.clear(),
            "message_delta" => {
                assert_eq!(frame["offset"].as_u64().unwrap(), text.encode_utf16().count() as u64);
                text.push_str(frame["text"].as_str().unwrap());
            }
            "message_generate" => return (text, frame),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_stream_is_shown_on_every_device_and_becomes_a_message() {
    let server = TestServer::start(config()).await;
    let backend = Backend::of(&server);
    let mut laptop = reader(&server, "laptop", json!([])).await;
    let mut phone = reader(&server, "phone", json!([])).await;
    for client in [&mut laptop, &mut phone] {
        client.next_of("pending_check_complete").await;
    }
    let opened = backend
        .open("ada", json!({ "message_uuid": "a1", "ref": "q1", "conversation_uuid": "c1" }))
        .await;
    assert_eq!(
        opened,
        json!({ "message_uuid": "a1", "attempt": 1, "next_offset": 0, "stopped": false })
    );
    for client in [&mut laptop, &mut phone] {
        let start = client.next_of("message_start").await;
        assert_eq!(start["ref"], "q1");
        assert_eq!(start["conversation_uuid"], "c1");
    }
    let name = "ada/streams/a1/1";
    assert_eq!(backend.add(name, "Hi ", None).await.1, json!({ "next_offset": 3 }));
    assert_eq!(backend.add(name, "👍", Some(3)).await.1, json!({ "next_offset": 5 }));
    let ending = json!({ "message": { "role": "assistant" }, "usage": 7 });
    let (status, ended) = backend.finish(name, ending.clone()).await;
    assert_eq!(
        (status, &ended["status"], &ended["seq"]),
        (StatusCode::OK, &json!("complete"), &json!(1))
    );
    assert_eq!(
        backend.finish(name, ending).await.1,
        ended,
        "a repeat is answered as the first time"
    );
    for client in [&mut laptop, &mut phone] {
        let (text, message) = watch(client).await;
        assert!("Hi 👍".starts_with(&text), "{text}");
        assert_eq!(message["id"], ended["id"]);
        assert_eq!((&message["seq"], &message["usage"]), (&json!(1), &json!(7)));
        assert_eq!((&message["attempt"], &message["message_uuid"]), (&json!(1), &json!("a1")));
        let expected = json!({
            "uuid": "a1", "content": "Hi 👍", "status": "complete", "attempt": 1, "role": "assistant",
        });
        assert_eq!(message["message"], expected);
        client.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_reader_goes_on_from_where_it_is_and_a_new_one_starts_at_the_beginning() {
    let server = TestServer::start(config()).await;
    let backend = Backend::of(&server);
    server.publish_numbers("ada", 1..=2).await;
    backend.open("ada", json!({ "message_uuid": "a1" })).await;
    backend.add("ada/streams/a1/1", "one two three", None).await;
    let have = json!([{ "message_uuid": "a1", "attempt": 1, "offset": 4 }]);
    for (have, expected) in
        [(have, vec!["message_delta 4"]), (json!([]), vec!["message_start -", "message_delta 0"])]
    {
        let mut client = reader(&server, "laptop", have).await;
        let mut seen = Vec::new();
        loop {
            let frame = client.next().await;
            let kind = frame["type"].as_str().unwrap();
            match kind {
                "pending_check_complete" => {
                    assert_eq!(frame["data"]["streams"], 1);
                    break;
                }
                "number" => assert!(seen.is_empty(), "what is durable comes first"),
                _ => {
                    let offset = frame["offset"].as_u64().map_or("-".into(), |at| at.to_string());
                    seen.push(format!("{kind} {offset}"));
                }
            }
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn who_knows_nothing_of_streams_gets_the_message_alone() {
    let mut config = config();
    config.allow_query_token = true;
    let server = TestServer::start(config).await;
    let backend = Backend::of(&server);
    let mut plain = server.connect_plain("ada").await;
    let mut quiet = server.connect("ada", "laptop").await;
    quiet.pending(r#"{"type":"get_pending"}"#).await;
    backend.open("ada", json!({ "message_uuid": "a1" })).await;
    backend.add("ada/streams/a1/1", "text", None).await;
    backend.finish("ada/streams/a1/1", json!({})).await;
    for client in [&mut plain, &mut quiet] {
        let message = client.next_of("message_generate").await;
        assert_eq!(message["message"]["content"], "text");
    }
}

#[tokio::test]
async fn a_writer_is_told_what_it_needs_to_go_on() {
    let server = TestServer::start(config()).await;
    let backend = Backend::of(&server);
    backend.open("ada", json!({ "message_uuid": "a1" })).await;
    let name = "ada/streams/a1/1";
    backend.add(name, "Hello", Some(0)).await;
    let (status, repeated) = backend.add(name, "Hello", Some(0)).await;
    assert_eq!((status, repeated), (StatusCode::OK, json!({ "next_offset": 5 })));
    let (_, overlapping) = backend.add(name, "llo, world", Some(2)).await;
    assert_eq!(
        overlapping,
        json!({ "next_offset": 12 }),
        "what is there already is not added again"
    );
    for (text, offset, reason) in [("Jello", 0, "overlap"), ("!", 13, "gap")] {
        let (status, refused) = backend.add(name, text, Some(offset)).await;
        let error = &refused["error"];
        assert_eq!((status, &error["reason"]), (StatusCode::CONFLICT, &json!(reason)));
        assert_eq!(error["next_offset"], 12);
    }
    let (_, state) = answer(backend.request(Method::GET, "ada/streams/a1")).await;
    let expected = json!({
        "message_uuid": "a1", "attempt": 1, "phase": "open", "next_offset": 12, "text": "Hello, world",
    });
    assert_eq!(state, expected);

    assert_eq!(backend.open("ada", json!({ "message_uuid": "a1" })).await["attempt"], 2);
    let (status, refused) = backend.add(name, "!", None).await;
    let error = &refused["error"];
    assert_eq!(
        (status, &error["reason"], &error["attempt"]),
        (StatusCode::CONFLICT, &json!("superseded"), &json!(2))
    );
    let (_, ended) = backend.finish("ada/streams/a1/2", json!({ "status": "failed" })).await;
    assert_eq!(ended["status"], "failed");
    let (status, refused) = backend.add("ada/streams/a1/2", "!", None).await;
    let error = &refused["error"];
    assert_eq!(
        (status, &error["reason"], &error["status"]),
        (StatusCode::CONFLICT, &json!("finished"), &json!("failed"))
    );
}

#[tokio::test]
async fn what_is_not_ones_own_is_not_there() {
    let server = TestServer::start(config()).await;
    let backend = Backend::of(&server);
    backend.open("eve", json!({ "message_uuid": "a1" })).await;
    let (status, error) = backend.add("ada/streams/a1/1", "text", None).await;
    assert_eq!((status, &error["error"]["code"]), (StatusCode::NOT_FOUND, &json!("not_found")));
    let (status, _) = answer(backend.request(Method::GET, "ada/streams/a1")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let mut ada = reader(&server, "laptop", json!([])).await;
    ada.next_of("pending_check_complete").await;
    ada.send(r#"{"type":"message_stop","id":"s1","message_uuid":"a1"}"#).await;
    assert_eq!(ada.next_of("error").await["code"], "not_found");
    assert_eq!(backend.add("eve/streams/a1/1", "text", None).await.0, StatusCode::OK);
}

#[tokio::test]
async fn nobody_writes_without_the_key_and_what_is_no_stream_is_refused() {
    let server = TestServer::start(config()).await;
    let backend = Backend::of(&server);
    let keyless = backend.http.post(server.http("/v1/users/ada/streams")).body("{}");
    assert_eq!(answer(keyless).await.0, StatusCode::UNAUTHORIZED);
    for (opening, field) in [
        (json!({ "message_uuid": "a b" }), "message_uuid"),
        (json!({ "text": "x" }), "text"),
        (json!({ "type": "pong" }), "type"),
    ] {
        let (status, error) = backend.post("ada/streams", opening).await;
        assert_eq!((status, &error["error"]["field"]), (StatusCode::BAD_REQUEST, &json!(field)));
    }
    let opened = backend.open("ada", json!({})).await;
    let name = format!("ada/streams/{}/1", opened["message_uuid"].as_str().unwrap());
    let half = r#"{"text":"\ud83d"}"#;
    let request = backend.request(Method::POST, &format!("{name}/text")).body(half);
    let (status, error) = answer(request).await;
    assert_eq!((status, &error["error"]["field"]), (StatusCode::BAD_REQUEST, &json!("text")));
    let (status, _) = backend.finish(&name, json!({ "status": "done" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, error) = backend.add("ada/streams/a1/0", "x", None).await;
    assert_eq!((status, &error["error"]["field"]), (StatusCode::BAD_REQUEST, &json!("attempt")));
}

#[tokio::test]
async fn the_longest_stream_fits_and_one_more_byte_does_not() {
    let mut config = config();
    config.limits.stream_bytes_max = 100;
    let server = TestServer::start(config).await;
    let backend = Backend::of(&server);
    backend.open("ada", json!({ "message_uuid": "a1" })).await;
    let name = "ada/streams/a1/1";
    assert_eq!(backend.add(name, &"x".repeat(100), None).await.0, StatusCode::OK);
    let (status, error) = backend.add(name, "x", None).await;
    assert_eq!(
        (status, &error["error"]["next_offset"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!(100))
    );
    assert_eq!(backend.finish(name, json!({})).await.0, StatusCode::OK);
}

#[tokio::test]
async fn as_many_streams_as_may_be_are_begun_and_the_next_is_asked_to_wait() {
    let mut config = config();
    config.limits.streams_per_user_max = 2;
    config.limits.streams_bytes_max = 10_000;
    let server = TestServer::start(config).await;
    let backend = Backend::of(&server);
    let open = |uuid: &str| {
        let opening = json!({ "message_uuid": uuid }).to_string();
        backend.request(Method::POST, "ada/streams").body(opening).send()
    };
    assert_eq!(open("a1").await.unwrap().status(), StatusCode::CREATED);
    assert_eq!(open("a2").await.unwrap().status(), StatusCode::CREATED);
    let refused = open("a3").await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));

    assert_eq!(backend.add("ada/streams/a1/1", &"x".repeat(7_000), None).await.0, StatusCode::OK);
    let text = json!({ "text": "x".repeat(3_000) });
    let text = backend.request(Method::POST, "ada/streams/a2/1/text").json(&text);
    let refused = text.send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));

    backend.finish("ada/streams/a1/1", json!({})).await;
    assert_eq!(backend.add("ada/streams/a2/1", &"x".repeat(3_000), None).await.0, StatusCode::OK);
    assert_eq!(open("a3").await.unwrap().status(), StatusCode::CREATED, "there is room again");
}

#[tokio::test]
async fn one_long_request_writes_a_whole_stream() {
    let server = TestServer::start(config()).await;
    let backend = Backend::of(&server);
    let mut client = reader(&server, "laptop", json!([])).await;
    client.next_of("pending_check_complete").await;
    backend.open("ada", json!({ "message_uuid": "a1" })).await;
    let lines = [
        "{\"text\":\"Hel",
        "lo\"}\n\n{\"te",
        "xt\":\" 👍\"}\n",
        "{\"status\":\"complete\",\"usage\":3}\n",
    ];
    let body = stream::iter(lines).map(|line| Ok::<_, std::io::Error>(line.to_owned()));
    let (status, ended) = backend.lines("ada/streams/a1/1", reqwest::Body::wrap_stream(body)).await;
    assert_eq!((status, &ended["status"]), (StatusCode::OK, &json!("complete")), "{ended}");
    let (_, message) = watch(&mut client).await;
    assert_eq!(
        (&message["message"]["content"], &message["usage"]),
        (&json!("Hello 👍"), &json!(3))
    );
}

#[tokio::test]
async fn a_long_request_that_broke_off_is_gone_on_with() {
    let server = TestServer::start(config()).await;
    let backend = Backend::of(&server);
    backend.open("ada", json!({ "message_uuid": "a1" })).await;
    let name = "ada/streams/a1/1";
    let (status, error) = backend.lines(name, "{\"text\":\"one \"}\nnonsense\n").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(error["error"]["message"].as_str().unwrap().starts_with("Line 2"), "{error}");
    let (_, state) = answer(backend.request(Method::GET, "ada/streams/a1")).await;
    assert_eq!((&state["next_offset"], &state["text"]), (&json!(4), &json!("one ")));
    let request = backend.request(Method::POST, &format!("{name}/text?offset=4"));
    let request = request.header("content-type", "application/x-ndjson");
    let (status, added) = answer(request.body("{\"text\":\"two\"}")).await;
    assert_eq!((status, added), (StatusCode::OK, json!({ "next_offset": 7 })));
    assert_eq!(backend.lines(name, "{\"text\":\"!\"}").await.1, json!({ "next_offset": 8 }));
}

#[tokio::test]
async fn a_line_that_says_more_than_its_text_is_refused() {
    // The `offset` of a line went unread, so that a repeated request doubled the text; and with its
    // `status` a stream that was complete became an interrupted one.
    let server = TestServer::start(config()).await;
    let backend = Backend::of(&server);
    backend.open("ada", json!({ "message_uuid": "a1" })).await;
    for more in [r#""offset":0"#, r#""status":"complete""#] {
        let body = format!("{{\"text\":\"one\"}}\n{{\"text\":\"two\",{more}}}\n");
        let name = "ada/streams/a1/1";
        let request = backend.request(Method::POST, &format!("{name}/text?offset=0"));
        let request = request.header("content-type", "application/x-ndjson");
        let (status, error) = answer(request.body(body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{more}");
        assert!(error["error"]["message"].as_str().unwrap().starts_with("Line 2"), "{error}");
    }
    let (_, state) = answer(backend.request(Method::GET, "ada/streams/a1")).await;
    assert_eq!((&state["phase"], &state["text"]), (&json!("open"), &json!("one")));
}

/// Notes what it is told.
#[derive(Default)]
struct Notes(Mutex<Vec<StopTarget>>);

impl Application for Notes {
    fn receive(&self, _: Incoming) -> BoxFuture<'_, Result<Option<SendAnswer>, Refusal>> {
        Box::pin(async { Ok(None) })
    }

    fn stop(&self, stop: Stop) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            self.0.lock().await.push(stop.target);
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_stopped_stream_takes_no_text_and_ends_as_stopped_whatever_its_writer_says() {
    let notes = Arc::new(Notes::default());
    let server = TestServer::start_with(config(), Some(notes.clone())).await;
    let backend = Backend::of(&server);
    let mut client = reader(&server, "laptop", json!([])).await;
    client.next_of("pending_check_complete").await;
    backend.open("ada", json!({ "message_uuid": "a1", "ref": "q1" })).await;
    backend.add("ada/streams/a1/1", "as far as", None).await;
    let target = StopTarget::Message("a1".parse().unwrap());
    for id in ["s1", "s2"] {
        client
            .send(&json!({ "type": "message_stop", "id": id, "message_uuid": "a1" }).to_string())
            .await;
        loop {
            let frame = client.next().await;
            match frame["type"].as_str().unwrap() {
                "accepted" => break assert_eq!(frame["ref"], id),
                "message_start" | "message_delta" => {}
                other => panic!("{other}"),
            }
        }
    }
    assert_eq!(*notes.0.lock().await, [target.clone(), target]);
    let (status, refused) = backend.add("ada/streams/a1/1", " this", None).await;
    let error = &refused["error"];
    assert_eq!(
        (status, &error["reason"], &error["next_offset"]),
        (StatusCode::CONFLICT, &json!("stopped"), &json!(9))
    );
    let (_, ended) = backend.finish("ada/streams/a1/1", json!({ "status": "complete" })).await;
    assert_eq!(ended["status"], "stopped");
    let (_, message) = watch(&mut client).await;
    assert_eq!(message["message"]["content"], "as far as");
    assert_eq!(message["message"]["status"], "stopped");
    client.send(r#"{"type":"message_stop","id":"s3","message_uuid":"a1"}"#).await;
    assert_eq!(client.next_of("accepted").await["ref"], "s3", "what is over can be stopped again");
}

#[tokio::test]
async fn a_stop_that_comes_before_the_stream_waits_for_it() {
    let server = TestServer::start(config()).await;
    let backend = Backend::of(&server);
    let mut client = reader(&server, "laptop", json!([])).await;
    client.next_of("pending_check_complete").await;
    client.send(r#"{"type":"message_stop","id":"s1","ref":"q1"}"#).await;
    client.next_of("accepted").await;
    let opened = backend.open("ada", json!({ "message_uuid": "a1", "ref": "q1" })).await;
    assert_eq!(opened["stopped"], true);
    let (_, refused) = backend.add("ada/streams/a1/1", "text", None).await;
    assert_eq!(refused["error"]["reason"], "stopped");
    let (status, ended) = answer(backend.request(Method::DELETE, "ada/streams/a1/1")).await;
    assert_eq!((status, &ended["status"]), (StatusCode::OK, &json!("stopped")));
    let again = backend.open("ada", json!({ "message_uuid": "a1", "ref": "q2" })).await;
    assert_eq!((&again["attempt"], &again["stopped"]), (&json!(2), &json!(false)));
}

#[tokio::test]
async fn what_its_writer_leaves_behind_is_ended_for_it() {
    let mut config = config();
    config.limits.stream_idle_ms = 50;
    config.limits.stream_stop_grace_ms = 50;
    let server = TestServer::start(config).await;
    let backend = Backend::of(&server);
    let mut client = reader(&server, "laptop", json!([])).await;
    backend.open("ada", json!({ "message_uuid": "a1" })).await;
    backend.add("ada/streams/a1/1", "left", None).await;
    let (_, message) = watch(&mut client).await;
    assert_eq!(
        (&message["message"]["status"], &message["message"]["content"]),
        (&json!("interrupted"), &json!("left"))
    );
}

#[tokio::test]
async fn what_a_writer_wrote_is_shown_even_if_it_hangs_up_before_it_is_answered() {
    // The wake-up was the writer's own to make: one that hung up between commit and answer left text
    // that was kept and that nobody was shown.
    let server = TestServer::start(config()).await;
    let mut client = reader(&server, "laptop", json!([])).await;
    client.next_of("pending_check_complete").await;
    let ada = user("ada");
    let opening = StreamOpening::parse(r#"{"message_uuid":"a1"}"#).unwrap();
    drop(server.server.open_stream(&ada, opening).now_or_never());
    client.next_of("message_start").await;
    let name = "a1".parse().unwrap();
    let adding = server.server.append_text(&ada, &name, Attempt::FIRST, Some(0), "Hi");
    drop(adding.now_or_never());
    assert_eq!(client.next_of("message_delta").await["text"], "Hi");
}

#[tokio::test]
async fn what_a_writer_left_behind_is_ended_after_a_restart_too() {
    // Only opening and stopping began the watch: after a crash of server and backend together the
    // stream stayed for ever, until somebody opened another.
    let server = TestServer::start(config()).await;
    Backend::of(&server).open("ada", json!({ "message_uuid": "a1" })).await;
    Backend::of(&server).add("ada/streams/a1/1", "left", None).await;
    let mut hasty = config();
    hasty.limits.stream_idle_ms = 50;
    let server = server.restart(hasty, None).await;
    let mut client = reader(&server, "laptop", json!([])).await;
    let (_, message) = watch(&mut client).await;
    assert_eq!(message["message"]["status"], "interrupted");
}

#[tokio::test]
async fn a_stream_outlives_the_server_that_it_was_begun_on() {
    let server = TestServer::start(config()).await;
    Backend::of(&server).open("ada", json!({ "message_uuid": "a1", "topic": "rope" })).await;
    Backend::of(&server).add("ada/streams/a1/1", "before, ", None).await;
    let server = server.restart(config(), None).await;
    let backend = Backend::of(&server);
    let mut client = reader(&server, "laptop", json!([])).await;
    assert_eq!(client.next_of("message_start").await["topic"], "rope");
    let text = client.next_of("message_delta").await["text"].as_str().unwrap().to_owned();
    assert_eq!(text, "before, ");
    assert_eq!(backend.add("ada/streams/a1/1", "after", Some(8)).await.0, StatusCode::OK);
    backend.finish("ada/streams/a1/1", json!({})).await;
    let (_, message) = watch_on(&mut client, text).await;
    assert_eq!(message["message"]["content"], "before, after");
}

#[tokio::test]
async fn nothing_that_a_source_says_behind_its_failure_is_added() {
    // While what came before it was being added, the source was read on.
    let server = TestServer::start(config()).await;
    let opening = StreamOpening::parse(r#"{"message_uuid":"a1"}"#).unwrap();
    let mut writer = server.server.open_stream(&user("ada"), opening).await.unwrap();
    let pieces = [Ok("before".to_owned()), Err("it broke"), Ok("behind".to_owned())];
    let failed = writer.pipe(stream::iter(pieces)).await.unwrap_err();
    assert_eq!(failed.to_string(), "the source of the text failed: it broke");
    let uuid: MessageId = "a1".parse().unwrap();
    let state = server.server.stream(&user("ada"), &uuid).await.unwrap().unwrap();
    assert_eq!(&*state.text, "before");
}

#[tokio::test]
async fn a_writer_in_process_gathers_what_comes_while_it_waits() {
    let server = TestServer::start(config()).await;
    let mut client = reader(&server, "laptop", json!([])).await;
    let opening = StreamOpening::parse(r#"{"message_uuid":"a1"}"#).unwrap();
    let mut writer = server.server.open_stream(&user("ada"), opening).await.unwrap();
    let pieces = (0..1_000).map(|n| Ok::<_, &str>(format!("{n} ")));
    let broken = stream::iter(pieces.chain([Err("the model went away")]));
    let failed = writer.pipe(broken).await.unwrap_err();
    assert_eq!(failed.to_string(), "the source of the text failed: the model went away");
    let whole: String = (0..1_000).flat_map(|n| [n.to_string(), " ".into()]).collect();
    assert_eq!(writer.next_offset(), whole.len() as u64, "everything before the fault is added");
    let failed = tetherline_protocol::frame::StreamEnding::plain(StreamStatus::Failed);
    writer.finish(failed).await.unwrap();
    let (text, message) = watch(&mut client).await;
    assert!(whole.starts_with(&text));
    assert_eq!(message["message"]["content"], whole);
    let uuid: MessageId = "a1".parse().unwrap();
    eventually(|| async {
        server
            .server
            .stream(&user("ada"), &uuid)
            .await
            .unwrap()
            .is_some_and(|it| it.text.is_empty())
    })
    .await;
}

#[tokio::test]
async fn of_what_is_too_long_together_a_writer_adds_what_fits() {
    // What had come while a commit was under way was refused together, and none of it was there.
    let mut config = config();
    config.limits.stream_bytes_max = 1_000;
    let server = TestServer::start(config).await;
    let opening = StreamOpening::parse(r#"{"message_uuid":"a1"}"#).unwrap();
    let mut writer = server.server.open_stream(&user("ada"), opening).await.unwrap();
    let pieces = (0..9).map(|_| Ok::<_, &str>("x".repeat(300)));
    let failed = writer.pipe(stream::iter(pieces)).await.unwrap_err();
    assert!(failed.to_string().contains("1000"), "{failed}");
    assert_eq!(writer.next_offset(), 900);
}

#[tokio::test]
async fn erasing_a_user_ends_their_streams_without_a_trace() {
    let server = TestServer::start(config()).await;
    let backend = Backend::of(&server);
    backend.open("ada", json!({ "message_uuid": "a1" })).await;
    backend.add("ada/streams/a1/1", "secret", None).await;
    server.server.erase(&user("ada")).await.unwrap();
    assert_eq!(backend.add("ada/streams/a1/1", "!", None).await.0, StatusCode::NOT_FOUND);
    let mut client = reader(&server, "laptop", json!([])).await;
    assert_eq!(client.next_of("pending_check_complete").await["data"]["streams"], 0);
}

#[tokio::test]
async fn a_whole_number_is_one_however_a_language_writes_it() {
    // `16.0`, as some write a whole number, was no offset.
    let server = TestServer::start(config()).await;
    let backend = Backend::of(&server);
    backend.open("ada", json!({ "message_uuid": "a1" })).await;
    let add = async |body: &'static str| {
        let request = backend.request(Method::POST, "ada/streams/a1/1/text");
        answer(request.header("content-type", "application/json").body(body)).await.0
    };
    assert_eq!(add(r#"{"text":"Hi","offset":0.0}"#).await, StatusCode::OK);
    assert_eq!(add(r#"{"text":"!","offset":2.0}"#).await, StatusCode::OK);
    for wrong in ["2.5", "-1", "1e300", "\"2\""] {
        let body: &'static str = format!(r#"{{"text":"!","offset":{wrong}}}"#).leak();
        assert_eq!(add(body).await, StatusCode::BAD_REQUEST, "{wrong}");
    }
}
