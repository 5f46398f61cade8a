//! A server that strangers leave no file descriptor to, if they can.

use serde_json::json;
use std::time::Duration;
use tetherline_server::HEADER_READ_TIMEOUT;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    socket::Socket,
    support::{PATIENCE, Server},
};

const DESCRIPTORS: u32 = 512;
/// Of one user's devices.
const CONNECTED: usize = 60;
const IDLE: usize = 600;

/// Connections that say nothing. No key is needed for that.
async fn idle(url: &str) -> Vec<TcpStream> {
    let mut idle = Vec::new();
    while idle.len() < IDLE {
        idle.push(TcpStream::connect(url.trim_start_matches("http://")).await.unwrap());
    }
    idle
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_takes_no_place_from_anybody() {
    // Silent connections took every descriptor that the server had, and nobody else came in until they were
    // closed, ten seconds later; who opened them again kept everybody out. No key is needed for that.
    let server = Server::start_with_descriptors(DESCRIPTORS);
    let (ada, bob) = (server.token("ada"), server.token("bob"));
    let mut connected = Vec::new();
    for device in 0..CONNECTED {
        let mut socket = Socket::at(&server.url, &ada, "ada", &format!("d{device}")).await;
        socket.send(&json!({ "type": "get_pending" })).await;
        socket.frame("pending_check_complete").await;
        connected.push(socket);
    }
    let idle = idle(&server.url).await;
    let newcomer = Socket::at(&server.url, &bob, "bob", "newcomer");
    timeout(HEADER_READ_TIMEOUT * 9 / 10, newcomer).await.expect("at once");
    for note in 1..=3 {
        // With a connection of its own.
        tokio::task::block_in_place(|| server.publish("ada", &json!({ "n": note }).to_string()));
        for socket in &mut connected {
            assert_eq!(socket.frame("note").await["n"], note);
        }
    }
    drop(idle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_again_and_again_for_what_is_not_there_keeps_nobody_out() {
    // Each answer counted as a new beginning, so that none of these connections ever made way.
    let server = Server::start_with_descriptors(DESCRIPTORS);
    let bob = server.token("bob");
    let mut asking = JoinSet::new();
    for mut stream in idle(&server.url).await {
        asking.spawn(async move {
            while stream.write_all(b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n").await.is_ok()
                && stream.read(&mut [0; 4096]).await.is_ok_and(|bytes| bytes > 0)
            {
                sleep(Duration::from_millis(100)).await;
            }
        });
    }
    for _ in 0..3 {
        let newcomer = Socket::at(&server.url, &bob, "bob", "newcomer");
        timeout(HEADER_READ_TIMEOUT * 9 / 10, newcomer).await.expect("soon");
    }
    asking.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_leave_descriptors_to_the_store_and_are_refused_at_once() {
    // They took all that there were, and what the store and the webhook needed then was not to be had.
    let server = Server::start_with_descriptors(DESCRIPTORS);
    let (mut connected, mut refused) = (Vec::new(), 0);
    for user in ["ada", "bob", "eve", "joe", "kim"] {
        let token = server.token(user);
        for device in 0..CONNECTED {
            let device = format!("d{device}");
            let socket = Socket::try_at(&server.url, &token, user, &device);
            match timeout(PATIENCE, socket).await.expect("an answer, whatever it is") {
                Ok(socket) => connected.push((user, socket)),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 0 && connected.len() < DESCRIPTORS as usize / 2, "{}", connected.len());
    // Everybody reads the store, and whoever leaves makes room for a publisher.
    connected.truncate(connected.len() - 4);
    for (_, socket) in &mut connected {
        socket.send(&json!({ "type": "get_pending" })).await;
        socket.frame("pending_check_complete").await;
    }
    tokio::task::block_in_place(|| server.publish("ada", r#"{ "n": 1 }"#));
    for (_, socket) in connected.iter_mut().filter(|(user, _)| *user == "ada") {
        assert_eq!(socket.frame("note").await["n"], 1);
    }
}
