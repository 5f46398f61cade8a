//! A fault that lasts is said when it begins, one time every ten seconds, and when it is over, however
//! many it meets. A line for each would fill the next disk.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::Command,
    thread,
    time::Instant,
};

use crate::{
    socket::Socket,
    support::{Process, Server},
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
