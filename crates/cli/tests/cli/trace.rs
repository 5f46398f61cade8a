//! Following a user live.

use serde_json::{Value, json};

use crate::{
    socket::Socket,
    support::{Process, Server, complaint, run, text},
};

struct Trace(Process);

impl Trace {
    fn of(server: &Server, user: &str, more: &[&str]) -> Self {
        let key = server.file("api.key");
        let all = ["trace", "--url", &server.url, "--api-key-file", text(&key), "--user", user];
        Self(Process::start(&[&all[..], more].concat()))
    }

    fn next(&self) -> Value {
        serde_json::from_str(&self.0.line()).unwrap()
    }

    /// The events that come next, up to the first of this kind.
    fn until(&self, event: &str) -> Vec<Value> {
        let mut told = vec![self.next()];
        while told.last().unwrap()["event"] != event {
            told.push(self.next());
        }
        told
    }
}

fn names(told: &[Value]) -> Vec<&str> {
    told.iter().map(|it| it["event"].as_str().unwrap()).collect()
}

fn is_ok(arguments: &[&str]) {
    let output = run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn what_happens_to_a_connection_is_told_in_order_from_its_beginning_to_its_end() {
    // Who asked twice a second saw nothing of what came and went between, and no close code ever.
    let server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    let trace = Trace::of(&server, "ada", &["--json"]);
    let first = trace.next();
    assert_eq!((&first["event"], &first["head"]), (&json!("following"), &json!(1)));
    assert_eq!(first["connections"], json!([]));

    let mut socket = Socket::of(&server, "ada", "laptop").await;
    let connection = socket.frame("connection_established").await["connection_id"].take();
    let connected = trace.next();
    assert_eq!(
        (&connected["event"], &connected["connection_id"]),
        (&json!("connected"), &connection)
    );
    assert_eq!(
        (&connected["device"], &connected["address"]),
        (&json!("laptop"), &json!("127.0.0.1"))
    );
    socket.send(&json!({ "type": "get_pending" })).await;
    socket.frame("pending_check_complete").await;
    let told = trace.until("asked");
    let asked = told.last().unwrap();
    assert_eq!((&asked["how"], &asked["after"]), (&json!("cursor"), &json!(0)));
    while trace.until("sent").pop().unwrap()["up_to"] != 1 {}

    server.publish("ada", r#"{"n":2}"#);
    socket.frame("note").await;
    let told = trace.until("sent");
    assert_eq!(names(&told), ["published", "sent"]);
    assert_eq!((&told[0]["seq"], &told[1]["up_to"]), (&json!(2), &json!(2)));
    socket.send(&json!({ "type": "ack", "seq": 2 })).await;
    let acknowledged = trace.next();
    assert_eq!(acknowledged["event"], "acknowledged");
    assert_eq!((&acknowledged["up_to"], &acknowledged["unhandled"]), (&json!(2), &json!(0)));

    let key = server.file("api.key");
    is_ok(&["sign-out", "--url", &server.url, "--api-key-file", text(&key), "--user", "ada"]);
    let closed = trace.next();
    assert_eq!((&closed["event"], &closed["by"]), (&json!("closed"), &json!("server")));
    assert_eq!((&closed["code"], &closed["reason"]), (&json!(4401), &json!("signed out")));
    assert_eq!(closed["connection_id"], connection);
}

#[tokio::test]
async fn who_is_there_already_is_told_first_and_who_resumes_is_told_apart() {
    let server = Server::start();
    server.publish("ada", r#"{"n":1}"#);
    let mut socket = Socket::of(&server, "ada", "laptop").await;
    socket.send(&json!({ "type": "get_pending" })).await;
    let note = socket.frame("note").await;
    let trace = Trace::of(&server, "ada", &["--json"]);
    let there = trace.next()["connections"].take();
    assert_eq!(
        (&there[0]["device"], &there[0]["waits_for"]),
        (&json!("laptop"), &json!("nothing"))
    );
    // Of somebody else nothing is told.
    let _other = Socket::of(&server, "bob", "laptop").await;
    socket.close(1000).await;
    let closed = trace.next();
    assert_eq!((&closed["event"], &closed["by"]), (&json!("closed"), &json!("client")));
    assert_eq!(closed["code"], 1000);
    let mut socket = Socket::of(&server, "ada", "laptop").await;
    let resume = json!({ "type": "get_pending", "after": 1, "after_id": note["id"] });
    socket.send(&resume).await;
    let told = trace.until("asked");
    assert_eq!(names(&told), ["connected", "asked"]);
    assert_eq!((&told[1]["how"], &told[1]["after"]), (&json!("resumed"), &json!(1)));
}

#[tokio::test]
async fn whoever_says_too_much_is_told_to_be_held_and_what_it_sends_has_an_outcome() {
    let server = Server::start_with(&["--controls-per-connection", "1/h"]);
    let trace = Trace::of(&server, "ada", &["--json"]);
    trace.until("following");
    let mut socket = Socket::of(&server, "ada", "laptop").await;
    socket.send(&json!({ "type": "chat_message", "id": "m-1" })).await;
    let told = trace.until("settled");
    assert_eq!(names(&told), ["connected", "send", "settled"]);
    assert_eq!(told[1]["id"], "m-1");
    assert_ne!(told[2]["outcome"], "accepted", "nobody takes it here");
    for _ in 0..2 {
        socket.send(&json!({ "type": "ping" })).await;
    }
    assert_eq!(names(&trace.until("held")), ["held"]);
}

#[test]
fn a_user_is_followed_over_a_restart_of_the_server() {
    let mut server = Server::start();
    let trace = Trace::of(&server, "ada", &[]);
    assert!(trace.0.line().ends_with("newest 0"));
    server.publish("ada", r#"{"n":1}"#);
    assert!(trace.0.line().contains("has message 1, "));
    let tail = server.tail("ada", &["--device", "laptop"]);
    let connects = trace.0.line();
    assert!(connects.contains("laptop (") && connects.ends_with("connects from 127.0.0.1"));
    assert!(trace.0.line().ends_with("goes on where its device stands, after message 0"));
    assert_eq!(tail.frame()["n"], 1);
    tail.terminate();
    while !trace.0.line().contains("was closed by its client with 1000") {}
    // In order: it ends what is told, and waits for nobody who follows.
    server.terminate();
    server.start_again();
    assert!(trace.0.line().ends_with("newest 1"));
    server.kill();
    server.start_again();
    assert!(trace.0.line().ends_with("newest 1"));
    drop(trace);
    // Whoever has no server hears of it at once.
    server.terminate();
    let key = server.file("api.key");
    let all = ["trace", "--url", &server.url, "--api-key-file", text(&key), "--user", "ada"];
    assert!(complaint(&all).contains("cannot reach"));
}
