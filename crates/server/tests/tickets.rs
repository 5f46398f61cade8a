//! Tickets: what stands for a token once.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use support::{
    API_KEY, Client, ORIGIN, TestServer, config, eventually, keys, now, refused, signed, token,
    user,
};
use tetherline_protocol::limits::TOKEN_LEEWAY_MS;
use tetherline_server::{
    ApiKeyFile, ApiKeys, Scope, TICKET_CONNECTION_TIMEOUT, TICKET_REQUEST_BYTES_MAX,
    TICKETS_PER_USER_MAX, issue_token,
};

const LEEWAY_SECS: f64 = TOKEN_LEEWAY_MS as f64 / 1_000.0;

async fn asked(server: &TestServer, credential: &str, body: &str) -> (u16, Value) {
    let request = reqwest::Client::new().post(server.http("/v1/tickets"));
    let answer = request.bearer_auth(credential).body(body.to_owned()).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap())
}

async fn ticket(server: &TestServer, credential: &str, body: &str) -> String {
    let (status, issued) = asked(server, credential, body).await;
    assert_eq!((status, &issued["expires_in_ms"]), (201, &json!(30_000)), "{issued}");
    issued["ticket"].as_str().unwrap().to_owned()
}

async fn connect(server: &TestServer, path: &str) -> Client {
    Client::open(server.request(path)).await.unwrap()
}

/// The error with which a ticket is refused, as it was.
async fn not_taken(server: &TestServer, path: &str) -> Value {
    let (status, _, body) = refused(server.request(path)).await;
    assert_eq!(status, 401, "{path}: {body}");
    body
}

#[tokio::test]
async fn a_ticket_opens_one_connection_of_its_user() {
    let server = TestServer::start(config()).await;
    let minute = issue_token(&keys(), &user("ada"), Some("s1"), Duration::from_mins(1));
    let (first, second) =
        (ticket(&server, &minute, "").await, ticket(&server, &minute, "{}").await);
    assert!(first.len() == 32 && first != second);
    let path = format!("/ws/user/ada?device=laptop&ticket={first}");
    let mut client = connect(&server, &path).await;
    assert_eq!(client.established["user_uuid"], "ada");
    // It lasts as long as the token that the ticket stood for.
    let left = client.established["token_expires_in_ms"].as_u64().unwrap();
    assert!(left <= 60_000 + TOKEN_LEEWAY_MS && left > 30_000, "{left}");
    let wrong = not_taken(&server, &format!("/ws/user/ada?ticket={}", "A".repeat(32))).await;
    assert_eq!(wrong["error"]["code"], "unauthorized");
    for path in [path, format!("/ws?ticket={first}"), "/ws/user/ada?ticket=".into()] {
        assert_eq!(not_taken(&server, &path).await, wrong, "{path}");
    }
    // A good token beside it does not help.
    let probe = reqwest::Client::new().get(server.http(&format!("/ws/user/ada?ticket={first}")));
    assert_eq!(probe.bearer_auth(token("ada")).send().await.unwrap().status(), 401);
    let mut whoever = connect(&server, &format!("/ws?ticket={second}")).await;
    assert_eq!(whoever.established["user_uuid"], "ada");
    whoever.assert_quiet().await;
    // As others it is renewed with a token, and with no other user's.
    let renewal = |name| json!({ "type": "authenticate", "token": token(name) }).to_string();
    client.send(&renewal("ada")).await;
    client.assert_quiet().await;
    client.send(&renewal("bob")).await;
    assert_eq!(client.closed().await, 4403);
}

#[tokio::test]
async fn anothers_ticket_is_a_wrong_one_and_stays_good_for_its_user() {
    let server = TestServer::start(config()).await;
    let adas = ticket(&server, &token("ada"), "").await;
    let wrong = not_taken(&server, &format!("/ws/user/bob?ticket={}", "A".repeat(32))).await;
    for name in ["bob", "nobody", "%01"] {
        assert_eq!(not_taken(&server, &format!("/ws/user/{name}?ticket={adas}")).await, wrong);
    }
    connect(&server, &format!("/ws/user/ada?ticket={adas}")).await;
}

#[tokio::test]
async fn whoever_looks_without_an_upgrade_has_used_it() {
    let server = TestServer::start(config()).await;
    let path = format!("/ws/user/ada?ticket={}", ticket(&server, &token("ada"), "").await);
    let look = async || reqwest::get(server.http(&path)).await.unwrap().status().as_u16();
    assert_eq!((look().await, look().await), (426, 401));
    not_taken(&server, &path).await;
}

#[tokio::test]
async fn an_application_gets_tickets_for_its_users_with_a_key_for_that() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let file = ApiKeyFile::at(&path);
    let add = |name: &str, scopes: &[Scope], users: Option<&str>| {
        let users = users.map(|users| users.parse().unwrap());
        file.add(&name.parse().unwrap(), scopes, users.as_ref()).unwrap()
    };
    let admin = add("admin", &[Scope::Admin], Some("ad"));
    let publisher = add("publisher", &[Scope::Publish, Scope::Read], None);
    let mut config = config();
    config.api_keys = ApiKeys::in_file(&path).unwrap();
    let server = TestServer::start(config).await;
    for key in [&admin, API_KEY] {
        let ticket = ticket(&server, key, r#"{"user":"ada"}"#).await;
        let client = connect(&server, &format!("/ws/user/ada?ticket={ticket}")).await;
        let left = client.established["token_expires_in_ms"].as_u64().unwrap();
        let all = TICKET_CONNECTION_TIMEOUT.as_millis() as u64;
        assert!(left <= all && left + 30_000 > all, "{left}");
    }
    let refusal = async |credential: &str, body: &str| {
        let (status, refusal) = asked(&server, credential, body).await;
        (status, refusal["error"]["field"].as_str().unwrap_or_default().to_owned())
    };
    let for_ada = r#"{"user":"ada"}"#;
    assert_eq!(refusal(&publisher, for_ada).await, (403, String::new()));
    assert_eq!(refusal(&admin, r#"{"user":"bob"}"#).await, (403, "user".into()));
    assert_eq!(refusal(&token("bob"), for_ada).await, (403, "user".into()));
    assert_eq!(refusal("tlk_wrong", for_ada).await, (401, String::new()));
    for body in ["", "{}", "[]", r#"{"user":"a/b"}"#, r#"{"user":"ada","more":1}"#, "nonsense"] {
        assert_eq!(refusal(&admin, body).await, (400, "user".into()), "{body}");
        let (_, said) = asked(&server, &admin, body).await;
        let fixed = "The body is {\"user\": …} with a user's id, or nothing.";
        let named = "The body says for whom: {\"user\": …}.";
        let message = said["error"]["message"].as_str().unwrap();
        assert!([fixed, named].contains(&message), "nothing of what was sent: {said}");
    }
    assert_eq!(refusal(&admin, &" ".repeat(5_000)).await.0, 413);
    let padded = |length: usize| format!("{:<length$}", r#"{"user":"ada"}"#);
    assert_eq!(asked(&server, API_KEY, &padded(TICKET_REQUEST_BYTES_MAX)).await.0, 201);
    let (status, said) = asked(&server, API_KEY, &padded(TICKET_REQUEST_BYTES_MAX + 1)).await;
    assert_eq!(status, 413);
    assert!(said["detail"].as_str().unwrap().contains("TICKET_REQUEST_BYTES_MAX"), "{said}");
    let nobody = reqwest::Client::new().post(server.http("/v1/tickets")).send().await.unwrap();
    assert_eq!(nobody.status(), 401);
}

#[tokio::test]
async fn a_ticket_of_a_key_that_was_withdrawn_opens_nothing() {
    // It opened a connection for an hour.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let (file, name) = (ApiKeyFile::at(&path), "admin".parse().unwrap());
    let admin = file.add(&name, &[Scope::Admin], None).unwrap();
    let mut config = config();
    config.api_keys = ApiKeys::in_file(&path).unwrap();
    let server = TestServer::start(config).await;
    let for_ada = r#"{"user":"ada"}"#;
    let [early, late] =
        [ticket(&server, &admin, for_ada).await, ticket(&server, &admin, for_ada).await];
    connect(&server, &format!("/ws/user/ada?ticket={early}")).await;
    file.remove(&name).unwrap();
    // Another key of that name is another key.
    file.add(&name, &[Scope::Admin], None).unwrap();
    eventually(|| async { asked(&server, &admin, for_ada).await.0 == 401 }).await;
    not_taken(&server, &format!("/ws/user/ada?ticket={late}")).await;
}

#[tokio::test]
async fn what_a_ticket_opened_ends_with_its_token_and_with_a_sign_out() {
    let server = TestServer::start(config()).await;
    let short = signed(&json!({ "sub": "ada", "exp": now() + 3.0 - LEEWAY_SECS }));
    let short = ticket(&server, &short, "").await;
    let mut client = connect(&server, &format!("/ws/user/ada?ticket={short}")).await;
    assert_eq!(client.closed().await, 4401);

    let of = |session| issue_token(&keys(), &user("ada"), Some(session), Duration::from_mins(1));
    let before = of("s2");
    let mut opened = Vec::new();
    let mut unused = Vec::new();
    for session in ["s1", "s2"] {
        let ticket_of = ticket(&server, &of(session), "").await;
        opened.push(connect(&server, &format!("/ws/user/ada?ticket={ticket_of}")).await);
        unused.push(format!("/ws/user/ada?ticket={}", ticket(&server, &of(session), "").await));
    }
    let vouched = ticket(&server, API_KEY, r#"{"user":"ada"}"#).await;
    server.server.sign_out(&user("ada"), Some("s1")).await.unwrap();
    assert_eq!(opened[0].closed().await, 4401);
    not_taken(&server, &unused[0]).await;
    opened[1].assert_quiet().await;
    server.server.sign_out(&user("ada"), None).await.unwrap();
    assert_eq!(opened[1].closed().await, 4401);
    not_taken(&server, &unused[1]).await;
    not_taken(&server, &format!("/ws/user/ada?ticket={vouched}")).await;
    assert_eq!(asked(&server, &before, "").await.0, 401, "no ticket for whoever is signed out");
    eventually(|| async { server.server.connections() == 0 }).await;
}

#[tokio::test]
async fn so_many_tickets_of_a_user_may_be_unused() {
    let server = TestServer::start(config()).await;
    let mut last = String::new();
    for _ in 0..TICKETS_PER_USER_MAX {
        last = ticket(&server, &token("ada"), "").await;
    }
    let (status, refusal) = asked(&server, &token("ada"), "").await;
    assert_eq!((status, &refusal["error"]["code"]), (429, &json!("rate_limited")));
    assert_eq!(refusal["error"]["retry_after_ms"], 30_000);
    ticket(&server, &token("bob"), "").await;
    connect(&server, &format!("/ws/user/ada?ticket={last}")).await;
    ticket(&server, &token("ada"), "").await;
}

#[tokio::test]
async fn pages_that_may_connect_may_ask_for_tickets() {
    let server = TestServer::start(config()).await;
    let http = reqwest::Client::new();
    let ask = |method: Method, origin: &'static str| {
        let request = http.request(method, server.http("/v1/tickets")).header("origin", origin);
        request.bearer_auth(token("ada")).send()
    };
    let preflight = ask(Method::OPTIONS, ORIGIN).await.unwrap();
    assert_eq!(preflight.status(), 204);
    assert_eq!(preflight.headers()["access-control-allow-methods"], "POST");
    let issued = ask(Method::POST, ORIGIN).await.unwrap();
    assert_eq!(
        (issued.status().as_u16(), &issued.headers()["cache-control"]),
        (201, &"no-store".parse().unwrap())
    );
    assert_eq!(issued.headers()["access-control-allow-origin"], ORIGIN);
    for method in [Method::OPTIONS, Method::POST] {
        assert_eq!(ask(method, "https://evil.example").await.unwrap().status(), 403);
    }
}
