//! HTTP from peers that do not do as they should: bytes on a socket, written and read by hand.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::{io, time::Duration};

use serde_json::{Value, json};
use support::{API_KEY, PATIENCE, TestServer, config, eventually, token, user};
use tetherline_protocol::{StopTarget, frame::StreamOpening};
use tetherline_server::{
    ApiKeyFile, ApiKeys, HEADER_BYTES_MAX, LINGER_BYTES_MAX, Rate, Scope,
    UNAUTHENTICATED_CONNECTIONS_MAX, raise_descriptors,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// For what the server cuts off after half a minute.
const LONG_PATIENCE: Duration = Duration::from_secs(100);
const MIB: usize = 1024 * 1024;

/// One connection.
struct Raw(TcpStream);

struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Raw {
    async fn connect(server: &TestServer) -> Self {
        Self(TcpStream::connect(server.address).await.unwrap())
    }

    /// The first line and the header, up to the body.
    async fn begin(server: &TestServer, what: &str, headers: &str) -> Self {
        let mut raw = Self::connect(server).await;
        raw.say(&format!("{what} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")).await.unwrap();
        raw
    }

    async fn say(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        timeout(PATIENCE, self.0.write_all(text.as_ref())).await.expect("it is read in time")
    }

    async fn chunk(&mut self, text: &str) -> io::Result<()> {
        self.say(&format!("{:x}\r\n{text}\r\n", text.len())).await
    }

    /// The answer, on a connection that may go on or end.
    async fn answer(&mut self) -> Answer {
        self.answer_within(PATIENCE).await
    }

    async fn answer_within(&mut self, patience: Duration) -> Answer {
        timeout(patience, self.read_answer()).await.expect("an answer in time").unwrap()
    }

    async fn read_answer(&mut self) -> io::Result<Answer> {
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if self.0.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let rest = bytes.split_off(head);
        let head = String::from_utf8(bytes).unwrap().to_lowercase();
        let length = head
            .split("content-length: ")
            .nth(1)
            .map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
        let mut body = rest;
        while body.len() < length {
            if self.0.read_buf(&mut body).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok(Answer { status, head, body: serde_json::from_slice(&body).unwrap_or_default() })
    }

    /// Waits for the end of what the server says.
    async fn ended(&mut self) {
        let end = timeout(PATIENCE, self.0.read(&mut [0; 64])).await.expect("an end in time");
        assert_eq!(end.unwrap(), 0);
    }

    /// Writes until nobody takes it, and says how much that was.
    async fn say_until_cut(&mut self, piece: &[u8], bytes_max: usize) -> usize {
        let mut said = 0;
        while said < bytes_max {
            match timeout(LONG_PATIENCE, self.0.write(piece)).await.expect("cut in time") {
                Ok(bytes) => said += bytes,
                Err(_) => return said,
            }
        }
        panic!("{said} bytes were taken");
    }
}

fn key() -> String {
    format!("Authorization: Bearer {API_KEY}\r\n")
}

fn head(length: usize) -> String {
    format!("{}Content-Length: {length}\r\n", key())
}

fn chunked() -> String {
    format!("{}Transfer-Encoding: chunked\r\n", key())
}

/// Writes all of a large request before it reads a byte, as many clients do.
async fn talker(server: &TestServer, what: &str, headers: &str) -> io::Result<u16> {
    let mut raw = Raw::begin(server, what, headers).await;
    let piece = "x".repeat(64 * 1024);
    for _ in 0..4 * MIB / piece.len() {
        if headers.contains("chunked") {
            raw.chunk(&piece).await?;
        } else {
            raw.say(&piece).await?;
        }
    }
    if headers.contains("chunked") {
        raw.say("0\r\n\r\n").await?;
    }
    Ok(raw.answer().await.status)
}

#[tokio::test]
async fn whoever_talks_on_hears_an_early_answer_on_every_route() {
    // A publisher that sent more than was wanted, or with the wrong key, saw a reset in 7 of 10 tries.
    let server = TestServer::start(config()).await;
    let known = head(4 * MIB);
    let wrong = "Authorization: Bearer wrong\r\nTransfer-Encoding: chunked\r\n".to_owned();
    for _ in 0..10 {
        for (headers, expected) in [(&known, 413), (&chunked(), 413), (&wrong, 401)] {
            let status = talker(&server, "POST /v1/users/ada/messages", headers).await;
            assert_eq!(status.unwrap(), expected, "{headers}");
        }
    }
    let lines = format!("{}Content-Type: application/x-ndjson\r\n", chunked());
    for (what, headers, expected) in [
        ("POST /nowhere", &known, 404),
        ("PUT /v1/users/ada/messages", &known, 405),
        ("DELETE /v1/users/a%2Fb", &known, 400),
        ("POST /v1/users/ada/messages?durable=maybe", &known, 400),
        ("POST /v1/users/ada/messages", &format!("{known}Content-Encoding: gzip\r\n"), 415),
        ("POST /v1/users/ada/messages", &format!("{known}Host: another\r\n"), 400),
        ("POST /v1/users/ada/streams", &known, 413),
        ("POST /v1/users/ada/streams/a/1/text", &chunked(), 413),
        ("POST /v1/users/ada/streams/a/1/text", &lines, 404),
        ("POST /v1/users/ada/streams/a/1/finish", &known, 413),
        ("DELETE /v1/users/ada/streams/a/1", &known, 404),
        ("GET /v1/users/ada/streams/a", &known, 404),
        ("GET /ws/user/ada", &wrong, 401),
        ("OPTIONS /ws/user/ada", &known, 403),
        ("GET /x", &format!("X: {}\r\n", "x".repeat(HEADER_BYTES_MAX)), 431),
    ] {
        let status = talker(&server, what, headers).await;
        assert_eq!(status.unwrap(), expected, "{what}");
    }
}

#[tokio::test]
async fn a_small_refused_request_does_not_cost_its_connection() {
    let server = TestServer::start(config()).await;
    let mut raw = Raw::connect(&server).await;
    for _ in 0..3 {
        let request =
            "POST /v1/users/ada/messages HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}";
        raw.say(request).await.unwrap();
        let Answer { status, head, .. } = raw.answer().await;
        assert_eq!(status, 401);
        assert!(!head.contains("connection: close"), "{head}");
    }
}

#[tokio::test]
async fn who_asks_whether_to_go_on_is_refused_without_sending() {
    let server = TestServer::start(config()).await;
    let headers = format!("{}Expect: 100-continue\r\n", head(4 * MIB));
    let mut raw = Raw::begin(&server, "POST /v1/users/ada/messages", &headers).await;
    let Answer { status, head, .. } = raw.answer().await;
    assert_eq!(status, 413);
    assert!(head.contains("connection: close"), "{head}");
    raw.ended().await;
}

#[tokio::test]
async fn what_is_read_on_after_an_answer_is_bounded() {
    let server = TestServer::start(config()).await;
    let mut raw = Raw::begin(&server, "POST /nowhere", &head(1024 * MIB)).await;
    assert_eq!(raw.answer().await.status, 404);
    raw.ended().await;
    // What the system keeps on both sides comes on top.
    let said = raw.say_until_cut(&[b'x'; 8 * 1024], LINGER_BYTES_MAX + 64 * MIB).await;
    assert!(said >= LINGER_BYTES_MAX, "{said}");
}

async fn open(server: &TestServer, name: &str) {
    let opening = StreamOpening::parse(&json!({ "message_uuid": name }).to_string()).unwrap();
    server.server.open_stream(&user("ada"), opening).await.unwrap();
}

async fn text(server: &TestServer, name: &str) -> String {
    let state = server.server.stream(&user("ada"), &name.parse().unwrap()).await.unwrap();
    state.unwrap().text.into()
}

async fn long_request(server: &TestServer, name: &str) -> Raw {
    let path = format!("POST /v1/users/ada/streams/{name}/1/text?offset=0");
    let headers = format!("{}Content-Type: application/x-ndjson\r\n", chunked());
    let mut raw = Raw::begin(server, &path, &headers).await;
    raw.chunk("{\"text\":\"Once\"}\n").await.unwrap();
    eventually(|| async { text(server, name).await == "Once" }).await;
    raw
}

#[tokio::test]
async fn a_writer_that_talks_on_hears_that_its_answer_was_stopped() {
    // It saw a broken pipe and never the 409.
    let server = TestServer::start(config()).await;
    open(&server, "a").await;
    let mut writer = long_request(&server, "a").await;
    let target = StopTarget::Message("a".parse().unwrap());
    server.server.stop_stream(&user("ada"), &target).await.unwrap();
    let line = format!("{{\"text\":\"{}\"}}\n", "x".repeat(16 * 1024));
    for _ in 0..256 {
        writer.chunk(&line).await.unwrap();
    }
    let Answer { status, body, .. } = writer.answer().await;
    assert_eq!((status, &body["error"]["reason"]), (409, &json!("stopped")));
    assert_eq!(body["error"]["next_offset"], 4);
}

#[tokio::test]
async fn a_writer_that_says_nothing_hears_that_its_answer_is_over() {
    // Its request was held for as long as it liked.
    let server = TestServer::start(config()).await;
    open(&server, "a").await;
    let mut silent = long_request(&server, "a").await;
    silent.chunk("{\"text\":\"half a l").await.unwrap();
    let mut delete = Raw::begin(&server, "DELETE /v1/users/ada/streams/a/1", &key()).await;
    assert_eq!(delete.answer().await.status, 200);
    let Answer { status, body, .. } = silent.answer().await;
    assert_eq!((status, &body["error"]["reason"]), (409, &json!("finished")));
    silent.ended().await;
}

#[tokio::test]
async fn a_writer_that_pauses_is_waited_for() {
    let server = TestServer::start(config()).await;
    open(&server, "a").await;
    let mut writer = long_request(&server, "a").await;
    // Longer than it takes to look whether the stream still takes text.
    tokio::time::sleep(Duration::from_secs(5)).await;
    writer.chunk("{\"text\":\" upon\"}\n{\"status\":\"complete\"}").await.unwrap();
    writer.say("0\r\n\r\n").await.unwrap();
    let Answer { status, body, .. } = writer.answer().await;
    assert_eq!((status, &body["status"]), (200, &json!("complete")));
}

#[tokio::test]
async fn requests_that_never_come_to_their_end_are_bounded_together() {
    // 400 connections with a message of 1 MiB each, all but its last byte, were 400 MiB.
    let mut config = config();
    config.request_bodies_bytes_max = 3 * MIB;
    let server = TestServer::start(config).await;
    let message = |bytes: usize| {
        let empty = r#"{"type":"t","a":""}"#.len();
        format!(r#"{{"type":"t","a":"{}"}}"#, "x".repeat(bytes - empty))
    };
    let publish = "POST /v1/users/ada/messages";
    let mut waiting = Vec::new();
    let whole = message(MIB);
    for _ in 0..2 {
        let mut raw = Raw::begin(&server, publish, &head(MIB)).await;
        raw.say(&whole[1..]).await.unwrap();
        waiting.push(raw);
    }
    // What is not announced counts as it comes.
    let mut unannounced = Raw::begin(&server, publish, &chunked()).await;
    unannounced.chunk(&whole[..MIB - 1]).await.unwrap();
    let fits = message(100);
    let publish_small = || async {
        let mut raw = Raw::begin(&server, publish, &head(fits.len())).await;
        raw.say(&fits).await.unwrap();
        raw.answer().await.status
    };
    // One byte is left of the room, once the last of all that was sent has come.
    eventually(|| async { publish_small().await == 503 }).await;
    // Before anything of it is sent.
    let mut raw = Raw::begin(&server, publish, &head(MIB)).await;
    let Answer { status, head, .. } = raw.answer().await;
    assert_eq!(status, 503);
    assert!(head.contains("retry-after: "), "{head}");
    drop(unannounced);
    waiting.clear();
    eventually(|| async { publish_small().await == 201 }).await;
}

#[tokio::test]
async fn lines_that_never_come_to_their_end_count_as_well() {
    let mut config = config();
    config.request_bodies_bytes_max = MIB;
    let server = TestServer::start(config).await;
    open(&server, "a").await;
    open(&server, "b").await;
    let mut one = long_request(&server, "a").await;
    let mut other = long_request(&server, "b").await;
    let half = "x".repeat(MIB * 3 / 4);
    one.chunk(&half).await.unwrap();
    other.chunk(&half).await.unwrap();
    let (mut a, mut b) = ([0], [0]);
    let (first, second) = (one.0.peek(&mut a), other.0.peek(&mut b));
    let refused = timeout(PATIENCE, async {
        tokio::select! { first = first => first.map(|_| true), second = second => second.map(|_| false) }
    });
    let refused =
        if refused.await.expect("one is refused").unwrap() { &mut one } else { &mut other };
    assert_eq!(refused.answer().await.status, 503);
}

#[tokio::test]
async fn a_compressed_body_is_refused_by_its_name() {
    // It was read, and then was "not UTF-8".
    let server = TestServer::start(config()).await;
    open(&server, "a").await;
    for path in ["messages", "streams", "streams/a/1/text", "streams/a/1/finish"] {
        for kind in ["application/json", "application/x-ndjson"] {
            let headers = format!("{}Content-Encoding: gzip\r\nContent-Type: {kind}\r\n", head(3));
            let what = format!("POST /v1/users/ada/{path}");
            let mut raw = Raw::begin(&server, &what, &headers).await;
            raw.say([0x1f, 0x8b, 0x08]).await.unwrap();
            let Answer { status, head, body } = raw.answer().await;
            assert_eq!(
                (status, &body["error"]["field"]),
                (415, &json!("Content-Encoding")),
                "{path}"
            );
            assert!(head.contains("accept-encoding: identity"), "{head}");
        }
    }
    let headers = format!("{}Content-Encoding: identity\r\n", head(12));
    let mut raw = Raw::begin(&server, "POST /v1/users/ada/messages", &headers).await;
    raw.say(r#"{"type":"t"}"#).await.unwrap();
    assert_eq!(raw.answer().await.status, 201);
}

#[tokio::test]
async fn a_request_has_exactly_one_host() {
    // None and two were taken (RFC 9112, section 3.2).
    let server = TestServer::start(config()).await;
    for (hosts, version, expected) in [
        ("", "1.1", 400),
        ("Host: a\r\nHost: a\r\n", "1.1", 400),
        ("Host: a\r\nHost: b\r\n", "1.0", 400),
        ("Host: a b\r\n", "1.1", 400),
        ("Host: user@a\r\n", "1.1", 400),
        ("", "1.0", 426),
        ("Host: a.example:8080\r\n", "1.1", 426),
        ("Host: [::1]:8080\r\n", "1.1", 426),
    ] {
        let mut raw = Raw::connect(&server).await;
        let token = support::token("ada");
        let head =
            format!("GET /ws/user/ada HTTP/{version}\r\n{hosts}Authorization: Bearer {token}");
        raw.say(&format!("{head}\r\n\r\n")).await.unwrap();
        let Answer { status, body, .. } = raw.answer().await;
        assert_eq!(status, expected, "{hosts:?} {version}");
        assert!(status != 400 || body["error"]["field"] == "Host", "{body}");
    }
}

#[tokio::test]
async fn the_largest_header_is_read_and_a_larger_one_is_refused() {
    let server = TestServer::start(config()).await;
    let request = |bytes: usize| {
        let start = "GET /nowhere HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4))
    };
    for (bytes, expected) in [(HEADER_BYTES_MAX, 404), (HEADER_BYTES_MAX + 1, 431)] {
        let mut raw = Raw::connect(&server).await;
        raw.say(&request(bytes)).await.unwrap();
        assert_eq!(raw.answer().await.status, expected, "{bytes}");
    }
}

#[tokio::test]
async fn who_neither_reads_nor_finishes_is_cut_off_in_time() {
    // Unread answers, and bodies that trickle or stop, were waited for without end.
    let server = TestServer::start(config()).await;
    let publish = "POST /v1/users/ada/messages";
    let stops = async {
        let mut raw = Raw::begin(&server, publish, &head(100)).await;
        raw.say(r#"{"type":"#).await.unwrap();
        raw.answer_within(LONG_PATIENCE).await.status
    };
    let trickles = async {
        let mut raw = Raw::begin(&server, publish, &head(100_000)).await;
        loop {
            let next = timeout(Duration::from_secs(1), raw.read_answer()).await;
            match next {
                Ok(answer) => return answer.unwrap().status,
                Err(_) => raw.say("x").await.unwrap(),
            }
        }
    };
    let reads_nothing = async {
        open(&server, "long").await;
        let long = "x".repeat(900_000);
        let name = "long".parse().unwrap();
        let attempt = tetherline_protocol::Attempt::FIRST;
        server.server.append_text(&user("ada"), &name, attempt, None, long).await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut raw = Raw(socket.connect(server.address).await.unwrap());
        let ask = "GET /v1/users/ada/streams/long HTTP/1.1\r\nHost: a\r\n";
        let ask = format!("{ask}{}\r\n", key());
        raw.say_until_cut(ask.as_bytes(), usize::MAX).await
    };
    let stays = async {
        let mut raw = Raw::begin(&server, "POST /nowhere", &head(4 * MIB)).await;
        assert_eq!(raw.answer().await.status, 404);
        raw.ended().await;
        // Nothing is said any more, and nothing is waited for any more in the end.
        let gone = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if raw.0.write(b"x").await.is_err() {
                    return;
                }
            }
        };
        timeout(LONG_PATIENCE, gone).await.expect("cut in time");
    };
    let all = tokio::join!(stops, trickles, reads_nothing, stays);
    assert_eq!((all.0, all.1), (408, 408));
}

#[tokio::test]
async fn an_error_quotes_a_short_piece_of_what_was_sent() {
    // It repeated 30 kB, twice.
    let server = TestServer::start(config()).await;
    let name = "\u{202e}x".repeat(6_000);
    let twice = format!(r#"{{"type":"t","{name}":1,"{name}":2}}"#);
    for path in ["messages", "streams", "streams/a/1/finish"] {
        let what = format!("POST /v1/users/ada/{path}");
        let mut raw = Raw::begin(&server, &what, &head(twice.len())).await;
        raw.say(&twice).await.unwrap();
        let Answer { status, body, .. } = raw.answer().await;
        assert_eq!(status, 400, "{path}");
        let words = body.to_string();
        assert!(words.contains("is there twice") && words.len() < 1_500, "{words}");
        assert!(!words.contains('\u{202e}'), "{words}");
    }
    let mut client = server.connect("ada", "laptop").await;
    client.send(&twice).await;
    let error = client.next_of("error").await.to_string();
    assert!(error.len() < 1_500, "{error}");
}

#[tokio::test]
async fn one_more_who_has_shown_no_key_takes_the_place_of_whoever_came_first() {
    // As many as liked could stay for ten seconds each without asking for anything.
    raise_descriptors(0);
    let server = TestServer::start(config()).await;
    let publish = format!("POST /v1/users/ada/messages HTTP/1.1\r\nHost: h\r\n{}\r\n{{}}", head(2));
    let mut publisher = Raw::connect(&server).await;
    publisher.say(&publish).await.unwrap();
    assert_eq!(publisher.answer().await.status, 400, "a message has a type; the key was right");
    let mut unknown = Vec::new();
    while unknown.len() < UNAUTHENTICATED_CONNECTIONS_MAX {
        unknown.push(Raw::connect(&server).await);
    }
    let nothing = "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n";
    // Whoever asks is not younger for it.
    unknown[0].say(nothing).await.unwrap();
    assert_eq!(unknown[0].answer().await.status, 404);
    let one_more = Raw::connect(&server).await;
    unknown[0].ended().await;
    for mut kept in [unknown.remove(1), one_more] {
        kept.say(nothing).await.unwrap();
        assert_eq!(kept.answer().await.status, 404);
    }
    publisher.say(&publish).await.unwrap();
    assert_eq!(publisher.answer().await.status, 400);
}

#[tokio::test]
async fn who_has_only_looked_or_has_lost_their_key_makes_way_again() {
    // One good token, or a key that was withdrawn since, held a connection for ever.
    raise_descriptors(0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let (file, name) = (ApiKeyFile::at(&path), "lost".parse().unwrap());
    let lost = file.add(&name, &[Scope::Publish], None).unwrap();
    let mut config = config();
    config.api_keys = ApiKeys::in_file(&path).unwrap();
    let server = TestServer::start(config).await;
    let publish = |key: &str| {
        let headers = format!("Authorization: Bearer {key}\r\nContent-Length: 2\r\n");
        format!("POST /v1/users/ada/messages HTTP/1.1\r\nHost: h\r\n{headers}\r\n{{}}")
    };
    let mut publishers = Vec::new();
    for key in [API_KEY, &lost] {
        let mut publisher = Raw::connect(&server).await;
        publisher.say(&publish(key)).await.unwrap();
        assert_eq!(publisher.answer().await.status, 400);
        publishers.push(publisher);
    }
    let look = format!(
        "GET /ws/user/ada HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\n\r\n",
        token("ada")
    );
    let mut looked = Raw::connect(&server).await;
    looked.say(&look).await.unwrap();
    assert_eq!(looked.answer().await.status, 426);
    file.remove(&name).unwrap();
    let mut withdrawn = publishers.pop().unwrap();
    let refused = async {
        loop {
            withdrawn.say(&publish(&lost)).await.unwrap();
            match withdrawn.answer().await.status {
                401 => return,
                status => assert_eq!(status, 400),
            }
        }
    };
    timeout(PATIENCE, refused).await.expect("the file is followed");
    let mut unknown = Vec::new();
    while unknown.len() < UNAUTHENTICATED_CONNECTIONS_MAX {
        unknown.push(Raw::connect(&server).await);
    }
    withdrawn.ended().await;
    looked.ended().await;
    let [mut publisher] = <[Raw; 1]>::try_from(publishers).ok().unwrap();
    publisher.say(&publish(API_KEY)).await.unwrap();
    assert_eq!(publisher.answer().await.status, 400);
}

/// What is wrong with a request that somebody made who has a key.
#[tokio::test]
async fn whatever_is_wrong_with_a_request_is_said_as_a_problem() {
    let mut config = config();
    config.rates.publishes_per_server = Some(Rate::per_hour(1));
    let server = TestServer::start(config).await;
    let http = reqwest::Client::new();
    let path = "/v1/users/ada/messages";
    let large = "x".repeat(2 * 1024 * 1024);
    let well = r#"{"type":"t"}"#;
    for (path, header, body, status, code, retries) in [
        ("/v1/users/a%2Fb/messages", ("x-nothing", ""), well, 400, "bad_frame", false),
        (path, ("x-nothing", ""), "{}", 400, "bad_frame", false),
        (path, ("x-nothing", ""), "{", 400, "bad_json", false),
        (path, ("x-nothing", ""), large.as_str(), 413, "message_too_large", false),
        (path, ("content-encoding", "gzip"), well, 415, "bad_frame", false),
        ("/v1/users/ada/streams/a1/1/finish", ("x-nothing", ""), "{}", 404, "not_found", false),
        (path, ("x-nothing", ""), well, 201, "", false),
        (path, ("x-nothing", ""), well, 429, "rate_limited", true),
    ] {
        let request = http.post(server.http(path)).bearer_auth(API_KEY).header(header.0, header.1);
        let answer = request.body(body.to_owned()).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path} {header:?}");
        if status == 201 {
            continue;
        }
        assert_eq!(answer.headers()["Content-Type"], "application/problem+json");
        assert_eq!(answer.headers().contains_key("Retry-After"), retries, "{status}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["type"], format!("urn:x-tetherline:{code}"), "{problem}");
        assert_eq!((&problem["status"], &problem["error"]["code"]), (&json!(status), &json!(code)));
        let (title, detail) = (problem["title"].as_str(), problem["detail"].as_str());
        assert!(!title.unwrap().is_empty() && detail.unwrap().ends_with('.'), "{problem}");
    }
}

#[tokio::test]
async fn what_is_refused_is_a_problem_in_the_form_of_rfc_9457_and_in_that_of_before() {
    let server = TestServer::start(config()).await;
    for (what, status, code, title) in [
        ("GET /v1/users/ada", 401, "unauthorized", "Unauthorized"),
        ("GET /v1/nothing", 404, "not_found", "Not found"),
        ("PUT /v1/messages", 405, "bad_frame", "Bad frame"),
        ("GET /ws/user/ada", 401, "unauthorized", "Unauthorized"),
    ] {
        let Answer { status: answered, head, body } =
            Raw::begin(&server, what, "").await.answer().await;
        assert_eq!(answered, status, "{what}");
        assert!(head.to_lowercase().contains("content-type: application/problem+json"), "{head}");
        let error = &body["error"];
        assert_eq!(error["code"], code, "{what}");
        let problem = json!({
            "type": format!("urn:x-tetherline:{code}"),
            "title": title,
            "status": status,
            "detail": error["message"],
            "error": error,
        });
        assert_eq!(body, problem, "{what}");
    }
}
