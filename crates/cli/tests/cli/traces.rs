//! What an OpenTelemetry collector gets of a server.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::mpsc::{Receiver, channel},
    thread,
    time::Instant,
};

use crate::support::{PATIENCE, Server};

/// Takes what is posted to it.
fn collector() -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, posted) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let (mut head, mut line) = (String::new(), String::new());
            while reader.read_line(&mut line).unwrap_or(0) > 2 {
                head.push_str(&std::mem::take(&mut line).to_ascii_lowercase());
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            reader.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = reader.get_mut().write_all(answer);
            let _ = sender.send((head, body));
        }
    });
    (url, posted)
}

fn has(body: &[u8], word: &str) -> bool {
    body.windows(word.len()).any(|window| window == word.as_bytes())
}

#[test]
fn requests_publishes_commits_and_deliveries_are_spans_and_say_nothing_that_is_secret() {
    let (url, posted) = collector();
    let environment =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    let mut server = Server::start_in(&environment, tempfile::tempdir().unwrap(), &[]);
    let tail = server.tail("ada", &[]);
    server.publish("ada", r#"{"n":1,"text":"nobody-elses-business"}"#);
    assert_eq!(tail.note(), 1);
    let (key, token) = (server.api_key(), server.token("ada"));
    let mut missing = vec!["request", "publish", "commit", "delivery", "tetherline"];
    let deadline = Instant::now() + PATIENCE;
    while !missing.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        let (head, body) = posted.recv_timeout(left).unwrap_or_else(|_| panic!("no {missing:?}"));
        assert!(head.starts_with("post /v1/traces "), "{head}");
        missing.retain(|name| !has(&body, name));
        for secret in [key.as_str(), &token, "nobody-elses-business"] {
            assert!(!has(&body, secret));
        }
    }
    tail.terminate();
    server.terminate();
}
