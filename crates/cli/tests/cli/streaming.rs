//! The examples of `examples/backends`, as they are: each pipes a model's stream into an answer.

mod model;
mod reader;

use std::process::{Child, Command};

use serde_json::{Value, json};

use crate::support::{PATIENCE, Server, text};
use model::Model;
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
        let (program, file) = match self {
            Self::Python => ("python3", "openai_stream.py"),
            Self::Node => ("node", "openai-stream.mjs"),
        };
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/backends");
        let child = Command::new(program)
            .args([&format!("{folder}/{file}"), "ada", "Why?"])
            .env("TETHERLINE_URL", &server.url)
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
