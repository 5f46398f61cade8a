//! Sockets: opening one, asking why none opened, and the one that is open.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{header::RETRY_AFTER, redirect};
use tetherline_engine::{ConnectionNo, ProbeAnswer};
use tetherline_protocol::{
    BEARER_PREFIX, Problem, SUBPROTOCOL,
    limits::{CONNECT_TIMEOUT_MS, PONG_TIMEOUT_MS, PROBE_ANSWER_BYTES_MAX},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{
        ClientRequestBuilder, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::endpoint::Endpoint;

/// RFC 6455: the connection ended without a close frame.
pub(crate) const ABNORMAL: u16 = 1006;
/// A peer that takes no byte for this long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_millis(PONG_TIMEOUT_MS);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(CONNECT_TIMEOUT_MS);
/// How long a goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// An open socket.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) connection: ConnectionNo,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What came out of a socket.
pub(crate) enum Incoming {
    Text(Box<str>),
    /// Something that only shows that the peer lives.
    Sign,
    Closed(u16),
}

impl Link {
    /// Opens a socket; `None` if that fails, for whatever reason.
    pub(crate) async fn open(
        connection: ConnectionNo,
        endpoint: Endpoint,
        token: String,
    ) -> Option<Self> {
        let uri = endpoint.web_socket().parse().ok()?;
        let request = ClientRequestBuilder::new(uri)
            .with_sub_protocol(SUBPROTOCOL)
            .with_sub_protocol(format!("{BEARER_PREFIX}{token}"));
        let opening = connect_async_with_config(request, None, true);
        let (socket, _) = timeout(CONNECT_TIMEOUT, opening).await.ok()?.ok()?;
        Some(Self { connection, socket })
    }

    /// The next thing from the peer. Cancelling it loses nothing.
    pub(crate) async fn read(&mut self) -> Incoming {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => Incoming::Text(text.as_str().into()),
            Some(Ok(Message::Close(frame))) => {
                Incoming::Closed(frame.map_or(ABNORMAL, |frame| frame.code.into()))
            }
            Some(Ok(_)) => Incoming::Sign,
            Some(Err(_)) | None => Incoming::Closed(ABNORMAL),
        }
    }

    /// Writes one frame; false if the peer is gone.
    pub(crate) async fn write(&mut self, text: String) -> bool {
        matches!(timeout(WRITE_TIMEOUT, self.socket.send(Message::text(text))).await, Ok(Ok(())))
    }

    /// Says goodbye, and waits a moment for the answer: then the peer has read all before it.
    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
        let farewell = async {
            if self.socket.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        // Nobody is left to whom a failure would matter.
        let _ = timeout(CLOSE_TIMEOUT, farewell).await;
    }
}

/// Asks the same URL without an upgrade why the socket did not open.
pub(crate) async fn probe(endpoint: Endpoint, token: String) -> ProbeAnswer {
    ask(endpoint, token).await.unwrap_or(ProbeAnswer::Unreachable)
}

async fn ask(endpoint: Endpoint, token: String) -> reqwest::Result<ProbeAnswer> {
    // As the socket: no proxy that the environment names, and no way to where somebody else answers.
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(CONNECT_TIMEOUT)
        .build()?;
    let mut response = client.get(endpoint.http()).bearer_auth(token).send().await?;
    let status = response.status().as_u16();
    let retry_after_ms = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok())
        .map(|seconds| seconds.saturating_mul(1_000));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > PROBE_ANSWER_BYTES_MAX {
            // Ours are shorter.
            body.clear();
            break;
        }
    }
    let code = Problem::parse(&body).map(|problem| problem.code);
    Ok(ProbeAnswer::of(status, code, retry_after_ms))
}
