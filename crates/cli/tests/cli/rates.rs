//! Rates and proxies that options name, in a real process.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::support::{Server, complaint};

/// The status that an attempt without a token gets, by way of a proxy that says this.
pub(crate) fn attempt(server: &Server, forwarded: &str) -> u16 {
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = format!(
        "GET /ws/user/ada HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{forwarded}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_proxy_that_an_option_names_is_believed_in_its_header_and_no_other() {
    let rarely = ["--attempts-per-address", "1/h"];
    let unnamed = Server::start_with(&rarely);
    assert_eq!(attempt(&unnamed, "X-Forwarded-For: 203.0.113.1"), 401);
    assert_eq!(attempt(&unnamed, "X-Forwarded-For: 203.0.113.2"), 429);
    let named = Server::start_with(&[&rarely[..], &["--trusted-proxy", "127.0.0.0/8"]].concat());
    assert_eq!(attempt(&named, "X-Forwarded-For: 203.0.113.1"), 401);
    assert_eq!(attempt(&named, "X-Forwarded-For: 203.0.113.2"), 401);
    assert_eq!(attempt(&named, "X-Forwarded-For: 203.0.113.2"), 429);
    assert_eq!(attempt(&named, "Forwarded: for=203.0.113.3"), 401, "it is the proxy itself");
    assert_eq!(attempt(&named, "Forwarded: for=203.0.113.4"), 429);
}

#[test]
fn a_publisher_that_is_too_fast_is_told_so_in_one_sentence() {
    let server = Server::start_with(&["--publishes-per-key", "1/h"]);
    server.publish("ada", r#"{"n":1}"#);
    let refused = server.try_publish("ada", r#"{"n":2}"#, &[]);
    assert!(!refused.status.success());
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(words.contains("429"), "{words}");
    assert!(words.contains("More is published than may be at once"), "{words}");
}

#[test]
fn a_rate_that_is_none_is_named_with_what_one_looks_like() {
    let words = complaint(&["serve", "--data", "nowhere", "--sends-per-user", "fast"]);
    assert!(words.contains("--sends-per-user") && words.contains("50/s:2000"), "{words}");
    let words = complaint(&["serve", "--data", "nowhere", "--trusted-proxy", "proxy.example"]);
    assert!(words.contains("--trusted-proxy") && words.contains("10.0.0.0/8"), "{words}");
}
