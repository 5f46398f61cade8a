//! Server, stream writer and page behind the proxies of `docs/streaming.md`, as they are configured there, and behind that
//! of `deploy/compose`.

mod proxy;

use std::{convert::Infallible, time::Duration};

use futures_util::stream;
use reqwest::{Body, Client, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    socket::Socket,
    support::{PATIENCE, Server},
};
use proxy::Proxy;

/// `publish_bytes_max`.
const PUBLISH_BYTES_MAX: usize = 1024 * 1024;
/// `idle_timeout_ms` and `stream_idle_ms`, in seconds.
const IDLE_SECONDS: u64 = 90;
const STREAM_IDLE_SECONDS: u64 = 300;

fn post(server: &Server, proxy: &Proxy, path: &str) -> RequestBuilder {
    let http = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    http.post(format!("{}/v1/users/ada{path}", proxy.url)).bearer_auth(server.api_key())
}

async fn json_of(answer: Response) -> Value {
    let text = answer.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("this is no JSON of ours: {text}"))
}

/// A page of ada's that reads through the proxy and has caught up.
async fn page(server: &Server, proxy: &Proxy) -> Socket {
    let mut socket = Socket::at(&proxy.url, &server.token("ada"), "ada", "laptop").await;
    socket.frame("connection_established").await;
    socket.send(&json!({ "type": "get_pending", "after": 0, "have": [] })).await;
    socket.frame("pending_check_complete").await;
    socket
}

// A proxy that gathers a request before it hands it on shows an answer when it is over.
#[tokio::test]
async fn what_a_writer_adds_in_one_long_request_is_shown_word_by_word() {
    let server = Server::start();
    for proxy in Proxy::all(&server) {
        let mut page = page(&server, &proxy).await;
        let uuid = format!("answer-by-{}", proxy.name);
        let opened =
            post(&server, &proxy, "/streams").body(json!({ "message_uuid": uuid }).to_string());
        assert_eq!(opened.send().await.unwrap().status(), StatusCode::CREATED);
        let (says, words) = mpsc::unbounded_channel::<String>();
        let body = stream::unfold(words, |mut words| async {
            Some((Ok::<_, Infallible>(words.recv().await?), words))
        });
        let request = post(&server, &proxy, &format!("/streams/{uuid}/1/text?offset=0"))
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .body(Body::wrap_stream(body));
        let writing = tokio::spawn(request.send());
        for word in ["Word ", "by ", "word."] {
            says.send(format!("{}\n", json!({ "text": word }))).unwrap();
            // The next word is not said before this one is seen.
            assert_eq!(page.frame("message_delta").await["text"], word, "{}", proxy.name);
        }
        says.send("{\"status\":\"complete\"}\n".into()).unwrap();
        drop(says);
        let end = page.frame("message_generate").await;
        assert_eq!(end["message"]["content"], "Word by word.");
        assert_eq!(json_of(writing.await.unwrap().unwrap()).await["status"], "complete");
    }
}

// nginx answered 502: Tetherline had closed before the refused body was through.
#[tokio::test]
async fn the_largest_publish_passes_and_a_larger_one_is_refused_by_tetherline_itself() {
    let server = Server::start();
    for proxy in Proxy::all(&server) {
        let mut page = page(&server, &proxy).await;
        let publish = |bytes: usize| {
            let (head, tail) = (r#"{"type":"note","text":""#, r#""}"#);
            let text = "x".repeat(bytes - head.len() - tail.len());
            post(&server, &proxy, "/messages").body(format!("{head}{text}{tail}")).send()
        };
        let answer = publish(PUBLISH_BYTES_MAX).await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED, "{}", proxy.name);
        assert!(page.frame("note").await["text"].as_str().unwrap().len() > PUBLISH_BYTES_MAX / 2);
        page.close(1000).await;

        let answer = publish(PUBLISH_BYTES_MAX + 1).await.unwrap();
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE, "{}", proxy.name);
        let error = json_of(answer).await;
        assert_eq!(error["error"]["code"], "message_too_large", "{}", proxy.name);
    }
}

#[tokio::test]
async fn a_refusal_passes_as_tetherlines_own() {
    let server = Server::start();
    for proxy in Proxy::all(&server) {
        let http = Client::builder().no_proxy().build().unwrap();
        for (token, status, code) in [
            ("none.of.ours".to_owned(), StatusCode::UNAUTHORIZED, "unauthorized"),
            (server.token("bob"), StatusCode::FORBIDDEN, "forbidden"),
            (server.token("ada"), StatusCode::UPGRADE_REQUIRED, "bad_frame"),
        ] {
            let answer = http.get(format!("{}/ws/user/ada", proxy.url)).bearer_auth(token);
            let answer = answer.send().await.unwrap();
            assert_eq!(answer.status(), status, "{}", proxy.name);
            assert_eq!(json_of(answer).await["error"]["code"], code, "{}", proxy.name);
        }
    }
}

#[tokio::test]
async fn what_is_refused_while_the_server_restarts_is_repeated_under_its_key() {
    async fn publish(server: &Server, proxy: &Proxy, n: u32) -> Response {
        let key = format!("{}-{n}", proxy.name);
        let request = post(server, proxy, "/messages").header("idempotency-key", key);
        request.body(json!({ "type": "note", "n": n }).to_string()).send().await.unwrap()
    }

    let mut server = Server::start();
    for proxy in Proxy::all(&server) {
        let mut open = page(&server, &proxy).await;
        assert_eq!(publish(&server, &proxy, 1).await.status(), StatusCode::CREATED);
        let seq = open.frame("note").await["seq"].as_u64().unwrap();
        server.kill();
        let away = publish(&server, &proxy, 2).await.status();
        assert!(away.is_server_error(), "{}: {away}", proxy.name);
        server.start_again();
        let answer = json_of(publish(&server, &proxy, 2).await).await;
        assert_eq!(answer["seq"], seq + 1, "{}: {answer}", proxy.name);
        page(&server, &proxy).await.close(1000).await;
    }
}

#[tokio::test]
async fn below_another_path_a_user_of_any_name_is_found() {
    let [map, location, pass, replace] = [
        "map $request_uri $tetherline_path { ~^/messages(/.*)$ $1; }",
        "location /messages/ {",
        "proxy_pass http://tetherline$tetherline_path;",
        r"http-request replace-path /messages/(.*) /\1",
    ];
    let document = include_str!("../../../../docs/streaming.md");
    assert!([map, location, pass, replace].iter().all(|line| document.contains(line)));
    let edits = [
        ("map $http_upgrade", &*format!("{map}\nmap $http_upgrade")),
        ("location / {", location),
        ("proxy_pass http://tetherline;", pass),
        ("option forwardfor", &format!("option forwardfor\n    {replace}")),
    ];
    let server = Server::start();
    for mut proxy in Proxy::all_with(&server, &edits) {
        proxy.url.push_str("/messages");
        let (user, path) = ("auth0|a%2f ü", "auth0%7Ca%252f%20%C3%BC");
        let mut page = Socket::at(&proxy.url, &server.token(user), path, "laptop").await;
        assert_eq!(page.frame("connection_established").await["user_uuid"], user);
        page.send(&json!({ "type": "get_pending", "after": 0 })).await;
        let http = Client::builder().no_proxy().build().unwrap();
        let publish = http.post(format!("{}/v1/users/{path}/messages", proxy.url));
        let publish = publish.bearer_auth(server.api_key()).body(r#"{"type":"note"}"#);
        assert_eq!(publish.send().await.unwrap().status(), StatusCode::CREATED, "{}", proxy.name);
        page.frame("note").await;
    }
}

// nginx and HAProxy cut after 60 s of silence, or as their examples say, if nobody tells them.
#[test]
fn both_wait_longer_than_tetherline_itself() {
    let seconds = |text: &str, option: &str| -> u64 {
        let line = text.lines().map(str::trim).find(|line| line.starts_with(option));
        let value = line.unwrap_or_else(|| panic!("{option} is not set")).split_whitespace().last();
        value.unwrap().trim_end_matches(['s', ';']).parse().unwrap()
    };
    for option in ["proxy_read_timeout", "proxy_send_timeout", "client_body_timeout"] {
        assert!(seconds(proxy::NGINX, option) > STREAM_IDLE_SECONDS.max(IDLE_SECONDS), "{option}");
    }
    for option in ["timeout client ", "timeout server ", "timeout tunnel "] {
        assert!(
            seconds(proxy::HAPROXY, option) > STREAM_IDLE_SECONDS.max(IDLE_SECONDS),
            "{option}"
        );
    }
}

// With the time that the proxies give by default, a quiet minute ended each connection: here a second.
#[tokio::test]
async fn a_proxy_that_cuts_a_quiet_connection_costs_a_reconnect_and_nothing_else() {
    let server = Server::start();
    for proxy in Proxy::all_with(&server, &[("310s", "1s")]) {
        let mut quiet = page(&server, &proxy).await;
        assert_eq!(quiet.next().await.unwrap_err(), 1006, "{}", proxy.name);
        let answer = post(&server, &proxy, "/messages").body(r#"{"type":"note"}"#).send();
        let seq = json_of(answer.await.unwrap()).await["seq"].clone();
        let mut back = Socket::at(&proxy.url, &server.token("ada"), "ada", "laptop").await;
        back.frame("connection_established").await;
        back.send(&json!({ "type": "get_pending", "after": seq.as_u64().unwrap() - 1 })).await;
        assert_eq!(back.frame("note").await["seq"], seq, "{}", proxy.name);
    }
    // As they stand in the documents they leave it alone.
    for proxy in Proxy::all(&server) {
        let mut quiet = page(&server, &proxy).await;
        let heard = tokio::time::timeout(Duration::from_secs(3), quiet.next()).await;
        assert!(heard.is_err(), "{}: {heard:?}", proxy.name);
    }
}
