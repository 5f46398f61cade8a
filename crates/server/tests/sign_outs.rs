//! Sign-outs: tokens that end before their time, and nothing else.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{API_KEY, PATIENCE, TestServer, config, keys, now, refused, signed, user};
use tetherline_server::{
    Rate, SIGN_OUTS_PER_USER_MAX, SignOutError, TOKEN_LIFE_MAX, TokenRules, issue_token,
};

/// A token of ada's for this session, made just now.
fn fresh(session: &str) -> String {
    issue_token(&keys(), &user("ada"), Some(session), Duration::from_mins(1))
}

/// What a token opens, by its status and code: 426 is a yes to everything but the upgrade.
async fn asked(server: &TestServer, name: &str, token: &str) -> (u16, Value) {
    let request = reqwest::Client::new().get(server.http(&format!("/ws/user/{name}")));
    let answer = request.bearer_auth(token).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json::<Value>().await.unwrap()["error"].take())
}

async fn is_refused(server: &TestServer, token: &str) -> bool {
    match asked(server, "ada", token).await {
        (426, _) => false,
        (401, error) if error["code"] == "unauthorized" => true,
        other => panic!("{other:?}"),
    }
}

/// `DELETE` below `/v1/users/`.
async fn delete(server: &TestServer, path: &str) -> (u16, Value) {
    let request = reqwest::Client::new().delete(server.http(&format!("/v1/users/{path}")));
    let answer = request.bearer_auth(API_KEY).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_user_who_is_signed_out_is_away_within_a_second_and_signs_in_anew_at_once() {
    let server = TestServer::start(config()).await;
    let before = [fresh("s1"), fresh("s2")];
    let mut here = server.connect_with("ada", "laptop", &before[0]).await;
    let mut there = server.connect_with("ada", "phone", &before[1]).await;
    let mut bob = server.connect("bob", "laptop").await;
    let began = Instant::now();
    let (answer, code) = tokio::join!(delete(&server, "ada/sessions"), here.closed());
    assert_eq!(answer, (204, Value::Null));
    assert_eq!((code, there.closed().await), (4401, 4401));
    // The second that is under way, and what a commit takes.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    bob.assert_quiet().await;
    server.publish("ada", r#"{"type":"number","n":1}"#).await;

    // In this very moment, which has another second than any token of before.
    let anew = fresh("s1");
    let mut here = server.connect_with("ada", "laptop", &anew).await;
    for token in &before {
        assert!(is_refused(&server, token).await);
    }
    assert_eq!(here.pending(r#"{"type":"get_pending"}"#).await.0, [1]);
    // A renewal with a token of before: as a connection.
    here.send(&json!({ "type": "authenticate", "token": before[1] }).to_string()).await;
    assert_eq!(here.closed().await, 4401);
    assert!(!is_refused(&server, &anew).await);
}

#[tokio::test]
async fn a_session_that_has_ended_opens_and_renews_nothing_and_others_go_on() {
    let server = TestServer::start(config()).await;
    let odd = "auth0|5f7c/8e ü";
    let mut here = server.connect_with("ada", "laptop", &fresh(odd)).await;
    let mut there = server.connect_with("ada", "phone", &fresh("s2")).await;
    let path = format!("ada/sessions/{}", user("auth0|5f7c").in_url());
    assert_eq!(delete(&server, &path).await.0, 204, "another session");
    here.assert_quiet().await;
    assert_eq!(delete(&server, "ada/sessions/auth0%7C5f7c%2F8e%20%C3%BC").await.0, 204);
    assert_eq!(here.closed().await, 4401);
    server.publish("ada", r#"{"type":"number","n":1}"#).await;
    assert_eq!(there.pending(r#"{"type":"get_pending"}"#).await.0, [1]);
    // Those that are made for it later are no better.
    assert!(is_refused(&server, &fresh(odd)).await);
    assert!(!is_refused(&server, &fresh("s3")).await);
    let no_session = issue_token(&keys(), &user("ada"), None, Duration::from_mins(1));
    assert!(!is_refused(&server, &no_session).await);
    there.send(&json!({ "type": "authenticate", "token": fresh(odd) }).to_string()).await;
    assert_eq!(there.closed().await, 4401);
}

#[tokio::test]
async fn sign_outs_are_remembered_over_restarts_and_an_erasure() {
    let server = TestServer::start(config()).await;
    let (ended, before) = (fresh("s1"), fresh("s2"));
    server.server.sign_out(&user("ada"), Some("s1")).await.unwrap();
    server.publish("ada", r#"{"type":"number","n":1}"#).await;
    let server = server.restart(config(), None).await;
    assert!(is_refused(&server, &ended).await);
    assert!(!is_refused(&server, &before).await);
    server.server.sign_out(&user("ada"), None).await.unwrap();
    let after = fresh("s2");
    server.server.erase(&user("ada")).await.unwrap();
    let server = server.restart(config(), None).await;
    assert!(is_refused(&server, &ended).await);
    assert!(is_refused(&server, &before).await);
    assert!(!is_refused(&server, &after).await);
}

#[tokio::test]
async fn a_token_that_does_not_say_when_it_was_made_is_told_what_it_lacks() {
    let server = TestServer::start(config()).await;
    let undated = signed(&json!({ "sub": "ada", "exp": now() + 60.0 }));
    let of_bob = signed(&json!({ "sub": "bob", "exp": now() + 60.0 }));
    assert!(!is_refused(&server, &undated).await);
    server.server.sign_out(&user("ada"), None).await.unwrap();
    let (status, error) = asked(&server, "ada", &undated).await;
    assert_eq!((status, &error["code"]), (401, &json!("unauthorized")));
    assert!(error["message"].as_str().unwrap().contains("`iat`"), "{error}");
    assert_eq!(asked(&server, "bob", &of_bob).await.0, 426);
}

#[tokio::test]
async fn whoever_hangs_up_is_signed_out_all_the_same() {
    let server = TestServer::start(config()).await;
    let mut here = server.connect_with("ada", "laptop", &fresh("s1")).await;
    let ada = user("ada");
    let signing_out = server.server.sign_out(&ada, None);
    // Long enough to begin, and not for the second to end, or it ends just now.
    let _ = tokio::time::timeout(Duration::from_millis(1), signing_out).await;
    assert_eq!(here.closed().await, 4401);
}

#[tokio::test]
async fn so_many_sessions_are_remembered_of_a_user_and_then_all_have_to_end() {
    let server = TestServer::start(config()).await;
    let ada = user("ada");
    for number in 0..SIGN_OUTS_PER_USER_MAX {
        server.server.sign_out(&ada, Some(&number.to_string())).await.unwrap();
    }
    let (status, body) = delete(&server, "ada/sessions/one-more").await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("conflict")));
    assert!(body["error"]["message"].as_str().unwrap().contains("all of the user's"), "{body}");
    let refused = server.server.sign_out(&ada, Some("one-more")).await;
    assert!(matches!(refused, Err(SignOutError::TooMany)), "{refused:?}");
    assert_eq!(delete(&server, "ada/sessions").await.0, 204);
    assert_eq!(delete(&server, "ada/sessions/one-more").await.0, 204);
}

#[tokio::test]
async fn a_sign_out_needs_a_key_and_a_user_who_can_be_one() {
    let server = TestServer::start(config()).await;
    let http = reqwest::Client::new();
    for path in ["/v1/users/ada/sessions", "/v1/users/ada/sessions/s1"] {
        let token = fresh("s1");
        let answer = http.delete(server.http(path)).bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "nobody's token is a key");
    }
    let (status, body) = delete(&server, "%01/sessions").await;
    assert_eq!((status, &body["error"]["field"]), (400, &json!("user")));
    assert_eq!(delete(&server, "ada/sessions/%FF").await.0, 400);
}

#[tokio::test]
async fn a_token_lives_as_long_as_is_allowed_and_no_second_longer() {
    let lasting = |seconds: f64, made: Option<f64>| {
        let exp = made.unwrap_or_else(|| now().floor()) + seconds;
        signed(&json!({ "sub": "ada", "exp": exp, "iat": made }))
    };
    let server = TestServer::start(config()).await;
    let life = TOKEN_LIFE_MAX.as_secs_f64();
    // How long it has yet to live says nothing.
    for made in [now().floor(), now().floor() - life + 60.0] {
        assert!(!is_refused(&server, &lasting(life, Some(made))).await);
        let (status, error) = asked(&server, "ada", &lasting(life + 1.0, Some(made))).await;
        assert_eq!((status, &error["code"]), (401, &json!("unauthorized")));
        assert!(error["message"].as_str().unwrap().contains("100 days"), "{error}");
    }
    assert!(!is_refused(&server, &lasting(life - 1.0, None)).await);
    assert!(is_refused(&server, &lasting(life + PATIENCE.as_secs_f64(), None)).await);

    let rules = TokenRules::from(keys()).with_life_max(Duration::from_mins(1)).unwrap();
    let server = TestServer::start(tetherline_server::Config::new(rules)).await;
    assert!(!is_refused(&server, &lasting(60.0, Some(now().floor()))).await);
    assert!(is_refused(&server, &lasting(61.0, Some(now().floor()))).await);
}

#[tokio::test]
async fn whoever_has_a_token_that_has_ended_does_not_lock_its_user_out() {
    // What was tried with it was the user's: their fresh token met 429.
    let mut config = config();
    config.rates.connects_per_user = Some(Rate::per_minute(2));
    let server = TestServer::start(config).await;
    let stolen = fresh("s1");
    server.server.sign_out(&user("ada"), Some("s1")).await.unwrap();
    for _ in 0..20 {
        let mut request = server.request("/ws/user/ada");
        let shown = format!("Bearer {stolen}").parse().unwrap();
        request.headers_mut().insert("authorization", shown);
        assert_eq!(refused(request).await.0, 401);
    }
    server.connect_with("ada", "laptop", &fresh("s2")).await;
}
