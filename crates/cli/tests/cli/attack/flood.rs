//! More than anybody takes.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::{io::AsyncWriteExt as _, time::timeout};

use super::{
    bystander::{Bystander, Cost},
    raw::{Raw, frame, text},
};
use crate::support::Server;

const CONNECTIONS: usize = 40;
/// `message_bytes_max`.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// What the system may take of what nobody reads.
const SAID_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Nothing has been taken for so long: nothing will be, as long as nobody reads.
const NOT_TAKEN: Duration = Duration::from_secs(2);

async fn eves(server: &Server) -> Vec<Raw> {
    let token = server.token("eve");
    let open = (0..CONNECTIONS).map(|_| async {
        let mut eve = Raw::connect_narrow(server).await;
        eve.upgrade("eve", &token).await;
        eve
    });
    join_all(open).await
}

/// Says it again and again, and reads nothing, until it is not taken any more.
async fn until_not_taken(raw: &mut Raw, piece: &[u8]) {
    let mut said = 0;
    while let Ok(Ok(bytes)) = timeout(NOT_TAKEN, raw.0.write(piece)).await {
        said += bytes;
        assert!(said < SAID_BYTES_MAX, "{said} bytes were taken");
    }
}

#[tokio::test]
async fn who_floods_and_reads_no_answer_is_not_read_any_more() {
    let server = Server::start();
    let mut bystander = Bystander::connect(&server).await;
    let stamp = "x".repeat(MESSAGE_BYTES_MAX - 100);
    let pings = frame(0x89, [7; 125]).repeat(100);
    let large = text(format!(r#"{{"type":"ping","timestamp":"{stamp}"}}"#));
    let small = text(r#"{"type":"ping"}"#).repeat(100);
    let pending = text(r#"{"type":"get_pending","after":0}"#).repeat(100);
    let unknown = text(r#"{"type":"message_stop","id":"s","message_uuid":"none"}"#).repeat(100);
    let attack = async {
        let mut eves = eves(&server).await;
        let floods = [&pings, &large, &small, &pending, &unknown];
        let flooding = eves.iter_mut().zip(floods.into_iter().cycle());
        join_all(flooding.map(|(eve, piece)| until_not_taken(eve, piece))).await;
    };
    // Answers that wait, twice the largest message at most, one more that is read, and what the system keeps.
    bystander.beside(&Cost::of(CONNECTIONS, 4 * MESSAGE_BYTES_MAX), attack).await;
}

#[tokio::test]
async fn fragments_that_never_end_are_kept_up_to_the_limit_and_no_further() {
    let server = Server::start();
    let mut bystander = Bystander::connect(&server).await;
    let attack = async {
        let mut eves = eves(&server).await;
        let fill = frame(0x00, "x").repeat(1_000);
        for eve in &mut eves {
            eve.say(frame(0x01, vec![b'x'; MESSAGE_BYTES_MAX - 10_000])).await.unwrap();
            for _ in 0..10 {
                eve.say(&fill).await.unwrap();
            }
            // Empty ones cost nothing, however many.
            eve.say(frame(0x00, "").repeat(10_000)).await.unwrap();
            // They are there still: what comes in between is answered.
            eve.say(frame(0x89, "there?")).await.unwrap();
        }
        for eve in &mut eves {
            assert_eq!(eve.next().await, super::raw::Said::Pong(b"there?".to_vec()));
        }
        for eve in &mut eves {
            eve.say(frame(0x00, "x")).await.unwrap();
            assert_eq!(eve.closed().await, 1009);
        }
    };
    bystander.beside(&Cost::of(CONNECTIONS, 4 * MESSAGE_BYTES_MAX), attack).await;
}

#[tokio::test]
async fn who_comes_and_goes_without_a_word_leaves_nothing_behind() {
    let server = Server::start();
    let mut bystander = Bystander::connect(&server).await;
    let token = server.token("eve");
    let attack = async {
        for n in 0..400 {
            let mut eve = Raw::connect(&server).await;
            match n % 4 {
                0 => {}
                1 => eve.say("GET /ws/user/eve HTTP/1.1\r\nHo").await.unwrap(),
                2 => drop(eve.upgrade("eve", &token).await),
                _ => {
                    eve.upgrade("eve", &token).await;
                    eve.say(&text(r#"{"type":"ping"}"#)[..9]).await.unwrap();
                }
            }
            // A reset, as when a cable is cut and the other end has started anew.
            eve.0.set_zero_linger().unwrap();
        }
        // None of them counts any more: as many as may be are let in.
        let deadline = std::time::Instant::now() + crate::support::PATIENCE;
        let mut connected = Vec::new();
        while connected.len() < 64 {
            assert!(std::time::Instant::now() < deadline, "{} come in", connected.len());
            let path = "/ws/user/eve?device=d";
            let protocols = ["tetherline.v1".to_owned(), format!("bearer.{token}")];
            if let Ok(socket) = crate::socket::Socket::open(&server.url, path, &protocols).await {
                connected.push(socket);
            }
        }
    };
    bystander.beside(&Cost::NOTHING, attack).await;
}
