//! What a provider's response says, whatever shape it has: a stream of events, or one JSON object.
//!
//! Servers that call themselves compatible differ in everything that is not text. So nothing is
//! asked for that is not needed, and everything that is not known is skipped. No I/O in here.

use std::num::NonZeroUsize;

use serde::Deserialize;
use serde_json::Value;
use sse_core::{SseDecoder, SseEvent};

use super::{
    error::ProviderError,
    surrogates::{Joiner, Piece},
};
use crate::limits::PROVIDER_EVENT_BYTES_MAX;

/// A response while it is read.
pub(super) struct Reading {
    shape: Shape,
    joiner: Joiner,
    finish: Finish,
    has_events: bool,
    has_text: bool,
}

/// What some bytes brought.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// More of the answer; what came before an error counts.
    pub(super) text: String,
    /// Set when nothing more is to be read.
    pub(super) end: Option<Result<(), ProviderError>>,
}

enum Shape {
    /// Only white space came so far.
    Unknown,
    Events(Box<SseDecoder>),
    Whole(Vec<u8>),
}

/// Whether the provider has said that the answer is whole.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finish {
    Unsaid,
    /// It gave an empty reason. Some servers do with every piece, so more text may come.
    Perhaps,
    Said,
}

impl Reading {
    pub(super) fn new() -> Self {
        Self {
            shape: Shape::Unknown,
            joiner: Joiner::default(),
            finish: Finish::Unsaid,
            has_events: false,
            has_text: false,
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.shape, Shape::Unknown)
    }

    /// Takes the next bytes of the body, cut wherever the network cut them.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Step {
        if matches!(self.shape, Shape::Unknown) {
            bytes = bytes.trim_ascii_start();
            match bytes.first() {
                None => return Step::default(),
                // The content type is not asked: too many servers send a wrong one.
                Some(b'{' | b'[') => self.shape = Shape::Whole(Vec::new()),
                Some(_) => self.shape = Shape::Events(Box::new(decoder())),
            }
        }
        let mut step = Step::default();
        match &mut self.shape {
            Shape::Whole(body) if body.len() + bytes.len() <= PROVIDER_EVENT_BYTES_MAX => {
                body.extend_from_slice(bytes);
            }
            Shape::Whole(_) => self.end(Err(ProviderError::Unreadable), &mut step),
            Shape::Events(_) => self.take_events(bytes, &mut step),
            Shape::Unknown => {}
        }
        step
    }

    /// The body has ended.
    pub(super) fn finish(mut self) -> Step {
        let mut step = Step::default();
        match std::mem::replace(&mut self.shape, Shape::Unknown) {
            Shape::Whole(body) => self.take_whole(&body, &mut step),
            Shape::Events(events) => {
                self.shape = Shape::Events(events);
                // Some servers leave out the empty line behind their last event.
                self.take_events(b"\n\n", &mut step);
            }
            Shape::Unknown => {}
        }
        if step.end.is_none() {
            let error = if self.has_events || matches!(self.shape, Shape::Unknown) {
                ProviderError::EndedEarly
            } else {
                ProviderError::Unreadable
            };
            self.cut(error, &mut step);
        }
        step
    }

    /// Nothing more comes, and that is an error unless the answer may have been whole.
    pub(super) fn cut(&mut self, error: ProviderError, step: &mut Step) {
        let is_whole = self.finish == Finish::Perhaps;
        self.end(if is_whole { Ok(()) } else { Err(error) }, step);
    }

    fn take_events(&mut self, mut bytes: &[u8], step: &mut Step) {
        while let Shape::Events(events) = &mut self.shape
            && step.end.is_none()
            && let Some(event) = events.next(&mut bytes)
        {
            match event {
                Ok(SseEvent::Message(event)) => self.take_event(&event.data, step),
                Ok(SseEvent::Retry(_)) => {}
                Err(_) => self.end(Err(ProviderError::Unreadable), step),
            }
        }
    }

    fn take_event(&mut self, data: &str, step: &mut Step) {
        let data = data.trim();
        if data.is_empty() {
            return;
        }
        self.has_events = true;
        if data == "[DONE]" {
            return self.end(Ok(()), step);
        }
        match serde_json::from_str(data) {
            Ok(chunk) => self.take_chunk(chunk, step),
            Err(error) if error.is_eof() => self.cut(ProviderError::EndedEarly, step),
            Err(_) => self.end(Err(ProviderError::Unreadable), step),
        }
    }

    fn take_whole(&mut self, body: &[u8], step: &mut Step) {
        match serde_json::from_slice::<Chunk>(body) {
            Ok(Chunk { choices: Some(choices), error: None, .. }) if choices.is_empty() => {
                self.end(Err(ProviderError::Unreadable), step);
            }
            Ok(chunk) => {
                let is_answer = chunk.choices.is_some();
                self.take_chunk(chunk, step);
                if step.end.is_none() {
                    let end = if is_answer { Ok(()) } else { Err(ProviderError::Unreadable) };
                    self.end(end, step);
                }
            }
            Err(error) if error.is_eof() => self.end(Err(ProviderError::EndedEarly), step),
            Err(_) => self.end(Err(ProviderError::Unreadable), step),
        }
    }

    fn take_chunk(&mut self, chunk: Chunk, step: &mut Step) {
        if let Some(error) = chunk.complaint() {
            return self.end(Err(error), step);
        }
        // Usage comes without choices, and so does whatever else a server likes to tell.
        let Some(choice) = chunk.choices.into_iter().flatten().next() else { return };
        let before = step.text.len();
        // A whole message at the end of a stream repeats what its pieces said.
        let message = choice.message.filter(|_| !self.has_text);
        let said = choice.delta.or(message).and_then(|delta| delta.content).or(choice.text);
        self.joiner.push(&said.unwrap_or_default(), &mut step.text);
        let has_news = step.text.len() > before;
        self.has_text |= !step.text[before..].trim().is_empty();
        self.finish = match choice.finish_reason.as_deref() {
            Some("") | None if has_news => Finish::Unsaid,
            Some("") => Finish::Perhaps,
            None => self.finish,
            Some(_) => Finish::Said,
        };
        if self.finish == Finish::Said {
            self.end(Ok(()), step);
        }
    }

    fn end(&mut self, end: Result<(), ProviderError>, step: &mut Step) {
        self.joiner.finish(&mut step.text);
        step.end = Some(match end {
            Ok(()) if !self.has_text => Err(ProviderError::Empty),
            end => end,
        });
    }
}

fn decoder() -> SseDecoder {
    SseDecoder::with_limit(
        const { NonZeroUsize::new(PROVIDER_EVENT_BYTES_MAX).expect("it is not 0") },
    )
}

/// An event of a stream, a whole completion, or an error in the place of either.
#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    error: Option<Value>,
    object: Option<String>,
    code: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    message: Option<Delta>,
    text: Option<Piece>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<Piece>,
}

impl Chunk {
    fn complaint(&self) -> Option<ProviderError> {
        if let Some(error) = &self.error {
            return Some(ProviderError::told(error));
        }
        let is_error = self.choices.is_none() && self.object.as_deref() == Some("error");
        is_error.then(|| ProviderError::told(&serde_json::json!({ "code": self.code })))
    }
}
