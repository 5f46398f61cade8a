//! A small OpenAI-compatible server, and what becomes of its moods.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::stream;
use serde_json::{Value, json};
use tetherline_chat::{Config, Patience, Provider, Responder};
use tetherline_server::Proxies;
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

use crate::{
    browser::{Person, Socket},
    process::{Chat, PATIENCE, Start},
    streaming::Story,
};

/// What the server does with one request.
pub(crate) enum Mood {
    Answer(&'static str),
    Reply(u16, &'static str),
    /// Never answers.
    Silence,
    /// Streams what a [`Pen`] writes.
    Dictation(mpsc::UnboundedReceiver<String>),
}

/// Writes an answer as the story goes on.
pub(crate) struct Pen(mpsc::UnboundedSender<String>);

impl Pen {
    pub(crate) fn new() -> (Mood, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Mood::Dictation(receiver), Self(sender))
    }

    pub(crate) fn write(&self, text: &str) {
        self.event(&json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }));
    }

    pub(crate) fn event(&self, event: &Value) {
        // Whoever has stopped listening does not hear it.
        let _ = self.0.send(format!("data: {event}\n\n"));
    }

    pub(crate) fn finish(self) {
        self.event(&json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] }));
    }

    /// Returns once the chat has let go of the answer.
    pub(crate) async fn is_let_go(&self) {
        timeout(PATIENCE, self.0.closed()).await.expect("the chat lets go");
    }
}

pub(crate) struct FakeProvider {
    pub(crate) base_url: String,
    moods: Arc<Mutex<VecDeque<Mood>>>,
    requests: mpsc::UnboundedReceiver<Value>,
}

#[derive(Clone)]
struct Shared {
    moods: Arc<Mutex<VecDeque<Mood>>>,
    requests: mpsc::UnboundedSender<Value>,
}

impl FakeProvider {
    pub(crate) async fn start(moods: impl IntoIterator<Item = Mood>) -> Self {
        let moods = Arc::new(Mutex::new(moods.into_iter().collect()));
        let (sender, requests) = mpsc::unbounded_channel();
        let shared = Shared { moods: Arc::clone(&moods), requests: sender };
        let app = Router::new().route("/v1/chat/completions", post(complete)).with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base_url, moods, requests }
    }

    pub(crate) fn then(&self, mood: Mood) {
        self.moods.lock().unwrap().push_back(mood);
    }

    pub(crate) async fn request(&mut self) -> Value {
        timeout(PATIENCE, self.requests.recv()).await.unwrap().unwrap()
    }

    pub(crate) fn no_more_requests(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }
}

async fn complete(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Json(mut request): Json<Value>,
) -> Response {
    request["authorization"] = headers["authorization"].to_str().unwrap().into();
    shared.requests.send(request).unwrap();
    let mood = shared.moods.lock().unwrap().pop_front();
    match mood.unwrap_or(Mood::Answer("as usual")) {
        Mood::Answer(content) => completion(content).into_response(),
        Mood::Reply(status, body) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
        Mood::Silence => pending().await,
        Mood::Dictation(events) => {
            let events = stream::unfold(events, async |mut events| {
                events.recv().await.map(|event| (Ok::<_, Infallible>(event), events))
            });
            ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events))
                .into_response()
        }
    }
}

fn completion(content: &str) -> Json<Value> {
    Json(json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": content },
            "finish_reason": "stop",
        }],
    }))
}

async fn failure(socket: &mut Socket, kind: &str) -> Value {
    let frame = socket.next_of(kind).await;
    assert_eq!(frame["message"]["status"], "failed");
    assert_ne!(frame["message"]["error"]["message"], "");
    frame
}

#[tokio::test]
async fn the_provider_gets_the_conversation_and_its_answer_reaches_the_person() {
    let folder = tempfile::tempdir().unwrap();
    let mut provider = FakeProvider::start([Mood::Answer("Seven."), Mood::Answer("Eight.")]).await;
    let chat = Start::on(folder.path()).provider(&provider.base_url).run().await;
    let mut socket = Person::sign_up(&chat, "ada").await.connect().await;

    socket.ask("q1", "What is six plus one?").await;
    assert_eq!(socket.next_of("message_generate").await["message"]["content"], "Seven.");
    let request = provider.request().await;
    assert_eq!(request["authorization"], "Bearer test-key");
    assert_eq!(request["model"], "test-model");
    assert_eq!(request["stream"], true);

    let next = json!({ "type": "message_generate", "id": "q2", "message": "And one more?",
                       "conversation_uuid": "q1" });
    socket.send(&next).await;
    assert_eq!(socket.next_of("message_generate").await["message"]["content"], "Eight.");
    let turns = provider.request().await["messages"].clone();
    let said: Vec<(&str, &str)> = turns
        .as_array()
        .unwrap()
        .iter()
        .skip(1)
        .map(|turn| (turn["role"].as_str().unwrap(), turn["content"].as_str().unwrap()))
        .collect();
    assert_eq!(
        said,
        [("user", "What is six plus one?"), ("assistant", "Seven."), ("user", "And one more?")]
    );
}

#[tokio::test]
async fn every_mood_of_a_provider_becomes_something_the_person_sees_and_can_retry() {
    let folder = tempfile::tempdir().unwrap();
    let provider = FakeProvider::start([]).await;
    let chat = Start::on(folder.path()).provider(&provider.base_url).run().await;
    let ada = Person::sign_up(&chat, "ada").await;
    let mut socket = ada.connect().await;
    let moods = [
        (Mood::Reply(401, "no"), "provider_unauthorized"),
        (Mood::Reply(404, "no"), "provider_not_found"),
        (Mood::Reply(429, "no"), "provider_rate_limited"),
        (Mood::Reply(400, "no"), "provider_refused"),
        (Mood::Reply(500, "no"), "provider_failed"),
        (Mood::Reply(200, "<html>not json</html>"), "provider_unreadable"),
        (Mood::Reply(200, r#"{"choices":[]}"#), "provider_unreadable"),
        (Mood::Answer("  "), "provider_empty"),
    ];
    for (number, (mood, code)) in moods.into_iter().enumerate() {
        provider.then(mood);
        let id = format!("q{number}");
        socket.ask(&id, "Are you there?").await;
        let failed = failure(&mut socket, "message_generate").await;
        assert_eq!(failed["message"]["error"]["code"], code);
        assert_eq!(failed["message"]["content"].as_str().unwrap().trim(), "");

        let retry = json!({ "type": "message_regenerate", "id": format!("r{number}"), "retry": true,
                            "conversation_uuid": id, "message_uuid": failed["message"]["uuid"] });
        socket.send(&retry).await;
        let answer = socket.next_of("message_regenerate").await["message"].clone();
        assert_eq!(answer["uuid"], failed["message"]["uuid"]);
        assert_eq!(
            (&answer["status"], &answer["content"]),
            (&json!("complete"), &json!("as usual"))
        );
        assert_eq!(answer["error"], Value::Null);
        assert_eq!(ada.messages(&id).await[1], answer, "history and live agree");
    }
}

#[tokio::test]
async fn whatever_a_provider_refuses_is_logged_once_with_its_cause_and_told_fittingly() {
    // A refusal was logged without its reason, or twice; a time-out and nonsense not at all; and a person whose chat
    // names a wrong model or whose quota is used up was told to rephrase the question.
    let folder = tempfile::tempdir().unwrap();
    let provider = FakeProvider::start([]).await;
    let log = folder.path().join("log");
    let start = Start::on(folder.path()).provider(&provider.base_url);
    let mut command = start.command();
    command.stderr(std::fs::File::create(&log).unwrap());
    // Each of them stands there for whoever wants to see all of it.
    command.env("RUST_LOG", "info,tetherline_chat=debug");
    let started = std::time::Instant::now();
    let chat = start.run_as(command).await;
    let mut socket = Person::sign_up(&chat, "ada").await.connect().await;
    let because = r#"{"error":{"message":"because of this","code":"CODE"}}"#;
    let refusals = [
        (401, because, "provider_unauthorized"),
        (403, because, "provider_unauthorized"),
        (
            403,
            r#"{"error":{"message":"because of this","code":"model_not_found"}}"#,
            "provider_not_found",
        ),
        (404, because, "provider_not_found"),
        (404, "because of this: <html>", "provider_not_found"),
        (402, because, "provider_rate_limited"),
        (429, because, "provider_rate_limited"),
        (413, because, "provider_context_too_long"),
        (400, because, "provider_refused"),
        (422, because, "provider_refused"),
        (
            400,
            r#"{"error":{"message":"because of this","code":"content_policy_violation"}}"#,
            "provider_filtered",
        ),
        (500, because, "provider_failed"),
        (503, "because of this", "provider_failed"),
        (200, r#"{"error":{"message":"because of this","code":429}}"#, "provider_rate_limited"),
        (200, "<html>no JSON</html>", "provider_unreadable"),
        (200, "", "provider_ended_early"),
    ];
    for (number, (status, body, code)) in refusals.iter().copied().enumerate() {
        provider.then(Mood::Reply(status, body));
        socket.ask(&format!("q{number}"), "Are you there?").await;
        let error = failure(&mut socket, "message_generate").await["message"]["error"].clone();
        assert_eq!(error["code"], code, "{status} {body}");
        let sentence = error["message"].as_str().unwrap();
        assert_eq!(sentence.contains("Rephrase"), code == "provider_filtered", "{sentence}");
        assert!(!sentence.contains("because"), "{sentence}");
    }
    // All of it is written when the chat has ended.
    chat.terminate().await;
    let log = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<_> =
        log.lines().filter(|line| line.contains("tetherline_chat::trouble")).collect();
    assert_eq!(lines.len(), refusals.len(), "{log}");
    // And what is going on for whoever does not: a line for each let anybody fill a disk who could ask.
    assert!(lines[0].contains("WARN"), "{log}");
    let often = usize::try_from(started.elapsed().as_secs()).unwrap() / 10 + 1;
    assert!(warnings(&log).len() <= often, "{log}");
    for (line, (status, body, _)) in lines.into_iter().zip(refusals) {
        let has_cause = line.matches("because of this").count() == 1;
        assert_eq!(has_cause, body.contains("because"), "{status} {body}: {line}");
        assert!(has_cause || line.contains("gave no whole answer"), "{status} {body}: {line}");
    }
}

/// What the chat warns of itself. The system that the test runs on may give the server reasons of its own.
fn warnings(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("WARN tetherline_chat")).collect()
}

#[tokio::test]
async fn why_a_provider_cannot_be_reached_stands_in_the_log() {
    let plain = FakeProvider::start([]).await;
    for (url, cause) in [
        ("http://nobody.invalid/v1".to_owned(), "dns"),
        ("http://127.0.0.1:1/v1".to_owned(), "refused"),
        // It speaks no TLS.
        (plain.base_url.replace("http:", "https:"), "corrupt"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let start = Start::on(folder.path()).provider(&url);
        let mut command = start.command();
        command.stderr(std::fs::File::create(&log).unwrap());
        let chat = start.run_as(command).await;
        let mut socket = Person::sign_up(&chat, "ada").await.connect().await;
        socket.ask("q1", "Are you there?").await;
        let error = failure(&mut socket, "message_generate").await["message"]["error"].clone();
        assert_eq!(error["code"], "provider_unreachable", "{url}");
        chat.terminate().await;
        let log = std::fs::read_to_string(&log).unwrap();
        assert_eq!(warnings(&log).len(), 1, "{log}");
        assert!(log.to_lowercase().contains(cause), "{log}");
    }
}

#[tokio::test]
async fn an_answer_that_was_cut_says_why_and_goes_on_once_however_often_it_is_asked_to() {
    // That it was cut stood in its text, which the model then read as its own, and "continue" was up to the person.
    let (cut, pen) = Pen::new();
    let mut story = Story::with([cut]).await;
    let (mut laptop, mut phone) = (story.ada.connect().await, story.ada.connect().await);
    laptop.ask("q1", "Tell me a story.").await;
    pen.write("Once upon");
    pen.event(&json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "length" }] }));
    drop(pen);
    let answer = laptop.next_of("message_generate").await["message"].clone();
    assert_eq!((&answer["content"], &answer["status"]), (&json!("Once upon"), &json!("complete")));
    assert_eq!(answer["error"]["code"], "length");
    assert_eq!(story.ada.messages("q1").await[1], answer, "history and live agree");

    // Two tabs say the same, and the chat is started again before the provider is done.
    let (mood, slow) = Pen::new();
    story.provider.then(mood);
    let go_on = json!({ "type": "message_generate", "message": "Go on.", "conversation_uuid": "q1",
                        "id": format!("continue-{}", answer["uuid"].as_str().unwrap()),
                        "parent": answer["uuid"] });
    for socket in [&mut laptop, &mut phone] {
        assert_eq!(socket.settle(&go_on).await["type"], "accepted");
    }
    story.provider.request().await;
    let turns = story.provider.request().await["messages"].clone();
    assert_eq!(turns[2], json!({ "role": "assistant", "content": "Once upon" }));
    assert_eq!(turns[3], json!({ "role": "user", "content": "Go on." }));
    slow.write(" a time");
    slow.finish();
    let rest = phone.next_where(|frame| frame["message"]["content"] == " a time").await;
    story.kill_and_start_again().await;
    let mut laptop = story.ada.connect().await;
    assert_eq!(laptop.settle(&go_on).await["type"], "accepted");
    let messages = story.ada.messages("q1").await;
    assert_eq!(messages.len(), 4, "{messages:?}");
    assert_eq!(messages[1], answer);
    assert_eq!(messages[3], rest["message"]);
    assert!(story.provider.no_more_requests());
}

#[tokio::test]
async fn an_answer_that_a_filter_ended_says_so() {
    let (cut, pen) = Pen::new();
    let story = Story::with([cut]).await;
    let mut socket = story.ada.connect().await;
    socket.ask("q1", "Tell me a story.").await;
    pen.write("Once upon");
    pen.event(
        &json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "content_filter" }] }),
    );
    drop(pen);
    let answer = socket.next_of("message_generate").await["message"].clone();
    assert_eq!((&answer["content"], &answer["status"]), (&json!("Once upon"), &json!("complete")));
    assert_eq!(answer["error"]["code"], "content_filter");
}

#[tokio::test]
async fn a_failed_version_takes_nothing_away_from_the_answer_that_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let provider = FakeProvider::start([Mood::Answer("Good."), Mood::Reply(503, "")]).await;
    let chat = Start::on(folder.path()).provider(&provider.base_url).run().await;
    let ada = Person::sign_up(&chat, "ada").await;
    let mut socket = ada.connect().await;
    socket.ask("q1", "How are you?").await;
    let good = socket.next_of("message_generate").await["message"].clone();
    let again = json!({ "type": "message_regenerate", "id": "r1", "conversation_uuid": "q1",
                        "message_uuid": good["uuid"] });
    socket.send(&again).await;
    let failed = failure(&mut socket, "message_regenerate").await["message"].clone();
    assert_ne!(failed["uuid"], good["uuid"]);
    assert_eq!(ada.messages("q1").await[1..], [good, failed]);
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let chat = Start::on(folder.path()).provider(&format!("http://{nobody}/v1")).run().await;
    let mut socket = Person::sign_up(&chat, "ada").await.connect().await;
    socket.ask("q1", "Are you there?").await;
    let failed = failure(&mut socket, "message_generate").await;
    assert_eq!(failed["message"]["error"]["code"], "provider_unreachable");
}

#[tokio::test]
async fn a_provider_that_never_answers_is_given_up_by_a_chat_inside_another_program() {
    let folder = tempfile::tempdir().unwrap();
    let provider = FakeProvider::start([Mood::Silence]).await;
    let patience = Patience { first: Duration::from_millis(200), ..Patience::default() };
    let provider =
        Provider::with_patience(Some(&provider.base_url), Some("k"), Some("m"), patience);
    let config = Config {
        data: folder.path().into(),
        web: None,
        allowed_origins: Vec::new(),
        proxies: Proxies::default(),
        drain_window: Duration::from_secs(1),
        responder: Responder::Provider(provider.unwrap().unwrap()),
    };
    let listener = tetherline_server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let chat = tetherline_chat::Chat::open(config, address).await.unwrap();
    tokio::spawn(tetherline_server::serve(listener, chat.router(), pending()));

    let url = format!("http://{address}");
    let form = json!({ "name": "Ada", "email": "ada@example.org", "password": "long enough" });
    let response = crate::browser::post(&url, "/api/auth/sign-up", &form).await;
    let mut socket = Person::from(&url, response).await.connect().await;
    socket.ask("q1", "Are you there?").await;
    let failed = failure(&mut socket, "message_generate").await;
    assert_eq!(failed["message"]["error"]["code"], "provider_timed_out");
    chat.shut_down().await;
}

/// Used by stories that need a person with one question that is not answered yet.
pub(crate) async fn asking(chat: &Chat, id: &str) -> (Person, Socket) {
    let ada = Person::sign_up(chat, "ada").await;
    let mut socket = ada.connect().await;
    let question = json!({ "type": "message_generate", "id": id, "message": "Still there?" });
    assert_eq!(socket.settle(&question).await["type"], "accepted");
    (ada, socket)
}
