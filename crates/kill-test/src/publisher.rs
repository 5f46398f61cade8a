//! Publishes over HTTP as fast as the answers come, each message until it is answered 2xx.

use std::{sync::Arc, time::Duration};

use reqwest::{StatusCode, header};
use serde::Deserialize;
use tokio::{sync::watch, time::sleep};

use crate::{
    ledger::{Kind, Note, count},
    scene::{Phase, Scene, user_name},
};

/// The wait before asking again a server that is away or refuses.
const AGAIN: Duration = Duration::from_millis(10);
/// One in so many messages is published again although it was answered.
const REPEAT_EVERY: u32 = 16;
/// How far the slowest page may be behind: a server keeps so many messages and some more.
const LAG_MAX: u64 = 8_000;

/// What a 2xx says.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Receipt {
    id: String,
    seq: u64,
}

/// Publishes until the phase changes; answers how many messages.
pub(crate) async fn publish(
    scene: Arc<Scene>,
    user: usize,
    publisher: u16,
    mut random: fastrand::Rng,
) -> u32 {
    let phase = scene.phase();
    let mut n = 0;
    while *phase.borrow() == Phase::Running {
        if scene.lag(user) > LAG_MAX {
            sleep(AGAIN).await;
            continue;
        }
        let note = Note { publisher, n };
        let receipt = until_answered(&scene, user, note).await;
        scene.ledger.published(user, note, receipt.seq);
        count(&scene.ledger.counts.published);
        n += 1;
        if random.u32(..REPEAT_EVERY) == 0 {
            repeat(&scene, user, note, &receipt, &phase).await;
        }
    }
    n
}

async fn repeat(
    scene: &Scene,
    user: usize,
    note: Note,
    first: &Receipt,
    phase: &watch::Receiver<Phase>,
) {
    if *phase.borrow() != Phase::Running {
        return;
    }
    let second = until_answered(scene, user, note).await;
    count(&scene.ledger.counts.publishes_repeated);
    if second != *first {
        let words = format!("user {user}: {note} is {first:?}, and {second:?} when repeated");
        scene.ledger.problem(Kind::Doubled, words);
    }
}

async fn until_answered(scene: &Scene, user: usize, note: Note) -> Receipt {
    loop {
        if let Some(receipt) = try_once(scene, user, note).await {
            return receipt;
        }
        sleep(AGAIN).await;
    }
}

async fn try_once(scene: &Scene, user: usize, note: Note) -> Option<Receipt> {
    let name = user_name(user);
    let Note { publisher, n } = note;
    let answer = scene
        .http
        .post(format!("{}/v1/users/{name}/messages", scene.url(user + usize::from(publisher))))
        .bearer_auth(&scene.api_key)
        .header("idempotency-key", format!("{publisher}-{n}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(format!(r#"{{"type":"note","user":"{name}","publisher":{publisher},"n":{n}}}"#))
        .send()
        .await
        .ok()?;
    let status = answer.status();
    match status {
        // Killed between the status and the body: it is asked again.
        status if status.is_success() => answer.json().await.ok(),
        StatusCode::SERVICE_UNAVAILABLE if answer.headers().contains_key(header::RETRY_AFTER) => {
            count(&scene.ledger.counts.publishes_refused);
            None
        }
        status => {
            let body = answer.bytes().await.unwrap_or_default();
            // A proxy's own word says nothing about the message.
            if is_ours(&body) {
                let words = format!("user {user}: {note} was answered {status}");
                scene.ledger.problem(Kind::Broken, words);
            }
            None
        }
    }
}

/// Whether this is how Tetherline itself refuses.
pub(crate) fn is_ours(body: &[u8]) -> bool {
    let body = serde_json::from_slice::<serde_json::Value>(body);
    body.is_ok_and(|body| body["error"]["code"].is_string())
}
