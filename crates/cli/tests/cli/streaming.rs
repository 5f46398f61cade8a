//! The examples of `examples/backends`, as they are: each pipes a model's stream into an answer.

mod model;
mod proxy;
mod reader;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command},
};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{PATIENCE, Server, text};
use model::Model;
use proxy::{Meddler, Way};
use reader::Reader;

#[derive(Clone, Copy, Debug)]
enum Example {
    Python,
    Node,
}

impl Example {
    const ALL: [Self; 2] = [Self::Python, Self::Node];

    /// Starts it for ada.
    fn start(self, server: &Server, model: &Model) -> Running {
        self.start_at(&server.url, server, model)
    }

    /// Starts it for ada, with the server behind another address.
    fn start_at(self, url: &str, server: &Server, model: &Model) -> Running {
        let (program, file) = match self {
            Self::Python => ("python3", "openai_stream.py"),
            Self::Node => ("node", "openai-stream.mjs"),
        };
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/backends");
        let child = Command::new(program)
            .args([&format!("{folder}/{file}"), "ada", "Why?"])
            .env("TETHERLINE_URL", url)
            .env("TETHERLINE_API_KEY_FILE", text(&server.file("api.key")))
            .env("OPENAI_BASE_URL", &model.url)
            .env("OPENAI_API_KEY", "sk-test")
            .env("CHAT_MODEL", "scripted")
            .spawn()
            .unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"));
        Running(Some(child))
    }
}

/// An example, ended when it is dropped.
struct Running(Option<Child>);

impl Running {
    /// Waits for its own end.
    async fn ends_well(mut self) {
        let mut child = self.0.take().unwrap();
        let waiting = tokio::task::spawn_blocking(move || child.wait().unwrap());
        let status = tokio::time::timeout(PATIENCE, waiting).await.expect("it ends").unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A server that never ends an answer for its writer within a test.
fn patient_server() -> Server {
    Server::start_with(&["--stream-stop-grace", "3600"])
}

fn delta(text: &str) -> Value {
    json!({ "choices": [{ "index": 0, "delta": { "content": text } }] })
}

/// What another writer of ada's is answered.
fn write(server: &Server, path: &str, body: &Value) -> Value {
    let body = body.to_string();
    let address = server.url.replace("http://", "");
    let mut socket = TcpStream::connect(&address).unwrap();
    let (key, length) = (server.api_key(), body.len());
    let head = format!("POST /v1/users/ada/streams{path} HTTP/1.1\r\nHost: {address}\r\n");
    let rest = format!(
        "Authorization: Bearer {key}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    socket.write_all((head + &rest + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).expect(&answer)
}

#[tokio::test]
async fn what_a_model_says_grows_before_its_reader_and_is_whole_in_the_end() {
    for example in Example::ALL {
        let (server, model) = (patient_server(), Model::start());
        let mut reader = Reader::of(&server).await;
        let running = example.start(&server, &model);

        let asked = model.request();
        assert_eq!((&asked["stream"], &asked["model"]), (&json!(true), &json!("scripted")));
        assert_eq!(asked["messages"], json!([{ "role": "user", "content": "Why?" }]));
        model.says(&json!({ "choices": [{ "delta": { "role": "assistant", "content": "" } }] }));
        model.says(&delta("Because "));
        reader.sees("Because ").await;
        model.says_in_two(&delta("👍🏽 said"), "👍".len() / 2);
        reader.sees("Because 👍🏽 said").await;
        model.sends(": a comment, to keep the connection\n\n");
        model.says(&delta(" so."));
        model.says(&json!({ "choices": [{ "delta": {}, "finish_reason": "" }] }));
        model.says(&json!({ "choices": [], "usage": { "total_tokens": 9 } }));
        model.sends("data: [DONE]\n\n");

        let message = reader.end().await;
        assert_eq!(message["content"], "Because 👍🏽 said so.", "{example:?}");
        assert_eq!(message["status"], "complete");
        running.ends_well().await;
    }
}

#[tokio::test]
async fn an_example_ends_quietly_what_a_person_has_stopped() {
    for example in Example::ALL {
        let (server, model) = (patient_server(), Model::start());
        let mut reader = Reader::of(&server).await;
        let running = example.start(&server, &model);
        model.says(&delta("On"));
        let uuid = reader.sees("On").await;
        reader.send(&json!({ "type": "message_stop", "id": "s1", "message_uuid": uuid })).await;
        reader.settles("s1").await;

        model.goes_on_for_ever(&delta(" and on"));
        let message = reader.end().await;
        assert_eq!((&message["content"], &message["status"]), (&json!("On"), &json!("stopped")));
        running.ends_well().await;
    }
}

#[tokio::test]
async fn an_example_fails_the_answer_when_the_model_fails() {
    let error = json!({ "error": { "message": "out of memory" } }).to_string();
    for example in Example::ALL {
        for (last, said) in
            [(format!("data: {error}\n\n"), "out of memory"), (String::new(), "broke")]
        {
            let (server, model) = (patient_server(), Model::start());
            let mut reader = Reader::of(&server).await;
            let running = example.start(&server, &model);
            model.says(&delta("Half an ans"));
            reader.sees("Half an ans").await;
            model.sends(&last);
            model.ends();
            let message = reader.end().await;
            assert_eq!(message["content"], "Half an ans");
            assert_eq!(message["status"], "failed");
            assert!(message["error"].as_str().unwrap().contains(said), "{example:?}: {message}");
            running.ends_well().await;
        }
    }
}

#[tokio::test]
async fn an_example_goes_on_where_it_was_when_the_server_was_killed() {
    for example in Example::ALL {
        let (mut server, model) = (patient_server(), Model::start());
        let mut reader = Reader::of(&server).await;
        let running = example.start(&server, &model);
        model.says(&delta("👍 Before, "));
        reader.sees("👍 Before, ").await;
        server.kill();
        model.says(&delta("meanwhile, "));
        server.start_again();
        reader.comes_back(&server).await;
        for word in ["and ", "after ", "it"] {
            model.says(&delta(word));
        }
        model.sends("data: [DONE]\n\n");
        let message = reader.end().await;
        assert_eq!(message["content"], "👍 Before, meanwhile, and after it", "{example:?}");
        assert_eq!(message["status"], "complete");
        running.ends_well().await;
    }
}

/// A stream as servers send it or should not, and what becomes of it: the chat's own tests read the same table.
#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    events: Vec<String>,
    body: Option<String>,
    end: Option<String>,
    text: String,
    reason: Option<String>,
    failure: Option<String>,
}

const STREAMS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../apps/chat/server/src/responder/provider/tests");

/// Larger than the chat keeps an event.
const HUGE_BYTES: usize = 1024 * 1024 + 1;

impl Case {
    fn all() -> Vec<Self> {
        let table = std::fs::read_to_string(format!("{STREAMS}/streams.json")).unwrap();
        let mut cases: Vec<Self> = serde_json::from_str(&table).unwrap();
        for entry in std::fs::read_dir(format!("{STREAMS}/recorded")).unwrap() {
            let path = entry.unwrap().path();
            let body = std::fs::read_to_string(&path).unwrap();
            for (ends, body) in [("LF", body.clone()), ("CR LF", body.replace('\n', "\r\n"))] {
                cases.push(Self::whole(&format!("{} with {ends}", path.display()), body));
            }
        }
        cases
    }

    fn whole(name: &str, body: String) -> Self {
        let (events, text) = (Vec::new(), "Grüße, Ada 👍!\n".into());
        let (end, reason, failure) = (None, None, None);
        Self { name: name.into(), events, body: Some(body), end, text, reason, failure }
    }

    fn body(&self) -> String {
        let hello = r#"{"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}"#;
        let events = || self.events.iter().flat_map(|data| ["data: ", data, "\n\n"]).collect();
        let body = self.body.clone().unwrap_or_else(events);
        body.replace("{HELLO}", hello).replace("{HUGE}", &"x".repeat(HUGE_BYTES))
    }
}

#[tokio::test]
async fn an_example_reads_whatever_stream_the_chat_reads_and_makes_the_same_of_it() {
    // They stopped at what the chat had long learned to read: half characters, an answer in one piece, a body that
    // breaks off behind its reason; and what was cut by a limit looked whole.
    let [python, node] = Example::ALL.map(read_every_case);
    tokio::join!(python, node);
}

async fn read_every_case(example: Example) {
    let server = patient_server();
    let mut reader = Reader::of(&server).await;
    for case in Case::all() {
        let model = Model::start();
        let running = example.start(&server, &model);
        model.request();
        let body = case.body();
        // In two, within a character if there is one.
        let cut = body.bytes().position(|byte| !byte.is_ascii()).map_or(0, |byte| byte + 1);
        for bytes in [&body.as_bytes()[..cut], &body.as_bytes()[cut..]] {
            if !bytes.is_empty() {
                model.sends_bytes(bytes);
            }
        }
        if case.end.is_some() {
            model.is_cut();
        } else {
            model.ends();
        }
        let (told, message) = (&case.name, reader.end().await);
        assert_eq!(message["content"], case.text, "{example:?}, {told}: {message}");
        let status = if case.failure.is_some() { "failed" } else { "complete" };
        assert_eq!(message["status"], status, "{example:?}, {told}: {message}");
        assert_eq!(message["error"].is_string(), case.failure.is_some(), "{told}");
        assert_eq!(message["finish_reason"], json!(case.reason), "{example:?}, {told}");
        running.ends_well().await;
    }
}

#[tokio::test]
async fn what_a_proxy_says_in_the_servers_place_ends_no_answer() {
    // Whatever was below 500 counted as "somebody stopped it", and opening was tried once.
    let page = |status: &str| Way::Page(status.to_owned());
    for example in Example::ALL {
        let (server, model) = (patient_server(), Model::start());
        let meddler = Meddler::before(&server);
        let mut reader = Reader::of(&server).await;
        meddler.will([page("502 Bad Gateway"), Way::HangUp, page("404 Not Found"), page("200 OK")]);
        let running = example.start_at(&meddler.url, &server, &model);
        model.says(&delta("👍 One"));
        reader.sees("👍 One").await;

        meddler.will([page("403 Forbidden"), page("413 Payload Too Large"), Way::HangUp]);
        meddler.cuts();
        for word in [" two", " three"] {
            model.says(&delta(word));
        }
        reader.sees("👍 One two three").await;
        model.sends("data: [DONE]\n\n");
        let message = reader.end().await;
        assert_eq!(message["content"], "👍 One two three", "{example:?}");
        assert_eq!(message["status"], "complete", "{example:?}");
        running.ends_well().await;
    }
}

#[tokio::test]
async fn an_answer_that_is_as_long_as_it_may_be_ends_and_says_so() {
    // One example wrote on for a minute and failed the answer, the other one called it complete.
    for example in Example::ALL {
        let server =
            Server::start_with(&["--stream-stop-grace", "3600", "--stream-bytes-max", "1000"]);
        let (model, mut reader) = (Model::start(), Reader::of(&server).await);
        let running = example.start(&server, &model);
        model.says(&delta("It fits."));
        reader.sees("It fits.").await;
        model.goes_on_for_ever(&delta(&"x".repeat(300)));
        let message = reader.end().await;
        assert!(message["content"].as_str().unwrap().starts_with("It fits.x"));
        assert_eq!(message["status"], "complete", "{example:?}: {message}");
        assert_eq!(message["finish_reason"], "length", "{example:?}: {message}");
        running.ends_well().await;
    }
}

#[tokio::test]
async fn an_example_leaves_an_answer_alone_that_somebody_began_anew() {
    for example in Example::ALL {
        let (server, model) = (patient_server(), Model::start());
        let mut reader = Reader::of(&server).await;
        let running = example.start(&server, &model);
        model.says(&delta("One"));
        let uuid = reader.sees("One").await;
        assert_eq!(write(&server, "", &json!({ "message_uuid": uuid }))["attempt"], 2);
        model.goes_on_for_ever(&delta(" and on"));
        running.ends_well().await;
        let finish = format!("/{}/2/finish", uuid.as_str().unwrap());
        assert_eq!(write(&server, &finish, &json!({}))["status"], "complete");
        let message = reader.end().await;
        assert_eq!((&message["content"], &message["status"]), (&json!(""), &json!("complete")));
    }
}
