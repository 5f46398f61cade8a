//! What a browser does for a person: cookies, HTTP, one WebSocket.

use std::sync::atomic::{AtomicU64, Ordering};

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
        let path = format!("/api/conversations/{conversation}/messages");
        let (status, body) = self.get(&path).await;
        assert_eq!(status, 200);
        body["messages"].as_array().unwrap().clone()
    }

    /// Connects as a fresh page does, asking for everything from the beginning.
    pub(crate) async fn connect(&self) -> Socket {
        let (stream, _) = connect_async(self.upgrade()).await.unwrap();
        let mut socket = Socket { stream };
        socket.next_of("connection_established").await;
        socket.send(&json!({ "type": "get_pending", "after": 0 })).await;
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
        let goodbye = async {
            loop {
                if let Message::Close(Some(frame)) = self.stream.next().await.unwrap().unwrap() {
                    return frame.code.into();
                }
            }
        };
        timeout(PATIENCE, goodbye).await.unwrap()
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            match self.stream.next().await?.ok()? {
                Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }
}
