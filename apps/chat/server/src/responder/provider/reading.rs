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
use crate::trouble::PROVIDER;

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

/// Whether the provider has said that the answer is whole. Some say so early, with every piece, or
/// before they tell what it cost, so whatever follows is read all the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finish {
    Unsaid,
    /// It gave a reason, which may be an empty one.
    Said(Reason),
    /// It gave a reason and went on, so its reasons mean nothing unless the body ends in order.
    SaidTooSoon(Reason),
}

/// Why a provider wrote no more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    Unnamed,
    Stop,
    Length,
    Filter,
}

impl Reason {
    fn of(name: &str) -> Self {
        match name {
            "" => Self::Unnamed,
            "length" | "max_tokens" => Self::Length,
            "content_filter" => Self::Filter,
            _ => Self::Stop,
        }
    }

    /// What it means behind text: an answer that is not all that it could have been.
    fn behind_text(self) -> Result<(), ProviderError> {
        match self {
            Self::Unnamed | Self::Stop => Ok(()),
            Self::Length => Err(ProviderError::CutByLength),
            Self::Filter => Err(ProviderError::CutByFilter),
        }
    }

    /// What it means if nothing was written at all.
    fn without_text(self) -> ProviderError {
        match self {
            Self::Unnamed | Self::Stop => ProviderError::Empty,
            Self::Length => ProviderError::OutOfRoom,
            Self::Filter => ProviderError::Filtered,
        }
    }
}

/// Stands in an answer where an event was too large to be read, such as one with a picture in it.
pub(super) const LEFT_OUT: &str =
    "\n\n*(A part of the answer was too large to be kept and is left out.)*\n\n";

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

    /// Whether nothing is missing if no more comes.
    pub(super) fn may_be_whole(&self) -> bool {
        self.has_text && matches!(self.finish, Finish::Said(reason) if reason != Reason::Unnamed)
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
            let end = match self.finish {
                Finish::Said(_) | Finish::SaidTooSoon(_) => Ok(()),
                Finish::Unsaid if self.has_events || matches!(self.shape, Shape::Unknown) => {
                    Err(ProviderError::EndedEarly)
                }
                Finish::Unsaid => Err(ProviderError::Unreadable),
            };
            self.end(end, &mut step);
        }
        step
    }

    /// The body broke off, and that is an error unless the answer was whole before.
    pub(super) fn cut(&mut self, error: ProviderError, step: &mut Step) {
        let is_whole = matches!(self.finish, Finish::Said(_));
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
                // The decoder goes on behind it.
                Err(_) => self.leave_out(step),
            }
        }
    }

    fn leave_out(&mut self, step: &mut Step) {
        PROVIDER.warn("the provider's answer has a hole", &"an event of it was too large");
        self.has_events = true;
        self.joiner.finish(&mut step.text);
        step.text.push_str(LEFT_OUT);
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
        let went_on = has_news && self.finish != Finish::Unsaid;
        self.finish = match choice.finish_reason.as_deref().map(Reason::of) {
            Some(Reason::Unnamed) | None if has_news => Finish::Unsaid,
            None => self.finish,
            Some(reason) if went_on => Finish::SaidTooSoon(reason),
            Some(reason) => Finish::Said(reason),
        };
    }

    fn end(&mut self, end: Result<(), ProviderError>, step: &mut Step) {
        self.joiner.finish(&mut step.text);
        let reason = match self.finish {
            Finish::Said(reason) | Finish::SaidTooSoon(reason) => reason,
            Finish::Unsaid => Reason::Unnamed,
        };
        step.end = Some(match end {
            Ok(()) if !self.has_text => Err(reason.without_text()),
            Ok(()) => reason.behind_text(),
            failed => failed,
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
