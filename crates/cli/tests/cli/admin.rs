//! The port for whoever looks after the server.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

#[cfg(target_os = "linux")]
use crate::room::on_a_small_disk;
use crate::support::{PATIENCE, Process, Server, Watched, complaint, tetherline, text};

/// The answer to a request with these headers, from its first line on.
fn asked(url: &str, path: &str, headers: &str) -> String {
    said(url, &format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n"))
}

fn said(url: &str, request: &str) -> String {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn status(url: &str, path: &str, headers: &str) -> u16 {
    asked(url, path, headers)[9..12].parse().unwrap()
}

#[test]
fn there_is_no_second_port_unless_it_is_named() {
    let watched = Watched::start(&[]);
    assert_eq!(status(&watched.admin, "/healthz", "Host: localhost\r\n"), 200);
    assert_eq!(status(&watched.admin, "/readyz", "Host: localhost\r\n"), 200);
    let elsewhere = status(&watched.admin, "/v1/users/ada/messages", "Host: localhost\r\n");
    assert_eq!(elsewhere, 404, "what is for clients and publishers is not there");
    let (folder, log) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = log.path().join("log");
    let mut server = Server::start_logging_on(folder, &log, &[]);
    server.terminate();
    assert!(!std::fs::read_to_string(log).unwrap().contains("admin listening"));
}

#[test]
fn a_page_of_another_site_gets_nothing() {
    let watched = Watched::start(&[]);
    let host = watched.admin.trim_start_matches("http://");
    for (headers, expected) in [
        (format!("Host: {host}\r\n"), 200),
        (format!("Host: {host}\r\nOrigin: http://{host}\r\n"), 200),
        (format!("Host: {host}\r\nOrigin: https://evil.test\r\n"), 403),
        (format!("Host: {host}\r\nOrigin: null\r\n"), 403),
        ("Host: evil.test\r\n".into(), 403),
        ("Host: evil.test\r\nOrigin: http://evil.test\r\n".into(), 403),
    ] {
        for path in ["/healthz", "/readyz", "/metrics"] {
            let status = status(&watched.admin, path, &headers);
            assert_eq!(status == 403, expected == 403, "{path} {headers}: {status}");
        }
    }
}

#[tokio::test]
async fn whether_it_is_ready_can_be_asked_until_it_is_gone() {
    let mut watched = Watched::start(&["--drain", "one-by-one", "--drain-window", "3600"]);
    let bearer = ["tetherline.v1".to_owned(), format!("bearer.{}", watched.server.token("ada"))];
    // One that stays for its window.
    let socket = crate::socket::Socket::open(&watched.server.url, "/ws/user/ada", &bearer).await;
    let _socket = socket.unwrap();
    watched.server.ask_to_end();
    let ready = || asked(&watched.admin, "/readyz", "Host: localhost\r\n");
    while ready().starts_with("HTTP/1.1 200") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let answer = ready();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("draining"), "{answer}");
    watched.server.kill();
}

#[test]
fn it_ends_in_order_with_the_server() {
    let mut watched = Watched::start(&[]);
    watched.server.terminate();
    assert!(TcpStream::connect(watched.admin.trim_start_matches("http://")).is_err());
    assert!(!watched.log().contains("ERROR"), "{}", watched.log());
}

#[test]
fn a_port_in_use_is_named_with_its_own_option() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", text(folder.path())];
    let said = complaint(&[&serve[..], &["--admin-listen", &address.to_string()]].concat());
    let expected = format!(
        "port {} is in use; end the program that uses it, or choose another with --admin-listen 127.0.0.1:PORT",
        address.port()
    );
    assert!(said.contains(&expected), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_whose_disk_is_nearly_full_says_so_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let serve = tetherline(&["serve", "--listen", "127.0.0.1:0", "--data", text(&data)]);
    let mut command = on_a_small_disk(folder.path(), 32, &serve);
    command.args(["--space-bytes-min", "16777216"]);
    let process = Process::spawn(command);
    let Some(line) = process.line_if_any() else {
        println!("left out: no file system may be mounted here");
        return;
    };
    let url = line.strip_prefix("listening on ").unwrap();
    // The file system is its own, and is seen through it.
    let inside = Path::new("/proc").join(process.id().to_string()).join("root");
    let inside = inside.join(data.strip_prefix("/").unwrap());
    let key = fs::read_to_string(inside.join("api.key")).unwrap();
    let host = "Host: localhost\r\n";
    let until = |status: u16| {
        while self::status(url, "/readyz", host) != status {
            thread::sleep(Duration::from_millis(10));
        }
    };
    until(200);
    fs::write(inside.join("in-the-way"), vec![b'x'; 18 * 1024 * 1024]).unwrap();
    until(503);
    let answer = asked(url, "/readyz", host);
    assert!(answer.contains(r#""reason":"no_space""#), "{answer}");
    let body = r#"{"type":"note"}"#;
    let publish = format!(
        "POST /v1/users/ada/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Authorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{body}",
        key.trim(),
        body.len()
    );
    let answer = said(url, &publish);
    assert!(answer.starts_with("HTTP/1.1 201"), "messages are kept while there is room: {answer}");
    fs::remove_file(inside.join("in-the-way")).unwrap();
    until(200);
}
