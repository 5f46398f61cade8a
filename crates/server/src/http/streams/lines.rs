//! One long request: a line of JSON for every piece of text, and at the end, perhaps, how it ended.

use std::io;

use axum::body::{Body, BodyDataStream};
use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream, Stream},
};
use http::StatusCode;
use serde::{Deserialize, de::IgnoredAny};
use tetherline_protocol::{ErrorCode, frame::StreamEnding};
use tokio_util::{
    codec::{FramedRead, LinesCodec, LinesCodecError},
    io::StreamReader,
};

use super::{super::answer::Problem, problems::not_understood};

pub(super) struct Lines {
    rest: BoxStream<'static, Result<String, LinesCodecError>>,
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
    pub(super) fn of(body: Body, line_bytes_max: usize) -> Self {
        let bytes: BodyDataStream = body.into_data_stream();
        let reader = StreamReader::new(bytes.map_err(io::Error::other));
        let codec = LinesCodec::new_with_max_length(line_bytes_max);
        let rest = FramedRead::new(reader, codec).boxed();
        Self { rest, line_bytes_max, number: 0, ending: None }
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
        while let Some(line) = self.rest.next().await {
            self.number += 1;
            let line = line.map_err(|error| self.broken(&error))?;
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

    fn invalid(&self, what: &str) -> Problem {
        Problem::invalid(
            "text",
            format!("Line {}: {what}; what came before is added.", self.number),
        )
    }

    fn broken(&self, error: &LinesCodecError) -> Problem {
        match error {
            LinesCodecError::MaxLineLengthExceeded => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                ErrorCode::MessageTooLarge,
                format!(
                    "Line {} is longer than {} bytes; what came before is added.",
                    self.number, self.line_bytes_max
                ),
            ),
            LinesCodecError::Io(_) => self.invalid("the request broke off, or is not UTF-8"),
        }
    }
}
