//! A client of the wire that is neither page nor native client.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest as _,
        http::HeaderValue,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::support::{PATIENCE, Server};

pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) selected: Option<String>,
}

impl Socket {
    /// Connects to this path, or answers the status of the refusal.
    pub(crate) async fn open(url: &str, path: &str, protocols: &[String]) -> Result<Self, u16> {
        Self::attempt(url, path, protocols).await.map_err(|error| match error {
            Error::Http(response) => response.status().as_u16(),
            error => panic!("{path}: {error}"),
        })
    }

    /// The same where the connection itself may fail.
    pub(crate) async fn attempt(
        url: &str,
        path: &str,
        protocols: &[String],
    ) -> Result<Self, Error> {
        let url = format!("{}{path}", url.replacen("http", "ws", 1));
        let mut request = url.into_client_request().unwrap();
        let offer = HeaderValue::from_str(&protocols.join(", ")).unwrap();
        request.headers_mut().insert("sec-websocket-protocol", offer);
        let (stream, response) = connect_async(request).await?;
        let selected = response.headers().get("sec-websocket-protocol");
        let selected = selected.map(|name| name.to_str().unwrap().to_owned());
        Ok(Self { stream, selected })
    }

    /// A device of a user's, as any client of version 1.
    pub(crate) async fn of(server: &Server, user: &str, device: &str) -> Self {
        Self::at(&server.url, &server.token(user), user, device).await
    }

    /// The same at another address.
    pub(crate) async fn at(url: &str, token: &str, user: &str, device: &str) -> Self {
        Self::try_at(url, token, user, device).await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) async fn try_at(
        url: &str,
        token: &str,
        user: &str,
        device: &str,
    ) -> Result<Self, Error> {
        let protocols = ["tetherline.v1".to_owned(), format!("bearer.{token}")];
        Self::attempt(url, &format!("/ws/user/{user}?device={device}"), &protocols).await
    }

    pub(crate) async fn send(&mut self, frame: &Value) {
        self.stream.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next frame, or the code of the close.
    pub(crate) async fn next(&mut self) -> Result<Value, u16> {
        loop {
            let next = timeout(PATIENCE, self.stream.next()).await.expect("something in time");
            match next {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) => return Err(code.into()),
                None | Some(Err(_) | Ok(Message::Close(None))) => return Err(1006),
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next frame of this type.
    pub(crate) async fn frame(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await.unwrap_or_else(|code| panic!("closed with {code}"));
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    pub(crate) async fn close(&mut self, code: u16) {
        let code = CloseCode::from(code);
        let frame = CloseFrame { code, reason: "".into() };
        self.stream.close(Some(frame)).await.unwrap();
    }
}
