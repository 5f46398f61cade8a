//! Publish keys: each for some things only, and perhaps for some users, withdrawn while the server runs.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::PathBuf,
    time::{Duration, Instant},
};

use futures_util::stream;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use support::{API_KEY, TestServer, config, eventually, token};
use tempfile::TempDir;
use tetherline_server::{
    API_KEYS_BYTES_MAX, API_KEYS_MAX, ApiKeyFile, ApiKeyFileError, ApiKeyName, ApiKeys, Config,
    Scope, UserPrefix,
};
use tokio::sync::oneshot;

/// Takes up what is written within a second; a machine that is busy may take longer.
const SOON: Duration = Duration::from_secs(5);

/// A server whose keys are in a file.
struct Keyed {
    server: TestServer,
    http: reqwest::Client,
    keys: ApiKeyFile,
    path: PathBuf,
    _folder: TempDir,
}

impl Keyed {
    async fn start() -> Self {
        let mut config = config();
        config.api_key = None;
        Self::start_as(config).await
    }

    async fn start_as(mut config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        config.api_keys = ApiKeys::in_file(&path).unwrap();
        let server = TestServer::start(config).await;
        let keys = ApiKeyFile::at(&path);
        Self { server, http: reqwest::Client::new(), keys, path, _folder: folder }
    }

    fn request(&self, method: Method, path: &str, key: &str) -> RequestBuilder {
        self.http.request(method, self.server.http(path)).bearer_auth(key)
    }

    async fn asked(&self, method: Method, path: &str, key: &str, body: &str) -> (u16, Value) {
        let request = self.request(method, path, key).body(body.to_owned());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
    }

    /// The status of a message to ada.
    async fn publishes(&self, key: &str) -> u16 {
        self.asked(Method::POST, "/v1/users/ada/messages", key, r#"{"type":"t"}"#).await.0
    }

    /// A key that the server has heard of.
    async fn key(&self, named: &str, scopes: &[Scope], users: Option<&str>) -> String {
        let users: Option<UserPrefix> = users.map(|users| users.parse().unwrap());
        let key = self.keys.add(&name(named), scopes, users.as_ref()).unwrap();
        eventually(|| async { self.publishes(&key).await != 401 }).await;
        key
    }
}

fn name(text: &str) -> ApiKeyName {
    text.parse().unwrap()
}

/// Every route that wants a key, and what for.
const ROUTES: [(Method, &str, &str, Scope); 18] = [
    (Method::POST, "/v1/users/ada/messages", r#"{"type":"t"}"#, Scope::Publish),
    (Method::POST, "/v1/users/ada/messages?durable=false", r#"{"type":"t"}"#, Scope::Publish),
    (Method::POST, "/v1/messages", "[]", Scope::Publish),
    (Method::POST, "/v1/users/ada/streams", r#"{"message_uuid":"a1"}"#, Scope::Publish),
    (Method::POST, "/v1/users/ada/streams/a1/1/text", r#"{"text":"x"}"#, Scope::Publish),
    (Method::GET, "/v1/users/ada/streams/a1", "", Scope::Read),
    (Method::POST, "/v1/users/ada/streams/a1/1/finish", "", Scope::Publish),
    (Method::DELETE, "/v1/users/ada/streams/a1/1", "", Scope::Publish),
    (Method::GET, "/v1/users/ada", "", Scope::Read),
    (Method::GET, "/v1/users/ada/devices", "", Scope::Read),
    (Method::GET, "/v1/users/ada/presence", "", Scope::Read),
    (Method::GET, "/v1/users/ada/streams", "", Scope::Read),
    (Method::GET, "/v1/users/ada/inspection", "", Scope::Admin),
    (Method::GET, "/v1/users/ada/sessions", "", Scope::Admin),
    (Method::POST, "/v1/users/ada/disconnect", "", Scope::Admin),
    (Method::DELETE, "/v1/users/ada/sessions/s1", "", Scope::Admin),
    (Method::DELETE, "/v1/users/ada/sessions", "", Scope::Admin),
    (Method::DELETE, "/v1/users/ada", "", Scope::Admin),
];

/// Those that need more than one scope, a key for everybody or somebody who is connected, or that have no end: below, and
/// in `look.rs`, `tickets.rs` and `keys_over_http.rs`.
const TRIED_ELSEWHERE: [(Method, &str); 10] = [
    (Method::DELETE, "/v1/users/ada/connections/c1"),
    (Method::GET, "/v1/users/ada/trace"),
    (Method::GET, "/v1/users/ada/messages"),
    (Method::POST, "/v1/presence"),
    (Method::POST, "/v1/tickets"),
    (Method::GET, "/v1/keys"),
    (Method::POST, "/v1/keys"),
    (Method::GET, "/v1/keys/k"),
    (Method::PUT, "/v1/keys/k"),
    (Method::DELETE, "/v1/keys/k"),
];

#[test]
fn as_many_keys_as_there_may_be_fit_their_file_however_long_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let (file, longest) = (ApiKeyFile::at(&path), "\"".repeat(255).parse().unwrap());
    for n in 0..API_KEYS_MAX {
        file.add(&name(&format!("{n:064}")), &Scope::ALL, Some(&longest)).unwrap();
    }
    let bytes = fs::metadata(&path).unwrap().len();
    assert!(bytes <= API_KEYS_BYTES_MAX, "{bytes}");
    assert_eq!(ApiKeys::in_file(&path).unwrap().count(), API_KEYS_MAX);
}

#[tokio::test]
async fn following_a_user_and_closing_one_connection_need_the_scope_admin() {
    let keyed = Keyed::start().await;
    let reader = keyed.key("reader", &[Scope::Read, Scope::Publish], None).await;
    let keeper = keyed.key("keeper", &[Scope::Admin], None).await;
    let (trace, one) = ("/v1/users/ada/trace", "/v1/users/ada/connections/c1");
    for (method, path) in [(Method::GET, trace), (Method::DELETE, one)] {
        assert_eq!(keyed.asked(method, path, &reader, "").await.0, 403, "{path}");
    }
    assert_eq!(keyed.asked(Method::DELETE, one, &keeper, "").await.0, 404);
    let followed = keyed.request(Method::GET, trace, &keeper).send().await.unwrap();
    assert_eq!(followed.status(), 200);
}

/// Those that the description has, so that none is left out above.
#[test]
fn every_route_that_needs_a_key_is_tried() {
    let description = include_str!("../../../docs/openapi.json");
    let description: Value = serde_json::from_str(description).unwrap();
    let is_of = |path: &str, template: &str| {
        let path = path.split('?').next().unwrap().split('/');
        let template = template.split('/');
        path.clone().count() == template.clone().count()
            && path.zip(template).all(|(part, of)| part == of || of.starts_with('{'))
    };
    for (template, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let here = ROUTES.iter().map(|(tried, path, ..)| (tried, path));
            let elsewhere = TRIED_ELSEWHERE.iter().map(|(tried, path)| (tried, path));
            let is_tried = here.chain(elsewhere).any(|(tried, path)| {
                tried.as_str().eq_ignore_ascii_case(method) && is_of(path, template)
            });
            assert_eq!(is_tried, operation.get("security").is_some(), "{method} {template}");
        }
    }
}

#[tokio::test]
async fn every_route_needs_a_key_of_its_scope_and_no_other() {
    let keyed = Keyed::start().await;
    for scope in Scope::ALL {
        let right = keyed.key(scope.as_str(), &[scope], None).await;
        let others: Vec<Scope> = Scope::ALL.into_iter().filter(|other| *other != scope).collect();
        let wrong = keyed.key(&format!("no-{}", scope.as_str()), &others, None).await;
        for (method, path, body, _) in ROUTES.iter().filter(|(.., needed)| *needed == scope) {
            let (status, refusal) = keyed.asked(method.clone(), path, &wrong, body).await;
            let error = &refusal["error"];
            assert_eq!((status, &error["code"]), (403, &json!("forbidden")), "{method} {path}");
            assert!(error["message"].as_str().unwrap().contains(scope.as_str()), "{refusal}");
            let (status, answer) = keyed.asked(method.clone(), path, &right, body).await;
            assert!((200..300).contains(&status), "{method} {path}: {answer}");
        }
        // Of those that are for other users the scope says no more.
        let (status, _) = keyed.asked(Method::GET, "/v1/users/nobody", &right, "").await;
        assert_eq!(status, if scope == Scope::Read { 200 } else { 403 });
    }
}

#[tokio::test]
async fn how_far_a_stream_is_says_nothing_of_its_text_to_who_does_not_write() {
    // A key that is for numbers only read what a user is told.
    let keyed = Keyed::start().await;
    let writer = keyed.key("writer", &[Scope::Publish, Scope::Read], None).await;
    let reader = keyed.key("reader", &[Scope::Read, Scope::Admin], None).await;
    let [opening, text] = [r#"{"message_uuid":"a1"}"#, r#"{"text":"secret"}"#];
    keyed.asked(Method::POST, "/v1/users/ada/streams", &writer, opening).await;
    keyed.asked(Method::POST, "/v1/users/ada/streams/a1/1/text", &writer, text).await;
    let far = json!({ "message_uuid": "a1", "attempt": 1, "phase": "open", "next_offset": 6 });
    let asked = keyed.asked(Method::GET, "/v1/users/ada/streams/a1", &reader, "").await;
    assert_eq!(asked, (200, far));
    let (_, with_text) = keyed.asked(Method::GET, "/v1/users/ada/streams/a1", &writer, "").await;
    assert_eq!((&with_text["text"], &with_text["next_offset"]), (&json!("secret"), &json!(6)));
}

#[tokio::test]
async fn a_key_for_some_users_says_nothing_of_others() {
    let keyed = Keyed::start().await;
    let key = keyed.key("some", &Scope::ALL, Some("ad")).await;
    keyed.server.publish("bob", r#"{"type":"t"}"#).await;
    let mut refusals = Vec::new();
    for other in ["bob", "nobody", "a", "Ada"] {
        for (method, path, body, _) in &ROUTES {
            if *path == "/v1/messages" {
                continue;
            }
            let path = path.replace("/ada", &format!("/{other}"));
            let (status, refusal) = keyed.asked(method.clone(), &path, &key, body).await;
            assert_eq!((status, &refusal["error"]["code"]), (403, &json!("forbidden")), "{path}");
            refusals.push(refusal);
        }
    }
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
    let items = json!([
        { "user": "ada", "message": { "type": "t" } },
        { "user": "bob", "message": { "type": "t" } },
        { "users": ["adam", "bob", "nobody"], "message": { "type": "t" } },
        { "everybody": true, "durable": false, "message": { "type": "t" } },
        { "user": "bob", "durable": false, "message": { "type": "t" } },
    ]);
    let (status, answers) =
        keyed.asked(Method::POST, "/v1/messages", &key, &items.to_string()).await;
    assert_eq!(status, 207);
    let status = |answer: &Value| answer["status"].as_u64().unwrap();
    let statuses: Vec<u64> = answers.as_array().unwrap().iter().map(status).collect();
    assert_eq!(statuses, [201, 403, 207, 403, 403], "{answers}");
    let each: Vec<u64> = answers[2]["users"].as_array().unwrap().iter().map(status).collect();
    assert_eq!(each, [201, 403, 403], "{answers}");
    assert_eq!(answers[1]["error"]["code"], "forbidden");
    assert_eq!(keyed.server.server.head(&"bob".parse().unwrap()).await.unwrap().seq.get(), 1);
}

#[tokio::test]
async fn a_key_counts_from_within_a_second_on_and_does_not_any_more_when_it_is_removed() {
    let keyed = Keyed::start().await;
    assert_eq!(keyed.publishes("tlk_0123456789012345678901234567890123456789012").await, 401);
    let began = Instant::now();
    let first = keyed.key("first", &[Scope::Publish], None).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert!(first.starts_with("tlk_") && first.len() == 47, "{first}");
    let second = keyed.key("second", &[Scope::Publish], None).await;
    assert_eq!(keyed.publishes(&first).await, 201);
    let mut lookalike = first.clone();
    let last = if lookalike.pop() == Some('A') { 'E' } else { 'A' };
    lookalike.push(last);
    for wrong in [&lookalike, &first[..46], &format!("{first}A"), &first.replace("tlk_", "tlk-")] {
        assert_eq!(keyed.publishes(wrong).await, 401, "{wrong}");
    }
    assert_eq!(keyed.publishes(&token("ada")).await, 401, "nobody's token is a key");
    let began = Instant::now();
    keyed.keys.remove(&name("first")).unwrap();
    eventually(|| async { keyed.publishes(&first).await == 401 }).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(keyed.publishes(&second).await, 201);
    // Nobody gets the name's old key by taking the name.
    keyed.key("first", &[Scope::Publish], None).await;
    assert_eq!(keyed.publishes(&first).await, 401);
}

#[tokio::test]
async fn the_one_key_of_before_goes_on_to_be_for_everything() {
    let keyed = Keyed::start_as(config()).await;
    let named = keyed.key("named", &[Scope::Publish], None).await;
    for (method, path, body, _) in &ROUTES {
        let (status, answer) = keyed.asked(method.clone(), path, API_KEY, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {answer}");
    }
    assert_eq!(keyed.publishes(&named).await, 201);
}

#[tokio::test]
async fn a_file_that_is_nonsense_or_gone_changes_nothing_while_the_server_runs() {
    let keyed = Keyed::start().await;
    let first = keyed.key("first", &[Scope::Publish], None).await;
    let good = fs::read_to_string(&keyed.path).unwrap();
    let long = " ".repeat(API_KEYS_BYTES_MAX as usize) + &good;
    for nonsense in
        ["", "{", "[]", r#"{"version":2,"keys":[]}"#, &good.replace("publish", "all"), &long]
    {
        fs::write(&keyed.path, nonsense).unwrap();
        assert!(keyed.keys.list().is_err(), "{nonsense}");
        assert!(ApiKeys::in_file(&keyed.path).is_err(), "no start with it");
        assert!(matches!(keyed.keys.remove(&name("first")), Err(ApiKeyFileError::Nonsense { .. })));
    }
    // Longer than it takes to be looked at.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(keyed.publishes(&first).await, 201);
    fs::remove_file(&keyed.path).unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(keyed.publishes(&first).await, 201);
    // And then it is right again.
    let second = keyed.key("second", &[Scope::Publish], None).await;
    assert_eq!(keyed.publishes(&first).await, 401, "it is not in the new file");
    assert_eq!(keyed.publishes(&second).await, 201);
}

#[tokio::test]
async fn a_long_request_is_cut_when_its_key_is_withdrawn_and_a_short_one_ends() {
    let keyed = Keyed::start().await;
    let key = keyed.key("writer", &[Scope::Publish, Scope::Read], None).await;
    let text = r#"{"message_uuid":"a1"}"#;
    assert_eq!(keyed.asked(Method::POST, "/v1/users/ada/streams", &key, text).await.0, 201);
    // One line, and then nothing.
    let line = stream::iter([Ok::<_, std::io::Error>("{\"text\":\"one\"}\n")]);
    let body = reqwest::Body::wrap_stream(stream::StreamExt::chain(line, stream::pending()));
    let long = keyed.request(Method::POST, "/v1/users/ada/streams/a1/1/text", &key);
    let long = tokio::spawn(long.header("content-type", "application/x-ndjson").body(body).send());
    let path = "/v1/users/ada/streams/a1";
    eventually(|| async { keyed.asked(Method::GET, path, &key, "").await.1["next_offset"] == 3 })
        .await;
    // A message of which the second half comes when the key is gone.
    let (more, rest) = oneshot::channel::<()>();
    let halves = stream::unfold((0, Some(rest)), |(half, rest)| async move {
        match (half, rest) {
            (0, rest) => Some((Ok::<_, std::io::Error>(r#"{"type":"#), (1, rest))),
            (1, Some(rest)) => {
                rest.await.unwrap();
                Some((Ok(r#""t"}"#), (2, None)))
            }
            _ => None,
        }
    });
    let short = keyed.request(Method::POST, "/v1/users/ada/messages", &key);
    let short = tokio::spawn(short.body(reqwest::Body::wrap_stream(halves)).send());
    // Whoever is asked now has asked after it.
    assert_eq!(keyed.publishes(&key).await, 201);

    let began = Instant::now();
    keyed.keys.remove(&name("writer")).unwrap();
    let answer = long.await.unwrap().unwrap();
    assert_eq!(answer.status().as_u16(), 401);
    assert!(answer.text().await.unwrap().contains("withdrawn"));
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(keyed.publishes(&key).await, 401);
    more.send(()).unwrap();
    assert_eq!(short.await.unwrap().unwrap().status().as_u16(), 201);
}

#[tokio::test]
async fn a_key_is_made_once_and_what_is_kept_of_it_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/keys.json");
    let keys = ApiKeyFile::at(&path);
    assert_eq!(keys.list().unwrap(), []);
    let prefix: UserPrefix = "auth0|".parse().unwrap();
    let key =
        keys.add(&name("a"), &[Scope::Admin, Scope::Publish, Scope::Admin], Some(&prefix)).unwrap();
    let kept = fs::read_to_string(&path).unwrap();
    assert!(!kept.contains(&key[4..]), "{kept}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let listed = keys.list().unwrap();
    assert_eq!(listed[0].scopes(), [Scope::Publish, Scope::Admin]);
    assert_eq!((listed[0].name(), listed[0].users()), (&name("a"), Some(&prefix)));
    assert!(matches!(keys.add(&name("a"), &[Scope::Read], None), Err(ApiKeyFileError::Taken(_))));
    assert!(matches!(keys.remove(&name("b")), Err(ApiKeyFileError::Unknown(_))));
    for number in 1..API_KEYS_MAX {
        keys.add(&name(&format!("k{number}")), &[Scope::Read], None).unwrap();
    }
    assert!(matches!(keys.add(&name("more"), &[Scope::Read], None), Err(ApiKeyFileError::TooMany)));
    assert_eq!(ApiKeys::in_file(&path).unwrap().count(), API_KEYS_MAX);
    for wrong in ["", "a b", "ü", &"x".repeat(65)] {
        assert!(wrong.parse::<ApiKeyName>().is_err(), "{wrong}");
    }
    for wrong in ["", "a/b", "\n", &"x".repeat(256)] {
        assert!(wrong.parse::<UserPrefix>().is_err(), "{wrong}");
    }
    assert!("all".parse::<Scope>().is_err());
}

#[test]
fn what_root_writes_stays_the_servers() {
    // Keys that root had changed were root's: the server could not read them, and a removed one went on to count.
    const SERVER: u32 = 61_234;
    let folder = tempfile::tempdir().unwrap();
    if chown(folder.path(), Some(SERVER), Some(SERVER)).is_err() {
        eprintln!("skipped: only root may give a folder away");
        return;
    }
    let path = folder.path().join("keys.json");
    let (file, [one, two]) = (ApiKeyFile::at(&path), ["one", "two"].map(|it| it.parse().unwrap()));
    let owner = || fs::metadata(&path).map(|it| (it.uid(), it.gid(), it.mode() & 0o777)).unwrap();
    file.add(&one, &[Scope::Publish], None).unwrap();
    assert_eq!(owner(), (SERVER, SERVER, 0o600), "the folder's");
    chown(&path, Some(SERVER + 1), Some(SERVER + 2)).unwrap();
    file.add(&two, &[Scope::Publish], None).unwrap();
    assert_eq!(owner(), (SERVER + 1, SERVER + 2, 0o600), "the file's of before");
    file.remove(&one).unwrap();
    assert_eq!(owner(), (SERVER + 1, SERVER + 2, 0o600));
}
