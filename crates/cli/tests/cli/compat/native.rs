//! What the server of an older version answers, to the native client of this one.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::{net::TcpListener, net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        http::HeaderValue,
    },
};

use super::{
    said::Names,
    transcript::{self, By, Step},
};
use crate::support::{PATIENCE, Process};

/// Of ann, by nobody: the client reads whose it is and hands it on.
const TOKEN: &str = "e30.eyJzdWIiOiJhbm4iLCJleHAiOjk5OTk5OTk5OTl9.c2ln";

#[tokio::test]
async fn the_native_client_reads_from_a_server_of_before_and_comes_back() {
    let steps = transcript::read("native");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let options = ["--device", "shell", "--token", TOKEN, "--stream"];
    let tail = Process::start(&[&["tail", "--url", &url][..], &options].concat());
    let mut socket = None;
    // Epochs and ids are said back as they were said.
    let mut names = Names::default();
    let mut expected = Vec::new();
    for step in &steps {
        match step {
            Step::Open { .. } => socket = Some(accept(&listener).await),
            Step::Server { frame, .. } => {
                let text = Message::text(frame.to_string());
                socket.as_mut().unwrap().send(text).await.unwrap();
                if frame["type"] != "connection_established" {
                    expected.push(frame);
                }
            }
            Step::Page { frame, .. } => {
                let said = heard(socket.as_mut().unwrap(), &frame["type"]).await;
                names.compare(frame, &said).unwrap();
            }
            Step::Close { by: By::Network, .. } => {
                // It would reconnect before it has printed what came.
                while let Some(frame) = (!expected.is_empty()).then(|| expected.remove(0)) {
                    assert_eq!(&serde_json::from_str::<Value>(&tail.line()).unwrap(), frame);
                }
                socket = None;
            }
            _ => {}
        }
    }
    for frame in expected {
        assert_eq!(&serde_json::from_str::<Value>(&tail.line()).unwrap(), frame);
    }
    assert!(tail.terminate(), "tail did not end in order");
}

#[allow(clippy::result_large_err, reason = "the library's callback has this type")]
async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("a connection").unwrap();
    let select = |_: &Request, mut response: Response| {
        let protocol = HeaderValue::from_static("tetherline.v1");
        response.headers_mut().insert("sec-websocket-protocol", protocol);
        Ok(response)
    };
    accept_hdr_async(stream, select).await.unwrap()
}

/// The client's next frame of this type: it says others when it wants to.
async fn heard(socket: &mut WebSocketStream<TcpStream>, kind: &Value) -> Value {
    loop {
        let next = timeout(PATIENCE, socket.next()).await.expect("a frame in time");
        let Message::Text(text) = next.expect("the connection stays").unwrap() else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["type"] == *kind {
            return frame;
        }
    }
}
