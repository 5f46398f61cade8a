//! Streams, from a server that says what a test tells it to.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tetherline::{Client, Event, SendError, StopTarget};
use tetherline_protocol::utf16::TextHash;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        http::HeaderValue,
    },
};

use crate::support::{PATIENCE, ada, event};

struct Script {
    listener: TcpListener,
    url: String,
}

impl Script {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    fn client(&self) -> Client {
        let builder = Client::builder(&self.url).user(ada()).only_token("a.b.c");
        builder.follow_streams().connect().unwrap()
    }

    /// The next connection, and what it asks for.
    async fn connection(&self) -> (Connection, Value) {
        let (socket, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        #[expect(clippy::result_large_err, reason = "the library's callback is so")]
        let choose = |_: &Request, mut response: Response| {
            let protocol = HeaderValue::from_static("tetherline.v1");
            response.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
            Ok(response)
        };
        let mut connection = Connection(accept_hdr_async(socket, choose).await.unwrap());
        connection.say(&json!({
            "type": "connection_established", "connection_id": "c", "user_uuid": "ada", "protocol": 1,
            "epoch": "e", "head": 0, "cursor": 0, "heartbeat_interval_ms": 30_000,
            "token_expires_in_ms": 3_600_000, "limits": {}, "timestamp": "now",
        }))
        .await;
        let question = connection.hear().await;
        assert_eq!(question["type"], "get_pending");
        (connection, question)
    }
}

struct Connection(WebSocketStream<TcpStream>);

impl Connection {
    async fn say(&mut self, frame: &Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        let frame = timeout(PATIENCE, self.0.next()).await.unwrap().unwrap().unwrap();
        serde_json::from_str(frame.to_text().unwrap()).unwrap()
    }

    async fn start(&mut self, attempt: u32) {
        let start =
            json!({"type": "message_start", "message_uuid": "a", "attempt": attempt, "ref": "q"});
        self.say(&start).await;
    }

    async fn piece(&mut self, attempt: u32, offset: u64, text: &str) {
        self.say(&json!({
            "type": "message_delta", "message_uuid": "a", "attempt": attempt, "offset": offset,
            "text": text,
        }))
        .await;
    }

    async fn caught_up(&mut self) {
        let data = json!({"delivered": 0, "head": 0, "recovered": true, "streams": 1});
        self.say(&json!({"type": "pending_check_complete", "data": data})).await;
    }
}

/// What an application sees of an answer, in short.
async fn seen(client: &mut Client) -> String {
    match event(client).await.unwrap() {
        Event::StreamStarted(start) => format!("attempt {}", start.attempt),
        Event::StreamText(piece) => format!("{}: {}", piece.offset, piece.text),
        Event::Message(message) => match message.ends {
            Some((uuid, attempt)) => format!("{uuid} ended, attempt {attempt}"),
            None => message.kind.into(),
        },
        Event::CaughtUp { .. } => "caught up".into(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_comes_in_pieces_without_holes_and_none_twice() {
    let script = Script::start().await;
    let mut client = script.client();
    let (mut server, question) = script.connection().await;
    assert_eq!(question["have"], json!([]));
    server.caught_up().await;
    server.start(1).await;
    server.piece(1, 0, "a👍").await;
    server.piece(1, 0, "a👍").await;
    server.piece(1, 1, "👍b").await;
    server.start(2).await;
    server.piece(1, 4, "late").await;
    server.piece(2, 0, "Right").await;
    let message = json!({"uuid": "a", "content": "Right"});
    server
        .say(&json!({
            "type": "message_generate", "id": "m", "seq": 1, "timestamp": "now", "message_uuid": "a",
            "attempt": 2, "status": "complete", "message": message,
        }))
        .await;
    server.piece(2, 5, "later").await;
    server.say(&json!({"type": "note", "id": "n", "seq": 2, "timestamp": "now"})).await;
    let expected = [
        "caught up",
        "attempt 1",
        "0: a👍",
        "3: b",
        "attempt 2",
        "0: Right",
        "a ended, attempt 2",
        "note",
    ];
    for expected in expected {
        assert_eq!(seen(&mut client).await, expected);
    }
}

/// What a client says of the one answer that it knows: how far, and by which text.
fn have(offset: u64, text: &str) -> Value {
    let hash = TextHash::of(text).get();
    json!([{"message_uuid": "a", "attempt": 1, "offset": offset, "hash": hash}])
}

#[tokio::test]
async fn a_reconnect_reads_on_from_where_the_application_is() {
    let script = Script::start().await;
    let mut client = script.client();
    let (mut server, _) = script.connection().await;
    server.start(1).await;
    server.piece(1, 0, "a👍").await;
    assert_eq!(seen(&mut client).await, "attempt 1");
    assert_eq!(seen(&mut client).await, "0: a👍");
    drop(server);
    let (mut server, question) = script.connection().await;
    assert_eq!(question["have"], have(3, "a👍"));
    server.piece(1, 3, "b").await;
    assert_eq!(seen(&mut client).await, "3: b");
}

#[tokio::test]
async fn a_hole_is_asked_for_and_not_shown() {
    let script = Script::start().await;
    let mut client = script.client();
    let (mut server, _) = script.connection().await;
    server.caught_up().await;
    server.start(1).await;
    server.piece(1, 0, "a").await;
    server.piece(1, 2, "c").await;
    for expected in ["caught up", "attempt 1", "0: a"] {
        assert_eq!(seen(&mut client).await, expected);
    }
    let next = async { seen(&mut client).await };
    let mend = async {
        let question = server.hear().await;
        assert_eq!(question["have"], have(1, "a"));
        server.piece(1, 1, "bc").await;
    };
    let (next, ()) = tokio::join!(next, mend);
    assert_eq!(next, "1: bc");
}

#[tokio::test]
async fn a_stop_is_settled_as_a_send_is() {
    let script = Script::start().await;
    let client = script.client();
    let (mut server, _) = script.connection().await;
    let stops = async {
        let by_ref = client.stop(StopTarget::Send("q".parse().unwrap())).await;
        let by_name = client.stop(StopTarget::Message("nothing".parse().unwrap())).await;
        (by_ref, by_name)
    };
    let answers = async {
        let stop = server.hear().await;
        assert_eq!((&stop["type"], &stop["ref"]), (&json!("message_stop"), &json!("q")));
        server.say(&json!({"type": "accepted", "ref": stop["id"]})).await;
        let stop = server.hear().await;
        assert_eq!(stop["message_uuid"], "nothing");
        server
            .say(&json!({
                "type": "error", "ref": stop["id"], "code": "not_found", "message": "No such answer.",
                "retryable": false,
            }))
            .await;
    };
    let ((accepted, refused), ()) = tokio::join!(stops, answers);
    assert!(accepted.is_ok());
    assert!(matches!(refused, Err(SendError::Refused { code, .. }) if &*code == "not_found"));
}
