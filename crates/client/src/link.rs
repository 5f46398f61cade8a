//! Sockets: opening one, and the one that is open.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::header::AUTHORIZATION;
use tetherline_engine::ConnectionNo;
use tetherline_protocol::{
    BEARER_PREFIX, SUBPROTOCOL, TOKEN_HEADER,
    limits::{CONNECT_TIMEOUT_MS, PONG_TIMEOUT_MS},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config,
    tungstenite::{
        ClientRequestBuilder, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::{
    endpoint::Endpoint,
    tls::Trust,
    trouble::{Trouble, chain},
};

/// How a peer closed: with which code, and when it wants us back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goodbye {
    pub(crate) code: u16,
    pub(crate) retry_after_ms: Option<u64>,
}

/// RFC 6455: the connection ended without a close frame.
pub(crate) const ABNORMAL: Goodbye = Goodbye { code: 1006, retry_after_ms: None };
/// A peer that takes no byte for this long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_millis(PONG_TIMEOUT_MS);
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_millis(CONNECT_TIMEOUT_MS);
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
    Closed(Goodbye),
}

impl Link {
    /// Opens a socket, or says why not.
    pub(crate) async fn open(
        connection: ConnectionNo,
        endpoint: Endpoint,
        trust: Trust,
        token: String,
    ) -> Result<Self, Trouble> {
        let uri = endpoint.web_socket().parse().map_err(|error| chain(&error))?;
        let mut request = ClientRequestBuilder::new(uri)
            .with_sub_protocol(SUBPROTOCOL)
            .with_sub_protocol(format!("{BEARER_PREFIX}{token}"))
            .with_header(TOKEN_HEADER, &token);
        if let Some(password) = endpoint.password() {
            request = request.with_header(AUTHORIZATION.as_str(), password);
        }
        let opening = async {
            let connector = if endpoint.is_tls() {
                Connector::Rustls(trust.config().await)
            } else {
                Connector::Plain
            };
            connect_async_tls_with_config(request, None, true, Some(connector)).await
        };
        match timeout(CONNECT_TIMEOUT, opening).await {
            Ok(Ok((socket, _))) => Ok(Self { connection, socket }),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err("it does not answer in time".into()),
        }
    }

    /// The next thing from the peer. Cancelling it loses nothing.
    pub(crate) async fn read(&mut self) -> Incoming {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => Incoming::Text(text.as_str().into()),
            Some(Ok(Message::Close(frame))) => {
                Incoming::Closed(frame.map_or(ABNORMAL, |frame| Goodbye {
                    code: frame.code.into(),
                    retry_after_ms: tetherline_protocol::CloseCode::retry_after_ms(&frame.reason),
                }))
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
