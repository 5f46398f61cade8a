//! A person's device: it shows one answer after the other, word by word.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::{net::TcpStream, sync::oneshot, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use crate::{
    server::Server,
    words::{Moment, moments, now},
};

/// Far longer than anything here is late.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Reader(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What a device saw of one answer.
pub(crate) struct Seen {
    /// When each word was said, and when it was seen.
    pub(crate) words: Vec<(Moment, Moment)>,
    /// The message that the answer became.
    pub(crate) content: String,
    /// In how many pieces it came, the end included.
    pub(crate) frames: u64,
}

#[derive(Deserialize)]
struct Frame<'a> {
    r#type: &'a str,
    text: Option<String>,
    message: Option<Whole>,
}

#[derive(Deserialize)]
struct Whole {
    content: String,
}

impl Reader {
    pub(crate) async fn connect(server: &Server, user: &str, token: &str) -> Result<Self> {
        let url = format!("ws://{}/ws/user/{user}?device=bench", server.address);
        let mut request = url.into_client_request()?;
        let protocols = format!("tetherline.v1, bearer.{token}").parse()?;
        request.headers_mut().insert("sec-websocket-protocol", protocols);
        let stream = TcpStream::connect(&server.address).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = client_async(request, MaybeTlsStream::Plain(stream)).await?;
        let mut reader = Self(socket);
        reader.0.send(Message::text(r#"{"type":"get_pending","have":[]}"#)).await?;
        while reader.next().await?.kind != Kind::CaughtUp {}
        Ok(reader)
    }

    /// Reads the next answer to its end, and says when it has begun.
    pub(crate) async fn watch(&mut self, begun: oneshot::Sender<()>) -> Result<Seen> {
        let (mut text, mut words, mut frames) = (String::new(), Vec::new(), 0);
        let mut begun = Some(begun);
        loop {
            let Shown { kind, text: piece } = self.next().await?;
            let seen_at = now();
            match kind {
                Kind::Start => drop(begun.take().map(|begun| begun.send(()))),
                Kind::Delta => {
                    frames += 1;
                    words.extend(moments(&piece).map(|said_at| (said_at, seen_at)));
                    text.push_str(&piece);
                }
                Kind::End => {
                    // What it gained last may come with its end.
                    let rest = piece.strip_prefix(&text).context("what was shown has changed")?;
                    words.extend(moments(rest).map(|said_at| (said_at, seen_at)));
                    return Ok(Seen { words, content: piece, frames: frames + 1 });
                }
                Kind::CaughtUp | Kind::Other => {}
            }
        }
    }

    async fn next(&mut self) -> Result<Shown> {
        loop {
            let message = timeout(PATIENCE, self.0.next()).await.context("nothing came")?;
            match message.context("the server hung up")?? {
                Message::Text(text) => return shown(&text),
                Message::Close(frame) => bail!("the server closed: {frame:?}"),
                _ => {}
            }
        }
    }
}

struct Shown {
    kind: Kind,
    text: String,
}

#[derive(PartialEq, Eq)]
enum Kind {
    CaughtUp,
    Start,
    Delta,
    End,
    Other,
}

fn shown(text: &str) -> Result<Shown> {
    let frame: Frame<'_> = serde_json::from_str(text).context("a frame is JSON")?;
    ensure!(frame.r#type != "error", "{text}");
    let (kind, text) = match (frame.r#type, frame.text, frame.message) {
        ("message_start", ..) => (Kind::Start, String::new()),
        ("message_delta", Some(text), _) => (Kind::Delta, text),
        ("message_generate", _, Some(whole)) => (Kind::End, whole.content),
        ("pending_check_complete", ..) => (Kind::CaughtUp, String::new()),
        _ => (Kind::Other, String::new()),
    };
    Ok(Shown { kind, text })
}
