//! The chat against an OpenAI-compatible server that others have written: aimock, from npm, which
//! `npm ci` installs with everything else.

use std::{path::Path, process::Stdio};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{
    browser::Person,
    process::{PATIENCE, Start},
    streaming::{end_of, retry},
};

/// It cuts text like JavaScript does, in the middle of the 👍 as well.
const TEXT: &str = "Grüße 👍 from somebody else's server, a few characters at a time.";

/// Killed when dropped.
struct Independent {
    base_url: String,
    _process: Child,
}

impl Independent {
    async fn start(folder: &Path, fixtures: &Value) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../node_modules/@copilotkit/aimock/dist/cli.js");
        assert!(program.is_file(), "run `npm ci` first");
        let file = folder.join("fixtures.json");
        std::fs::write(&file, json!({ "fixtures": fixtures }).to_string()).unwrap();
        let mut process = Command::new("node")
            .arg(program)
            .args(["--port", "0", "--strict", "--latency", "2", "--chunk-size", "7", "--fixtures"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it says where it listens");
                if let Some((_, url)) = line.split_once("listening on ") {
                    return format!("{}/v1", url.trim());
                }
            }
        };
        let base_url = timeout(PATIENCE, ready).await.unwrap();
        // What it says later goes nowhere, but must not block it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { base_url, _process: process }
    }
}

#[tokio::test]
async fn what_a_server_of_others_streams_arrives_and_so_do_its_failures() {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = json!([
        { "match": { "userMessage": "all of it" }, "response": { "content": TEXT } },
        { "match": { "userMessage": "some of it" }, "response": { "content": TEXT },
          "truncateAfterChunks": 4 },
        { "match": { "userMessage": "nothing" },
          "response": { "error": { "message": "slow down", "type": "rate_limit_error" },
                        "status": 429 } },
    ]);
    let provider = Independent::start(folder.path(), &fixtures).await;
    let data = folder.path().join("data");
    let chat = Start::on(&data).provider(&provider.base_url).run().await;
    let ada = Person::sign_up(&chat, "ada").await;
    let mut screen = ada.watch().await;

    screen.ask("q1", "I want all of it").await;
    let end = end_of(&mut screen, "q1").await;
    assert_eq!((&end["status"], &end["message"]["content"]), (&json!("complete"), &json!(TEXT)));

    screen.ask("q2", "I want some of it").await;
    let end = end_of(&mut screen, "q2").await;
    let text = end["message"]["content"].as_str().unwrap();
    assert!(!text.is_empty() && text.len() < TEXT.len() && TEXT.starts_with(text), "{text}");
    assert_eq!(end["message"]["error"]["code"], "provider_ended_early");

    screen.ask("q3", "I want nothing").await;
    let end = end_of(&mut screen, "q3").await;
    assert_eq!(end["message"]["error"]["code"], "provider_rate_limited");
    let mut again = retry("r1", &end["message_uuid"]);
    again["conversation_uuid"] = "q3".into();
    assert_eq!(screen.settle(&again).await["type"], "accepted");
    assert_eq!(end_of(&mut screen, "r1").await["attempt"], 2);
}
