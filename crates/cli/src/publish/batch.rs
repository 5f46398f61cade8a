//! Many messages from a file: in pieces, one after the other, each line with an outcome of its own.

use std::{fmt::Write as _, io, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tetherline_process::{Exit, answer, note, outcome_of};
use tokio::time::{Instant, sleep_until};

use super::{
    Access,
    lines::{BadLine, KeyPrefix, Line, Lines},
    no_answer_of_ours, refusal,
};
use crate::{files, printable::printable};

/// What to do when the server could not take what it was sent.
const AGAIN: &str = "the same command again, in a moment, doubles nothing that has a key";
/// How often it is said how far it is, where it takes longer.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

pub(super) async fn run(
    api: &Access,
    file: &Path,
    key_prefix: Option<&KeyPrefix>,
) -> Result<ExitCode> {
    let mut lines = Lines::open(file, key_prefix)?;
    let key = files::api_key(&api.api_key_file)?;
    let (http, server) = api.server()?;
    let url = format!("{server}/v1/messages");
    let mut batch = Batch { api, http, url, key, tally: Tally::new() };
    loop {
        let piece =
            lines.next_piece().with_context(|| format!("cannot read {}", file.display()))?;
        if piece.is_empty() {
            break;
        }
        batch.publish(piece).await?;
    }
    Ok(batch.tally.finish())
}

struct Batch<'a> {
    api: &'a Access,
    http: Client,
    url: String,
    key: String,
    tally: Tally,
}

impl Batch<'_> {
    async fn publish(&mut self, piece: Vec<Result<Line, BadLine>>) -> Result<()> {
        let mut lines = Vec::new();
        for line in piece {
            match line {
                Ok(line) => lines.push(line),
                Err(BadLine { number, why }) => self.tally.refused(number, why),
            }
        }
        let mut waiting = vec![lines];
        while let Some(mut lines) = waiting.pop().filter(|lines| !lines.is_empty()) {
            let (status, text) = self.ask(&lines).await?;
            match status {
                StatusCode::OK | StatusCode::MULTI_STATUS => self.take(&lines, &text)?,
                // Messages for many users can be too much together that are not too much alone.
                StatusCode::PAYLOAD_TOO_LARGE if lines.len() > 1 => {
                    let later = lines.split_off(lines.len() / 2);
                    waiting.extend([later, lines]);
                }
                StatusCode::PAYLOAD_TOO_LARGE => {
                    self.tally.refused(lines[0].number, &refusal(status.as_u16(), &text));
                }
                _ => {
                    let why = anyhow!("{}", refusal(status.as_u16(), &text));
                    return Err(self.stopped(lines[0].number, why));
                }
            }
        }
        Ok(())
    }

    async fn ask(&mut self, lines: &[Line]) -> Result<(StatusCode, String)> {
        let body = lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n");
        let request = self
            .http
            .post(&self.url)
            .bearer_auth(&self.key)
            .header("content-type", "application/x-ndjson")
            .body(body);
        let asking = async {
            let answer = request.send().await?;
            Ok((answer.status(), answer.text().await?))
        };
        let answered: reqwest::Result<_> = self.tally.while_waiting(asking).await;
        answered.map_err(|error| {
            let was_sent = !error.is_connect();
            let why = self.api.unreachable(error);
            let (first, last) = (lines[0].number, lines[lines.len() - 1].number);
            let is_safe = !was_sent || lines.iter().all(|line| line.has_key);
            let advice = if is_safe {
                AGAIN.to_owned()
            } else {
                format!("lines {first} to {last} may be published, and not all of them have a key")
            };
            let why = why.context(advice);
            self.stopped(first, why)
        })
    }

    /// What became of each line. A server that cannot take messages right now would say so again.
    fn take(&mut self, lines: &[Line], text: &str) -> Result<()> {
        let answers: Vec<&str> = text.lines().collect();
        let outcomes: Vec<Outcome> = answers
            .iter()
            .map(|answer| serde_json::from_str(answer))
            .collect::<Result<_, _>>()
            .with_context(|| no_answer_of_ours(&self.api.url))?;
        if outcomes.len() != lines.len() {
            return Err(anyhow!("{}", no_answer_of_ours(&self.api.url)));
        }
        // Writing to a `String` cannot fail, hence the `let _`.
        let mut shown = String::new();
        let mut not_now = None;
        for ((line, answer), outcome) in lines.iter().zip(answers).zip(&outcomes) {
            let fields = answer.trim_start().strip_prefix('{').unwrap_or_default();
            let _ = writeln!(shown, r#"{{"line":{},{fields}"#, line.number);
            self.tally.note(line.number, outcome);
            if outcome.is_retryable() {
                not_now.get_or_insert(line.number);
            }
        }
        self.tally.show(shown.trim_end());
        match not_now {
            Some(number) => {
                Err(self.stopped(number, anyhow!("the server cannot take it right now")))
            }
            None => Ok(()),
        }
    }

    fn stopped(&self, number: u64, why: anyhow::Error) -> anyhow::Error {
        why.context(format!("stopped at line {number}; so far {}", self.tally.words()))
    }
}

/// What the server says about one line, as far as it is understood here.
#[derive(Deserialize)]
struct Outcome {
    status: u16,
    user: Option<String>,
    repeated: Option<bool>,
    error: Option<Value>,
    users: Option<Vec<Outcome>>,
}

impl Outcome {
    fn parts(&self) -> &[Self] {
        self.users.as_deref().unwrap_or(std::slice::from_ref(self))
    }

    fn is_retryable(&self) -> bool {
        let says_when = |error: &Value| error.get("retry_after_ms").is_some();
        self.parts().iter().any(|part| part.error.as_ref().is_some_and(says_when))
    }

    fn why(&self) -> Option<String> {
        let error = self.error.as_ref()?;
        let words = error.get("message").and_then(Value::as_str).unwrap_or_default();
        let words = printable(words.trim_end().trim_end_matches('.'));
        let whom = self.user.as_ref().map(|user| format!("user {user:?}: ")).unwrap_or_default();
        Some(format!("{whom}the server refused it with {}: {words}", self.status))
    }
}

/// How far it is, and whether what is said of it still reaches anybody.
struct Tally {
    published: u64,
    repeated: u64,
    refused: u64,
    said_next: Instant,
    written: io::Result<()>,
}

impl Tally {
    fn new() -> Self {
        let said_next = Instant::now() + PROGRESS_INTERVAL;
        Self { published: 0, repeated: 0, refused: 0, said_next, written: Ok(()) }
    }

    fn note(&mut self, line: u64, outcome: &Outcome) {
        for part in outcome.parts() {
            match part.why() {
                Some(why) => self.refused(line, &why),
                None if part.repeated == Some(true) => self.repeated += 1,
                None => self.published += 1,
            }
        }
    }

    fn refused(&mut self, line: u64, why: &str) {
        self.refused += 1;
        note!("tetherline: line {line}: {why}");
    }

    /// Once nobody reads it any more, publishing goes on.
    fn show(&mut self, answers: &str) {
        if self.written.is_ok() {
            self.written = answer(&answers);
        }
    }

    async fn while_waiting<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep_until(self.said_next) => {
                    note!("tetherline: {} so far", self.words());
                    self.said_next = Instant::now() + PROGRESS_INTERVAL;
                }
            }
        }
    }

    fn words(&self) -> String {
        let Self { published, repeated, refused, .. } = self;
        format!("{published} published, {repeated} had been before, {refused} refused")
    }

    fn finish(self) -> ExitCode {
        let words = self.words();
        note!("tetherline: {words}");
        let code = outcome_of(self.written, &format!("tetherline: {words}"));
        if self.refused > 0 { Exit::Failed.into() } else { code }
    }
}
