//! Publish keys over HTTP: made, looked at, changed by two at once, taken away, and never handed out by less.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::time::Duration;

use futures_util::{Stream, future::join_all, stream::poll_fn};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use support::{API_KEY, PATIENCE, TestServer, config};
use tempfile::TempDir;
use tetherline_server::{API_KEYS_MAX, ApiKey, ApiKeyFile, ApiKeys, KEY_REQUEST_BYTES_MAX, Scope};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};

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

    // Whoever leaves out for whom a key is would make it one for everybody.
    for nobodys in [
        json!({ "scopes": ["publish"] }),
        json!({ "scopes": ["publish"], "everybody": true, "users": "a" }),
    ] {
        let tag = Some(seen.as_str());
        let answer = keyed.ask(Method::PUT, "/v1/keys/k", API_KEY, &nobodys, tag).await;
        assert_eq!(answer.status(), 400);
    }

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

    let wider = json!({ "scopes": ["read", "publish"], "everybody": true });
    let (status, refusal) = read(put(wider.clone(), Some(seen.clone())).await).await;
    assert_eq!(status, 412, "{refusal}");
    assert_eq!(refusal["type"], "urn:x-tetherline:conflict");
    let (status, refusal) = read(put(wider.clone(), None).await).await;
    assert_eq!((status, &refusal["error"]["field"]), (428, &json!("If-Match")), "{refusal}");
    for (tag, expected) in [("W/\"x\"", 412), ("\"x\", \"y\"", 412), ("x", 400), ("", 400)] {
        let (status, refusal) = read(put(wider.clone(), Some(tag.to_owned())).await).await;
        assert_eq!(status, expected, "{tag}: {refusal}");
    }
    let path = "/v1/keys/k";
    let kept = keyed.ask(Method::DELETE, path, API_KEY, &Value::Null, Some(&seen)).await;
    assert_eq!(kept.status(), 412);
    assert_eq!(keyed.publishes(key, "org1|ada").await, 201, "it is as the first left it");

    // A proxy that compresses makes a tag weak.
    assert_eq!(put(wider.clone(), Some(format!("\"x\", W/{now}"))).await.status(), 200);
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
    let widened = json!({ "scopes": ["admin"], "everybody": true });
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
        (Method::PUT, "/v1/keys/reader", json!({ "scopes": ["read"], "users": "o|" })),
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

/// A request of which all is sent but the last byte of its body.
async fn nearly_sent(keyed: &Keyed, key: &str, body: &str) -> TcpStream {
    let mut socket = TcpStream::connect(keyed.server.address).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST /v1/keys HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&body.as_bytes()[..length - 1]).await.unwrap();
    socket
}

async fn rest_of(mut socket: TcpStream) -> String {
    socket.write_all(b"}").await.unwrap();
    let mut answer = [0; 4096];
    let length = timeout(PATIENCE, socket.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn a_key_that_was_taken_back_makes_no_further_key() {
    // Its request was on the way, and was asked for its key before its body came: taking back a stolen key of the scope
    // admin did not end who had stolen it.
    let keyed = Keyed::start().await;
    let stolen = json!({ "name": "stolen", "scopes": ["admin"] });
    let (_, made) = keyed.add(API_KEY, &stolen).await;
    let stolen = made["key"].as_str().unwrap();
    let wish = r#"{"name":"backdoor","scopes":["admin"]}"#;
    let under_way = nearly_sent(&keyed, stolen, wish).await;
    let narrowed = nearly_sent(&keyed, stolen, wish).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let use_ = json!({ "scopes": ["admin"], "users": "o|" });
    let put = keyed.ask(Method::PUT, "/v1/keys/stolen", API_KEY, &use_, Some("*")).await;
    assert_eq!(put.status(), 200);
    let answer = rest_of(narrowed).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let gone = keyed.ask(Method::DELETE, "/v1/keys/stolen", API_KEY, &Value::Null, None).await;
    assert_eq!(gone.status(), 204);
    let answer = rest_of(under_way).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let keys = keyed.ask(Method::GET, "/v1/keys", API_KEY, &Value::Null, None).await;
    assert_eq!(read(keys).await, (200, json!([])));
}

#[tokio::test]
async fn while_the_file_is_gone_nothing_is_changed_and_nothing_is_said_to_be() {
    // Whoever made a key then took all others away, and whoever removed one was told that there was none.
    let keyed = Keyed::start().await;
    let (_, made) = keyed.add(API_KEY, &json!({ "name": "k", "scopes": ["publish"] })).await;
    let key = made["key"].as_str().unwrap();
    let (path, away) = (keyed.folder.path().join("keys.json"), keyed.folder.path().join("away"));
    std::fs::rename(&path, &away).unwrap();
    for (method, path, body) in [
        (Method::GET, "/v1/keys", Value::Null),
        (Method::GET, "/v1/keys/k", Value::Null),
        (Method::POST, "/v1/keys", json!({ "name": "x", "scopes": ["read"] })),
        (Method::PUT, "/v1/keys/k", json!({ "scopes": ["read"], "everybody": true })),
        (Method::DELETE, "/v1/keys/k", Value::Null),
    ] {
        let answer = keyed.ask(method.clone(), path, API_KEY, &body, Some("*")).await;
        assert_eq!(answer.status(), 503, "{method} {path}");
        assert!(!answer.headers().contains_key("Retry-After"), "it does not pass by itself");
    }
    assert!(!path.exists());
    assert_eq!(keyed.publishes(key, "ada").await, 201);
    std::fs::rename(&away, &path).unwrap();
    let gone = keyed.ask(Method::DELETE, "/v1/keys/k", API_KEY, &Value::Null, None).await;
    assert_eq!(gone.status(), 204);
}

#[tokio::test]
async fn a_folder_that_stays_locked_holds_nobody_up_for_long() {
    // Each request waited for the lock on a thread of its own, without an end, and in the end readiness failed.
    let keyed = Keyed::start().await;
    let folder = std::fs::File::open(keyed.folder.path()).unwrap();
    folder.lock().unwrap();
    let wish = json!({ "name": "k", "scopes": ["read"] });
    let many = (0..8).map(|_| keyed.ask(Method::POST, "/v1/keys", API_KEY, &wish, None));
    for answer in join_all(many).await {
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("Retry-After"));
    }
    folder.unlock().unwrap();
    assert_eq!(keyed.add(API_KEY, &wish).await.0, 201);
}

#[tokio::test]
async fn who_writes_with_a_key_that_may_more_from_now_on_goes_on() {
    // A long request was cut as withdrawn when its key was widened.
    let keyed = Keyed::start().await;
    let (_, made) = keyed.add(API_KEY, &json!({ "name": "k", "scopes": ["publish"] })).await;
    let key = made["key"].as_str().unwrap().to_owned();
    let opening = json!({ "message_uuid": "a1" });
    keyed.ask(Method::POST, "/v1/users/ada/streams", &key, &opening, None).await;
    let (lines, body) = futures_channel();
    let request = keyed
        .http
        .post(keyed.server.http("/v1/users/ada/streams/a1/1/text"))
        .bearer_auth(&key)
        .header("Content-Type", "application/x-ndjson")
        .body(reqwest::Body::wrap_stream(body));
    let answer = tokio::spawn(request.send());
    lines
        .send(Ok(r#"{"text":"a"}
"#
        .to_owned()))
        .unwrap();
    let wider = json!({ "scopes": ["publish", "read"], "everybody": true });
    let put = keyed.ask(Method::PUT, "/v1/keys/k", API_KEY, &wider, Some("*")).await;
    assert_eq!(put.status(), 200);
    lines
        .send(Ok(r#"{"text":"b"}
"#
        .to_owned()))
        .unwrap();
    drop(lines);
    let (status, added) = read(answer.await.unwrap().unwrap()).await;
    assert_eq!((status, &added["next_offset"]), (200, &json!(2)), "{added}");
}

#[tokio::test]
async fn what_is_under_way_with_the_configurations_key_ends_when_that_is_another_one() {
    // A long request, and whoever followed a user, went on with a key that had been rotated.
    let keyed = Keyed::start().await;
    let opening = json!({ "message_uuid": "a1" });
    keyed.ask(Method::POST, "/v1/users/ada/streams", API_KEY, &opening, None).await;
    let (lines, body) = futures_channel();
    let request = keyed
        .http
        .post(keyed.server.http("/v1/users/ada/streams/a1/1/text"))
        .bearer_auth(API_KEY)
        .header("Content-Type", "application/x-ndjson")
        .body(reqwest::Body::wrap_stream(body));
    let answer = tokio::spawn(request.send());
    lines.send(Ok("{\"text\":\"a\"}\n".to_owned())).unwrap();
    let path = "/v1/users/ada/trace";
    let mut followed = keyed.ask(Method::GET, path, API_KEY, &Value::Null, None).await;
    assert!(followed.chunk().await.unwrap().is_some());

    let mut other = config();
    other.api_key = Some(ApiKey::new(&"k".repeat(32)).unwrap());
    keyed.server.server.reload(other).await.unwrap();
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.status(), 401);
    let end = async { while followed.chunk().await.unwrap().is_some() {} };
    timeout(PATIENCE, end).await.unwrap();
    drop(lines);
}

type Line = Result<String, std::convert::Infallible>;

fn futures_channel() -> (mpsc::UnboundedSender<Line>, impl Stream<Item = Line>) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    (sender, poll_fn(move |context| receiver.poll_recv(context)))
}

#[tokio::test]
async fn a_request_of_the_largest_size_is_read_and_one_byte_more_is_not() {
    let keyed = Keyed::start().await;
    let wish = |length: usize| {
        let wish = r#"{"name":"k","scopes":["read"]}"#;
        format!("{wish}{}", " ".repeat(length - wish.len()))
    };
    for (length, expected) in [(KEY_REQUEST_BYTES_MAX, 201), (KEY_REQUEST_BYTES_MAX + 1, 413)] {
        let request = keyed.http.post(keyed.server.http("/v1/keys")).bearer_auth(API_KEY);
        let (status, said) = read(request.body(wish(length)).send().await.unwrap()).await;
        assert_eq!(status, expected, "{said}");
        let names_it =
            said["detail"].as_str().is_some_and(|it| it.contains("KEY_REQUEST_BYTES_MAX"));
        assert_eq!(names_it, status == 413, "{said}");
    }
}
