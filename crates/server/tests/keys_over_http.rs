//! Publish keys over HTTP: made, looked at, changed by two at once, taken away, and never handed out by less.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use support::{API_KEY, TestServer, config};
use tempfile::TempDir;
use tetherline_server::{API_KEYS_MAX, ApiKeyFile, ApiKeys, Scope};

struct Keyed {
    server: TestServer,
    http: reqwest::Client,
    folder: TempDir,
}

impl Keyed {
    /// With the key of the configuration, too, which may do everything.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config();
        config.api_keys = ApiKeys::in_file(&folder.path().join("keys.json")).unwrap();
        let server = TestServer::start(config).await;
        Self { server, http: reqwest::Client::new(), folder }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        key: &str,
        body: &Value,
        if_match: Option<&str>,
    ) -> Response {
        let mut request = self.http.request(method, self.server.http(path)).bearer_auth(key);
        if let Some(tag) = if_match {
            request = request.header("If-Match", tag);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }

    async fn add(&self, key: &str, wish: &Value) -> (u16, Value) {
        read(self.ask(Method::POST, "/v1/keys", key, wish, None).await).await
    }

    async fn publishes(&self, key: &str, user: &str) -> u16 {
        let path = format!("/v1/users/{user}/messages");
        self.ask(Method::POST, &path, key, &json!({ "type": "t" }), None).await.status().as_u16()
    }
}

async fn read(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

fn etag(answer: &Response) -> String {
    answer.headers()["ETag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_is_made_counts_at_once_and_counts_no_more_once_it_is_removed() {
    let keyed = Keyed::start().await;
    let wish = json!({ "name": "billing", "scopes": ["publish"], "users": "org1|" });
    let made = keyed.ask(Method::POST, "/v1/keys", API_KEY, &wish, None).await;
    assert_eq!(made.headers()["Cache-Control"], "no-store");
    let (status, made) = read(made).await;
    assert_eq!(status, 201, "{made}");
    let key = made["key"].as_str().unwrap();
    assert_eq!(keyed.publishes(key, "org1|ada").await, 201);
    assert_eq!(keyed.publishes(key, "ada").await, 403);

    let (status, keys) =
        read(keyed.ask(Method::GET, "/v1/keys", API_KEY, &Value::Null, None).await).await;
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("key");
    assert_eq!((status, keys), (200, json!([shown])), "no key can be read there");
    // It is in the file that the command line reads, too.
    let file = ApiKeyFile::at(&keyed.folder.path().join("keys.json"));
    assert_eq!(file.list().unwrap()[0].scopes(), [Scope::Publish]);

    let path = "/v1/keys/billing";
    let gone = keyed.ask(Method::DELETE, path, API_KEY, &Value::Null, None).await;
    assert_eq!(gone.status(), 204);
    assert_eq!(keyed.publishes(key, "org1|ada").await, 401);
    for method in [Method::GET, Method::DELETE] {
        let (status, refusal) =
            read(keyed.ask(method, path, API_KEY, &Value::Null, None).await).await;
        assert_eq!((status, &refusal["error"]["code"]), (404, &json!("not_found")), "{refusal}");
    }
}

#[tokio::test]
async fn of_two_who_change_a_key_the_second_hears_of_the_first() {
    let keyed = Keyed::start().await;
    let (_, made) = keyed.add(API_KEY, &json!({ "name": "k", "scopes": ["publish"] })).await;
    let key = made["key"].as_str().unwrap();
    let seen = etag(&keyed.ask(Method::GET, "/v1/keys/k", API_KEY, &Value::Null, None).await);

    let narrower = json!({ "scopes": ["publish"], "users": "org1|" });
    let put = |body: Value, tag: Option<String>| {
        let keyed = &keyed;
        async move { keyed.ask(Method::PUT, "/v1/keys/k", API_KEY, &body, tag.as_deref()).await }
    };
    let changed = put(narrower.clone(), Some(seen.clone())).await;
    assert_eq!(changed.status(), 200);
    let now = etag(&changed);
    assert_ne!(now, seen);
    assert_eq!(keyed.publishes(key, "ada").await, 403, "it counts at once");

    let wider = json!({ "scopes": ["read", "publish"] });
    let (status, refusal) = read(put(wider.clone(), Some(seen.clone())).await).await;
    assert_eq!(status, 412, "{refusal}");
    assert_eq!(refusal["type"], "urn:x-tetherline:conflict");
    let (status, refusal) = read(put(wider.clone(), None).await).await;
    assert_eq!((status, &refusal["error"]["field"]), (428, &json!("If-Match")), "{refusal}");
    let (status, refusal) = read(put(wider.clone(), Some("W/\"x\"".to_owned())).await).await;
    assert_eq!(status, 400, "{refusal}");
    let path = "/v1/keys/k";
    let kept = keyed.ask(Method::DELETE, path, API_KEY, &Value::Null, Some(&seen)).await;
    assert_eq!(kept.status(), 412);
    assert_eq!(keyed.publishes(key, "org1|ada").await, 201, "it is as the first left it");

    assert_eq!(put(wider, Some("*".to_owned())).await.status(), 200);
    assert_eq!(keyed.publishes(key, "ada").await, 201);
}

#[tokio::test]
async fn no_key_hands_out_more_than_it_may_do_or_takes_over_one_that_may() {
    let keyed = Keyed::start().await;
    let key = async |wish: Value| {
        let (status, made) = keyed.add(API_KEY, &wish).await;
        assert_eq!(status, 201, "{made}");
        made["key"].as_str().unwrap().to_owned()
    };
    let keeper = key(json!({ "name": "keeper", "scopes": ["admin"] })).await;
    let of_some =
        key(json!({ "name": "some", "scopes": ["admin", "read", "publish"], "users": "o|" })).await;
    key(json!({ "name": "reader", "scopes": ["read"] })).await;

    let (status, refusal) =
        keyed.add(&keeper, &json!({ "name": "x", "scopes": ["admin", "publish"] })).await;
    assert_eq!((status, &refusal["error"]["field"]), (403, &json!("scopes")), "{refusal}");
    let widened = json!({ "scopes": ["admin"] });
    for (method, body) in [(Method::PUT, widened), (Method::DELETE, Value::Null)] {
        let answer = keyed.ask(method, "/v1/keys/reader", &keeper, &body, Some("*")).await;
        assert_eq!(answer.status(), 403);
    }
    assert_eq!(keyed.add(&keeper, &json!({ "name": "x", "scopes": ["admin"] })).await.0, 201);
    // Whoever is for some users only sees no other's keys either.
    for (method, path, body) in [
        (Method::GET, "/v1/keys", Value::Null),
        (Method::GET, "/v1/keys/reader", Value::Null),
        (Method::POST, "/v1/keys", json!({ "name": "y", "scopes": ["read"], "users": "o|" })),
        (Method::PUT, "/v1/keys/reader", json!({ "scopes": ["read"] })),
        (Method::DELETE, "/v1/keys/reader", Value::Null),
    ] {
        let answer = keyed.ask(method.clone(), path, &of_some, &body, Some("*")).await;
        assert_eq!(answer.status(), 403, "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_no_key_is_refused_with_what_is_wrong_with_it() {
    let keyed = Keyed::start().await;
    for (wish, field) in [
        (json!({ "name": "a b", "scopes": ["read"] }), "body"),
        (json!({ "name": "k", "scopes": ["write"] }), "scopes"),
        (json!({ "name": "k", "scopes": [] }), "scopes"),
        (json!({ "name": "k" }), "body"),
        (json!({ "name": "k", "scopes": ["read"], "user": "ada" }), "body"),
        (json!({ "name": "k", "scopes": ["read"], "users": "a/b" }), "body"),
        // It was a key for everybody.
        (json!({ "name": "k", "scopes": ["read"], "users": null }), "body"),
    ] {
        let (status, refusal) = keyed.add(API_KEY, &wish).await;
        assert_eq!((status, &refusal["error"]["field"]), (400, &json!(field)), "{refusal}");
    }
    let wish = json!({ "name": "k", "scopes": ["read"] });
    assert_eq!(keyed.add(API_KEY, &wish).await.0, 201);
    let (status, refusal) = keyed.add(API_KEY, &wish).await;
    assert_eq!(status, 409, "{refusal}");
    assert!(refusal["detail"].as_str().unwrap().contains("called k already"), "{refusal}");
    assert_eq!(keyed.add("wrong", &wish).await.0, 401);
}

#[tokio::test]
async fn there_are_no_more_keys_than_there_may_be() {
    let keyed = Keyed::start().await;
    let file = ApiKeyFile::at(&keyed.folder.path().join("keys.json"));
    for n in 1..API_KEYS_MAX {
        file.add(&format!("k{n}").parse().unwrap(), &[Scope::Read], None).unwrap();
    }
    assert_eq!(keyed.add(API_KEY, &json!({ "name": "last", "scopes": ["read"] })).await.0, 201);
    let (status, refusal) =
        keyed.add(API_KEY, &json!({ "name": "more", "scopes": ["read"] })).await;
    assert_eq!(status, 409, "{refusal}");
}

#[tokio::test]
async fn a_server_without_a_file_of_keys_says_so() {
    let server = TestServer::start(config()).await;
    let http = reqwest::Client::new();
    let answer = http.get(server.http("/v1/keys")).bearer_auth(API_KEY).send().await.unwrap();
    let (status, refusal) = read(answer).await;
    assert_eq!(status, 404, "{refusal}");
    assert_eq!(refusal["detail"], "This server has no file of keys.");
}
