//! A fault that lasts is said when it begins, one time every ten seconds, and when it is over, however
//! many it meets. A line for each would fill the next disk.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    socket::Socket,
    support::{Process, Server, tetherline, text},
    webhook::client,
};

/// Another program that has the file for itself.
const LOCK: &str = r#"
import sqlite3, sys, time
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(120)
"#;

/// The lines for whoever looks after the server, without the one about the system that the test runs on.
fn loud(log: &Path) -> Vec<String> {
    let log = fs::read_to_string(log).unwrap();
    let is_loud = |line: &&str| [" ERROR ", " WARN "].iter().any(|level| line.contains(level));
    let is_of_the_system = |line: &&str| line.contains("fewer file descriptors");
    log.lines().filter(is_loud).filter(|line| !is_of_the_system(line)).map(str::to_owned).collect()
}

/// How often a fault may have been said since then.
fn times_since(started: Instant) -> usize {
    usize::try_from(started.elapsed().as_secs()).unwrap() / 10 + 1
}

#[tokio::test]
async fn a_locked_file_is_said_once_and_not_for_each_connection() {
    // 600 connects gave 600 errors.
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut server = Server::start_logging(&log);
    let bearer = ["tetherline.v1".to_owned(), format!("bearer.{}", server.token("ada"))];
    let mut other = Command::new("python3");
    other.args(["-c", LOCK]).arg(server.file("mailbox.db"));
    let other = Process::spawn(other);
    assert_eq!(other.line(), "locked");
    let started = Instant::now();
    for n in 0..20 {
        let path = format!("/ws/user/ada?device=d{n}");
        let refused = Socket::open(&server.url, &path, &bearer).await.err();
        assert_eq!(refused, Some(503));
    }
    let said = loud(&log);
    assert!(said.iter().any(|line| line.contains("database is locked")), "{said:?}");
    assert!(said.len() <= times_since(started), "{said:?}");
    drop(other);
    server.terminate();
}

#[test]
fn damaged_messages_are_said_once_and_not_to_each_reader() {
    // 200 of them and 5 connections gave 1,000 errors.
    let mut server = Server::start();
    for n in 1..=12 {
        server.publish("ada", &format!(r#"{{"n":{n},"text":"damage"}}"#));
    }
    server.terminate();
    let copied = tempfile::tempdir().unwrap();
    for file in fs::read_dir(server.file("")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copied.path().join(file.file_name())).unwrap();
    }
    let mut bytes = fs::read(copied.path().join("mailbox.db")).unwrap();
    for at in 0..bytes.len() {
        if bytes[at..].starts_with(b"damage") {
            bytes[at] = b'D';
        }
    }
    fs::write(copied.path().join("mailbox.db"), bytes).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let started = Instant::now();
    let mut server = Server::start_logging_on(copied, &log, &[]);
    for _ in 0..5 {
        let tail = server.tail("ada", &["--no-ack"]);
        assert_eq!(tail.until_caught_up(), [0_u64; 0]);
        tail.terminate();
    }
    let said = loud(&log);
    assert!(said[0].contains("seq=1 times=12"), "which one, and how many: {said:?}");
    assert!(said.len() <= times_since(started), "{said:?}");
    server.terminate();
}

#[tokio::test]
async fn a_webhook_that_answers_every_other_request_is_one_trouble() {
    // 182 requests gave 163 lines.
    let url = every_other();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start_logging_on(data, &log, &["--webhook-url", &url]);
    let started = Instant::now();
    let client = client(&server);
    for n in 0..10 {
        client.send(&format!(r#"{{"type":"ask","n":{n}}}"#)).await.unwrap();
    }
    let log = fs::read_to_string(log).unwrap();
    let is_loud = |line: &&str| {
        line.contains("the webhook g") && (line.contains(" WARN ") || line.contains(" INFO "))
    };
    let said: Vec<&str> = log.lines().filter(is_loud).collect();
    assert!(!said.is_empty());
    assert!(said.len() <= 2 * times_since(started), "its begin and its end: {said:?}");
    drop(client);
    server.terminate();
}

/// A backend behind something that answers 502 to each first request of two.
fn every_other() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { return };
            let mut reader = BufReader::new(stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                let line = line.to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let _ = reader.read_exact(&mut vec![0; length]);
            let status = if n % 2 == 0 { "502 Bad Gateway" } else { "204 No Content" };
            let answer =
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            let _ = reader.get_mut().write_all(answer.as_bytes());
        }
    });
    url
}

/// Answers everything alike.
fn always(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let mut reader = BufReader::new(stream);
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let _ = reader.read_exact(&mut vec![0; length]);
            let head = format!("content-length: {}\r\nconnection: close", body.len());
            let _ = write!(reader.get_mut(), "HTTP/1.1 {status}\r\n{head}\r\n\r\n{body}");
        }
    });
    url
}

#[tokio::test]
async fn an_application_that_is_away_is_said_once_for_each_thing_that_it_is_asked() {
    // 64 sends to a webhook that was down wrote 282 lines a second.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}/");
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let data = tempfile::tempdir().unwrap();
    let hooks = ["--webhook-url", &url, "--connect-hook-url", &url, "--webhook-connection-events"];
    let mut server = Server::start_logging_on(data, &log, &hooks);
    let started = Instant::now();
    let mut sockets = Vec::new();
    for n in 0..10 {
        let bearer = ["tetherline.v1".to_owned(), format!("bearer.made-up-{n}")];
        let refused = Socket::open(&server.url, "/ws/user/ada", &bearer).await.err();
        assert_eq!(refused, Some(503));
        sockets.push(Socket::of(&server, "ada", &format!("d{n}")).await);
    }
    for (n, socket) in sockets.iter_mut().enumerate() {
        socket.send(&json!({"type": "ask", "id": format!("m{n}")})).await;
    }
    for socket in &mut sockets {
        assert_eq!(socket.frame("error").await["code"], "unavailable");
    }
    let said = loud(&log);
    for what in ["the webhook gave no outcome", "did not say who connects", "be told who connects"]
    {
        let times = said.iter().filter(|line| line.contains(what)).count();
        assert!((1..=times_since(started)).contains(&times), "{what}: {said:?}");
    }
    assert!(said.len() <= 3 * times_since(started), "{said:?}");
    drop(sockets);
    server.kill();
}

#[tokio::test]
async fn stops_that_an_application_refuses_to_hear_of_are_said_once() {
    // Each of them wrote a line, and anybody who is signed in can stop something.
    let url = always("400 Bad Request", r#"{"error":{"code":"unknown_type"}}"#);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start_logging_on(data, &log, &["--webhook-url", &url]);
    let started = Instant::now();
    let mut socket = Socket::of(&server, "ada", "laptop").await;
    for n in 0..20 {
        socket.send(&json!({"type": "message_stop", "id": format!("s{n}"), "ref": "q1"})).await;
        socket.frame("accepted").await;
    }
    let said = loud(&log);
    assert!(said[0].contains("refuses to hear of a stop"), "{said:?}");
    assert!(said.len() <= times_since(started), "{said:?}");
    server.terminate();
}

#[tokio::test]
async fn streams_that_their_writers_leave_are_said_once() {
    // Each of them wrote a line: a backend that crashes leaves as many as it was writing.
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start_logging_on(data, &log, &["--stream-idle", "1"]);
    let started = Instant::now();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/v1/users/ada", server.url);
    for _ in 0..12 {
        let opened = http.post(format!("{url}/streams")).bearer_auth(server.api_key()).body("{}");
        assert_eq!(opened.send().await.unwrap().status(), 201);
    }
    loop {
        let head = http.get(&url).bearer_auth(server.api_key()).send().await.unwrap();
        if head.json::<Value>().await.unwrap()["head"] == 12 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let said = loud(&log);
    assert!(said[0].contains("because its writer did not"), "{said:?}");
    assert!(said.len() <= times_since(started), "{said:?}");
    server.terminate();
}

#[tokio::test]
async fn a_full_disk_is_said_once_and_not_for_each_message_that_it_does_not_take() {
    // 12,000 lines a second.
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut server = Server::start_logging_with_file_bytes(1024 * 1024, &log);
    let started = Instant::now();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/v1/users/ada/messages", server.url);
    let body = json!({"type": "note", "text": "x".repeat(32 * 1024)}).to_string();
    let mut refused = 0;
    for _ in 0..2_000 {
        let sent = http.post(&url).bearer_auth(server.api_key()).body(body.clone()).send();
        refused += usize::from(sent.await.unwrap().status() == 503);
        if refused == 200 {
            break;
        }
    }
    assert_eq!(refused, 200, "the disk is full");
    let said = loud(&log);
    assert!(said.iter().any(|line| line.contains("the store could not commit")), "{said:?}");
    // And that the write-ahead log is not copied any more.
    assert!(said.len() <= 2 * times_since(started), "{said:?}");
    server.kill();
}

/// The lines of a log that is JSON.
fn lines(log: &Path) -> Vec<Value> {
    let log = fs::read_to_string(log).unwrap();
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect()
}

/// The id that an answer names, to a request with this one.
async fn request_id(server: &Server, path: &str, said: &str) -> String {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.get(format!("{}{path}", server.url)).header("x-request-id", said);
    let answer = request.send().await.unwrap();
    answer.headers()["x-request-id"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_request_has_an_id_in_its_answer_and_in_each_of_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let start =
        |more: &[&str]| Server::start_logging_as("auto", tempfile::tempdir().unwrap(), &log, more);
    let mut server = start(&["--trusted-proxy", "127.0.0.1"]);
    let too_long = "a".repeat(65);
    assert_eq!(request_id(&server, "/healthz", "of-the-proxy.1").await, "of-the-proxy.1");
    for bad in ["with space", "{}", &too_long] {
        assert_eq!(request_id(&server, "/nowhere", bad).await.len(), 20, "{bad}");
    }
    server.terminate();
    let of_it = |line: &&Value| line["spans"][1]["request_id"] == "of-the-proxy.1";
    let said = lines(&log);
    let said: Vec<_> = said.iter().filter(of_it).collect();
    assert!(said.iter().any(|line| line["message"] == "answered"), "{said:?}");

    let mut server = start(&[]);
    let drawn = request_id(&server, "/healthz", "of-nobody-who-is-trusted").await;
    server.terminate();
    assert_eq!(drawn.len(), 20);
    let whole = fs::read_to_string(&log).unwrap();
    assert!(whole.contains(&drawn) && !whole.contains("of-nobody-who-is-trusted"));
}

#[test]
fn whatever_a_server_says_off_a_terminal_is_json() {
    // A start that fails, what is said besides events, and what is too long for a line.
    let folder = tempfile::tempdir().unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", text(folder.path())];
    let mut command = tetherline(&serve);
    command.args(["--admin-listen", "127.0.0.1:0", "--webhook-connection-events"]);
    let said = command.env_remove("TETHERLINE_LOG_FORMAT").output().unwrap();
    let said = String::from_utf8(said.stderr).unwrap();
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "ERROR");
    let message = "tetherline: --webhook-connection-events needs --webhook-url";
    assert_eq!(last["message"], message);

    let log = folder.path().join("log");
    let mut server = Server::start_logging_as(
        "auto",
        tempfile::tempdir().unwrap(),
        &log,
        &["--admin-listen", "127.0.0.1:0"],
    );
    server.terminate();
    let said = lines(&log);
    let admin = |line: &Value| {
        line["message"].as_str().unwrap().starts_with("admin listening on http://127.0.0.1:")
    };
    assert!(said.iter().any(admin), "{said:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_the_log_is_text() {
    let folder = tempfile::tempdir().unwrap();
    let serve = tetherline(&["serve", "--webhook-connection-events", "--data"]);
    let program = text(Path::new(serve.get_program()));
    let arguments: Vec<_> = serve.get_args().map(|word| word.to_str().unwrap()).collect();
    let line = format!("{program} {} {}", arguments.join(" "), text(folder.path()));
    // It gives what it starts a terminal of its own.
    let mut script = Command::new("script");
    script.args(["--quiet", "--command", &line, "/dev/null"]).stdin(Stdio::null());
    let said = script.env_remove("TETHERLINE_LOG_FORMAT").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let last = said.lines().last().unwrap();
    assert_eq!(last.trim_end(), "tetherline: --webhook-connection-events needs --webhook-url");
}

#[test]
fn the_level_is_an_option_and_one_that_is_none_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut server = Server::start_logging_on(
        tempfile::tempdir().unwrap(),
        &log,
        &["--log-level", "tetherline_server=debug,off", "--log-format", "json"],
    );
    server.terminate();
    let said = lines(&log);
    assert!(said.iter().all(|line| line["level"] != "TRACE"), "it counts before RUST_LOG");
    let mut wrong = tetherline(&["serve", "--data", text(folder.path()), "--log-level", "loud"]);
    let wrong = wrong.output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(said.contains("`loud` is no level: write error, warn, info"), "{said}");
}
