//! The port for whoever looks after the server.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use crate::support::{PATIENCE, Server, Watched, complaint, text};

/// The answer to a request with these headers, from its first line on.
fn asked(url: &str, path: &str, headers: &str) -> String {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
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
    let elsewhere = status(&watched.admin, "/v1/users/ada", "Host: localhost\r\n");
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
    while ready().starts_with("HTTP/1.1 200") {}
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
