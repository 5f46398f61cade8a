//! Where requests come from, and how often they may.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::net::SocketAddr;

use support::{ORIGIN, PATIENCE, TestServer, config, token};
use tetherline_server::{Config, Proxies, ProxyHeader, Rate};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

const PROXY: &str = "127.0.0.2";
const STRANGER: &str = "127.0.0.3";

fn behind(ranges: &[&str], change: impl FnOnce(&mut Config)) -> Config {
    let mut config = config();
    let trusted = ranges.iter().map(|range| range.parse().unwrap()).collect();
    config.proxies = Proxies { trusted, ..Proxies::default() };
    change(&mut config);
    config
}

/// One attempt an hour.
fn rarely(config: &mut Config) {
    config.rates.attempts_per_address = Some(Rate::per_hour(1));
}

async fn open(server: &TestServer, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    socket.connect(server.address).await.unwrap()
}

/// Everything that is answered to a request, up to the end of its header and a short body.
async fn answer(server: &TestServer, from: &str, request: &str) -> String {
    let mut stream = open(server, from).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// An attempt of somebody without a token, with this line in its header; answers its status.
async fn attempt(server: &TestServer, from: &str, line: &str) -> u16 {
    let line = if line.is_empty() { String::new() } else { format!("{line}\r\n") };
    let request =
        format!("GET /ws/user/ada HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{line}\r\n");
    status(&answer(server, from, &request).await)
}

fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn the_last_attempt_from_an_address_is_answered_and_one_more_is_told_when_to_come_again() {
    let server = TestServer::start(behind(&[], |config| {
        config.rates.attempts_per_address = Some(Rate::per_minute(2));
    }))
    .await;
    for _ in 0..2 {
        assert_eq!(attempt(&server, STRANGER, "").await, 401);
    }
    let request = format!(
        "GET /ws/user/ada HTTP/1.1\r\nHost: here\r\nConnection: close\r\nOrigin: {ORIGIN}\r\n\
         Authorization: Bearer {}\r\n\r\n",
        token("ada")
    );
    let refused = answer(&server, STRANGER, &request).await;
    assert_eq!(status(&refused), 429, "{refused}");
    let lines = refused.to_lowercase();
    let wait = lines.split("retry-after: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    assert!((1..=30).contains(&wait.unwrap().parse::<u32>().unwrap()), "{refused}");
    assert!(refused.contains(r#""code":"rate_limited""#), "{refused}");
    // A page can read it.
    assert!(lines.contains(&format!("access-control-allow-origin: {ORIGIN}")), "{refused}");
    assert_eq!(attempt(&server, "127.0.0.4", "").await, 401, "another address");
}

#[tokio::test]
async fn a_wrong_key_is_an_attempt_and_a_good_one_is_none() {
    let server = TestServer::start(behind(&[], rarely)).await;
    let publish = |key: &str| {
        format!(
            "GET /v1/users/ada HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\
             Authorization: Bearer {key}\r\n\r\n"
        )
    };
    for _ in 0..3 {
        assert_eq!(status(&answer(&server, STRANGER, &publish(support::API_KEY)).await), 200);
    }
    assert_eq!(status(&answer(&server, STRANGER, &publish("wrong")).await), 401);
    assert_eq!(status(&answer(&server, STRANGER, &publish("wrong")).await), 429);
    assert_eq!(status(&answer(&server, STRANGER, &publish(support::API_KEY)).await), 200);
}

#[tokio::test]
async fn what_a_stranger_says_of_whom_it_serves_counts_for_nothing() {
    let server = TestServer::start(behind(&[PROXY], rarely)).await;
    assert_eq!(attempt(&server, STRANGER, "X-Forwarded-For: 203.0.113.1").await, 401);
    for spoofed in ["203.0.113.2", "127.0.0.2", "203.0.113.3, 127.0.0.2", "::1", "", "nonsense"] {
        let line = format!("X-Forwarded-For: {spoofed}");
        assert_eq!(attempt(&server, STRANGER, &line).await, 429, "{spoofed}");
    }
    assert_eq!(attempt(&server, STRANGER, "Forwarded: for=203.0.113.4").await, 429);
}

#[tokio::test]
async fn behind_a_trusted_proxy_everybody_is_who_the_proxy_says_and_not_who_they_say() {
    let server = TestServer::start(behind(&["127.0.0.2", "10.0.0.0/8"], rarely)).await;
    let from_proxy =
        async |value: &str| attempt(&server, PROXY, &format!("X-Forwarded-For: {value}")).await;
    assert_eq!(from_proxy("203.0.113.1").await, 401);
    assert_eq!(from_proxy("203.0.113.2").await, 401);
    // Whatever a client writes stands before what the proxy adds.
    assert_eq!(from_proxy("198.51.100.7, 203.0.113.1").await, 429);
    assert_eq!(from_proxy("nonsense, 203.0.113.1").await, 429);
    // Several hops, all of them ours.
    assert_eq!(from_proxy("198.51.100.7, 203.0.113.1, 10.0.0.1, 10.0.0.2").await, 429);
    assert_eq!(from_proxy("203.0.113.3, 10.0.0.1").await, 401);
    assert_eq!(from_proxy("203.0.113.3:1234").await, 429);
    // Two addresses of one household.
    assert_eq!(from_proxy("2001:db8:1:200::1").await, 401);
    assert_eq!(from_proxy("2001:db8:1:2ff::9").await, 429);
    assert_eq!(from_proxy("2001:db8:1:300::1").await, 401);
    // What nobody can read is the proxy's own.
    assert_eq!(from_proxy("unknown").await, 401);
    assert_eq!(from_proxy("203.0.113.9, nonsense").await, 429);
    // The other header is not the one that was chosen.
    assert_eq!(attempt(&server, PROXY, "Forwarded: for=203.0.113.77").await, 429);
}

#[tokio::test]
async fn the_header_of_rfc_7239_is_believed_where_it_is_chosen() {
    let config = behind(&[PROXY], |config| {
        rarely(config);
        config.proxies.header = ProxyHeader::Forwarded;
    });
    let server = TestServer::start(config).await;
    for (line, expected) in [
        ("Forwarded: for=203.0.113.1;proto=https", 401),
        ("Forwarded: for=198.51.100.1, for=\"203.0.113.1:80\"", 429),
        ("Forwarded: for=\"[2001:db8::1]:80\"", 401),
        ("Forwarded: for=\"[2001:db8::2]\"", 429),
        ("X-Forwarded-For: 203.0.113.50", 401),
        ("Forwarded: for=_hidden", 429),
    ] {
        assert_eq!(attempt(&server, PROXY, line).await, expected, "{line}");
    }
    assert_eq!(attempt(&server, STRANGER, "Forwarded: for=203.0.113.60").await, 401);
    assert_eq!(attempt(&server, STRANGER, "Forwarded: for=203.0.113.61").await, 429);
}

#[tokio::test]
async fn who_connects_too_fast_is_cut_before_anything_is_read_unless_it_is_a_trusted_proxy() {
    let server = TestServer::start(behind(&[PROXY], |config| {
        config.rates.accepts_per_address = Some(Rate::per_hour(2));
    }))
    .await;
    // A header counts for nothing here: nobody has read it.
    let line = "X-Forwarded-For: 203.0.113.1";
    for _ in 0..2 {
        assert_eq!(attempt(&server, STRANGER, line).await, 401);
    }
    let mut cut = open(&server, STRANGER).await;
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, cut.read_to_end(&mut answer)).await.unwrap();
    assert!(read.is_err() || answer.is_empty(), "{answer:?}");
    assert_eq!(attempt(&server, "127.0.0.4", line).await, 401, "another address");
    for _ in 0..5 {
        assert_eq!(attempt(&server, PROXY, line).await, 401);
    }
}

#[tokio::test]
async fn so_many_connections_are_open_from_one_address_and_a_place_is_free_again_at_the_end() {
    let server = TestServer::start(behind(&["127.0.0.1"], |config| {
        config.connections_per_address_max = 2;
    }))
    .await;
    let from = |address: &str, name: &str| {
        let mut request = server.request(&format!("/ws/user/{name}?device=d"));
        let offer = format!("tetherline.v1, bearer.{}", token(name));
        request.headers_mut().insert("sec-websocket-protocol", offer.parse().unwrap());
        request.headers_mut().insert("x-forwarded-for", address.parse().unwrap());
        request
    };
    let _first = support::Client::open(from("203.0.113.1", "ada")).await.unwrap();
    let second = support::Client::open(from("203.0.113.1", "bob")).await.unwrap();
    let (status, headers, body) = support::refused(from("203.0.113.1", "eve")).await;
    assert_eq!((status, &body["error"]["code"]), (429, &"rate_limited".into()));
    assert!(headers.contains_key("retry-after"));
    let _elsewhere = support::Client::open(from("203.0.113.2", "eve")).await.unwrap();
    drop(second);
    support::eventually(async || support::Client::open(from("203.0.113.1", "eve")).await.is_ok())
        .await;
}

#[tokio::test]
async fn a_user_and_a_server_open_so_many_connections_at_once() {
    let of = |change: fn(&mut Config)| {
        let mut config = config();
        change(&mut config);
        TestServer::start(config)
    };
    let request = |server: &TestServer, name: &str| {
        let mut request = server.request(&format!("/ws/user/{name}?device=d"));
        let offer = format!("tetherline.v1, bearer.{}", token(name));
        request.headers_mut().insert("sec-websocket-protocol", offer.parse().unwrap());
        request
    };
    let users = of(|config| config.rates.connects_per_user = Some(Rate::per_hour(2))).await;
    for _ in 0..2 {
        drop(users.connect("ada", "laptop").await);
    }
    let (status, headers, body) = support::refused(request(&users, "ada")).await;
    assert_eq!((status, &body["error"]["code"]), (429, &"rate_limited".into()));
    assert!(headers.contains_key("retry-after"));
    // Who asks why hears the same, and it costs nothing.
    for _ in 0..3 {
        let asked = reqwest::Client::new()
            .get(users.http("/ws/user/ada"))
            .bearer_auth(token("ada"))
            .send()
            .await
            .unwrap();
        assert_eq!(asked.status(), 429);
    }
    drop(users.connect("bob", "laptop").await);

    let server = of(|config| config.rates.connects_per_server = Some(Rate::per_hour(1))).await;
    drop(server.connect("ada", "laptop").await);
    let (status, headers, body) = support::refused(request(&server, "bob")).await;
    assert_eq!((status, &body["error"]["code"]), (503, &"unavailable".into()));
    assert!(headers.contains_key("retry-after"));
}
