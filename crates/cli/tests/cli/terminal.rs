//! The log and the terminal are best effort: what cannot be written stops nothing. And what signals do.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::support::{PATIENCE, Server, run, tetherline, text};

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// A pipe that nobody reads any more.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn waited_for(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A server whose output goes where the test says; its port was free a moment ago.
struct Mute {
    child: Child,
    folder: TempDir,
    url: String,
}

impl Mute {
    fn start(stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = tetherline(&["serve", "--data", text(folder.path())])
            .args(["--listen", &port.to_string()])
            .env("RUST_LOG", "trace")
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut mute = Self { child, folder, url: format!("http://{port}") };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(port).is_err() {
            assert!(mute.child.try_wait().unwrap().is_none(), "it ended");
            assert!(Instant::now() < deadline, "it does not start");
            thread::sleep(Duration::from_millis(10));
        }
        mute
    }

    fn publishes(&self, count: usize, json: &str) {
        let key = self.folder.path().join("api.key");
        let publish = ["publish", "--url", &self.url, "--api-key-file", text(&key)];
        for _ in 0..count {
            let output = run(&[&publish[..], &["--user", "ada", "--type", "note", json]].concat());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    fn ends_in_order(mut self) {
        self.signal("TERM");
        assert_eq!(waited_for(&mut self.child).code(), Some(0));
    }
}

impl Drop for Mute {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_whose_log_is_on_a_full_volume_serves_all_the_same() {
    // A first start panicked over "made a new secret", and later a line of the store's writer ended
    // that thread: everything was answered 503 for ever.
    let server = Mute::start(Stdio::null(), full());
    server.publishes(3, "{}");
    server.ends_in_order();
}

#[test]
fn a_server_whose_log_nobody_reads_any_more_serves_all_the_same() {
    let server = Mute::start(unread(), unread());
    server.publishes(3, "{}");
    server.ends_in_order();
}

#[test]
fn a_server_whose_log_is_not_taken_serves_all_the_same() {
    // With the pipe full, whoever logged next waited for ever: a stopped terminal stopped everybody.
    let (reader, writer) = std::io::pipe().unwrap();
    let filler = thread::spawn({
        let mut filler = writer.try_clone().unwrap();
        // Until the pipe is gone: it is full for all of the test.
        move || while filler.write_all(&[b'.'; 4096]).is_ok() {}
    });
    let server = Mute::start(Stdio::null(), writer);
    server.publishes(5, "{}");
    server.ends_in_order();
    drop(reader);
    filler.join().unwrap();
}

#[test]
fn what_cannot_be_written_to_stdout_is_an_exit_code_and_a_sentence() {
    // It was a panic.
    let server = Server::start();
    let (secret, key) = (server.file("jwt.secret"), server.file("api.key"));
    let token = ["token", "--jwt-secret-file", text(&secret), "--user", "ada"];
    let publish = ["publish", "--url", &server.url, "--api-key-file", text(&key), "--user", "ada"];
    let publish = [&publish[..], &["--type", "note", r#"{"n":1}"#]].concat();
    let token_of_ada = server.token("ada");
    let tail = ["tail", "--url", &server.url, "--token", &token_of_ada];
    for (arguments, said) in [
        (&token[..], "a token was made"),
        (&publish, "the message was published"),
        (&tail, "there were messages"),
        (&["--help"], "help was asked for"),
        (&["--version"], "help was asked for"),
    ] {
        let output = tetherline(arguments).stdout(full()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(74), "{arguments:?}: {stderr}");
        let last = stderr.lines().last().unwrap();
        assert!(last.contains(said) && last.contains("No space left"), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        // Nor does it matter when that cannot be written either.
        let status = tetherline(arguments).stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(74), "{arguments:?}");
    }
    // It said so: it is there. The second one, too.
    assert_eq!(server.tail("ada", &["--after", "0"]).until_caught_up(), [1, 1]);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let server = Server::start();
    let secret = server.file("jwt.secret");
    let token = ["token", "--jwt-secret-file", text(&secret), "--user", "ada"];
    for arguments in [&token[..], &["--help"], &["serve", "--help"], &["--version"]] {
        let output = tetherline(arguments).stdout(unread()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", output.status);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
    for n in 1..=3 {
        server.publish("ada", &format!(r#"{{"n":{n}}}"#));
    }
    let token = server.token("ada");
    let mut tail = tetherline(&["tail", "--url", &server.url, "--token", &token, "--no-ack"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // What `head -1` does.
    let mut line = String::new();
    BufReader::new(tail.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains(r#""n":1"#), "{line}");
    for n in 4..=6 {
        server.publish("ada", &format!(r#"{{"n":{n}}}"#));
    }
    assert!(waited_for(&mut tail).success());
    let stderr = std::io::read_to_string(tail.stderr.take().unwrap()).unwrap();
    assert!(!stderr.contains("stdout") && !stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_complaint_that_cannot_be_written_is_still_an_exit_code() {
    for (arguments, code) in
        [(&["serve"][..], 2), (&["token", "--jwt-secret-file", "nowhere", "--user", "ada"], 1)]
    {
        for stderr in [Stdio::from(full()), unread()] {
            let status = tetherline(arguments).stdout(Stdio::null()).stderr(stderr).status();
            assert_eq!(status.unwrap().code(), Some(code), "{arguments:?}");
        }
    }
}

/// A request that keeps the server from ending for some seconds.
fn unfinished(server: &Mute) -> TcpStream {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    let key = std::fs::read_to_string(server.folder.path().join("api.key")).unwrap();
    let head = format!(
        "POST /v1/users/ada/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
         Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        key.trim()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(&mut stream).read_line(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 100"), "{answer}");
    stream
}

#[test]
fn the_second_signal_ends_a_server_at_once() {
    // It was ignored for as long as the first one was being obeyed.
    for (first, second, code) in [("TERM", "TERM", 143), ("INT", "TERM", 143), ("TERM", "INT", 130)]
    {
        let mut server = Mute::start(Stdio::null(), Stdio::null());
        let request = unfinished(&server);
        server.signal(first);
        let address = server.url.trim_start_matches("http://").to_owned();
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(&address).is_ok() {
            assert!(Instant::now() < deadline, "it goes on accepting");
            thread::sleep(Duration::from_millis(10));
        }
        server.signal(second);
        let status = waited_for(&mut server.child);
        assert_eq!((status.code(), status.signal()), (Some(code), None), "{first} {second}");
        drop(request);
    }
}

#[test]
fn a_hangup_ends_no_server() {
    // The terminal that it was started on was closed, and it with it.
    let server = Mute::start(Stdio::null(), Stdio::null());
    server.signal("HUP");
    server.publishes(1, "{}");
    server.signal("HUP");
    server.publishes(1, "{}");
    server.ends_in_order();
}
