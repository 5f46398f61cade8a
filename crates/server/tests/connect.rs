//! Who gets in, what everybody else is told, and how connections end.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::{
    future::ready,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use futures_util::{SinkExt as _, StreamExt as _, future::BoxFuture};
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{Client, ORIGIN, TestServer, config, keys, now, refused, signed, token, user};
use tetherline_protocol::{UserId, limits::TOKEN_LEEWAY_MS};
use tetherline_server::{
    Application, Incoming, JwtKeys, Refusal, SendAnswer, StoreError, issue_token,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::{Message as Frame, handshake::client::Request};

/// How far clocks may be apart, in seconds.
const LEEWAY_SECS: f64 = TOKEN_LEEWAY_MS as f64 / 1_000.0;

fn with(mut request: Request, headers: &[(&'static str, String)]) -> Request {
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn a_token_gets_in_as_subprotocol_or_header_and_is_never_echoed() {
    let server = TestServer::start(config()).await;
    let client = server.connect("ada", "laptop").await;
    assert_eq!(client.protocol.as_deref(), Some("tetherline.v1"));
    let request = with(server.request("/ws/user/ada"), &[bearer(&token("ada"))]);
    let client = Client::open(request).await.unwrap();
    assert_eq!(client.protocol, None);
}

#[tokio::test]
async fn a_token_in_the_url_counts_only_where_it_is_allowed() {
    let server = TestServer::start(config()).await;
    let path = format!("/ws/user/ada?token={}", token("ada"));
    assert_eq!(refused(server.request(&path)).await.0, 401);
    let mut allowing = config();
    allowing.allow_query_token = true;
    let server = TestServer::start(allowing).await;
    assert!(Client::open(server.request(&path)).await.is_ok());
}

#[tokio::test]
async fn an_upgrade_without_a_good_token_is_refused() {
    let server = TestServer::start(config()).await;
    let request = || server.request("/ws/user/ada");
    assert_eq!(refused(request()).await.0, 401);
    let other = JwtKeys::from_secret(b"somebody else's signing secret").unwrap();
    let hour = Duration::from_hours(1);
    let forged = issue_token(&other, &user("ada"), None, hour);
    let expired = signed(&json!({"sub": "ada", "exp": now() - LEEWAY_SECS - 1.0}));
    for bad in [forged, expired, "nonsense".into(), String::new()] {
        let (status, _, body) = refused(with(request(), &[bearer(&bad)])).await;
        assert_eq!((status, &body["error"]["code"]), (401, &"unauthorized".into()), "{bad}");
        assert!(bad.is_empty() || !body.to_string().contains(&bad));
    }
    let (status, _, body) = refused(with(request(), &[bearer(&token("bob"))])).await;
    assert_eq!((status, &body["error"]["code"]), (403, &"forbidden".into()));
}

#[tokio::test]
async fn a_token_is_taken_as_identity_providers_write_it() {
    // Fractions in times were a forged token, and so was a clock that is ahead by a second.
    let server = TestServer::start(config()).await;
    let now = now();
    for claims in [
        json!({"sub": "ada", "exp": now + 60.25, "iat": now - 0.5, "nbf": now - 0.5}),
        json!({"sub": "ada", "exp": now + 60.0, "iat": now + LEEWAY_SECS - 5.0, "aud": ["us", "them"]}),
        json!({"sub": "ada", "exp": now + 60.0, "scope": "openid", "azp": 7, "iss": ["a", "b"]}),
        json!({"sub": "ada", "exp": now + 6e1, "nbf": -1e300}),
    ] {
        let request = with(server.request("/ws/user/ada"), &[bearer(&signed(&claims))]);
        assert!(Client::open(request).await.is_ok(), "{claims}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_valid_yet_is_worth_another_try() {
    // A server whose clock was late told everybody to sign in again.
    let server = TestServer::start(config()).await;
    let token =
        signed(&json!({"sub": "ada", "exp": now() + 60.0, "nbf": now() + LEEWAY_SECS + 15.0}));
    let is_named = |status: u16, retry_after: &str, body: &Value| {
        assert_eq!(status, 401);
        let seconds: u64 = retry_after.parse().unwrap();
        assert!((1..=15).contains(&seconds), "{seconds}");
        assert_eq!(body["error"]["code"], "token_not_yet_valid");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("not valid yet"), "{message}");
    };
    let request = with(server.request("/ws/user/ada"), &[bearer(&token)]);
    let (status, headers, body) = refused(request).await;
    is_named(status, headers["retry-after"].to_str().unwrap(), &body);

    let probe = reqwest::Client::new().get(server.http("/ws/user/ada")).bearer_auth(&token);
    let answer = probe.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    is_named(status, headers["retry-after"].to_str().unwrap(), &answer.json().await.unwrap());

    let mut client = server.connect("ada", "laptop").await;
    client.send(&json!({"type": "authenticate", "token": token}).to_string()).await;
    let error = client.next_of("error").await;
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&json!("token_not_yet_valid"), &json!(true))
    );
    assert!(error["retry_after_ms"].as_u64().unwrap() <= 15_000);
}

#[tokio::test]
async fn only_allowed_pages_connect() {
    let server = TestServer::start(config()).await;
    let from = |origin: &str| {
        with(
            server.request("/ws/user/ada"),
            &[bearer(&token("ada")), ("origin", origin.to_owned())],
        )
    };
    assert!(Client::open(from(ORIGIN)).await.is_ok());
    let own = format!("http://{}", server.address);
    for foreign in ["null", "https://evil.test", "https://app.example.com.evil.test", own.as_str()]
    {
        assert_eq!(refused(from(foreign)).await.0, 403, "{foreign}");
    }
}

#[tokio::test]
async fn the_same_url_answers_for_an_upgrade_that_a_browser_cannot_see() {
    let server = TestServer::start(config()).await;
    let http = reqwest::Client::new();
    let url = server.http("/ws/user/ada");
    let probe = |token: String| http.get(&url).header("origin", ORIGIN).bearer_auth(token).send();

    let good = probe(token("ada")).await.unwrap();
    assert_eq!(good.status(), StatusCode::UPGRADE_REQUIRED);
    assert_eq!(good.headers()["access-control-allow-origin"], ORIGIN);
    let body: serde_json::Value = good.json().await.unwrap();
    assert!(body["error"]["message"].is_string(), "{body}");
    let bad = probe("nonsense".into()).await.unwrap();
    assert_eq!(bad.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(bad.headers()["access-control-allow-origin"], ORIGIN);
    assert_eq!(probe(token("bob")).await.unwrap().status(), StatusCode::FORBIDDEN);

    let foreign = http.get(&url).header("origin", "https://evil.test").bearer_auth(token("ada"));
    let foreign = foreign.send().await.unwrap();
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    assert!(!foreign.headers().contains_key("access-control-allow-origin"));
    let same_origin = http.get(&url).bearer_auth(token("ada")).send().await.unwrap();
    assert_eq!(same_origin.status(), StatusCode::UPGRADE_REQUIRED);
}

#[tokio::test]
async fn a_token_in_its_own_header_leaves_authorization_to_whatever_stands_in_between() {
    // A proxy with a password of its own saw the client's `Bearer` in place of it, and said 401.
    let server = TestServer::start(config()).await;
    let http = reqwest::Client::new();
    let asked = |token: String| {
        let request = http.get(server.http("/ws/user/ada")).basic_auth("gate", Some("secret"));
        request.header("Tetherline-Token", token).send()
    };
    assert_eq!(asked(token("ada")).await.unwrap().status(), StatusCode::UPGRADE_REQUIRED);
    assert_eq!(asked(token("bob")).await.unwrap().status(), StatusCode::FORBIDDEN);
    // It says where it looked, for clients that cannot know whether this server does.
    let refused = asked("nonsense".into()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let body: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(
        (&body["error"]["code"], &body["error"]["field"]),
        (&json!("unauthorized"), &json!("tetherline-token"))
    );
    let missed = http.get(server.http("/ws/user/ada")).send().await.unwrap();
    let body: serde_json::Value = missed.json().await.unwrap();
    assert_eq!(body["error"].get("field"), None, "{body}");
    // Whose token something in between has taken away can tell this from a refusal.
    assert_eq!(body["error"]["reason"], "no_token", "{body}");
}

#[tokio::test]
async fn what_only_clients_write_counts_before_authorization() {
    // A gateway's own `Bearer` was taken for the client's token, which was there, too.
    let server = TestServer::start(config()).await;
    let offered = ("sec-websocket-protocol", format!("tetherline.v1, bearer.{}", token("ada")));
    let gateway = ("authorization", "Bearer of.the.gateway".to_owned());
    let headers = [gateway.clone(), offered];
    assert!(Client::open(with(server.request("/ws/user/ada"), &headers)).await.is_ok());
    let own = ("tetherline-token", "no.good.token".to_owned());
    let headers = [own, ("authorization", format!("Bearer {}", token("ada")))];
    assert_eq!(refused(with(server.request("/ws/user/ada"), &headers)).await.0, 401);
}

#[tokio::test]
async fn an_allowed_page_may_ask_with_its_token_in_a_header() {
    let server = TestServer::start(config()).await;
    let http = reqwest::Client::new();
    let preflight = |origin: &'static str| {
        http.request(reqwest::Method::OPTIONS, server.http("/ws/user/ada"))
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization")
            .send()
    };
    let allowed = preflight(ORIGIN).await.unwrap();
    assert_eq!(allowed.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        allowed.headers()["access-control-allow-headers"],
        "authorization, tetherline-token"
    );
    assert_eq!(allowed.headers()["access-control-allow-origin"], ORIGIN);
    assert_eq!(preflight("https://evil.test").await.unwrap().status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_handshake_that_is_none_is_told_apart() {
    let server = TestServer::start(config()).await;
    let http = reqwest::Client::new();
    let handshake = |version: &'static str| {
        http.get(server.http("/ws/user/ada"))
            .bearer_auth(token("ada"))
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", version)
    };
    let old = handshake("8").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let old = old.send().await.unwrap();
    assert_eq!(old.status(), StatusCode::UPGRADE_REQUIRED);
    assert_eq!(old.headers()["sec-websocket-version"], "13");
    let keyless = handshake("13").send().await.unwrap();
    assert_eq!(keyless.status(), StatusCode::BAD_REQUEST);
    // A key that is none was taken: 16 bytes in base64 are one.
    for none in
        ["", "key", "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZS4u", "dGhlIHNhbXBsZSBub25jZQ=!"]
    {
        let keyed = handshake("13").header("sec-websocket-key", none).send().await.unwrap();
        assert_eq!(keyed.status(), StatusCode::BAD_REQUEST, "{none}");
    }
    let device = http.get(server.http("/ws/user/ada?device=a%20b")).bearer_auth(token("ada"));
    assert_eq!(device.send().await.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn headers_over_the_limit_are_refused() {
    let server = TestServer::start(config()).await;
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let padding = "x".repeat(17 * 1024);
    let request =
        format!("GET /ws/user/ada HTTP/1.1\r\nhost: here\r\nx-padding: {padding}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
}

#[tokio::test]
async fn a_handshake_that_dawdles_is_hung_up_on() {
    let server = TestServer::start(config()).await;
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /ws/user/ada HTTP/1.1\r\nhost: he").await.unwrap();
    let mut answer = Vec::new();
    let hung_up = tokio::time::timeout(support::PATIENCE, stream.read_to_end(&mut answer));
    hung_up.await.expect("it hangs up within 10 seconds").unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 1"), "no upgrade");
}

#[tokio::test]
async fn one_connection_too_many_is_told_when_to_come_back() {
    let mut config = config();
    config.limits.connections_per_user_max = 2;
    config.limits.connections_max = 3;
    let server = TestServer::start(config).await;
    let first = server.connect("ada", "a").await;
    let _second = server.connect("ada", "b").await;
    let request = with(server.request("/ws/user/ada"), &[bearer(&token("ada"))]);
    let (status, headers, _) = refused(request).await;
    assert_eq!(status, 429);
    assert!(headers.contains_key("retry-after"));
    let probe = reqwest::Client::new().get(server.http("/ws/user/ada")).bearer_auth(token("ada"));
    assert_eq!(probe.send().await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);

    let _third = server.connect("bob", "a").await;
    let request = with(server.request("/ws/user/eve"), &[bearer(&token("eve"))]);
    let (status, headers, _) = refused(request).await;
    assert_eq!(status, 503);
    assert!(headers.contains_key("retry-after"));

    drop(first);
    support::eventually(|| async {
        let request = with(server.request("/ws/user/ada"), &[bearer(&token("ada"))]);
        Client::open(request).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_token_that_expires_ends_its_connection() {
    let server = TestServer::start(config()).await;
    // Expired already, and within what clocks may be apart.
    let token = signed(&json!({"sub": "ada", "exp": now() + 3.0 - LEEWAY_SECS}));
    let mut client = server.connect_with("ada", "laptop", &token).await;
    assert!(client.established["token_expires_in_ms"].as_u64().unwrap() <= 3_000);
    assert_eq!(client.closed().await, 4401);
}

#[tokio::test]
async fn what_is_published_once_a_token_has_expired_is_not_delivered_with_it() {
    let server = TestServer::start(config()).await;
    let token = signed(&json!({"sub": "ada", "exp": now() + 3.0 - LEEWAY_SECS}));
    let over = SystemTime::now() + Duration::from_secs(4);
    let mut client = server.connect_with("ada", "laptop", &token).await;
    client.send(r#"{"type":"get_pending"}"#).await;
    let publishing = async {
        let mut n = 0;
        while SystemTime::now() < over {
            n += 1;
            server.publish_numbers("ada", n..=n).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // From here on it is too late.
        server.publish_numbers("ada", n + 1..=n + 10).await;
        n
    };
    let reading = async {
        let mut last = 0;
        loop {
            match client.socket.next().await {
                Some(Ok(Frame::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    last = frame["n"].as_u64().unwrap_or(last);
                }
                Some(Ok(Frame::Close(close))) => return (last, u16::from(close.unwrap().code)),
                other => panic!("{other:?}"),
            }
        }
    };
    let (published, (last, code)) = tokio::join!(publishing, reading);
    assert_eq!(code, 4401);
    assert!(0 < last && last <= published, "{last} of {published}");
    assert!(client.socket.next().await.is_none_or(|more| more.is_err()), "nothing follows it");
}

#[tokio::test]
async fn a_renewed_token_keeps_the_connection_and_another_users_ends_it() {
    let server = TestServer::start(config()).await;
    let short = signed(&json!({"sub": "ada", "exp": now() + 3.0 - LEEWAY_SECS}));
    let expiry = SystemTime::now() + Duration::from_secs(3);
    let mut client = server.connect_with("ada", "laptop", &short).await;
    client.send(r#"{"type":"authenticate","token":"nonsense"}"#).await;
    assert_eq!(client.next_of("error").await["code"], "unauthorized");
    client.send(&format!(r#"{{"type":"authenticate","token":"{}"}}"#, token("ada"))).await;
    client.assert_quiet().await;
    // The wall clock itself is what is tested here: the first token must have run out.
    while SystemTime::now() < expiry + Duration::from_millis(500) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.assert_quiet().await;
    client.send(&format!(r#"{{"type":"authenticate","token":"{}"}}"#, token("bob"))).await;
    assert_eq!(client.closed().await, 4403);
}

#[tokio::test]
async fn signing_out_ends_that_sign_ins_connections_only() {
    let server = TestServer::start(config()).await;
    let of = |session| issue_token(&keys(), &user("ada"), Some(session), Duration::from_mins(1));
    let mut here = server.connect_with("ada", "laptop", &of("s1")).await;
    let mut there = server.connect_with("ada", "phone", &of("s2")).await;
    server.server.close_session(&user("ada"), "s1");
    assert_eq!(here.closed().await, 4401);
    there.assert_quiet().await;
}

/// Knows which sign-ins have ended, unless it cannot be asked.
#[derive(Default)]
struct SignIns {
    ended: Mutex<Vec<String>>,
    broken: AtomicBool,
    /// It does not answer about this one.
    slow: Mutex<Option<String>>,
}

impl Application for SignIns {
    fn receive(&self, _: Incoming) -> BoxFuture<'_, Result<Option<SendAnswer>, Refusal>> {
        Box::pin(ready(Ok(None)))
    }

    fn is_signed_in(&self, _: &UserId, session: &str) -> BoxFuture<'_, Result<bool, StoreError>> {
        if self.broken.load(Ordering::SeqCst) {
            return Box::pin(ready(Err(StoreError::new("broken on purpose"))));
        }
        if self.slow.lock().unwrap().as_deref() == Some(session) {
            return Box::pin(std::future::pending());
        }
        let ended = self.ended.lock().unwrap().iter().any(|ended| ended == session);
        Box::pin(ready(Ok(!ended)))
    }
}

#[tokio::test]
async fn a_sign_in_that_has_ended_opens_and_renews_nothing() {
    let sign_ins = Arc::new(SignIns::default());
    let server = TestServer::start_with(config(), Some(sign_ins.clone())).await;
    let of = |session| issue_token(&keys(), &user("ada"), Some(session), Duration::from_mins(1));
    let renewal = |session| format!(r#"{{"type":"authenticate","token":"{}"}}"#, of(session));
    let request = || with(server.request("/ws/user/ada"), &[bearer(&of("s1"))]);
    let mut here = server.connect_with("ada", "laptop", &of("s2")).await;
    here.send(&renewal("s1")).await;
    here.assert_quiet().await;

    sign_ins.ended.lock().unwrap().push("s1".into());
    let (status, _, body) = refused(request()).await;
    assert_eq!((status, &body["error"]["code"]), (401, &"unauthorized".into()));
    let probe = reqwest::Client::new().get(server.http("/ws/user/ada")).bearer_auth(of("s1"));
    assert_eq!(probe.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    here.send(&renewal("s1")).await;
    assert_eq!(here.closed().await, 4401);
    support::eventually(|| async { server.server.connections() == 0 }).await;

    let mut here = server.connect_with("ada", "laptop", &of("s2")).await;
    sign_ins.broken.store(true, Ordering::SeqCst);
    assert_eq!(refused(request()).await.0, 503);
    here.send(&renewal("s2")).await;
    let error = here.next_of("error").await;
    assert_eq!((&error["code"], &error["retryable"]), (&"unavailable".into(), &true.into()));
    here.assert_quiet().await;
}

#[tokio::test]
async fn a_sign_out_reaches_a_connection_whose_renewal_is_looked_up() {
    // The connection had moved to the new sign-in before that was known to stand, and a look-up that
    // failed left it there: the end of the old one passed it by.
    let sign_ins = Arc::new(SignIns::default());
    let server = TestServer::start_with(config(), Some(sign_ins.clone())).await;
    let of = |session| issue_token(&keys(), &user("ada"), Some(session), Duration::from_mins(1));
    let renewal = format!(r#"{{"type":"authenticate","token":"{}"}}"#, of("new"));
    *sign_ins.slow.lock().unwrap() = Some("new".into());
    for ended in ["old", "new"] {
        let mut here = server.connect_with("ada", "laptop", &of("old")).await;
        here.send(&renewal).await;
        here.assert_quiet().await;
        server.server.close_session(&user("ada"), ended);
        assert_eq!(here.closed().await, 4401, "{ended}");
        support::eventually(|| async { server.server.connections() == 0 }).await;
    }

    *sign_ins.slow.lock().unwrap() = None;
    let mut here = server.connect_with("ada", "laptop", &of("old")).await;
    sign_ins.broken.store(true, Ordering::SeqCst);
    here.send(&renewal).await;
    assert_eq!(here.next_of("error").await["code"], "unavailable");
    server.server.close_session(&user("ada"), "new");
    here.assert_quiet().await;
    server.server.close_session(&user("ada"), "old");
    assert_eq!(here.closed().await, 4401);
}

#[tokio::test]
async fn draining_sends_everybody_away_and_lets_nobody_in() {
    let server = TestServer::start(config()).await;
    let mut client = server.connect("ada", "laptop").await;
    let (code, ()) = tokio::join!(client.closed(), server.server.drain());
    assert_eq!(code, 1012);
    let request = with(server.request("/ws/user/ada"), &[bearer(&token("ada"))]);
    let (status, headers, _) = refused(request).await;
    assert_eq!(status, 503);
    assert!(headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_silent_peer_is_pinged_and_then_closed() {
    let mut config = config();
    config.limits.idle_timeout_ms = 200;
    let server = TestServer::start(config).await;
    // A client that is not polled answers no Ping: it is read on only once the server gave up.
    let mut client = server.connect("ada", "laptop").await;
    support::eventually(|| async { server.server.connections() == 0 }).await;
    assert_eq!(client.closed().await, 4408);
}

#[tokio::test]
async fn the_largest_message_passes_and_one_more_byte_does_not() {
    let mut config = config();
    config.limits.message_bytes_max = 1_000;
    let server = TestServer::start(config).await;
    let mut client = server.connect("ada", "laptop").await;
    let empty = r#"{"type":"ping","timestamp":""}"#.len();
    let ping =
        |bytes: usize| format!(r#"{{"type":"ping","timestamp":"{}"}}"#, "x".repeat(bytes - empty));
    client.send(&ping(1_000)).await;
    client.next_of("pong").await;
    client.send(&ping(1_001)).await;
    assert_eq!(client.closed().await, 1009);
}

#[tokio::test]
async fn binary_and_broken_frames_end_the_connection() {
    let server = TestServer::start(config()).await;
    let mut client = server.connect("ada", "laptop").await;
    client.socket.send(Frame::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(client.closed().await, 1003);

    // FIN + text, masked with zeros, two bytes that are no UTF-8.
    assert_eq!(close_code_after(&server, &[0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28]).await, 1007);
    // A reserved opcode.
    assert_eq!(close_code_after(&server, &[0x83, 0x80, 0, 0, 0, 0]).await, 1002);
    // A length in a longer form than it needs was taken.
    assert_eq!(close_code_after(&server, &[0x81, 0xfe, 0, 2, 0, 0, 0, 0, b'{', b'}']).await, 1002);
    // A frame that is not masked.
    assert_eq!(close_code_after(&server, &[0x81, 0x02, b'{', b'}']).await, 1002);
}

/// Writes raw bytes below the WebSocket library, which would not send them.
async fn close_code_after(server: &TestServer, bytes: &[u8]) -> u16 {
    let mut client = server.connect("ada", "laptop").await;
    client.socket.get_mut().write_all(bytes).await.unwrap();
    client.closed().await
}

#[tokio::test]
async fn bad_frames_are_answered_until_there_are_too_many() {
    let server = TestServer::start(config()).await;
    let mut client = server.connect("ada", "laptop").await;
    let nested = format!(r#"{{"type":"t","a":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    for (frame, code) in [
        ("nonsense", "bad_json"),
        ("{}", "bad_frame"),
        (r#"{"type":"t","seq":1}"#, "bad_frame"),
        (r#"{"type":"pong"}"#, "bad_frame"),
        (nested.as_str(), "bad_frame"),
    ] {
        client.send(frame).await;
        assert_eq!(client.next_of("error").await["code"], code, "{frame}");
    }
    // A good frame makes up for none of them.
    client.assert_quiet().await;
    for _ in 5..16 {
        client.send("nonsense").await;
        client.next_of("error").await;
        client.assert_quiet().await;
    }
    client.send("nonsense").await;
    assert_eq!(client.closed().await, 1008);
}

#[tokio::test]
async fn forged_tokens_are_refused_until_there_are_too_many() {
    // They were refused for ever.
    let server = TestServer::start(config()).await;
    let mut client = server.connect("ada", "laptop").await;
    for _ in 0..8 {
        client.send(r#"{"type":"authenticate","token":"forged"}"#).await;
        assert_eq!(client.next_of("error").await["code"], "unauthorized");
    }
    client.send(r#"{"type":"authenticate","token":"forged"}"#).await;
    assert_eq!(client.closed().await, 1008);
}

#[tokio::test]
async fn a_send_that_is_no_frame_is_refused_by_its_name() {
    // Without the name its client kept it for unanswered and sent it again on every connection.
    let server = TestServer::start(config()).await;
    let mut client = server.connect("ada", "laptop").await;
    let nested = format!(r#"{{"type":"t","id":"deep","a":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    for (frame, id) in [(r#"{"type":"t","id":"misuse","seq":1}"#, "misuse"), (&nested, "deep")] {
        client.send(frame).await;
        assert_eq!(client.next_of("error").await["ref"], id);
    }
}
