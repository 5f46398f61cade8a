//! What nobody thought of: good requests and frames with something wrong in them, the same ones each time.

use std::{fs, path::Path, time::Duration};

use futures_util::{StreamExt as _, stream};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    bystander::{Bystander, Cost},
    raw::{KEY, Raw, UPGRADE, frame, header},
};
use crate::support::{PATIENCE, Server};

const REQUESTS: usize = 1_000;
const CONNECTIONS: usize = 300;
const AT_ONCE: usize = 50;
/// Nothing more is expected from a server that has said nothing for so long.
const QUIET: Duration = Duration::from_millis(150);

/// Numbers that look like chance (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.below(256) as u8
    }

    fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    /// With so many places in it that are not as they were.
    fn spoil(&mut self, bytes: &mut Vec<u8>, places: usize) {
        for _ in 0..places {
            let at = self.below(bytes.len().max(1));
            let end = (at + 1 + self.below(8)).min(bytes.len());
            match self.below(5) {
                0 if !bytes.is_empty() => bytes[at] = self.byte(),
                1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                2 if at < end => drop(bytes.drain(at..end)),
                3 if at < end => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again.repeat(1 + self.below(3)));
                }
                _ => bytes.insert(at.min(bytes.len()), self.byte()),
            }
        }
    }
}

/// Says it, waits for what comes of it, ends its own side, and gives back all that was said to it.
async fn said_to(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut raw = Raw::connect(server).await;
    let mut said = Vec::new();
    let talk = async {
        // It may have been hung up on before that.
        let _ = raw.0.write_all(bytes).await;
        // Whoever has said all may not be there any more for an answer.
        while let Ok(Ok(1..)) = timeout(QUIET, raw.0.read_buf(&mut said)).await {}
        let _ = raw.0.shutdown().await;
        let _ = raw.0.read_to_end(&mut said).await;
    };
    timeout(PATIENCE, talk).await.expect("it has an end");
    said
}

/// A line of the log that means a fault of ours.
fn fault_in(log: &Path) -> Option<String> {
    let log = fs::read_to_string(log).unwrap();
    let is_fault = |line: &&str| line.contains(" ERROR ") || line.contains("panicked");
    log.lines().find(is_fault).map(str::to_owned)
}

#[tokio::test]
async fn a_request_with_something_wrong_in_it_is_refused_and_never_a_fault_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut server = Server::start_logging(&log);
    let mut bystander = Bystander::connect(&server).await;
    let (key, token) = (server.api_key(), server.token("eve"));
    let post = |path: &str, more: &str, body: &str| {
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n{more}\
             Content-Length: {length}\r\n\r\n{body}"
        )
    };
    let ndjson = "Content-Type: application/x-ndjson\r\n";
    let message = r#"{"type":"note","id":"m1","ref":"m0","timestamp":"now","text":"a\u00e4"}"#;
    let many = format!(r#"[{{"users":["eve","joe"],"message":{message},"idempotency_key":"k"}}]"#);
    let chunked = "Transfer-Encoding: chunked\r\n";
    let requests = [
        post("/v1/users/eve/messages?durable=true", "Idempotency-Key: k1\r\n", message),
        post("/v1/messages", "", &many),
        post("/v1/messages", ndjson, &format!("{{\"user\":\"eve\",\"message\":{message}}}\n")),
        post("/v1/users/eve/streams", "", r#"{"message_uuid":"s1","ref":"m0","title":"t"}"#),
        post("/v1/users/eve/streams/s1/1/text?offset=0", "", r#"{"text":"Once","offset":0}"#),
        post(
            "/v1/users/eve/streams/s1/1/text",
            ndjson,
            "{\"text\":\"Once\"}\n{\"status\":\"complete\"}\n",
        ),
        post("/v1/users/eve/streams/s1/1/finish", "", r#"{"status":"complete","message":{"a":1}}"#),
        post("/v1/users/eve/messages", chunked, &format!("47\r\n{message}\r\n0\r\n\r\n")),
        format!(
            "GET /v1/users/eve/streams/s1 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n\r\n"
        ),
        format!("DELETE /v1/users/eve HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n\r\n"),
        format!(
            "DELETE /v1/users/joe/sessions/s1 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n\r\n"
        ),
        post("/v1/tickets", "", r#"{"user":"eve"}"#),
        format!(
            "GET /ws/user/eve?device=d HTTP/1.1\r\nHost: h\r\n{UPGRADE}{KEY}Sec-WebSocket-Protocol: tetherline.v1, bearer.{token}\r\nOrigin: http://a.example\r\n\r\n"
        ),
        format!("OPTIONS /ws/user/eve HTTP/1.1\r\nHost: h\r\nOrigin: {}\r\n\r\n", server.url),
    ];
    let attack = async {
        let mut chance = Chance(0x2545_f491_4f6c_dd1d);
        let spoiled = (0..REQUESTS).map(|n| {
            let mut request = requests[n % requests.len()].clone().into_bytes();
            let places = 1 + chance.below(4);
            chance.spoil(&mut request, places);
            request
        });
        let asked = spoiled.map(async |request| (said_to(&server, &request).await, request));
        let mut asked = stream::iter(asked).buffered(AT_ONCE);
        while let Some((said, request)) = asked.next().await {
            let said = String::from_utf8_lossy(&said);
            for line in said.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 5")) {
                let is_ours = ["01 ", "03 ", "05 "].iter().any(|kind| line.starts_with(kind));
                assert!(is_ours, "{:?}\n{said}", String::from_utf8_lossy(&request));
            }
        }
    };
    bystander.beside(&Cost::NOTHING, attack).await;
    drop(bystander);
    server.terminate();
    assert_eq!(fault_in(&log), None);
}

#[tokio::test]
async fn frames_with_something_wrong_in_them_are_refused_and_never_a_fault_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut server = Server::start_logging(&log);
    let mut bystander = Bystander::connect(&server).await;
    let token = server.token("eve");
    let texts = [
        r#"{"type":"ping","timestamp":"2026-11-30T12:00:00Z"}"#,
        r#"{"type":"get_pending","after":0,"epoch":"e","after_id":null,"have":[]}"#,
        r#"{"type":"get_pending","have":[{"message_uuid":"s1","attempt":1,"offset":5,"hash":7,"check":true}]}"#,
        r#"{"type":"ack","seq":1}"#,
        r#"{"type":"authenticate","token":"a.b.c"}"#,
        r#"{"type":"message_stop","id":"i1","message_uuid":"s1","ref":"m0"}"#,
        r#"{"type":"ask","id":"i2","ref":"m1","timestamp":7,"text":"\u00e4\ud83d\ude00","a":[{"b":{}}]}"#,
    ];
    let attack = async {
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
        let spoiled = (0..CONNECTIONS).map(|_| {
            let mut bytes = format!(
                "GET /ws/user/eve?device=d HTTP/1.1\r\nHost: h\r\n{UPGRADE}{KEY}\
                 Sec-WebSocket-Protocol: tetherline.v1, bearer.{token}\r\n\r\n"
            )
            .into_bytes();
            for _ in 0..=chance.below(12) {
                let mut text = chance.one_of(&texts).as_bytes().to_vec();
                // Half of them are as they should be.
                let places = chance.below(4).saturating_sub(1);
                chance.spoil(&mut text, places);
                match chance.below(12) {
                    0 => {
                        let (begin, end) = text.split_at(text.len() / 2);
                        let between = frame(0x89, begin.get(..9).unwrap_or_default());
                        bytes.extend([frame(0x01, begin), between, frame(0x80, end)].concat());
                    }
                    1 => bytes.extend(frame(chance.byte(), &text)),
                    2 => bytes.extend(header(0x81, chance.below(70_000) as u64)),
                    3 => bytes.extend(frame(0x8a, "unasked")),
                    _ => bytes.extend(frame(0x81, &text)),
                }
            }
            if chance.below(4) == 0 {
                let places = chance.below(3);
                let mut frames = bytes.split_off(bytes.len() / 2);
                chance.spoil(&mut frames, places);
                bytes.extend(frames);
            }
            bytes
        });
        let asked = spoiled.map(async |bytes| (said_to(&server, &bytes).await, bytes));
        let mut asked = stream::iter(asked).buffered(AT_ONCE);
        while let Some((said, bytes)) = asked.next().await {
            let fault = [0x88, 16, 3, 243];
            assert!(!said.windows(4).any(|bytes| bytes == fault), "1011 for {bytes:x?}");
        }
    };
    bystander.beside(&Cost::NOTHING, attack).await;
    drop(bystander);
    server.terminate();
    assert_eq!(fault_in(&log), None);
}
