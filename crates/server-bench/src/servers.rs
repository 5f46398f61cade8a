//! What a good engineer writes in an evening, to compare with: `POST /publish/{user}` reaches the
//! WebSockets at `/ws/user/{user}`. *Bare* keeps nothing, *plain* has each message in SQLite before it
//! is answered and delivered. Neither asks who somebody is, and nothing in them is bounded.

mod store;

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use axum::{
    Router,
    body::Bytes,
    extract::{
        Path, Query, State,
        ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::{get, post},
    serve::ListenerExt as _,
};
use clap::Args;
use futures_util::SinkExt as _;
use tokio::{
    net::TcpSocket,
    sync::{mpsc, oneshot},
};

use store::{Command, Publish};

/// What a kernel keeps of connections that nobody has accepted yet: a thousand people come back at once.
const BACKLOG: u32 = 4_096;
/// What axum's WebSocket takes by itself, 128 KiB, is memory of every connection.
const READ_BUFFER_BYTES: usize = 1_024;
const WRITE_BUFFER_BYTES: usize = 4_096;

#[derive(Debug, Args)]
pub(crate) struct BareOptions {
    #[arg(long)]
    listen: SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct PlainOptions {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    data: PathBuf,
    /// Leave out the index by which a user's messages are found again: then nothing is replayed.
    #[arg(long)]
    no_index: bool,
    /// Keep idempotency keys for so many seconds.
    #[arg(long)]
    keys_s: Option<u32>,
}

/// Where a connection's messages come in.
type Feed = mpsc::UnboundedSender<Utf8Bytes>;

/// Who is connected.
#[derive(Debug, Default)]
struct Subscribers(HashMap<String, Vec<Feed>>);

impl Subscribers {
    fn add(&mut self, user: String, feed: Feed) {
        let feeds = self.0.entry(user).or_default();
        feeds.retain(|feed| !feed.is_closed());
        feeds.push(feed);
    }

    fn send(&self, user: &str, text: &Utf8Bytes) {
        for feed in self.0.get(user).into_iter().flatten() {
            // Whoever is gone gets nothing.
            let _ = feed.send(text.clone());
        }
    }
}

/// Where messages go.
#[derive(Debug, Clone)]
enum App {
    Bare(Arc<Mutex<Subscribers>>),
    Plain(std::sync::mpsc::Sender<Command>),
}

pub(crate) fn bare(options: &BareOptions) -> Result<()> {
    serve(App::Bare(Arc::default()), options.listen)
}

pub(crate) fn plain(options: PlainOptions) -> Result<()> {
    let PlainOptions { listen, data, no_index, keys_s } = options;
    let commands = store::start(&data, !no_index, keys_s)?;
    serve(App::Plain(commands), listen)
}

#[tokio::main]
async fn serve(app: App, listen: SocketAddr) -> Result<()> {
    let router = Router::new()
        .route("/publish/{user}", post(publish))
        .route("/ws/user/{user}", get(upgrade))
        .with_state(app);
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    let listener = socket.listen(BACKLOG)?.tap_io(|stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, router).await?)
}

async fn publish(
    State(app): State<App>,
    Path(user): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let Ok(text) = Utf8Bytes::try_from(body) else {
        return StatusCode::BAD_REQUEST;
    };
    match app {
        App::Bare(subscribers) => {
            subscribers.lock().unwrap_or_else(PoisonError::into_inner).send(&user, &text);
        }
        App::Plain(commands) => {
            let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
            let (done, is_done) = oneshot::channel();
            let publish = Publish { user, text, key: key.map(str::to_owned), done };
            if commands.send(Command::Publish(publish)).is_err() || is_done.await.is_err() {
                return StatusCode::INTERNAL_SERVER_ERROR;
            }
        }
    }
    StatusCode::ACCEPTED
}

async fn upgrade(
    State(app): State<App>,
    Path(user): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let after = query.get("after").and_then(|after| after.parse().ok());
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .on_upgrade(move |socket| connection(app, user, after, socket))
}

async fn connection(app: App, user: String, after: Option<i64>, mut socket: WebSocket) {
    let (feed, mut texts) = mpsc::unbounded_channel();
    match app {
        App::Bare(subscribers) => {
            subscribers.lock().unwrap_or_else(PoisonError::into_inner).add(user, feed);
        }
        App::Plain(commands) => drop(commands.send(Command::Subscribe { user, after, feed })),
    }
    loop {
        tokio::select! {
            text = texts.recv() => {
                let mut next = text;
                while let Some(text) = next {
                    if socket.feed(Message::Text(text)).await.is_err() {
                        return;
                    }
                    next = texts.try_recv().ok();
                }
                if socket.flush().await.is_err() {
                    return;
                }
            }
            frame = socket.recv() => {
                if !matches!(frame, Some(Ok(_))) {
                    return;
                }
            }
        }
    }
}
