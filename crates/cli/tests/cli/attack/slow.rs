//! Peers that take their time, all of it.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use tetherline_server::{ANSWER_STUCK_TIMEOUT, BODY_PROGRESS_TIMEOUT, HEADER_READ_TIMEOUT};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    bystander::{Bystander, Cost},
    raw::Raw,
};
use crate::support::Server;

const CONNECTIONS: usize = 100;
/// Until nothing is taken of it any more, each has some hundred thousand requests answered.
const UNREAD: usize = 3;
/// On top of what the server waits: everything here takes its time, and other tests run.
const MORE: Duration = Duration::from_secs(30);

/// Says one more of these every now and then, until it is hung up on.
async fn trickle(mut raw: Raw, bytes: &[u8], within: Duration) {
    let hung_up = async {
        for byte in bytes.iter().cycle() {
            let read = timeout(Duration::from_millis(200), raw.0.read(&mut [0; 1024])).await;
            if matches!(read, Ok(Ok(0) | Err(_))) || raw.0.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    };
    timeout(within + MORE, hung_up).await.expect("it is hung up on");
}

#[tokio::test]
async fn who_is_slow_or_silent_or_never_reads_is_cut_off_and_keeps_nobody_waiting() {
    let server = Server::start();
    let mut bystander = Bystander::connect(&server).await;
    let key = server.api_key();
    let publish = format!(
        "POST /v1/users/eve/messages HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n"
    );
    // No header comes to its end: nothing said, one byte after the other, and half of one.
    let headers = join_all((0..CONNECTIONS).map(|n| {
        let server = &server;
        async move {
            let mut raw = Raw::connect(server).await;
            let began = Instant::now();
            match n % 3 {
                0 => trickle(raw, b"GET / HTTP/1.1\r\nHost: h\r\nx: ", HEADER_READ_TIMEOUT).await,
                1 => {
                    let most = "x".repeat(15_000);
                    raw.say(format!("GET /ws/user/eve HTTP/1.1\r\nx: {most}")).await.unwrap();
                    raw.gone().await;
                }
                _ => raw.gone().await,
            }
            assert!(began.elapsed() < HEADER_READ_TIMEOUT + MORE);
        }
    }));
    // Bodies of whoever has a key, which are waited for: they stop, or trickle, announced or not.
    let bodies = join_all((0..CONNECTIONS).map(|n| {
        let (server, publish) = (&server, &publish);
        async move {
            let mut raw = Raw::connect(server).await;
            let length =
                if n % 2 == 0 { "Content-Length: 9999" } else { "Transfer-Encoding: chunked" };
            raw.say(format!("{publish}{length}\r\n\r\n")).await.unwrap();
            let body = if n % 2 == 0 { "{" } else { "1\r\n{\r\n" };
            trickle(raw, body.as_bytes(), BODY_PROGRESS_TIMEOUT).await;
        }
    }));
    // Requests one behind the other, of which no answer is read, and no key is shown.
    let unread = join_all((0..UNREAD).map(|_| {
        let server = &server;
        async move {
            let mut raw = Raw::connect_narrow(server).await;
            let ask = "GET /ws/user/eve HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100);
            let cut = async { while raw.0.write(ask.as_bytes()).await.is_ok() {} };
            timeout(ANSWER_STUCK_TIMEOUT + MORE, cut).await.expect("it is cut off");
        }
    }));
    let attack = async { join(join(headers, bodies), unread).await };
    // What HTTP reads ahead of each, and what the system takes for it.
    bystander.beside(&Cost::of(2 * CONNECTIONS + UNREAD, 128 * 1024), attack).await;
    // They are gone, and everybody comes in.
    assert_eq!(Raw::ask(&server, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.status, 404);
}
