//! A backend that writes streams over HTTP, piece by piece or in one long request, and asks how far it
//! got whenever it does not know.

use std::{convert::Infallible, sync::Arc, sync::atomic::Ordering, time::Duration};

use futures_util::stream;
use reqwest::{Body, Method, RequestBuilder, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    ledger::{Kind, count},
    publisher::is_ours,
    scene::Phase,
    streams::{Desk, byte_index, text_of, units},
};

/// The wait before asking again a server that is away.
const AGAIN: Duration = Duration::from_millis(10);
/// Characters of a piece.
const PIECE_MAX: usize = 60;
/// How long the model thinks about the next piece, in ms.
const PAUSES_MS: std::ops::Range<u64> = 0..12;

#[derive(Deserialize)]
struct Opened {
    attempt: u32,
}

#[derive(Deserialize)]
struct Added {
    next_offset: u64,
}

#[derive(Deserialize)]
struct Reading {
    attempt: u32,
    phase: String,
    next_offset: u64,
    text: String,
}

/// A stream that is being written.
struct Stream<'a> {
    desk: &'a Desk,
    /// Which way its requests take.
    way: usize,
    name: String,
    text: String,
    attempt: u32,
    /// How much of the text the server has said to keep, in UTF-16 units.
    kept: u64,
}

/// How one request ended.
enum Outcome {
    Ended,
    /// Nobody knows what became of it.
    Unclear,
}

/// Writes one stream after the other until the phase changes; answers how many.
pub(crate) async fn write(desk: Arc<Desk>, number: usize, mut random: fastrand::Rng) -> u64 {
    let phase = desk.scene.phase();
    let mut written = 0;
    while *phase.borrow() == Phase::Running {
        let name = format!("{}-{number}-{written}", desk.user);
        let text = text_of(&name);
        let mut stream = Stream { desk: &desk, way: number, name, text, attempt: 0, kept: 0 };
        stream.open().await;
        desk.open.fetch_add(1, Ordering::Relaxed);
        stream.write_and_end(&mut random).await;
        desk.open.fetch_sub(1, Ordering::Relaxed);
        count(&desk.scene.ledger.counts.streams);
        written += 1;
    }
    written
}

impl Stream<'_> {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let Desk { scene, user, .. } = self.desk;
        let url = format!("{}/v1/users/{user}/streams{path}", scene.url(self.way));
        scene.http.request(method, url).bearer_auth(&scene.api_key)
    }

    async fn open(&mut self) {
        loop {
            let body = json!({ "message_uuid": self.name });
            if let Some(opened) =
                self.ask::<Opened>(self.request(Method::POST, "").json(&body)).await
            {
                self.attempt = opened.attempt;
                return;
            }
            // It may have been opened all the same.
            if self.look().await.is_some() {
                return;
            }
        }
    }

    async fn write_and_end(&mut self, random: &mut fastrand::Rng) {
        loop {
            let outcome = if random.bool() {
                self.write_pieces(random).await
            } else {
                self.write_lines(random).await
            };
            match outcome {
                Outcome::Ended => return,
                Outcome::Unclear => {
                    count(&self.desk.scene.ledger.counts.streams_resumed);
                    while self.look().await.is_none() {
                        sleep(AGAIN).await;
                    }
                }
            }
        }
    }

    async fn write_pieces(&mut self, random: &mut fastrand::Rng) -> Outcome {
        for piece in self.rest(random) {
            let body = json!({ "text": piece, "offset": self.kept });
            let path = format!("/{}/{}/text", self.name, self.attempt);
            let request = self.request(Method::POST, &path).json(&body);
            let Some(Added { next_offset }) = self.ask(request).await else {
                return Outcome::Unclear;
            };
            let expected = self.kept + units(&piece);
            if next_offset != expected {
                let words = format!("it goes on at {next_offset} and not at {expected}");
                self.desk.problem(Kind::Broken, &self.name, &words);
            }
            self.kept = next_offset;
            sleep(Duration::from_millis(random.u64(PAUSES_MS))).await;
        }
        let path = format!("/{}/{}/finish", self.name, self.attempt);
        self.ended(self.request(Method::POST, &path).json(&json!({}))).await
    }

    /// All the rest in one request, as a model's stream would be piped through, and its end.
    async fn write_lines(&mut self, random: &mut fastrand::Rng) -> Outcome {
        let mut lines: Vec<String> =
            self.rest(random).iter().map(|piece| json!({ "text": piece }).to_string()).collect();
        lines.push(json!({ "status": "complete" }).to_string());
        let pauses: Vec<_> = lines.iter().map(|_| random.u64(PAUSES_MS)).collect();
        let lines = lines.into_iter().zip(pauses);
        let body = stream::unfold(lines, |mut lines| async move {
            let (line, pause) = lines.next()?;
            sleep(Duration::from_millis(pause)).await;
            Some((Ok::<_, Infallible>(format!("{line}\n")), lines))
        });
        let path = format!("/{}/{}/text?offset={}", self.name, self.attempt, self.kept);
        let request = self.request(Method::POST, &path);
        let request = request.header(header::CONTENT_TYPE, "application/x-ndjson");
        self.ended(request.body(Body::wrap_stream(body))).await
    }

    async fn ended(&self, request: RequestBuilder) -> Outcome {
        let ended = self.ask::<serde_json::Value>(request).await;
        if ended.is_some() { Outcome::Ended } else { Outcome::Unclear }
    }

    fn rest(&self, random: &mut fastrand::Rng) -> Vec<String> {
        let from = byte_index(&self.text, self.kept).unwrap_or(self.text.len());
        let characters: Vec<char> = self.text[from..].chars().collect();
        let mut rest = &*characters;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(random.usize(1..=PIECE_MAX).min(rest.len()));
            pieces.push(piece.iter().collect());
            rest = others;
        }
        pieces
    }

    /// Asks how far it got. `None` if the server does not say, or does not know the stream.
    async fn look(&mut self) -> Option<()> {
        let shown = self.desk.shown(&self.name);
        let path = format!("/{}", self.name);
        let reading = self.ask::<Reading>(self.request(Method::GET, &path)).await?;
        let Reading { attempt, phase, next_offset, text } = reading;
        self.attempt = attempt;
        if next_offset < self.kept {
            let words =
                format!("{} units were answered for, and {next_offset} are there", self.kept);
            self.desk.problem(Kind::Lost, &self.name, &words);
        }
        if next_offset < shown {
            let words = format!("{shown} units were shown, and {next_offset} are there");
            self.desk.problem(Kind::Lost, &self.name, &words);
        }
        let is_prefix = self.text.starts_with(&text) && units(&text) == next_offset;
        // Once it is over, the message has the text.
        if phase == "open" && !is_prefix {
            self.desk.problem(Kind::Broken, &self.name, "it has another text than was written");
        }
        self.kept = next_offset;
        Some(())
    }

    /// `None`: it is not known what became of it.
    async fn ask<T: for<'a> Deserialize<'a>>(&self, request: RequestBuilder) -> Option<T> {
        let Ok(answer) = request.send().await else {
            sleep(AGAIN).await;
            return None;
        };
        let status = answer.status();
        if !status.is_success() {
            let is_away =
                [StatusCode::SERVICE_UNAVAILABLE, StatusCode::NOT_FOUND].contains(&status);
            // A proxy's own word says nothing about the stream.
            if !is_away && is_ours(&answer.bytes().await.unwrap_or_default()) {
                self.desk.problem(Kind::Broken, &self.name, &format!("it was answered {status}"));
            }
            sleep(AGAIN).await;
            return None;
        }
        answer.json().await.ok()
    }
}
