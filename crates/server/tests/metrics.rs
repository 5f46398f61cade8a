//! Every metric on a real server: what happens is counted, and nothing of anybody is told.
#![allow(clippy::unwrap_used)] // a test fails by panicking
#![allow(clippy::float_cmp, reason = "counts are whole numbers")]

mod support;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{SinkExt as _, future::BoxFuture};
use serde_json::json;
use support::{API_KEY, PATIENCE, TestServer, config, refused, signed, token, user};
use tetherline_protocol::{
    ErrorCode,
    frame::{Message, StreamEnding, StreamOpening},
    limits::BAD_FRAMES_MAX,
};
use tetherline_server::{
    Application, ConnectHook, ConnectHookOptions, ConnectRefusal, ConnectRequest, Grant, Incoming,
    Rate, Rates, Refusal, SendAnswer, Stop, listen,
};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::{
    Message as Frame,
    protocol::frame::{
        Frame as RawFrame,
        coding::{Data, OpCode},
    },
};

/// Words that would be found in a scrape.
const SECRET_TEXT: &str = "nobody-else-reads-this";
const USER: &str = "ada-lovelace";

struct Scraped(BTreeMap<String, f64>);

/// A server, and what it says of itself.
struct Watched {
    server: TestServer,
    admin: SocketAddr,
}

impl Watched {
    async fn start(
        config: tetherline_server::Config,
        application: Option<Arc<dyn Application>>,
    ) -> Self {
        let server = TestServer::start_with(config, application).await;
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let admin = listener.local_addr().unwrap();
        let router = server.server.admin_router();
        tokio::spawn(tetherline_server::serve(listener, router, std::future::pending()));
        Self { server, admin }
    }

    async fn text(&self) -> String {
        let answer = reqwest::get(format!("http://{}/metrics", self.admin)).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        answer.text().await.unwrap()
    }

    async fn scrape(&self) -> Scraped {
        let text = self.text().await;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Scraped(
            lines
                .map(|line| {
                    let (series, value) = line.rsplit_once(' ').unwrap();
                    (series.to_owned(), value.parse().unwrap())
                })
                .collect(),
        )
    }

    /// Waits until each of these is by so much more than before, or by so much at least of what is a time.
    async fn moved(&self, before: &Scraped, by: &[(&str, f64)]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.scrape().await;
            let of = |series: &str| now.of(series) - before.of(series);
            if by.iter().all(|(series, by)| (of(series) - by).abs() < f64::EPSILON) {
                return;
            }
            let all: Vec<_> = by.iter().map(|(series, by)| (series, by, of(series))).collect();
            assert!(Instant::now() < deadline, "{all:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Scraped {
    fn of(&self, series: &str) -> f64 {
        let name = format!("tetherline_{series}");
        *self.0.get(&name).unwrap_or_else(|| panic!("there is no {name}"))
    }
}

/// Takes `take`, refuses `refuse`, and wants everything else to come again.
struct Picky;

impl Application for Picky {
    fn receive(&self, incoming: Incoming) -> BoxFuture<'_, Result<Option<SendAnswer>, Refusal>> {
        let code = match incoming.message.kind() {
            "take" => return Box::pin(std::future::ready(Ok(None))),
            "refuse" => ErrorCode::Rejected,
            _ => ErrorCode::Unavailable,
        };
        Box::pin(std::future::ready(Err(Refusal::new(code, "No."))))
    }

    fn stop(&self, _: Stop) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Admits whoever shows `good`.
struct Doorkeeper;

impl ConnectHook for Doorkeeper {
    fn admit(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Grant, ConnectRefusal>> {
        let answer = match request.token.as_deref() {
            Some("good") => Ok(Grant::new(user(USER))),
            _ => Err(ConnectRefusal::unauthorized("No.")),
        };
        Box::pin(std::future::ready(answer))
    }
}

fn message(n: u64) -> Message {
    Message::parse(&format!(r#"{{"type":"number","n":{n},"text":"{SECRET_TEXT}"}}"#)).unwrap()
}

#[tokio::test]
async fn what_is_published_and_delivered_is_counted() {
    let watched = Watched::start(config(), None).await;
    let (server, ada) = (&watched.server.server, user(USER));
    let before = watched.scrape().await;
    let key = "k1".parse().unwrap();
    server.publish(&ada, Some(&key), message(1)).await.unwrap();
    server.publish(&ada, Some(&key), message(1)).await.unwrap();
    server.publish(&ada, Some(&key), message(2)).await.unwrap_err();
    let large = format!(r#"{{"type":"note","text":"{}"}}"#, "x".repeat(4 * 1024 * 1024));
    server.publish(&ada, None, Message::parse(&large).unwrap()).await.unwrap_err();
    server.publish_live(&ada, &message(3)).unwrap();
    watched
        .moved(
            &before,
            &[
                (r#"publishes_total{outcome="published"}"#, 1.0),
                (r#"publishes_total{outcome="repeated"}"#, 1.0),
                (r#"publishes_total{outcome="conflict"}"#, 1.0),
                (r#"publishes_total{outcome="too_large"}"#, 1.0),
                ("live_messages_total", 1.0),
                ("deliveries_total", 0.0),
            ],
        )
        .await;
    assert!(watched.scrape().await.of("commit_seconds_count") >= 2.0);

    let mut client = watched.server.connect(USER, "laptop").await;
    client.pending(r#"{"type":"get_pending"}"#).await;
    watched
        .moved(
            &before,
            &[
                (r#"connects_total{outcome="opened"}"#, 1.0),
                ("connections", 1.0),
                ("connected_users", 1.0),
                ("deliveries_total", 1.0),
                ("replays_total", 1.0),
                ("replayed_messages_total", 1.0),
                ("unacknowledged_messages", 1.0),
                ("unacknowledged_largest_messages", 1.0),
                ("reconnects_total", 0.0),
                ("delivery_seconds_count", 0.0),
            ],
        )
        .await;
    server.publish(&ada, None, message(4)).await.unwrap();
    assert_eq!(client.next_of("number").await["n"], 4);
    client.send(r#"{"type":"ack","seq":2}"#).await;
    watched
        .moved(
            &before,
            &[
                ("deliveries_total", 2.0),
                ("delivery_seconds_count", 1.0),
                (r#"delivery_seconds_bucket{le="+Inf"}"#, 1.0),
                ("unacknowledged_messages", 0.0),
                ("backlog_messages", 0.0),
            ],
        )
        .await;
    drop(client);
    watched.moved(&before, &[("connections", 0.0), ("connected_users", 0.0)]).await;
    let mut client = watched.server.connect(USER, "laptop").await;
    client.pending(r#"{"type":"get_pending","after":1}"#).await;
    watched.moved(&before, &[("reconnects_total", 1.0)]).await;
    drop(client);
    let gone = r#"disconnects_total{reason="gone"}"#;
    watched.moved(&before, &[(gone, 2.0)]).await;
}

#[tokio::test]
async fn a_client_that_takes_no_more_has_a_backlog() {
    let mut config = config();
    config.limits.in_flight_messages_max = 2;
    let watched = Watched::start(config, None).await;
    let before = watched.scrape().await;
    let mut client = watched.server.connect(USER, "laptop").await;
    client.pending(r#"{"type":"get_pending"}"#).await;
    watched.server.publish_numbers(USER, 1..=1).await;
    assert_eq!(client.numbers(1).await, [1]);
    // From its first acknowledgement on a client gets no more at once than may be in flight.
    client.send(r#"{"type":"ack","seq":1}"#).await;
    client.assert_quiet().await;
    watched.server.publish_numbers(USER, 2..=6).await;
    assert_eq!(client.numbers(2).await, [2, 3]);
    watched
        .moved(
            &before,
            &[
                ("backlog_messages", 3.0),
                ("backlog_largest_messages", 3.0),
                ("unacknowledged_messages", 2.0),
            ],
        )
        .await;
    client.send(r#"{"type":"ack","seq":3}"#).await;
    assert_eq!(client.numbers(2).await, [4, 5]);
    watched.moved(&before, &[("backlog_messages", 1.0)]).await;
}

#[tokio::test]
async fn whoever_is_refused_is_counted_by_why() {
    let mut config = config();
    config.limits.connections_per_user_max = 1;
    config.rates.attempts_per_address = None;
    let watched = Watched::start(config, None).await;
    let before = watched.scrape().await;
    let path = |user: &str, token: &str| format!("/ws/user/{user}?token={token}");
    let expired = signed(&json!({ "sub": USER, "exp": 1 }));
    let held = watched.server.connect(USER, "laptop").await;
    let mut foreign = watched.server.request(&path(USER, &token(USER)));
    foreign.headers_mut().insert("origin", "https://evil.test".parse().unwrap());
    for (request, status) in [
        (watched.server.request(&path(USER, "nonsense")), 401),
        (with_bearer(watched.server.request(&path("bob", "")), &token(USER)), 403),
        (with_bearer(watched.server.request(&path(USER, "")), &expired), 401),
        (with_bearer(watched.server.request(&path(USER, "")), &token(USER)), 429),
        (foreign, 403),
    ] {
        assert_eq!(refused(request).await.0, status);
    }
    watched
        .moved(
            &before,
            &[
                (r#"connects_total{outcome="unauthorized"}"#, 1.0),
                (r#"connects_total{outcome="forbidden"}"#, 1.0),
                (r#"connects_total{outcome="token_expired"}"#, 1.0),
                (r#"connects_total{outcome="user_full"}"#, 1.0),
                (r#"connects_total{outcome="foreign_origin"}"#, 1.0),
                (r#"connects_total{outcome="opened"}"#, 1.0),
            ],
        )
        .await;
    // Without an upgrade it is a question, and nobody's attempt.
    let asked = reqwest::Client::new().get(watched.server.http("/ws/user/bob"));
    assert_eq!(asked.send().await.unwrap().status(), 401);
    watched.moved(&before, &[(r#"connects_total{outcome="unauthorized"}"#, 1.0)]).await;
    drop(held);
    watched.server.server.drain().await;
    let request = with_bearer(watched.server.request(&path(USER, "")), &token(USER));
    assert_eq!(refused(request).await.0, 503);
    watched
        .moved(
            &before,
            &[(r#"connects_total{outcome="draining"}"#, 1.0), ("draining", 1.0), ("ready", -1.0)],
        )
        .await;
}

fn with_bearer(
    mut request: tokio_tungstenite::tungstenite::handshake::client::Request,
    token: &str,
) -> tokio_tungstenite::tungstenite::handshake::client::Request {
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    request
}

#[tokio::test]
async fn requests_are_counted_by_route_method_and_class_and_by_nothing_that_anybody_wrote() {
    let watched = Watched::start(config(), None).await;
    let http = reqwest::Client::new();
    let url = |path: &str| watched.server.http(path);
    let publish = || http.post(url("/v1/users/ada/messages")).bearer_auth(API_KEY);
    assert_eq!(publish().body(r#"{"type":"note"}"#).send().await.unwrap().status(), 201);
    for user in ["ada", SECRET_TEXT] {
        let strange = http.get(url(&format!("/v1/users/{user}/devices"))).send().await.unwrap();
        assert_eq!(strange.status(), 401);
    }
    assert_eq!(http.get(url(&format!("/v1/{SECRET_TEXT}"))).send().await.unwrap().status(), 404);
    let method = reqwest::Method::from_bytes(b"MADE-UP").unwrap();
    assert_eq!(http.request(method, url("/healthz")).send().await.unwrap().status(), 405);
    let _client = watched.server.connect(USER, "laptop").await;
    let now = watched.scrape().await;
    let of = |route: &str, method: &str, status: &str| {
        now.of(&format!(
            r#"http_requests_total{{route="{route}",method="{method}",status="{status}"}}"#
        ))
    };
    assert_eq!(of("/v1/users/{user}/messages", "POST", "2xx"), 1.0);
    assert_eq!(of("/v1/users/{user}/devices", "GET", "4xx"), 2.0);
    assert_eq!(of("none", "GET", "4xx"), 1.0);
    assert_eq!(of("/healthz", "other", "4xx"), 1.0);
    assert_eq!(of("/ws/user/{user}", "GET", "1xx"), 1.0);
    assert!(!watched.text().await.contains(SECRET_TEXT));
}

#[tokio::test]
async fn each_end_of_a_connection_that_can_be_brought_about_is_counted_by_its_reason() {
    let mut config = config();
    config.rates.controls_per_connection = None;
    config.rates.controls_per_user = None;
    let watched = Watched::start(config, None).await;
    let before = watched.scrape().await;
    let server = &watched.server;
    let http = reqwest::Client::new();
    for (reason, code) in [
        ("unsupported", 1003),
        ("invalid_utf8", 1007),
        ("policy_violation", 1008),
        ("too_big", 1009),
        ("restart", 1012),
        ("other_user", 4403),
        ("erased", 4410),
        // The last: what is made in the same second is a token that has ended, too.
        ("token_expired", 4401),
    ] {
        let mut client = server.connect(USER, "laptop").await;
        match reason {
            "unsupported" => client.socket.send(Frame::binary(vec![1])).await.unwrap(),
            "invalid_utf8" => {
                let data = OpCode::Data(Data::Text);
                let frame = RawFrame::message(vec![0xff, 0xfe], data, true);
                client.socket.send(Frame::Frame(frame)).await.unwrap();
            }
            "policy_violation" => {
                for _ in 0..=BAD_FRAMES_MAX {
                    client.send("no frame").await;
                }
            }
            "too_big" => client.send(&"x".repeat(64 * 1024 + 1)).await,
            "restart" => {
                let path = server.http(&format!("/v1/users/{USER}/disconnect"));
                assert_eq!(
                    http.post(path).bearer_auth(API_KEY).send().await.unwrap().status(),
                    204
                );
            }
            "token_expired" => {
                let path = server.http(&format!("/v1/users/{USER}/sessions"));
                let ended = http.delete(path).bearer_auth(API_KEY).send().await.unwrap();
                assert_eq!(ended.status(), 204);
            }
            "other_user" => {
                let frame = json!({ "type": "authenticate", "token": token("bob") });
                client.send(&frame.to_string()).await;
            }
            _ => server.server.erase(&user(USER)).await.unwrap(),
        }
        assert_eq!(client.closed().await, code, "{reason}");
        let series = format!(r#"disconnects_total{{reason="{reason}"}}"#);
        watched.moved(&before, &[(series.as_str(), 1.0)]).await;
    }
}

/// Sets one of the rates.
type SetRate = fn(&mut Rates, Option<Rate>);

/// All but that of connections which are cut before anything of them is read.
const RATES: [(&str, SetRate); 17] = [
    ("attempts_per_address", |rates, rate| rates.attempts_per_address = rate),
    ("connects_per_user", |rates, rate| rates.connects_per_user = rate),
    ("connects_per_server", |rates, rate| rates.connects_per_server = rate),
    ("publishes_per_key", |rates, rate| rates.publishes_per_key = rate),
    ("publish_bytes_per_key", |rates, rate| rates.publish_bytes_per_key = rate),
    ("publishes_per_address", |rates, rate| rates.publishes_per_address = rate),
    ("publish_bytes_per_address", |rates, rate| rates.publish_bytes_per_address = rate),
    ("publishes_per_server", |rates, rate| rates.publishes_per_server = rate),
    ("publish_bytes_per_server", |rates, rate| rates.publish_bytes_per_server = rate),
    ("sends_per_connection", |rates, rate| rates.sends_per_connection = rate),
    ("send_bytes_per_connection", |rates, rate| rates.send_bytes_per_connection = rate),
    ("sends_per_user", |rates, rate| rates.sends_per_user = rate),
    ("send_bytes_per_user", |rates, rate| rates.send_bytes_per_user = rate),
    ("controls_per_connection", |rates, rate| rates.controls_per_connection = rate),
    ("controls_per_user", |rates, rate| rates.controls_per_user = rate),
    ("replay_bytes_per_connection", |rates, rate| rates.replay_bytes_per_connection = rate),
    ("replay_bytes_per_user", |rates, rate| rates.replay_bytes_per_user = rate),
];

#[tokio::test]
async fn each_rate_that_refuses_somebody_is_counted_by_its_name() {
    for (name, set) in RATES {
        let mut config = config();
        set(&mut config.rates, Some(Rate::per_hour(1)));
        let watched = Watched::start(config, Some(Arc::new(Picky))).await;
        let server = &watched.server;
        let publish = || async {
            let url = server.http("/v1/users/ada/messages");
            let posted = reqwest::Client::new().post(url).bearer_auth(API_KEY);
            posted.body(r#"{"type":"number","n":1}"#).send().await.unwrap();
        };
        let mut client = None;
        match name.split('_').next().unwrap() {
            "attempts" => {
                let request = || server.request("/ws/user/ada?token=nonsense");
                assert_eq!((refused(request()).await.0, refused(request()).await.0), (401, 429));
            }
            "connects" => {
                client = Some(server.connect(USER, "laptop").await);
                let path = format!("/ws/user/{USER}");
                let request = with_bearer(server.request(&path), &token(USER));
                assert!([429, 503].contains(&refused(request).await.0), "{name}");
            }
            "publishes" | "publish" => {
                publish().await;
                publish().await;
            }
            kind => {
                server.publish_numbers(USER, 1..=2).await;
                let said = match kind {
                    "send" | "sends" => r#"{"type":"take"}"#,
                    "controls" => r#"{"type":"ping"}"#,
                    _ => r#"{"type":"get_pending","after":0}"#,
                };
                let client = client.insert(server.connect(USER, "laptop").await);
                if kind == "replay" {
                    // Its first turn is free, and what it got then counts for the next.
                    client.pending(said).await;
                }
                for _ in 0..3 {
                    client.send(said).await;
                }
            }
        }
        let family = if name.ends_with("per_connection") { "connection_" } else { "" };
        let series = format!(r#"{family}rate_limited_total{{rate="{name}"}}"#);
        let deadline = Instant::now() + PATIENCE;
        while watched.scrape().await.of(&series) == 0.0 {
            assert!(Instant::now() < deadline, "{name} has refused nobody");
            sleep(Duration::from_millis(5)).await;
        }
        drop(client);
    }
}

#[tokio::test]
async fn what_clients_send_and_what_the_application_says_is_counted() {
    let mut config = config();
    config.rates.sends_per_connection = Some(Rate::per_hour(2));
    config.rates.publishes_per_key = Some(Rate::per_hour(1));
    let watched = Watched::start(config, Some(Arc::new(Picky))).await;
    let before = watched.scrape().await;
    let mut client = watched.server.connect(USER, "laptop").await;
    let mut phone = watched.server.connect(USER, "phone").await;
    for (on_phone, kind, id) in [
        (false, "take", "m1"),
        (false, "refuse", "m2"),
        (false, "take", "too-fast"),
        (true, "busy", "m3"),
    ] {
        let client = if on_phone { &mut phone } else { &mut client };
        client.send(&format!(r#"{{"type":"{kind}","id":"{id}","text":"{SECRET_TEXT}"}}"#)).await;
        assert_eq!(client.next().await["ref"], id);
    }
    watched
        .moved(
            &before,
            &[
                (r#"sends_total{outcome="accepted"}"#, 1.0),
                (r#"sends_total{outcome="refused"}"#, 1.0),
                (r#"sends_total{outcome="try_again"}"#, 1.0),
                (r#"application_requests_total{outcome="accepted"}"#, 1.0),
                (r#"application_requests_total{outcome="refused"}"#, 1.0),
                (r#"application_requests_total{outcome="try_again"}"#, 1.0),
                ("application_seconds_count", 3.0),
                (r#"connection_rate_limited_total{rate="sends_per_connection"}"#, 1.0),
                (r#"rate_limited_total{rate="publishes_per_key"}"#, 0.0),
            ],
        )
        .await;
    let publish = |n: u64| {
        let http = reqwest::Client::new();
        let post = http.post(watched.server.http(&format!("/v1/users/{USER}/messages")));
        post.bearer_auth(API_KEY).body(format!(r#"{{"type":"number","n":{n}}}"#)).send()
    };
    assert_eq!(publish(1).await.unwrap().status(), 201);
    assert_eq!(publish(2).await.unwrap().status(), 429);
    watched.moved(&before, &[(r#"rate_limited_total{rate="publishes_per_key"}"#, 1.0)]).await;
}

#[tokio::test]
async fn streams_are_counted_with_their_text_and_their_ends() {
    let watched = Watched::start(config(), None).await;
    let (server, ada) = (&watched.server.server, user(USER));
    let before = watched.scrape().await;
    let opening = || StreamOpening::parse(r#"{"type":"answer"}"#).unwrap();
    let mut one = server.open_stream(&ada, opening()).await.unwrap();
    one.append(SECRET_TEXT).await.unwrap();
    one.append("!").await.unwrap();
    watched
        .moved(
            &before,
            &[
                ("streams_opened_total", 1.0),
                ("streams_open", 1.0),
                ("stream_pieces_total", 2.0),
                ("stream_text_bytes_total", SECRET_TEXT.len() as f64 + 1.0),
            ],
        )
        .await;
    assert!(watched.scrape().await.of("streams_memory_bytes") > 1_024.0);
    one.finish(StreamEnding::plain(tetherline_protocol::StreamStatus::Complete)).await.unwrap();
    watched
        .moved(
            &before,
            &[
                (r#"streams_finished_total{status="complete"}"#, 1.0),
                ("streams_open", 0.0),
                ("streams_memory_bytes", 0.0),
            ],
        )
        .await;
}

#[tokio::test]
async fn what_the_connect_hook_says_is_counted() {
    let watched = Watched::start(config(), None).await;
    let options = ConnectHookOptions::default();
    watched.server.server.attach_connect_hook(Arc::new(Doorkeeper), options);
    let before = watched.scrape().await;
    let open = watched.server.connect_with(USER, "laptop", "good").await;
    let bad = with_bearer(watched.server.request(&format!("/ws/user/{USER}")), "bad");
    assert_eq!(refused(bad).await.0, 401);
    watched
        .moved(
            &before,
            &[
                (r#"connect_hook_requests_total{outcome="admitted"}"#, 1.0),
                (r#"connect_hook_requests_total{outcome="refused"}"#, 1.0),
                ("connect_hook_seconds_count", 2.0),
            ],
        )
        .await;
    drop(open);
}

#[tokio::test]
async fn the_state_of_server_store_and_process_is_told_and_nothing_of_anybody() {
    let watched = Watched::start(config(), Some(Arc::new(Picky))).await;
    let mut client = watched.server.connect(USER, "a-device-of-hers").await;
    client.pending(r#"{"type":"get_pending"}"#).await;
    watched.server.server.publish(&user(USER), None, message(1)).await.unwrap();
    client.next_of("number").await;
    client.send(&format!(r#"{{"type":"take","id":"an-id","text":"{SECRET_TEXT}"}}"#)).await;
    client.next_of("accepted").await;
    let text = watched.text().await;
    let token = token(USER);
    for secret in [USER, SECRET_TEXT, API_KEY, &token, "a-device-of-hers", "an-id", "127.0.0.1"] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    let now = watched.scrape().await;
    assert!(now.of("ready") == 1.0 && now.of("draining") == 0.0);
    assert!(now.of("store_mailbox_bytes") + now.of("store_log_bytes") > 4_096.0);
    assert!(now.of("connections_limit") >= 1_000.0);
    assert!(now.of("sends_waiting_limit_bytes") > now.of("sends_waiting_bytes"));
    assert!(now.of("request_bodies_limit_bytes") > now.of("request_bodies_bytes"));
    assert_eq!(now.of("commit_failures_total"), 0.0);
    let version = format!(r#"build_info{{version="{}"}}"#, env!("CARGO_PKG_VERSION"));
    assert_eq!(now.of(&version), 1.0);
    if cfg!(target_os = "linux") {
        for process in
            ["resident_memory_bytes", "open_fds", "max_fds", "start_time_seconds", "threads"]
        {
            assert!(now.0[&format!("process_{process}")] > 0.0, "{process}");
        }
    }
}

/// Name, type and labels, as a table of `docs/operations.md` has them or as a scrape says.
type Described = BTreeMap<String, (String, String)>;

fn documented() -> Described {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let document = std::fs::read_to_string(path).unwrap();
    let section = document.split("\n## What to watch\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let mut cells = row.split('|').map(|cell| cell.trim_matches(['`', ' ']));
        let mut next = || cells.next().unwrap().to_owned();
        (next(), (next(), next()))
    })
    .collect()
}

#[tokio::test]
async fn the_documents_name_each_metric_with_its_type_and_labels() {
    let watched = Watched::start(config(), None).await;
    // Counted once it is answered.
    assert_eq!(reqwest::get(watched.server.http("/healthz")).await.unwrap().status(), 200);
    let text = watched.text().await;
    let mut told = Described::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').unwrap();
            told.insert(name.into(), (kind.into(), String::new()));
        } else if let Some((name, labels)) = line.split_once('{')
            && let Some((_, named)) = told.get_mut(name)
        {
            let (labels, _) = labels.rsplit_once('}').unwrap();
            let names = labels.split(',').map(|label| label.split('=').next().unwrap());
            *named = names.collect::<Vec<_>>().join(", ");
        }
    }
    // What only some systems tell.
    told.entry("tetherline_store_free_bytes".into()).or_insert(("gauge".into(), String::new()));
    assert_eq!(documented(), told);
}
