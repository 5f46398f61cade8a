//! One long request: a line of JSON for every piece of text, and at the end, perhaps, how it ended.

use axum::body::Body;
use bytes::BytesMut;
use futures_util::stream::{self, Stream};
use http::StatusCode;
use serde::{Deserialize, de::IgnoredAny};
use tetherline_protocol::{ErrorCode, frame::StreamEnding};

use super::{
    super::{
        answer::Problem,
        body::{Bodies, BodyError, Room, data},
    },
    problems::not_understood,
};

pub(super) struct Lines {
    body: Body,
    /// What has come of lines that are not read yet, and the room that it takes.
    waiting: BytesMut,
    room: Room,
    /// How much of it has no line break.
    searched: usize,
    line_bytes_max: usize,
    number: usize,
    ending: Option<StreamEnding>,
}

#[derive(Deserialize)]
struct Line {
    text: Option<String>,
    /// What a piece of text cannot say here, and would be misunderstood if it did.
    offset: Option<IgnoredAny>,
    status: Option<IgnoredAny>,
}

impl Lines {
    pub(super) fn of(body: Body, line_bytes_max: usize, bodies: &Bodies) -> Self {
        let (waiting, room) = (BytesMut::new(), bodies.room());
        Self { body, waiting, room, searched: 0, line_bytes_max, number: 0, ending: None }
    }

    /// The pieces of text, up to the end of the request.
    pub(super) fn texts(&mut self) -> impl Stream<Item = Result<String, Problem>> + Send {
        stream::try_unfold(self, |lines| async move {
            Ok(lines.next_text().await?.map(|text| (text, lines)))
        })
    }

    /// What its last line said, if that was an ending.
    pub(super) fn into_ending(self) -> Option<StreamEnding> {
        self.ending
    }

    async fn next_text(&mut self) -> Result<Option<String>, Problem> {
        while let Some(line) = self.next_line().await? {
            if line.trim().is_empty() {
                continue;
            }
            if self.ending.is_some() {
                return Err(self.invalid("nothing follows the line that ends an answer"));
            }
            let parsed = serde_json::from_str(&line)
                .map_err(|_| self.invalid("a line is one JSON object with whole characters"))?;
            match parsed {
                Line { text: Some(text), offset: None, status: None } => return Ok(Some(text)),
                Line { text: Some(_), .. } => {
                    return Err(self.invalid(
                        "a line of text has no `offset`, which stands in the URL, and no `status`, \
                         which is for a line of its own",
                    ));
                }
                Line { text: None, .. } => {
                    self.ending =
                        Some(StreamEnding::parse(&line).map_err(|error| not_understood(&error))?);
                }
            }
        }
        Ok(None)
    }

    /// The next line without its break; the last one may have none.
    async fn next_line(&mut self) -> Result<Option<String>, Problem> {
        self.number += 1;
        loop {
            let end = self.waiting[self.searched..].iter().position(|&byte| byte == b'\n');
            let length = end.map_or(self.waiting.len(), |end| self.searched + end);
            if length > self.line_bytes_max {
                return Err(self.too_long());
            }
            if end.is_some() {
                return self.take(length, 1).map(Some);
            }
            self.searched = length;
            match data(&mut self.body).await.map_err(|error| self.broken(error))? {
                Some(more) => {
                    self.room.grow(more.len()).map_err(|error| self.broken(error))?;
                    self.waiting.extend_from_slice(&more);
                }
                None if self.waiting.is_empty() => return Ok(None),
                None => return self.take(length, 0).map(Some),
            }
        }
    }

    fn take(&mut self, length: usize, line_break: usize) -> Result<String, Problem> {
        let line = self.waiting.split_to(length + line_break);
        self.room.shrink_to(self.waiting.len());
        self.searched = 0;
        String::from_utf8(line[..length].to_vec()).map_err(|_| self.invalid("it is not UTF-8"))
    }

    fn invalid(&self, what: &str) -> Problem {
        Problem::invalid(
            "text",
            format!("Line {}: {what}; what came before is added.", self.number),
        )
    }

    fn too_long(&self) -> Problem {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::MessageTooLarge,
            format!(
                "Line {} is longer than {} bytes; what came before is added.",
                self.number, self.line_bytes_max
            ),
        )
    }

    fn broken(&self, error: BodyError) -> Problem {
        match error {
            BodyError::Crowded => error.into(),
            _ => self.invalid("the request broke off"),
        }
    }
}
