//! A real server on a real port, and clients that speak raw frames.
#![allow(dead_code, unreachable_pub, missing_docs)]

#[cfg(feature = "webhook")]
pub mod asked;
pub mod door;
pub mod issuer;

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tempfile::TempDir;
use tetherline_protocol::{UserId, frame::Message};
use tetherline_server::{
    ApiKey, Application, Config, JwtKeys, Published, Server, issue_token, listen,
    store::SqliteStore,
};
use tokio::{net::TcpStream, sync::oneshot, task::JoinHandle, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        self, Error,
        client::IntoClientRequest as _,
        handshake::client::Request,
        protocol::{CloseFrame, Message as Frame},
    },
};

pub const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
pub const API_KEY: &str = "an-api-key-of-some-length";
pub const ORIGIN: &str = "https://app.example.com";
/// Far more than anything here takes; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What identity providers and people who mean no good call users.
pub const NAMES: [&str; 14] = [
    "auth0|5f7c8e",
    "someone@example.org",
    "urn:uuid:7b0e8a52-5a3c-4f43-9a55-0f6a9a3b9c11",
    "Ада Лавлейс",
    "👩\u{200d}🚀",
    " a b ",
    "%2F",
    "%",
    "\",\"device\":\"x",
    "a?b=c&d#e;f",
    "...",
    "\u{202e}gro.elpmaxe@ada",
    "'; DROP TABLE users; --",
    "${user}{}+~",
];

/// A percent-encoded text, decoded once.
pub fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

pub fn keys() -> JwtKeys {
    JwtKeys::from_secret(SECRET).unwrap()
}

pub fn config() -> Config {
    let mut config = Config::new(keys());
    config.api_key = Some(ApiKey::new(API_KEY).unwrap());
    config.allowed_origins = vec![ORIGIN.parse().unwrap()];
    config
}

pub fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

pub fn token(name: &str) -> String {
    issue_token(&keys(), &user(name), None, Duration::from_hours(1))
}

/// A token with these claims, as an identity provider would write them.
pub fn signed(claims: &Value) -> String {
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}

/// The time as claims have it.
pub fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

pub struct TestServer {
    pub server: Server,
    pub address: SocketAddr,
    folder: Arc<TempDir>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl TestServer {
    pub async fn start(config: Config) -> Self {
        Self::start_with(config, None).await
    }

    pub async fn start_with(config: Config, application: Option<Arc<dyn Application>>) -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), config, application).await
    }

    async fn start_in(
        folder: Arc<TempDir>,
        config: Config,
        application: Option<Arc<dyn Application>>,
    ) -> Self {
        let server = Server::open(config, open_store(folder.path()).await);
        if let Some(application) = application {
            server.attach(application);
        }
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let router = server.router();
        let serving = server.clone();
        let serving = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            serving.serve(listener, router, stopped).await.unwrap();
        });
        Self { server, address, folder, stop, serving }
    }

    /// Stops this server and starts another one on the same data.
    pub async fn restart(self, config: Config, application: Option<Arc<dyn Application>>) -> Self {
        self.server.drain().await;
        drop(self.stop);
        self.serving.await.unwrap();
        drop(self.server);
        Self::start_in(self.folder, config, application).await
    }

    /// The same, with something done to the file in between.
    pub async fn restart_after(self, meanwhile: impl FnOnce(&Path)) -> Self {
        self.server.drain().await;
        drop(self.stop);
        self.serving.await.unwrap();
        drop(self.server);
        drop(open_store(self.folder.path()).await);
        meanwhile(&self.folder.path().join("mailbox.db"));
        Self::start_in(self.folder, config(), None).await
    }

    pub fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn publish(&self, name: &str, message: &str) -> Published {
        self.server.publish(&user(name), None, Message::parse(message).unwrap()).await.unwrap()
    }

    /// Publishes messages with `n` from the first number to the last.
    pub async fn publish_numbers(&self, name: &str, numbers: std::ops::RangeInclusive<u64>) {
        for n in numbers {
            self.publish(name, &format!(r#"{{"type":"number","n":{n}}}"#)).await;
        }
    }

    pub fn request(&self, path: &str) -> Request {
        format!("ws://{}{path}", self.address).into_client_request().unwrap()
    }

    /// Connects as the engine does.
    pub async fn connect(&self, name: &str, device: &str) -> Client {
        self.connect_with(name, device, &token(name)).await
    }

    pub async fn connect_with(&self, name: &str, device: &str, token: &str) -> Client {
        let path = format!("/ws/user/{}?device={device}", user(name).in_url());
        let mut request = self.request(&path);
        let offer = format!("tetherline.v1, bearer.{token}");
        request.headers_mut().insert("sec-websocket-protocol", offer.parse().unwrap());
        Client::open(request).await.unwrap()
    }

    /// Connects as the quick start's client does.
    pub async fn connect_plain(&self, name: &str) -> Client {
        let request = self.request(&format!("/ws/user/{name}?token={}", token(name)));
        Client::open(request).await.unwrap()
    }
}

/// The previous store may still be closing: tasks that held it end a moment after they were told.
async fn open_store(folder: &Path) -> SqliteStore {
    let path = folder.join("mailbox.db");
    let opened = timeout(PATIENCE, async {
        loop {
            match SqliteStore::open(&path) {
                Ok(store) => return store,
                Err(tetherline_server::store::OpenError::InUse(_)) => {
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    });
    opened.await.expect("the previous server lets go of its store")
}

pub struct Client {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub established: Value,
    pub protocol: Option<String>,
}

impl Client {
    pub async fn open(request: Request) -> Result<Self, Error> {
        let (socket, response) = timeout(PATIENCE, connect_async(request)).await.unwrap()?;
        let protocol = response
            .headers()
            .get("sec-websocket-protocol")
            .map(|value| value.to_str().unwrap().to_owned());
        let mut client = Self { socket, established: Value::Null, protocol };
        client.established = client.next().await;
        assert_eq!(client.established["type"], "connection_established");
        Ok(client)
    }

    pub async fn send(&mut self, frame: &str) {
        self.socket.send(Frame::text(frame)).await.unwrap();
    }

    /// The next text frame.
    pub async fn next(&mut self) -> Value {
        loop {
            let frame = timeout(PATIENCE, self.socket.next()).await.expect("a frame in time");
            match frame.expect("an open connection").unwrap() {
                Frame::Text(text) => return serde_json::from_str(&text).unwrap(),
                Frame::Close(close) => panic!("closed: {close:?}"),
                _ => {}
            }
        }
    }

    pub async fn next_of(&mut self, kind: &str) -> Value {
        let frame = self.next().await;
        assert_eq!(frame["type"], kind, "{frame}");
        frame
    }

    /// Asks for what waits and collects `n` of the messages before the end, and the summary.
    pub async fn pending(&mut self, request: &str) -> (Vec<u64>, Value) {
        self.send(request).await;
        let mut numbers = Vec::new();
        loop {
            let frame = self.next().await;
            match frame["type"].as_str().unwrap() {
                "number" => numbers.push(frame["n"].as_u64().unwrap()),
                "mailbox_gap" => {}
                "pending_check_complete" => return (numbers, frame["data"].clone()),
                _ => panic!("{frame}"),
            }
        }
    }

    pub async fn numbers(&mut self, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            numbers.push(self.next_of("number").await["n"].as_u64().unwrap());
        }
        numbers
    }

    /// A ping and its pong: everything sent before the ping has been dealt with, and nothing else
    /// was on its way.
    pub async fn assert_quiet(&mut self) {
        self.send(r#"{"type":"ping","timestamp":1}"#).await;
        self.next_of("pong").await;
    }

    /// The close code that the server ends this connection with, whatever comes before.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("a close in time") {
                Some(Ok(Frame::Close(Some(CloseFrame { code, .. })))) => return code.into(),
                Some(Ok(_)) => {}
                other => panic!("no close frame but {other:?}"),
            }
        }
    }
}

/// The status and JSON body with which an upgrade was refused.
pub async fn refused(request: Request) -> (u16, tungstenite::http::HeaderMap, Value) {
    match connect_async(request).await {
        Err(Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            (response.status().as_u16(), response.headers().clone(), body)
        }
        other => panic!("not refused: {:?}", other.map(|_| ())),
    }
}

/// Waits until the store has what somebody else is writing to it.
pub async fn eventually<F: Future<Output = bool>>(mut condition: impl FnMut() -> F) {
    let met = timeout(PATIENCE, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    met.await.expect("the condition is met in time");
}
