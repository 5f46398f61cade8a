//! What nobody is to read in a log, in an answer or behind a close.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    thread,
};

use super::raw::{KEY, Raw, Said, UPGRADE, frame, text};
use crate::support::Server;

/// In every message and wherever else one may stand.
const CONTENT: &str = "nobody-elses-business";
const FORGED: &str = "Zm9yZ2Vk.Zm9yZ2Vk.Zm9yZ2Vk";
const QUERY: &str = "what-stands-in-a-query";

/// What a server says of itself, from its start to its end.
const LINES_MAX: usize = 5;

/// A backend that answers 204 to each of its requests.
fn backend() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook?key={QUERY}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let _ = reader.read_exact(&mut vec![0; length]);
            let _ =
                reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
        }
    });
    url
}

/// Every way to show a token, good and not, and what was answered.
async fn show_tokens(server: &Server, token: &str) -> Vec<String> {
    let mut said = Vec::new();
    for token in [token, FORGED] {
        for (path, lines) in [
            ("", format!("Sec-WebSocket-Protocol: tetherline.v1, bearer.{token}\r\n")),
            ("", format!("Tetherline-Token: {token}\r\n")),
            ("", format!("Authorization: Bearer {token}\r\n")),
            ("", format!("Authorization: Basic {token}\r\nCookie: session={CONTENT}\r\n")),
            (&format!("?token={token}"), String::new()),
            (&format!("?device={CONTENT}%20{QUERY}&token={token}"), String::new()),
            (&format!("?{QUERY}=%ff&token={token}"), String::new()),
        ] {
            for upgrade in [format!("{UPGRADE}{KEY}"), String::new()] {
                let head =
                    format!("GET /ws/user/eve{path} HTTP/1.1\r\nHost: h\r\n{upgrade}{lines}\r\n");
                said.push(format!("{:?}", Raw::ask(server, &head).await));
            }
        }
    }
    said
}

/// What publishers and writers of streams say, right and wrong.
async fn publish(server: &Server) -> Vec<String> {
    let mut said = Vec::new();
    let key = server.api_key();
    let message = format!(r#"{{"type":"note","text":"{CONTENT}"}}"#);
    let long = format!(r#"{{"type":"note","text":"{}"}}"#, CONTENT.repeat(60_000));
    let item =
        format!(r#"[{{"user":"eve","message":{message}}},{{"user":"eve","message":"{CONTENT}"}}]"#);
    let text = format!(r#"{{"text":"{CONTENT}"}}"#);
    let lines = format!("{{\"text\":\"{CONTENT}\"}}\n{{\"text\":7,\"x\":\"{CONTENT}\"}}\n");
    for (path, body) in [
        ("/v1/users/eve/messages", message.as_str()),
        ("/v1/users/eve/messages?durable=false", &message),
        (&format!("/v1/users/eve/messages?durable={QUERY}"), &message),
        ("/v1/users/eve/messages", &message[1..]),
        ("/v1/users/eve/messages", &message[..message.len() - 1]),
        ("/v1/users/eve/messages", &format!(r#"{{"type":"{CONTENT} "}}"#)),
        ("/v1/users/eve/messages", &format!(r#"{{"type":"note","seq":"{CONTENT}"}}"#)),
        ("/v1/users/eve/messages", &format!(r#"{{"type":"note","id":"{CONTENT} "}}"#)),
        ("/v1/users/eve/messages", &format!(r#""{CONTENT}""#)),
        ("/v1/users/eve/messages", &long),
        ("/v1/messages", &item),
        ("/v1/messages", &item[1..]),
        ("/v1/users/eve/streams", &format!(r#"{{"message_uuid":"a","title":"{CONTENT}"}}"#)),
        ("/v1/users/eve/streams", &format!(r#"{{"message_uuid":"{CONTENT} "}}"#)),
        ("/v1/users/eve/streams/a/1/text", &text),
        ("/v1/users/eve/streams/a/1/text", &format!(r#"{{"text":["{CONTENT}"]}}"#)),
        ("/v1/users/eve/streams/a/1/text", &format!(r#"{{"offset":"{CONTENT}"}}"#)),
        ("/v1/users/eve/streams/a/1/text?ndjson", &lines),
        ("/v1/users/eve/streams/a/1/finish", &format!(r#"{{"status":"{CONTENT}"}}"#)),
        ("/v1/users/eve/streams/a/1/finish", &format!(r#"{{"message":{{"x":"{CONTENT}"}}}}"#)),
    ] {
        for key in [key.as_str(), "not-the-right-key"] {
            let kind = if path.ends_with("ndjson") { "x-ndjson" } else { "json" };
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n\
                 Content-Type: application/{kind}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let answer = Raw::ask(server, &request).await;
            said.push(format!("{answer:?}"));
        }
    }
    said
}

/// What a client says, right and wrong, and what comes back of it that is an error or a close.
async fn send(server: &Server, token: &str) -> Vec<String> {
    let mut said = Vec::new();
    let quoted = |frame: &str| frame.replace('$', CONTENT);
    for bad in [
        r#"{"type":"ask","id":"a","text":"$"}"#,
        r#"{"type":"ask","id":"$ ","text":"$"}"#,
        r#"{"type":"ask","text":"$""#,
        r#"["$"]"#,
        r#""$""#,
        "$",
        r#"{"type":"$ "}"#,
        r#"{"type":{"x":"$"}}"#,
        r#"{"type":"ask","seq":"$"}"#,
        r#"{"type":"get_pending","after":"$"}"#,
        r#"{"type":"get_pending","epoch":["$"]}"#,
        r#"{"type":"get_pending","have":[{"message_uuid":"$ "}]}"#,
        r#"{"type":"get_pending","have":"$"}"#,
        r#"{"type":"ack","seq":"$"}"#,
        r#"{"type":"ping","timestamp":["$"]}"#,
        r#"{"type":"message_stop","id":"b","message_uuid":"$ "}"#,
        r#"{"type":"authenticate","token":"$"}"#,
        r#"{"type":"authenticate","token":["$"]}"#,
    ] {
        let mut eve = Raw::connect(server).await;
        eve.upgrade("eve", token).await;
        eve.say(text(quoted(bad))).await.unwrap();
        eve.say(text(format!(r#"{{"type":"authenticate","token":"{FORGED}"}}"#))).await.unwrap();
        eve.say(text(format!(r#"{{"type":"authenticate","token":"{token}"}}"#))).await.unwrap();
        // And what no client may send, with what it says.
        let last = [frame(0x01, CONTENT), frame(0x00, [0xff])].concat();
        eve.say(last).await.unwrap();
        loop {
            match eve.next().await {
                // Its own stamp comes back to whoever asks for that.
                Said::Frame(frame) if frame["type"] == "pong" => {}
                Said::Frame(frame) => said.push(frame.to_string()),
                Said::Pong(_) => {}
                Said::Closed(code, reason) => {
                    assert_eq!(code, 1007, "{bad}: {reason}");
                    said.push(reason);
                    break;
                }
            }
        }
    }
    said
}

/// A ticket of eve's, which was used, and what was said to whoever used it, and used it again.
async fn use_ticket(server: &Server, token: &str) -> (String, Vec<String>) {
    let ask = format!(
        "POST /v1/tickets HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 0\r\n\r\n"
    );
    let issued = Raw::ask(server, &ask).await;
    assert_eq!(issued.status, 201, "{issued:?}");
    let issued: serde_json::Value = serde_json::from_str(&issued.body).unwrap();
    let ticket = issued["ticket"].as_str().unwrap().to_owned();
    let mut said = Vec::new();
    for (ticket, expected) in [(ticket.as_str(), 101), (&ticket, 401), (FORGED, 401)] {
        let path = format!("/ws/user/eve?device=d&ticket={ticket}");
        let connect = format!("GET {path} HTTP/1.1\r\nHost: h\r\n{UPGRADE}{KEY}\r\n");
        let answer = Raw::ask(server, &connect).await;
        assert_eq!(answer.status, expected, "{answer:?}");
        said.push(format!("{answer:?}"));
    }
    (ticket, said)
}

#[tokio::test]
async fn no_token_query_or_content_is_in_the_log_or_in_an_answer() {
    for format in ["text", "auto"] {
        let log = log_of_a_server_that_is_told_secrets(format).await;
        let happened: &[&str] = match format {
            "text" => &[
                "answered status=201",
                "answered status=401",
                "websocket{",
                "closing a connection",
            ],
            _ => &[
                r#""status":201"#,
                r#""status":401"#,
                r#""name":"websocket"#,
                "closing a connection",
            ],
        };
        for happened in happened {
            assert!(log.contains(happened), "{happened} is not in the log");
        }
        // Off a terminal each line is one for a program.
        for line in log.lines().filter(|_| format == "auto") {
            let line: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            for field in ["timestamp", "level", "message"] {
                assert!(line[field].is_string(), "{line}");
            }
        }
    }
}

/// With everything in it that it may log, and none of what was shown to it.
async fn log_of_a_server_that_is_told_secrets(format: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let hook = backend();
    let data = tempfile::tempdir().unwrap();
    // Whoever has no token of this server's is asked about, with their cookies.
    let hooks = ["--webhook-url", &hook, "--connect-hook-url", &hook];
    let mut server = Server::start_logging_as(format, data, &log, &hooks);
    let token = server.token("eve");
    let (ticket, said) = use_ticket(&server, &token).await;
    let answers = [
        said,
        show_tokens(&server, &token).await,
        publish(&server).await,
        send(&server, &token).await,
    ]
    .concat()
    .join("\n");
    let files = ["api.key", "jwt.secret", "webhook.secret"];
    let mut secrets: Vec<String> =
        files.iter().map(|name| fs::read_to_string(server.file(name)).unwrap()).collect();
    secrets.extend([token, ticket, FORGED.to_owned(), CONTENT.to_owned(), QUERY.to_owned()]);
    secrets.extend(
        ["Basic ", "Bearer ", "session=", "token=", "ticket=", "not-the-right-key"]
            .map(str::to_owned),
    );
    server.terminate();
    let log = fs::read_to_string(log).unwrap();
    for line in log.lines().chain(answers.lines()) {
        for secret in &secrets {
            // How to show a token is said to whoever shows none.
            let line = line.replace("Bearer <token>", "");
            assert!(!line.contains(secret.trim_end_matches('\n')), "{secret} is in: {line}");
        }
    }
    log
}

#[tokio::test]
async fn whatever_strangers_and_users_do_wrong_is_no_line_for_the_operator() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut server = Server::start_logging(&log);
    let token = server.token("eve");
    for _ in 0..50 {
        show_tokens(&server, FORGED).await;
        for nonsense in ["nonsense\r\n\r\n", "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n"] {
            Raw::ask(&server, nonsense).await;
        }
        let mut eve = Raw::connect(&server).await;
        eve.upgrade("eve", &token).await;
        eve.say(text("nonsense").repeat(17)).await.unwrap();
        assert_eq!(eve.closed().await, 1008);
        let mut eve = Raw::connect(&server).await;
        eve.upgrade("eve", &token).await;
        eve.say(frame(0x83, "")).await.unwrap();
        assert_eq!(eve.closed().await, 1002);
        let mut eve = Raw::connect(&server).await;
        eve.upgrade("eve", &token).await;
        eve.0.set_zero_linger().unwrap();
    }
    server.terminate();
    let log = fs::read_to_string(log).unwrap();
    let is_loud = |line: &&str| {
        [" ERROR ", " WARN ", " INFO "].iter().any(|level| line.contains(level))
            && !line.contains("fewer file descriptors")
    };
    let loud: Vec<&str> = log.lines().filter(is_loud).collect();
    assert!(loud.len() <= LINES_MAX, "{} lines: {loud:#?}", loud.len());
}
