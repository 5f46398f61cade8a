//! Somebody who watches streams, over any number of connections: what they were shown of each
//! attempt is a prefix of what it comes to, and nothing is shown twice.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message as Frame, client::IntoClientRequest as _},
};

use crate::{
    ledger::{Kind, count},
    streams::{Desk, text_of, units},
};

const AGAIN: Duration = Duration::from_millis(20);
/// How long a reader waits for anything before it takes a new connection.
const PATIENCE: Duration = Duration::from_secs(5);

struct Reader {
    desk: Arc<Desk>,
    /// Which way its connections take.
    way: usize,
    device: String,
    epoch: Option<String>,
    /// The last position that came.
    after: Option<u64>,
    /// What is shown of each unfinished stream: its attempt and its text.
    unfinished: HashMap<String, (u64, String)>,
    finished: u64,
}

/// Watches until all streams of the user have come.
pub(crate) async fn read(desk: Arc<Desk>, number: usize, mut random: fastrand::Rng) {
    let device = format!("reader-{number}");
    let mut reader = Reader {
        desk,
        way: number,
        device,
        epoch: None,
        after: None,
        unfinished: HashMap::new(),
        finished: 0,
    };
    loop {
        // Whatever it is that breaks, it is the connection's end.
        let _ = reader.watch().await;
        if reader.is_done() {
            return;
        }
        if number > 0 && random.bool() {
            // Like a page that is reloaded: it reads its history, and has nothing of unfinished streams.
            reader.unfinished.clear();
        }
        sleep(AGAIN).await;
    }
}

impl Reader {
    fn is_done(&self) -> bool {
        (*self.desk.total.borrow()).is_some_and(|total| self.finished >= total)
            && self.unfinished.is_empty()
    }

    async fn watch(&mut self) -> Result<()> {
        let url = self.desk.scene.url(self.way).replacen("http", "ws", 1);
        let url = format!("{url}/ws/user/{}?device={}", self.desk.user, self.device);
        let mut request = url.into_client_request()?;
        let offer = format!("tetherline.v1, bearer.{}", self.desk.token);
        request.headers_mut().insert("sec-websocket-protocol", offer.parse()?);
        let (mut socket, _) = timeout(PATIENCE, connect_async(request)).await??;
        let mut total = self.desk.total.clone();
        while !self.is_done() {
            let frame = tokio::select! {
                frame = timeout(PATIENCE, socket.next()) => frame?.context("it is closed")??,
                _ = total.changed() => continue,
            };
            let Frame::Text(text) = frame else { continue };
            let frame: Value = serde_json::from_str(&text)?;
            match frame["type"].as_str().unwrap_or_default() {
                "connection_established" => {
                    let question = self.question(&frame);
                    socket.send(Frame::text(question.to_string())).await?;
                }
                "message_start" => self.start(&frame),
                "message_delta" => self.add(&frame),
                "message_generate" => self.finish(&frame),
                "error" => ensure!(false, "{frame}"),
                _ => {}
            }
        }
        Ok(())
    }

    fn question(&mut self, established: &Value) -> Value {
        let epoch = established["epoch"].as_str().unwrap_or_default().to_owned();
        if *self.epoch.get_or_insert_with(|| epoch.clone()) != epoch {
            self.problem(Kind::Lost, "-", "the epoch is another one");
        }
        let place = |(name, (attempt, text)): (&String, &(u64, String))| json!({ "message_uuid": name, "attempt": attempt, "offset": units(text) });
        let have: Vec<Value> = self.unfinished.iter().map(place).collect();
        match self.after {
            Some(after) => {
                json!({ "type": "get_pending", "after": after, "epoch": epoch, "have": have })
            }
            None => json!({ "type": "get_pending", "have": have }),
        }
    }

    fn start(&mut self, frame: &Value) {
        let Some((name, attempt)) = name_in(frame) else { return };
        let known = self.unfinished.insert(name.clone(), (attempt, String::new()));
        if known.is_some_and(|(known, text)| known >= attempt && !text.is_empty()) {
            self.problem(Kind::Doubled, &name, "it begins again");
        }
    }

    fn add(&mut self, frame: &Value) {
        let Some((name, attempt)) = name_in(frame) else { return };
        let (offset, piece) = (frame["offset"].as_u64(), frame["text"].as_str());
        let (Some(offset), Some(piece)) = (offset, piece) else {
            return self.problem(Kind::Broken, &name, "a piece of it says not where, or nothing");
        };
        let Some((_, text)) = self.unfinished.get_mut(&name).filter(|(known, _)| *known == attempt)
        else {
            return self.problem(Kind::Broken, &name, "text came before it began");
        };
        let end = units(text);
        if offset != end {
            let kind = if offset < end { Kind::Doubled } else { Kind::Lost };
            return self.problem(kind, &name, &format!("{offset} comes after {end}"));
        }
        text.push_str(piece);
        let (shown, is_right) = (units(text), text_of(&name).starts_with(&**text));
        self.desk.show(&name, shown);
        count(&self.desk.scene.ledger.counts.pieces);
        if !is_right {
            self.problem(Kind::Broken, &name, "what is shown is not what was written");
        }
    }

    fn finish(&mut self, frame: &Value) {
        let Some((name, attempt)) = name_in(frame) else { return };
        let seq = frame["seq"].as_u64().unwrap_or_default();
        let expected = self.after.unwrap_or(0) + 1;
        if seq != expected {
            let kind = if seq < expected { Kind::Doubled } else { Kind::Lost };
            self.problem(kind, &name, &format!("it came at {seq} and not at {expected}"));
        }
        self.after = Some(seq.max(expected - 1));
        self.finished += 1;
        let content = frame["message"]["content"].as_str().unwrap_or_default();
        if content != text_of(&name) || frame["status"] != "complete" {
            let words = format!("it ends as {} with {} units", frame["status"], units(content));
            self.problem(Kind::Lost, &name, &words);
        }
        let shown = self.unfinished.remove(&name);
        if shown.is_some_and(|(known, text)| known == attempt && !content.starts_with(&text)) {
            self.problem(Kind::Broken, &name, "its end is another text than was shown");
        }
    }

    fn problem(&self, kind: Kind, name: &str, words: &str) {
        self.desk.problem(kind, name, &format!("on {}: {words}", self.device));
    }
}

fn name_in(frame: &Value) -> Option<(String, u64)> {
    Some((frame["message_uuid"].as_str()?.to_owned(), frame["attempt"].as_u64()?))
}
