use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use crate::support::{PATIENCE, Server};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One of ada's devices, which shows one stream as it is written.
pub(crate) struct Reader {
    socket: Socket,
    uuid: Value,
    attempt: u64,
    text: String,
    settled: Vec<Value>,
}

impl Reader {
    /// A device that has nothing yet.
    pub(crate) async fn of(server: &Server) -> Self {
        let (text, settled) = (String::new(), Vec::new());
        let socket = connect(server).await;
        let mut reader = Self { socket, uuid: Value::Null, attempt: 0, text, settled };
        reader.asks(&json!([])).await;
        reader
    }

    /// Connects anew, to read on from what it has.
    pub(crate) async fn comes_back(&mut self, server: &Server) {
        self.socket = connect(server).await;
        let offset = self.text.encode_utf16().count();
        let place = json!({ "message_uuid": self.uuid, "attempt": self.attempt, "offset": offset });
        self.asks(&json!([place])).await;
    }

    pub(crate) async fn send(&mut self, frame: &Value) {
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// Waits until the text is exactly this, and says its name.
    pub(crate) async fn sees(&mut self, text: &str) -> Value {
        while self.text != text {
            assert!(text.starts_with(&self.text), "{} is not how {text} begins", self.text);
            assert_eq!(self.step().await, None, "it ended before it was {text}");
        }
        self.uuid.clone()
    }

    /// Waits until what was sent under this id is accepted.
    pub(crate) async fn settles(&mut self, id: &str) {
        while !self.settled.contains(&json!(id)) {
            assert_eq!(self.step().await, None);
        }
    }

    /// Waits for the end, and gives back the message that the stream has become.
    pub(crate) async fn end(&mut self) -> Value {
        loop {
            if let Some(message) = self.step().await {
                let content = message["content"].as_str().unwrap();
                assert!(
                    content.starts_with(&self.text),
                    "{content} does not go on from {}",
                    self.text
                );
                return message;
            }
        }
    }

    async fn asks(&mut self, have: &Value) {
        self.send(&json!({ "type": "get_pending", "after": 0, "have": have })).await;
    }

    /// Takes one frame, and answers the message if it was the end.
    async fn step(&mut self) -> Option<Value> {
        let frame = self.frame().await;
        match frame["type"].as_str().unwrap() {
            "message_start" => {
                self.uuid = frame["message_uuid"].clone();
                self.attempt = frame["attempt"].as_u64().unwrap();
                self.text.clear();
            }
            "message_delta" => {
                assert_eq!(frame["offset"], self.text.encode_utf16().count());
                self.text.push_str(frame["text"].as_str().unwrap());
            }
            "accepted" => self.settled.push(frame["ref"].clone()),
            "message_generate" => return Some(frame["message"].clone()),
            "error" => panic!("{frame}"),
            _ => {}
        }
        None
    }

    async fn frame(&mut self) -> Value {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next());
            let frame = next.await.expect("a frame in time").expect("the connection stays");
            if let Message::Text(text) = frame.unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }
}

async fn connect(server: &Server) -> Socket {
    let url = format!("{}/ws/user/ada?device=laptop", server.url.replace("http", "ws"));
    let mut request = url.into_client_request().unwrap();
    let protocols = format!("tetherline.v1, bearer.{}", server.token("ada"));
    request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
    connect_async(request).await.unwrap().0
}
