//! Who connects, as the application says it, and what they may do.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::{
    future::{pending, ready},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use support::{
    Client, ORIGIN, TestServer,
    asked::{Asked, HOOK_SECRET, server_asking, webhook},
    config, now, refused, signed, token, user,
};
use tetherline_server::{
    Application, CONNECT_HOOK_REFUSAL_BYTES_MAX, CONNECT_HOOK_RENEWALS_PER_USER_MAX,
    CONNECT_HOOK_SESSION_BYTES_MAX, COOKIE_BYTES_MAX, ConnectHook, ConnectHookOptions,
    ConnectRefusal, ConnectRequest, GRANT_AGE, GRANT_AGE_MAX, Grant, Incoming, May, Refusal,
    SendAnswer,
};
use tokio_tungstenite::tungstenite::handshake::client::Request;

const ADA: &str = r#"{"user":"ada"}"#;

fn with(mut request: Request, headers: &[(&'static str, &str)]) -> Request {
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

/// From a page of an allowed origin, with a cookie.
fn with_cookie(server: &TestServer, path: &str) -> Request {
    with(
        server.request(path),
        &[
            ("origin", ORIGIN),
            ("cookie", "session=s1; theme=dark"),
            ("sec-websocket-protocol", "tetherline.v1"),
        ],
    )
}

/// The same by way of a proxy that is trusted, from this address.
fn with_cookie_from(server: &TestServer, address: &str) -> Request {
    with(with_cookie(server, "/ws/user/ada"), &[("x-forwarded-for", address)])
}

/// One that believes whom a proxy says it serves, and asks about so many at a time, and has so many wait.
async fn server_asking_from_everywhere(
    address: SocketAddr,
    (requests_max, waiting_max): (usize, usize),
) -> TestServer {
    let mut config = config();
    config.proxies.trusted = vec!["127.0.0.0/8".parse().unwrap()];
    let server = TestServer::start(config).await;
    let mut options = ConnectHookOptions::default();
    (options.requests_max, options.waiting_max) = (requests_max, waiting_max);
    options.timeout = Duration::from_secs(20);
    server.server.attach_connect_hook(webhook(address), options);
    server
}

/// With a token that only the application knows.
fn with_token(server: &TestServer, path: &str) -> Request {
    with(server.request(path), &[("sec-websocket-protocol", "tetherline.v1, bearer.opaque-1_~")])
}

/// Status, code and sentence.
async fn says(request: Request) -> (u16, String, String) {
    let (status, _, body) = refused(request).await;
    let text = |name: &str| body["error"][name].as_str().unwrap().to_owned();
    (status, text("code"), text("message"))
}

#[tokio::test]
async fn a_cookie_says_who_connects_and_the_page_is_told() {
    let (asked, address) = Asked::start(&[(200, ADA)]).await;
    let server = server_asking(address, |_| {}).await;
    for path in ["/ws/user/ada?device=laptop", "/ws?device=laptop"] {
        let client = Client::open(with_cookie(&server, path)).await.unwrap();
        assert_eq!(client.established["user_uuid"], "ada");
        let (headers, body) = asked.last().await;
        let named = if path.starts_with("/ws/") { json!("ada") } else { Value::Null };
        let expected = json!({
            "type": "connect", "user": named, "token_user": null, "device": "laptop",
            "origin": ORIGIN, "token": null, "cookies": "session=s1; theme=dark",
            "address": "127.0.0.1", "renewal": false,
        });
        assert_eq!(body, expected);
        assert!(headers["webhook-id"].to_str().unwrap().starts_with("connect/"));
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        let mut mac = Hmac::<Sha256>::new_from_slice(HOOK_SECRET.as_bytes()).unwrap();
        let fields = ["user", "token_user", "device", "origin", "token", "cookies", "address"];
        let body = fields.map(|name| format!(r#""{name}":{}"#, body[name])).join(",");
        let body = format!(r#"{{"type":"connect",{body},"renewal":false}}"#);
        mac.update(
            format!("{}.{}.{body}", text("webhook-id"), text("webhook-timestamp")).as_bytes(),
        );
        let signature = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(text("webhook-signature"), signature);
    }
}

#[tokio::test]
async fn a_token_that_only_the_application_knows_counts_wherever_tokens_do() {
    let (asked, address) = Asked::start(&[(200, ADA)]).await;
    let server = server_asking(address, |_| {}).await;
    let mut client = Client::open(with_token(&server, "/ws/user/ada")).await.unwrap();
    assert_eq!(asked.last().await.1["token"], "opaque-1_~");
    server.publish_numbers("ada", 1..=1).await;
    assert_eq!(client.pending(r#"{"type":"get_pending"}"#).await.0, [1]);
    for header in ["tetherline-token", "authorization"] {
        let value = if header == "authorization" { "Bearer a b" } else { "a b" };
        let request = with(server.request("/ws"), &[(header, value)]);
        assert_eq!(Client::open(request).await.unwrap().established["user_uuid"], "ada");
        assert_eq!(asked.last().await.1["token"], "a b");
    }
}

#[tokio::test]
async fn a_page_whose_sign_in_is_a_cookie_gives_any_word_and_both_are_asked_about() {
    let (asked, address) = Asked::start(&[(200, ADA)]).await;
    let mut config = config();
    config.proxies.trusted = vec!["127.0.0.0/8".parse().unwrap()];
    let server = TestServer::start(config).await;
    server.server.attach_connect_hook(webhook(address), ConnectHookOptions::default());
    let request = with(
        server.request("/ws/user/ada"),
        &[
            ("origin", ORIGIN),
            ("cookie", "session=s1"),
            ("sec-websocket-protocol", "tetherline.v1, bearer.cookie"),
            ("x-forwarded-for", "198.51.100.1, 203.0.113.9"),
        ],
    );
    let client = Client::open(request).await.unwrap();
    assert_eq!(client.protocol.as_deref(), Some("tetherline.v1"));
    let body = asked.last().await.1;
    assert_eq!((&body["token"], &body["cookies"]), (&json!("cookie"), &json!("session=s1")));
    assert_eq!(body["address"], "203.0.113.9", "as the proxy says that is trusted");
}

#[tokio::test]
async fn whoever_is_somebody_else_than_the_path_says_is_told_as_with_any_token() {
    let (_asked, address) = Asked::start(&[(200, ADA)]).await;
    let server = server_asking(address, |_| {}).await;
    let bobs = token("ada");
    let known = with(server.request("/ws/user/bob"), &[("tetherline-token", &bobs)]);
    let expected = says(known).await;
    assert_eq!((expected.0, expected.1.as_str()), (403, "forbidden"));
    for path in ["/ws/user/bob", "/ws/user/nobody", "/ws/user/.."] {
        assert_eq!(says(with_cookie(&server, path)).await, expected, "{path}");
    }
}

#[tokio::test]
async fn cookies_of_a_page_that_is_not_known_count_for_nothing() {
    // Any page can open a WebSocket anywhere, and the browser sends the cookies along.
    let (asked, address) = Asked::start(&[(200, ADA)]).await;
    let server = server_asking(address, |_| {}).await;
    let cookie = ("cookie", "session=s1");
    for origin in ["https://evil.test", "null", "https://app.example.com.evil.test"] {
        let request = with(server.request("/ws/user/ada"), &[cookie, ("origin", origin)]);
        assert_eq!(says(request).await.0, 403, "{origin}");
    }
    let (status, code, why) = says(with(server.request("/ws"), &[cookie])).await;
    assert_eq!((status, code.as_str()), (403, "forbidden"));
    assert!(why.contains("Origin"), "{why}");
    let nothing = with(server.request("/ws"), &[("origin", ORIGIN)]);
    let (status, _, body) = refused(nothing).await;
    assert_eq!((status, &body["error"]["reason"]), (401, &json!("no_token")));
    assert_eq!(asked.times().await, 0, "and nobody was asked about it");

    let both = with(server.request("/ws"), &[cookie, ("tetherline-token", "opaque")]);
    assert!(Client::open(both).await.is_ok());
    assert_eq!(asked.last().await.1["cookies"], Value::Null, "the token came without a page");
}

#[tokio::test]
async fn a_page_that_asks_why_is_told_and_other_pages_see_nothing() {
    // A browser sends no Origin along when a page asks its own server.
    let (asked, address) = Asked::start(&[(200, ADA)]).await;
    let server = server_asking(address, |_| {}).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let probe = |path: &str| http.get(server.http(path)).header("cookie", "session=s1").send();
    assert_eq!(probe("/ws/user/ada").await.unwrap().status(), 426);
    assert_eq!(asked.last().await.1["cookies"], "session=s1");
    let answer = probe("/ws/user/bob").await.unwrap();
    assert_eq!(answer.status(), 403);
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_refusal_has_the_form_that_all_have() {
    let (asked, address) = Asked::start(&[]).await;
    let server = server_asking(address, |_| {}).await;
    let longest = "x".repeat(CONNECT_HOOK_REFUSAL_BYTES_MAX);
    let longest_refusal = json!({"refuse": longest}).to_string();
    let cases = [
        (200, r#"{"refuse":"Sign in again."}"#, 401, "unauthorized", "Sign in again.", None),
        (401, r#"{"refuse":"Sign in again."}"#, 401, "unauthorized", "Sign in again.", None),
        (200, r#"{"refuse":"Not you.","code":"forbidden"}"#, 403, "forbidden", "Not you.", None),
        (
            429,
            r#"{"refuse":"Slower.","code":"rate_limited","retry_after_ms":1500}"#,
            429,
            "rate_limited",
            "Slower.",
            Some("2"),
        ),
        (
            200,
            r#"{"refuse":"Later.","retry_after_ms":86400000}"#,
            503,
            "unavailable",
            "Later.",
            Some("3600"),
        ),
        (
            200,
            r#"{"refuse":"Later.","code":"unavailable"}"#,
            503,
            "unavailable",
            "Later.",
            Some("2"),
        ),
        (200, &longest_refusal, 401, "unauthorized", &longest, None),
    ];
    for (said, body, status, code, sentence, retry_after) in cases {
        asked.answers(said, body).await;
        let (met, headers, error) = refused(with_cookie(&server, "/ws/user/ada")).await;
        assert_eq!((met, &error["error"]["code"]), (status, &json!(code)), "{body:.50}");
        assert_eq!(error["error"]["message"], sentence);
        let wait = headers.get("retry-after").map(|wait| wait.to_str().unwrap());
        assert_eq!(wait, retry_after, "{body:.50}");
    }
}

#[tokio::test]
async fn what_is_no_answer_signs_nobody_out() {
    let (asked, address) = Asked::start(&[]).await;
    let server = server_asking(address, |_| {}).await;
    let sentence = "x".repeat(CONNECT_HOOK_REFUSAL_BYTES_MAX + 1);
    let session = "x".repeat(CONNECT_HOOK_SESSION_BYTES_MAX + 1);
    let (long_sentence, long_session) = (
        json!({"refuse": sentence}).to_string(),
        json!({"user": "ada", "session": session}).to_string(),
    );
    let huge = format!(r#"{{"user":"ada","x":"{}"}}"#, "x".repeat(16 * 1024));
    let cases = [
        (500, ADA),
        (502, r#"{"refuse":"Sign in again."}"#),
        (401, "Unauthorized"),
        (403, "<html>login</html>"),
        (404, r#"{"error":{"code":"unauthorized","message":"Sign in again."}}"#),
        (407, r#"{"refuse":"Sign in again."}"#),
        (403, ADA),
        (307, ADA),
        (204, ""),
        (200, ""),
        (200, "{}"),
        (200, "null"),
        (200, r#"{"user":""}"#),
        (200, r#"{"user":"a/b"}"#),
        (200, r#"{"user":7}"#),
        (200, r#"{"user":"ada","refuse":"Not you."}"#),
        (200, r#"{"user":"ada","expires_in_ms":0}"#),
        (200, r#"{"user":"ada","expires_in_ms":-1}"#),
        (200, r#"{"user":"ada","may":{"sned":false}}"#),
        (200, r#"{"refuse":"No.","code":"whatever"}"#),
        (200, &long_sentence),
        (200, &long_session),
        (200, &huge),
    ];
    for (said, body) in cases {
        asked.answers(said, body).await;
        let (status, headers, error) = refused(with_cookie(&server, "/ws/user/ada")).await;
        assert_eq!((status, &error["error"]["code"]), (503, &json!("unavailable")), "{body:.50}");
        assert_eq!(headers["retry-after"], "2");
        assert!(!error.to_string().contains("ada"), "{error}");
    }
    asked.answers(200, ADA).await;
    assert!(Client::open(with_cookie(&server, "/ws/user/ada")).await.is_ok(), "it is back");

    // Nobody is there at all, and somebody who hangs up.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = server_asking(closed.local_addr().unwrap(), |_| {}).await;
    let hang_up = tokio::spawn(async move { drop(closed.accept().await.unwrap().0) });
    assert_eq!(says(with_cookie(&server, "/ws/user/ada")).await.0, 503);
    hang_up.await.unwrap();
    assert_eq!(says(with_cookie(&server, "/ws/user/ada")).await.0, 503);
}

#[tokio::test]
async fn a_token_of_the_servers_own_keys_needs_nobody_else() {
    let (asked, address) = Asked::start(&[(200, r#"{"user":"bob"}"#)]).await;
    let server = server_asking(address, |_| {}).await;
    assert_eq!(server.connect("ada", "laptop").await.established["user_uuid"], "ada");
    let expired = signed(&json!({"sub": "ada", "exp": now() - 3_600.0}));
    let request = with(server.request("/ws/user/ada"), &[("tetherline-token", &expired)]);
    assert_eq!(says(request).await.0, 401, "what it says itself is not asked about");
    let request = with(server.request("/ws"), &[("tetherline-token", &token("ada"))]);
    assert_eq!(Client::open(request).await.unwrap().established["user_uuid"], "ada");
    assert_eq!(asked.times().await, 0);
}

#[tokio::test]
async fn where_it_is_always_asked_a_good_token_may_be_refused_and_is_nobody_elses() {
    let (asked, address) =
        Asked::start(&[(200, r#"{"refuse":"Not today.","code":"forbidden"}"#)]).await;
    let server = server_asking(address, |options| options.always = true).await;
    let ada = token("ada");
    let request = || with(server.request("/ws/user/ada"), &[("tetherline-token", &ada)]);
    assert_eq!(says(request()).await.2, "Not today.");
    assert_eq!(asked.last().await.1["token_user"], "ada");
    asked.answers(200, r#"{"user":"bob"}"#).await;
    assert_eq!(says(request()).await.0, 403);
    assert_eq!(says(with(server.request("/ws"), &[("tetherline-token", &ada)])).await.0, 403);
    asked.answers(200, r#"{"user":"ada","expires_in_ms":86400000}"#).await;
    let client = Client::open(request()).await.unwrap();
    let left = client.established["token_expires_in_ms"].as_u64().unwrap();
    assert!(left <= 3_610_000, "no longer than the token says itself: {left}");
}

#[tokio::test]
async fn what_it_said_counts_for_a_while_and_never_too_long() {
    let (asked, address) = Asked::start(&[(200, ADA)]).await;
    let server = server_asking(address, |_| {}).await;
    let (day, more) = (86_400_000_u64, 86_400_001);
    assert_eq!((GRANT_AGE.as_secs(), GRANT_AGE_MAX.as_millis()), (900, day.into()));
    for (said, counts) in
        [(None, 900_000), (Some(60_000), 60_000), (Some(day), day), (Some(more), day)]
    {
        let answer = json!({"user": "ada", "expires_in_ms": said}).to_string();
        asked.answers(200, &answer).await;
        let client = Client::open(with_cookie(&server, "/ws/user/ada")).await.unwrap();
        let left = client.established["token_expires_in_ms"].as_u64().unwrap();
        assert!(left <= counts && left + 30_000 > counts, "{said:?}: {left}");
    }
    asked.answers(200, r#"{"user":"ada","expires_in_ms":300}"#).await;
    let mut client = Client::open(with_cookie(&server, "/ws/user/ada")).await.unwrap();
    assert_eq!(client.closed().await, 4401);
}

#[tokio::test]
async fn the_sign_in_that_it_names_can_be_ended() {
    let (_asked, address) = Asked::start(&[(200, r#"{"user":"ada","session":"s1"}"#)]).await;
    let server = server_asking(address, |_| {}).await;
    let mut client = Client::open(with_cookie(&server, "/ws/user/ada")).await.unwrap();
    server.server.sign_out(&user("ada"), Some("s1")).await.unwrap();
    assert_eq!(client.closed().await, 4401);
}

#[tokio::test]
async fn a_token_keeps_its_own_sign_in_whatever_the_hook_calls_it() {
    // The hook's name for it took the place of the token's, and ending that one over HTTP ended nothing.
    let (_asked, address) = Asked::start(&[(200, r#"{"user":"ada","session":"hooks"}"#)]).await;
    let server = server_asking(address, |options| options.always = true).await;
    let tokens_own = signed(&json!({"sub": "ada", "exp": now() + 3_600.0, "sid": "tokens"}));
    for (token, sign_in) in [(&tokens_own, "tokens"), (&token("ada"), "hooks")] {
        let request = with(server.request("/ws/user/ada"), &[("tetherline-token", token)]);
        let mut client = Client::open(request).await.unwrap();
        server.server.sign_out(&user("ada"), Some(sign_in)).await.unwrap();
        assert_eq!(client.closed().await, 4401, "{sign_in}");
    }
}

#[tokio::test]
async fn a_renewal_asks_again_with_what_the_connection_began_with() {
    let (asked, address) = Asked::start(&[(200, ADA)]).await;
    let server = server_asking(address, |_| {}).await;
    let mut client = Client::open(with_cookie(&server, "/ws/user/ada?device=d")).await.unwrap();
    let renew = r#"{"type":"authenticate","token":"fresh"}"#;
    asked.answers(200, r#"{"user":"ada","expires_in_ms":60000,"may":{"send":false}}"#).await;
    client.send(renew).await;
    asked.asked(2).await;
    let body = asked.last().await.1;
    assert_eq!((&body["renewal"], &body["token"]), (&json!(true), &json!("fresh")));
    assert_eq!(
        (&body["cookies"], &body["origin"]),
        (&json!("session=s1; theme=dark"), &json!(ORIGIN))
    );
    assert_eq!((&body["user"], &body["device"]), (&json!("ada"), &json!("d")));
    // It may do less from now on.
    loop {
        client.send(r#"{"type":"ask","id":"m1"}"#).await;
        match client.next_of("error").await["code"].as_str().unwrap() {
            "no_application" => tokio::time::sleep(Duration::from_millis(5)).await,
            code => break assert_eq!(code, "forbidden"),
        }
    }

    asked.answers(200, r#"{"refuse":"Your session is over."}"#).await;
    client.send(renew).await;
    let error = client.next_of("error").await;
    assert_eq!(error["message"], "Your session is over.");
    assert_eq!((&error["code"], &error["retryable"]), (&json!("unauthorized"), &json!(false)));
    asked.answers(500, "").await;
    client.send(renew).await;
    let error = client.next_of("error").await;
    assert_eq!((&error["code"], &error["retryable"]), (&json!("unavailable"), &json!(true)));
    assert_eq!(error["retry_after_ms"], 2_000);
    client.assert_quiet().await;

    asked.answers(200, r#"{"user":"bob"}"#).await;
    client.send(renew).await;
    assert_eq!(client.closed().await, 4403);
}

#[tokio::test]
async fn a_client_that_renews_again_and_again_has_one_question_asked_at_a_time() {
    let (asked, address) = Asked::start(&[(200, ADA)]).await;
    let server = server_asking(address, |_| {}).await;
    let mut client = Client::open(with_cookie(&server, "/ws/user/ada")).await.unwrap();
    asked.hang();
    for n in 0..20 {
        client.send(&format!(r#"{{"type":"authenticate","token":"t{n}"}}"#)).await;
    }
    client.assert_quiet().await;
    asked.asked(2).await;
    asked.answer_some(1);
    asked.asked(3).await;
    assert_eq!(asked.last().await.1["token"], "t19", "and then the last of them");
    asked.answer_some(1);
    client.assert_quiet().await;
    assert_eq!(asked.times().await, 3);
}

#[tokio::test]
async fn strangers_are_asked_about_so_many_at_a_time_and_keep_nobody_waiting_who_is_connected() {
    let (asked, address) = Asked::start(&[(200, ADA)]).await;
    let server = server_asking_from_everywhere(address, (2, 3)).await;
    let mut client = Client::open(with_cookie(&server, "/ws/user/ada")).await.unwrap();
    asked.hang();
    let mut strangers = tokio::task::JoinSet::new();
    for n in 0..5 {
        let request = with_cookie_from(&server, &format!("203.0.113.{n}"));
        strangers.spawn(async move { Client::open(request).await.map(|_| ()) });
    }
    asked.asked(3).await;
    // Five are asked about, or wait: one more is told to come again, whenever the fifth has come.
    support::eventually(async || {
        let request = with_cookie_from(&server, "203.0.113.5");
        let sixth = tokio::time::timeout(Duration::from_millis(500), refused(request)).await;
        sixth.is_ok_and(|(status, headers, _)| {
            (status, headers["retry-after"].as_bytes()) == (503, b"2")
        })
    })
    .await;
    assert_eq!(asked.times().await, 3, "two at a time");
    client.send(r#"{"type":"authenticate","token":"fresh"}"#).await;
    asked.asked(4).await;
    assert_eq!(asked.last().await.1["renewal"], true);
    asked.answer_some(100);
    while let Some(stranger) = strangers.join_next().await {
        stranger.unwrap().unwrap();
    }
}

#[tokio::test]
async fn one_address_has_no_more_places_than_are_left_to_all_others() {
    // With made-up cookies one address took all places, and whoever came anew was told to come again.
    let (asked, address) = Asked::start(&[(200, ADA)]).await;
    let server = server_asking_from_everywhere(address, (2, 2)).await;
    asked.hang();
    let mut waiting = tokio::task::JoinSet::new();
    let mut comes_from = |address: &str| {
        let request = with_cookie_from(&server, address);
        waiting.spawn(async move { Client::open(request).await.map(|_| ()) });
    };
    // Two of the four places, and not the third: an address that changes within its /56 is the same.
    comes_from("2001:db8::1");
    comes_from("2001:db8::2");
    asked.asked(2).await;
    let third = refused(with_cookie_from(&server, "2001:db8:0:ff::3"));
    assert_eq!(tokio::time::timeout(support::PATIENCE, third).await.unwrap().0, 503);
    comes_from("203.0.113.9");
    asked.answer_some(100);
    while let Some(let_in) = waiting.join_next().await {
        let_in.unwrap().unwrap();
    }
    assert_eq!(asked.times().await, 3);
}

#[tokio::test]
async fn one_user_has_so_many_renewals_asked_about_and_keeps_no_other_waiting() {
    // Two users whose connections were renewed again and again took all the places that renewals have.
    let (asked, address) = Asked::start(&[(200, ADA)]).await;
    let server = server_asking(address, |_| {}).await;
    let renew = r#"{"type":"authenticate","token":"fresh"}"#;
    let (most, mut adas) = (CONNECT_HOOK_RENEWALS_PER_USER_MAX, Vec::new());
    for _ in 0..=most {
        adas.push(Client::open(with_cookie(&server, "/ws")).await.unwrap());
    }
    asked.answers(200, r#"{"user":"bob"}"#).await;
    let mut bob = Client::open(with_cookie(&server, "/ws")).await.unwrap();
    let before = asked.times().await;
    asked.hang();
    let (last, others) = adas.split_last_mut().unwrap();
    for (n, client) in others.iter_mut().enumerate() {
        client.send(renew).await;
        asked.asked(before + n + 1).await;
    }
    last.send(renew).await;
    let error = last.next_of("error").await;
    assert_eq!((&error["code"], &error["retryable"]), (&json!("unavailable"), &json!(true)));
    bob.send(renew).await;
    asked.asked(before + most + 1).await;
    asked.answers(200, ADA).await;
    asked.answer_some(1);
    // Where one is answered the next is asked about.
    let asked_about =
        async |wait| tokio::time::timeout(wait, asked.asked(before + most + 2)).await.is_ok();
    last.send(renew).await;
    while !asked_about(Duration::from_millis(100)).await {
        last.send(renew).await;
    }
}

#[tokio::test]
async fn who_comes_and_goes_asks_no_more_of_the_application_than_who_stays() {
    let (asked, address) = Asked::start(&[(200, ADA)]).await;
    let limited =
        |options: &mut ConnectHookOptions| (options.requests_max, options.waiting_max) = (1, 3);
    let server = server_asking(address, limited).await;
    asked.hang();
    let request = with_cookie(&server, "/ws/user/ada");
    let first = tokio::spawn(async move { Client::open(request).await.map(|_| ()) });
    asked.asked(1).await;
    first.abort();
    for _ in 0..4 {
        let request = with_cookie(&server, "/ws/user/ada");
        let gone = tokio::time::timeout(Duration::from_millis(50), Client::open(request)).await;
        drop(gone);
    }
    assert_eq!(asked.times().await, 1, "the first question is still with it");
    asked.answer_some(100);
    support::eventually(async || Client::open(with_cookie(&server, "/ws/user/ada")).await.is_ok())
        .await;
}

#[tokio::test]
async fn a_hook_that_hangs_is_waited_for_no_longer_than_it_may_take() {
    let (asked, address) = Asked::start(&[(200, ADA)]).await;
    asked.hang();
    let server =
        server_asking(address, |options| options.timeout = Duration::from_millis(100)).await;
    let (status, headers, _) = refused(with_cookie(&server, "/ws/user/ada")).await;
    assert_eq!((status, headers["retry-after"].as_bytes()), (503, &b"2"[..]));
}

#[tokio::test]
async fn cookies_have_so_many_bytes_and_no_more() {
    let (asked, address) = Asked::start(&[(200, ADA)]).await;
    let server = server_asking(address, |_| {}).await;
    let of = |bytes: usize| {
        let cookie = format!("a={}", "x".repeat(bytes - 2));
        with(server.request("/ws/user/ada"), &[("origin", ORIGIN), ("cookie", &cookie)])
    };
    assert!(Client::open(of(COOKIE_BYTES_MAX)).await.is_ok());
    assert_eq!(asked.last().await.1["cookies"].as_str().unwrap().len(), COOKIE_BYTES_MAX);
    let (status, _, body) = refused(of(COOKIE_BYTES_MAX + 1)).await;
    assert_eq!((status, &body["error"]["field"]), (431, &json!("cookie")));
}

struct Everything;

impl Application for Everything {
    fn receive(&self, _: Incoming) -> BoxFuture<'_, Result<Option<SendAnswer>, Refusal>> {
        Box::pin(ready(Ok(None)))
    }
}

#[tokio::test]
async fn who_may_only_read_is_told_so_and_what_was_accepted_stays_accepted() {
    let (asked, address) = Asked::start(&[(200, ADA)]).await;
    let server = server_asking(address, |_| {}).await;
    server.server.attach(Arc::new(Everything));
    let stop = r#"{"type":"message_stop","id":"s1","ref":"m9"}"#;
    let mut client = Client::open(with_cookie(&server, "/ws/user/ada")).await.unwrap();
    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    client.next_of("accepted").await;
    drop(client);

    asked.answers(200, r#"{"user":"ada","may":{"send":false}}"#).await;
    let mut client = Client::open(with_cookie(&server, "/ws/user/ada")).await.unwrap();
    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    assert_eq!(client.next_of("accepted").await["ref"], "m1", "it was, and its answer was lost");
    client.send(r#"{"type":"ask","id":"m2"}"#).await;
    let error = client.next_of("error").await;
    assert_eq!((&error["ref"], &error["code"]), (&json!("m2"), &json!("forbidden")));
    assert_eq!(
        (&error["retryable"], &error["message"]),
        (&json!(false), &json!("You may read here, and not send."))
    );
    client.send(stop).await;
    assert_eq!(
        client.next_of("error").await["code"],
        "forbidden",
        "who may not send stops nothing"
    );
    server.publish_numbers("ada", 1..=1).await;
    assert_eq!(client.pending(r#"{"type":"get_pending"}"#).await.0, [1]);

    asked.answers(200, r#"{"user":"ada","may":{"send":false,"stop":true}}"#).await;
    let mut client = Client::open(with_cookie(&server, "/ws/user/ada")).await.unwrap();
    client.send(&stop.replace("s1", "s2")).await;
    client.next_of("accepted").await;
    client.send(r#"{"type":"ask","id":"m2"}"#).await;
    assert_eq!(client.next_of("error").await["code"], "forbidden", "what was refused stays so");
}

/// One in Rust, with a way of its own for each token.
struct Rust;

impl ConnectHook for Rust {
    fn admit(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Grant, ConnectRefusal>> {
        Box::pin(async move {
            match request.token.as_deref() {
                Some("bug") => panic!("a bug in the application, on purpose"),
                Some("hang") => pending().await,
                Some("reader") => {
                    let mut grant = Grant::new(user("ada"));
                    grant.may = May::NOTHING;
                    Ok(grant)
                }
                _ => Err(ConnectRefusal::unauthorized("Nobody is signed in.")),
            }
        })
    }
}

#[tokio::test]
async fn a_hook_in_rust_may_hang_or_panic_and_nobody_is_signed_out() {
    let server = TestServer::start(config()).await;
    let mut options = ConnectHookOptions::default();
    options.timeout = Duration::from_millis(500);
    server.server.attach_connect_hook(Arc::new(Rust), options);
    let request = |token: &str| with(server.request("/ws"), &[("tetherline-token", token)]);
    for silent in ["bug", "hang"] {
        assert_eq!(says(request(silent)).await.0, 503, "{silent}");
    }
    let (status, code, sentence) = says(request("else")).await;
    assert_eq!(
        (status, code.as_str(), sentence.as_str()),
        (401, "unauthorized", "Nobody is signed in.")
    );
    let mut client = Client::open(request("reader")).await.unwrap();
    client.send(r#"{"type":"ask","id":"m1"}"#).await;
    assert_eq!(client.next_of("error").await["code"], "forbidden");
}
