//! Peers that take nothing and finish nothing: they cost nobody else anything.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::StatusCode;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message as Frame, client::IntoClientRequest as _},
};

use super::Stage;
use crate::server::Launch;

/// Whose mailbox is large.
pub(super) const BULK: &str = "bulk";
/// Who sends more than may wait, and how much that is.
const SENDER: &str = "sender";
const SENDS: usize = 48;
/// A client gives a connection up after 10 s without a pong; this is for a machine that does other work.
const HEARD_WITHIN: Duration = Duration::from_secs(20);
const LARGE_BYTES: usize = 512 * 1024;
const LARGE_MESSAGES: u32 = 4;
const STUCK_CONNECTIONS: usize = 12;
const UNFINISHED_REQUESTS: usize = 60;
/// What the kernel holds for them, about: the less, the sooner the server notices.
const RECEIVED_BYTES: u32 = 4 * 1024;

/// They come, and publishers are served; they go.
pub(super) async fn get_stuck(stage: &mut Stage<'_>) -> Result<()> {
    for _ in 0..LARGE_MESSAGES {
        publish_large(stage, LARGE_BYTES).await?;
    }
    let (mut readers, mut requests) = (Vec::new(), Vec::new());
    for _ in 0..STUCK_CONNECTIONS {
        readers.push(reader(stage.launch).await?);
    }
    for number in 0..UNFINISHED_REQUESTS {
        requests.push(unfinished(stage.launch, number).await?);
    }
    stage.a_while().await;
    stage.publishers_are_served().await
}

/// A message of so many bytes, straight to the server. Answers whether it was taken.
pub(super) async fn publish_large(stage: &Stage<'_>, bytes: usize) -> Result<bool> {
    let body = format!(r#"{{"type":"large","text":"{}"}}"#, "x".repeat(bytes - 64));
    let url = format!("{}/v1/users/{BULK}/messages", stage.launch.url());
    let request = stage.scene.http.post(url).bearer_auth(&stage.scene.api_key);
    // No answer in time is none, as a refusal is.
    let Ok(answer) = request.body(body).send().await else { return Ok(false) };
    Ok(answer.status() == StatusCode::CREATED)
}

/// One connection sends more than may wait while nothing is answered, and is heard all the same.
pub(super) async fn ask_much(stage: &Stage<'_>) -> Result<()> {
    let mut socket = connect(stage.launch, SENDER).await?;
    for n in 0..SENDS {
        // Like nothing that the application knows: it refuses them, once it is well.
        socket.send(Frame::text(format!(r#"{{"type":"much","id":"much-{n}"}}"#))).await?;
    }
    socket.send(Frame::text(r#"{"type":"ping","timestamp":"now"}"#)).await?;
    let heard = async {
        while let Some(frame) = socket.next().await {
            if matches!(frame?, Frame::Text(text) if text.contains(r#""pong""#)) {
                return Ok(());
            }
        }
        bail!("a connection was closed while the application said nothing")
    };
    let heard = timeout(HEARD_WITHIN, heard).await;
    heard.context("a ping was not answered while the application said nothing")?
}

/// Asks for everything and reads nothing.
async fn reader(launch: &Launch) -> Result<WebSocketStream<TcpStream>> {
    let mut socket = connect(launch, BULK).await?;
    socket.send(Frame::text(r#"{"type":"get_pending","after":0}"#)).await?;
    Ok(socket)
}

async fn connect(launch: &Launch, user: &str) -> Result<WebSocketStream<TcpStream>> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVED_BYTES)?;
    let stream = socket.connect(launch.address().parse()?).await?;
    let url = format!("ws://{}/ws/user/{user}", launch.address());
    let mut request = url.into_client_request()?;
    let offer = format!("tetherline.v1, bearer.{}", launch.token(user).await?);
    request.headers_mut().insert("sec-websocket-protocol", offer.parse()?);
    Ok(client_async(request, stream).await?.0)
}

/// Half a head, or half a body.
async fn unfinished(launch: &Launch, number: usize) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(launch.address()).await?;
    let key = launch.api_key()?;
    let head = format!(
        "POST /v1/users/{BULK}/messages HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {key}\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    if number.is_multiple_of(2) {
        let half = format!("Content-Length: 500000\r\n\r\n{}", "x".repeat(100_000));
        // It may be refused before it is through.
        let _ = stream.write_all(half.as_bytes()).await;
    }
    Ok(stream)
}
