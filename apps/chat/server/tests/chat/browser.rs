//! What a browser does for a person: cookies, HTTP, one WebSocket.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Client, Response, header};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, client::IntoClientRequest as _, handshake::client::Request},
};

use crate::process::{Chat, PATIENCE};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// A signed-in person.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) url: String,
    pub(crate) uuid: String,
    pub(crate) token: String,
    pub(crate) cookie: String,
}

/// An open, established connection from which everything is read.
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What is on the screen of streams, by name.
    streaming: HashMap<String, Streaming>,
}

/// An answer on the screen.
#[derive(Clone)]
pub(crate) struct Streaming {
    pub(crate) start: Value,
    pub(crate) text: String,
}

pub(crate) async fn post(url: &str, path: &str, body: &Value) -> Response {
    Client::new().post(format!("{url}{path}")).json(body).send().await.unwrap()
}

pub(crate) async fn post_with_cookie(url: &str, path: &str, cookie: &str) -> Response {
    let request = Client::new().post(format!("{url}{path}"));
    request.header(header::COOKIE, cookie).header(header::ORIGIN, url).send().await.unwrap()
}

/// `name=value` of the cookie that a response sets.
pub(crate) fn cookie_of(response: &Response) -> String {
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

impl Person {
    pub(crate) async fn sign_up(chat: &Chat, name: &str) -> Self {
        let email = format!("{name}@example.org");
        let form = json!({ "name": name, "email": email, "password": PASSWORD });
        let response = post(&chat.url, "/api/auth/sign-up", &form).await;
        assert_eq!(response.status(), 201);
        Self::from(&chat.url, response).await
    }

    /// The same person at a chat that was started again, on another port.
    pub(crate) fn at(&self, chat: &Chat) -> Self {
        Self { url: chat.url.clone(), ..self.clone() }
    }

    pub(crate) async fn from(url: &str, response: Response) -> Self {
        let cookie = cookie_of(&response);
        let session: Value = response.json().await.unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (uuid, token) = (text(&session["user"]["uuid"]), text(&session["access_token"]));
        Self { url: url.into(), uuid, token, cookie }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let request = Client::new().get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub(crate) async fn messages(&self, conversation: &str) -> Vec<Value> {
        self.history(conversation).await["messages"].as_array().unwrap().clone()
    }

    /// What a page loads when a conversation is opened.
    pub(crate) async fn history(&self, conversation: &str) -> Value {
        let (status, body) = self.get(&format!("/api/conversations/{conversation}/messages")).await;
        assert_eq!(status, 200);
        body
    }

    /// Connects as a fresh page does, asking for everything from the beginning.
    pub(crate) async fn connect(&self) -> Socket {
        self.open(&json!({ "type": "get_pending", "after": 0 })).await
    }

    /// The same for a page that shows streams.
    pub(crate) async fn watch(&self) -> Socket {
        self.open(&json!({ "type": "get_pending", "after": 0, "have": [] })).await
    }

    async fn open(&self, get_pending: &Value) -> Socket {
        let (stream, _) = connect_async(self.upgrade()).await.unwrap();
        let mut socket = Socket { stream, streaming: HashMap::new() };
        socket.next_of("connection_established").await;
        socket.send(get_pending).await;
        socket
    }

    /// The status with which a connection is refused.
    pub(crate) async fn refused_with(&self) -> u16 {
        match connect_async(self.upgrade()).await.unwrap_err() {
            tungstenite::Error::Http(response) => response.status().as_u16(),
            other => panic!("no answer over HTTP: {other}"),
        }
    }

    fn upgrade(&self) -> Request {
        static DEVICES: AtomicU64 = AtomicU64::new(0);
        let device = DEVICES.fetch_add(1, Ordering::Relaxed);
        let socket = self.url.replacen("http", "ws", 1);
        let url = format!("{socket}/ws/user/{}?device=device-{device}", self.uuid);
        let mut request = url.into_client_request().unwrap();
        let protocols = format!("tetherline.v1, bearer.{}", self.token);
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocols.parse().unwrap());
        request.headers_mut().insert(header::ORIGIN, self.url.parse().unwrap());
        request
    }
}

impl Socket {
    pub(crate) async fn send(&mut self, frame: &Value) {
        self.stream.send(Message::text(frame.to_string())).await.unwrap();
    }

    pub(crate) async fn ask(&mut self, id: &str, text: &str) {
        self.send(&json!({ "type": "message_generate", "id": id, "message": text })).await;
    }

    /// Sends, and waits for what becomes of it.
    pub(crate) async fn settle(&mut self, frame: &Value) -> Value {
        self.send(frame).await;
        let id = frame["id"].as_str().unwrap();
        self.next_where(|frame| {
            (frame["type"] == "accepted" || frame["type"] == "error") && frame["ref"] == id
        })
        .await
    }

    /// Waits until the answer to a send shows this text, and no other on the way.
    pub(crate) async fn shows(&mut self, asked_by: &str, text: &str) -> Streaming {
        let watch = async {
            loop {
                let found =
                    self.streaming.values().find(|streaming| streaming.start["ref"] == asked_by);
                if let Some(streaming) = found {
                    assert!(text.starts_with(&streaming.text), "{:?} on the way", streaming.text);
                    if streaming.text == text {
                        return streaming.clone();
                    }
                }
                self.next().await.expect("the connection is open");
            }
        };
        timeout(PATIENCE, watch).await.expect("the text arrives in time")
    }

    /// What the answer to a send shows by now; empty once it has ended.
    pub(crate) fn shown(&self, asked_by: &str) -> &str {
        let found = self.streaming.values().find(|streaming| streaming.start["ref"] == asked_by);
        found.map_or("", |streaming| &streaming.text)
    }

    pub(crate) async fn next_of(&mut self, kind: &str) -> Value {
        self.next_where(|frame| frame["type"] == kind).await
    }

    pub(crate) async fn next_where(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let search = async {
            loop {
                let frame = self.next().await.expect("the connection is open");
                if wanted(&frame) {
                    return frame;
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the frame arrives in time")
    }

    /// Every frame that a mailbox holds, read to its end.
    pub(crate) async fn whole_mailbox(&mut self) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let frame = timeout(PATIENCE, self.next()).await.unwrap().unwrap();
            if frame["type"] == "pending_check_complete" {
                return frames;
            }
            if frame["seq"].is_u64() {
                frames.push(frame);
            }
        }
    }

    /// The close code that the server says goodbye with.
    pub(crate) async fn closed_with(&mut self) -> u16 {
        self.goodbye().await.0
    }

    /// The code and the reason of the close that comes next.
    pub(crate) async fn goodbye(&mut self) -> (u16, String) {
        let goodbye = async {
            loop {
                if let Message::Close(Some(frame)) = self.stream.next().await.unwrap().unwrap() {
                    return (frame.code.into(), frame.reason.to_string());
                }
            }
        };
        timeout(PATIENCE, goodbye).await.unwrap()
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            match self.stream.next().await?.ok()? {
                Message::Text(text) => {
                    let frame = serde_json::from_str(&text).unwrap();
                    self.show(&frame);
                    return Some(frame);
                }
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// As a page does, and strictly: nothing comes twice, out of order, or after the end.
    fn show(&mut self, frame: &Value) {
        let Some(name) = frame["message_uuid"].as_str() else { return };
        match frame["type"].as_str().unwrap() {
            "message_start" => {
                let start = Streaming { start: frame.clone(), text: String::new() };
                self.streaming.insert(name.into(), start);
            }
            "message_delta" => {
                let streaming = self.streaming.get_mut(name).expect("a start comes before a delta");
                assert_eq!(streaming.start["attempt"], frame["attempt"]);
                let length = streaming.text.encode_utf16().count() as u64;
                assert_eq!(frame["offset"].as_u64(), Some(length));
                streaming.text.push_str(frame["text"].as_str().unwrap());
            }
            _ => {
                let content = frame["message"]["content"].as_str().unwrap();
                if let Some(streaming) = self.streaming.remove(name) {
                    assert_eq!(streaming.start["attempt"], frame["attempt"]);
                    assert!(content.starts_with(&streaming.text), "what was shown stays");
                }
            }
        }
    }
}
