//! `tetherline tail --stream`: a stream as it is written, through the native client and the real server.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::support::Server;

/// A backend that writes a stream of ada's.
struct Writer<'a> {
    server: &'a Server,
    key: String,
}

impl<'a> Writer<'a> {
    fn of(server: &'a Server) -> Self {
        let key = std::fs::read_to_string(server.file("api.key")).unwrap();
        Self { server, key: key.trim().to_owned() }
    }

    async fn post(&self, path: &str, body: Value) {
        let url = format!("{}/v1/users/ada/streams{path}", self.server.url);
        let request = Client::new().post(url).bearer_auth(&self.key).json(&body);
        let status = request.send().await.unwrap().status();
        assert!(matches!(status, StatusCode::OK | StatusCode::CREATED), "{status}");
    }

    async fn adds(&self, text: &str) {
        self.post("/a1/1/text", json!({ "text": text })).await;
    }
}

#[tokio::test]
async fn a_tail_that_streams_prints_text_as_it_comes_and_goes_on_after_its_server_died() {
    let mut server = Server::start();
    let tail = server.tail("ada", &["--stream"]);
    assert_eq!(tail.until_caught_up(), [0; 0]);
    let writer = Writer::of(&server);
    writer.post("", json!({ "message_uuid": "a1", "topic": "ropes" })).await;
    assert_eq!(tail.frame()["topic"], "ropes");
    writer.adds("Hemp 👍").await;
    let delta = tail.frame();
    assert_eq!((&delta["offset"], &delta["text"]), (&json!(0), &json!("Hemp 👍")));

    server.kill();
    server.start_again();
    let writer = Writer::of(&server);
    writer.adds(" and sisal").await;
    let delta = loop {
        let frame = tail.frame();
        if frame["type"] == "message_delta" {
            break frame;
        }
    };
    assert_eq!((&delta["offset"], &delta["text"]), (&json!(7), &json!(" and sisal")));
    writer.post("/a1/1/finish", json!({})).await;
    let end = loop {
        let frame = tail.frame();
        if frame["type"] == "message_generate" {
            break frame;
        }
    };
    assert_eq!(end["message"]["content"], "Hemp 👍 and sisal");
}

#[tokio::test]
async fn a_tail_that_does_not_stream_prints_the_end_alone() {
    let server = Server::start();
    let tail = server.tail("ada", &[]);
    assert_eq!(tail.until_caught_up(), [0; 0]);
    let writer = Writer::of(&server);
    writer.post("", json!({ "message_uuid": "a1" })).await;
    writer.adds("all of it").await;
    writer.post("/a1/1/finish", json!({})).await;
    assert_eq!(tail.frame()["type"], "message_generate");
}
