//! What the binary asks over HTTP by itself: through no proxy that nobody named, and without
//! certificates where none are needed.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    process::{Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

use crate::{
    support::{PATIENCE, Process, Server, run, tetherline, text},
    webhook::{backend, client},
};

/// A proxy that refuses everything, and the first lines of what it was asked.
pub(crate) fn proxy(answer: &'static str) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, asked) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut line = String::new();
            let _ = reader.read_line(&mut line);
            let _ = sender.send(line.trim_end().to_owned());
            let mut rest = String::new();
            while reader.read_line(&mut rest).is_ok_and(|bytes| bytes > 2) {}
            let _ = reader.get_mut().write_all(answer.as_bytes());
        }
    });
    (url, asked)
}

const REFUSES: &str = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn publish_in(server: &Server, environment: &[(&str, &str)], more: &[&str]) -> Output {
    let key = server.file("api.key");
    let publish = ["publish", "--url", &server.url, "--api-key-file", text(&key), "--user", "ada"];
    let mut command = tetherline(&[&publish[..], &["--type", "note"], more, &["{}"]].concat());
    command.envs(environment.iter().copied()).output().unwrap()
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_not_asked() {
    // Keys and people's messages went to it, and its 403 refused a send for good.
    let (url, asked) = proxy(REFUSES);
    let names =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let environment = names.map(|name| (name, url.as_str()));
    let (hook, request) = backend();
    let server =
        Server::start_in(&environment, tempfile::tempdir().unwrap(), &["--webhook-url", &hook]);
    client(&server).send(r#"{"type":"ask","text":"Hi"}"#).await.unwrap();
    assert!(request.join().unwrap().1.contains("Hi"));

    let published = publish_in(&server, &environment, &[]);
    assert!(published.status.success(), "{}", said(&published));
    let key = server.file("api.key");
    let erase = ["erase", "--url", &server.url, "--api-key-file", text(&key), "--user", "ada"];
    let mut erase = tetherline(&[&erase[..], &["--yes"]].concat());
    let erased = erase.envs(environment).output().unwrap();
    assert!(erased.status.success(), "{}", said(&erased));
    assert_eq!(asked.try_recv().ok(), None);
}

#[tokio::test]
async fn a_proxy_that_is_named_is_asked() {
    let (url, asked) = proxy(
        "HTTP/1.1 201 Created\r\ncontent-length: 18\r\nconnection: close\r\n\r\n{\"id\":\"m\",\"seq\":7}",
    );
    let server =
        Server::start_with(&["--webhook-url", "http://app.invalid/hook", "--webhook-proxy", &url]);
    client(&server).send(r#"{"type":"ask"}"#).await.unwrap();
    assert_eq!(asked.recv_timeout(PATIENCE).unwrap(), "POST http://app.invalid/hook HTTP/1.1");

    let published = publish_in(&server, &[], &["--proxy", &url]);
    assert!(published.status.success(), "{}", said(&published));
    let expected = format!("POST {}/v1/users/ada/messages HTTP/1.1", server.url);
    assert_eq!(asked.recv_timeout(PATIENCE).unwrap(), expected);
    let refused = publish_in(&server, &[], &["--proxy", "me:secret@127.0.0.1"]);
    assert!(said(&refused).contains("is not the address of a proxy"), "{}", said(&refused));
    assert!(!said(&refused).contains("secret"), "{}", said(&refused));
}

#[test]
fn what_is_not_the_servers_own_yes_is_none() {
    // Followed to a login page, an erasure that nobody did was "erased"; a message was posted to wherever
    // a redirect led.
    let (elsewhere, asked) =
        proxy("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("api.key");
    fs::write(&key, "a key of at least sixteen bytes").unwrap();
    for status in ["302 Found", "307 Temporary Redirect", "200 OK", "401 Unauthorized"] {
        let answer = format!(
            "HTTP/1.1 {status}\r\nlocation: {elsewhere}/login\r\ncontent-length: 0\r\n\
             connection: close\r\n\r\n"
        );
        let (url, _) = proxy(answer.leak());
        let access = ["--url", &url, "--api-key-file", text(&key), "--user", "bob"];
        for command in [&["erase", "--yes"][..], &["publish", "--type", "note", "{}"]] {
            let output = run(&[command, &access[..]].concat());
            let said = said(&output);
            assert_eq!(output.status.code(), Some(1), "{status} {command:?}: {said}");
            assert!(said.contains("Tetherline") && said.contains("--url"), "{status}: {said}");
            assert!(!said.contains("api-key"), "{status}: {said}");
        }
    }
    assert_eq!(asked.try_recv().ok(), None);
}

#[tokio::test]
async fn without_certificates_http_works_and_https_says_what_it_needs() {
    // In an image without them `publish` to http:// panicked, and the webhook was a "builder error".
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none.pem");
    fs::write(&none, "").unwrap();
    let empty = folder.path().join("certificates");
    fs::create_dir(&empty).unwrap();
    let environment = [("SSL_CERT_FILE", text(&none)), ("SSL_CERT_DIR", text(&empty))];

    let (hook, request) = backend();
    let server =
        Server::start_in(&environment, tempfile::tempdir().unwrap(), &["--webhook-url", &hook]);
    client(&server).send(r#"{"type":"ask","text":"Hi"}"#).await.unwrap();
    assert!(request.join().unwrap().1.contains("Hi"));
    let published = publish_in(&server, &environment, &[]);
    assert!(published.status.success(), "{}", said(&published));

    let key = server.file("api.key");
    let data = folder.path().join("data");
    let commands: [&[&str]; 3] = [
        &["publish", "--url", "https://127.0.0.1:1", "--type", "note", "--user", "ada", "{}"],
        &["erase", "--url", "https://127.0.0.1:1", "--user", "ada", "--yes"],
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data",
            text(&data),
            "--webhook-url",
            "https://a.invalid",
        ],
    ];
    for arguments in commands {
        let output = tetherline(&[arguments, &["--api-key-file", text(&key)]].concat())
            .envs(environment)
            .output();
        let output = output.unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        let said = said(&output);
        let line = said.lines().find(|line| line.starts_with("tetherline:")).unwrap_or(&said);
        assert!(line.contains("CA certificates") && line.contains("SSL_CERT_FILE"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn an_error_shows_everything_that_led_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("api.key");
    fs::write(&key, "a key of at least sixteen bytes").unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    let publish = ["publish", "--url", &url, "--api-key-file", text(&key), "--user", "ada"];
    let output = run(&[&publish[..], &["--type", "note", "{}"]].concat());
    let said = said(&output);
    // From what was wanted down to what the operating system said.
    for part in ["cannot reach", "error sending request", "tcp connect error", "refused"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(said.lines().count(), 1, "{said}");
}

/// The first line on stderr.
fn complains(mut command: Command) -> String {
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (sender, lines) = channel();
    thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|it| sender.send(it)));
    let line = lines.recv_timeout(PATIENCE);
    child.kill().unwrap();
    child.wait().unwrap();
    line.expect("a line on stderr")
}

#[test]
fn a_tail_asks_the_server_itself_and_without_certificates_where_none_are_needed() {
    // Its question why there is no WebSocket went to the environment's proxy, and without certificates
    // it was none at all: a tail whose token was refused went on for ever.
    let (url, asked) = proxy(REFUSES);
    let server = Server::start();
    let names =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let token = server.token("ada");
    let tail = |token: &str| {
        let mut tail = tetherline(&["tail", "--url", &server.url, "--token", token]);
        tail.envs(names.map(|name| (name, url.as_str())));
        tail.envs([("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_DIR", "/nowhere")]);
        tail
    };
    let forged = format!("{token}forged");
    let line = complains(tail(&forged));
    assert!(line.contains("refused the token"), "{line}");
    assert!(line.contains("(The token was refused: "), "the server's own words: {line}");
    let listens = Process::spawn(tail(&token));
    assert!(listens.line().contains("pending_check_complete"));
    assert_eq!(asked.try_recv().ok(), None);
}

#[test]
fn a_tail_says_all_that_led_to_its_trouble() {
    // A certificate that nobody trusts, or a server without TLS, was just "cannot connect".
    let (url, _asked) = proxy(REFUSES);
    let server = Server::start();
    let url = url.replace("http://", "https://gate:secret@");
    let tail = tetherline(&["tail", "--url", &url, "--token", &server.token("ada")]);
    let line = complains(tail);
    let place = url.replace("gate:secret@", "");
    assert!(line.starts_with(&format!("tetherline: cannot connect to {place}: ")), "{line}");
    assert!(line.contains("received corrupt message of type InvalidContentType"), "{line}");
}
