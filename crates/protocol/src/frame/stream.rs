use alloc::{boxed::Box, format, string::String};
use core::fmt::Write as _;

use serde_json::value::RawValue;

use super::message::{FrameError, Message, Object, id, push_field};
use crate::{Attempt, MessageId, StreamStatus, limits::STREAM_FIELDS_BYTES_MAX, message_type};

/// Fields of an answer that the server sets.
const OF_THE_SERVER: [&str; 8] =
    ["id", "seq", "timestamp", "attempt", "offset", "text", "status", "message"];
/// Fields of an answer's `message` that the server sets.
const OF_THE_MESSAGE: [&str; 4] = ["uuid", "content", "status", "attempt"];

/// What an answer is opened with: the type of the message that it becomes, and the application's
/// fields, which stand in its `message_start` and in that message.
///
/// ```
/// use tetherline_protocol::{Attempt, StreamStatus, frame::{StreamEnding, StreamOpening}};
///
/// let opening = StreamOpening::parse(r#"{"message_uuid":"a1","ref":"q1","conversation_uuid":"c1"}"#)?;
/// let uuid = "a1".parse().unwrap();
/// assert_eq!(
///     opening.start_frame(&uuid, Attempt::FIRST),
///     r#"{"type":"message_start","message_uuid":"a1","attempt":1,"ref":"q1","conversation_uuid":"c1"}"#
/// );
/// let ending = StreamEnding::parse(r#"{"status":"complete","message":{"role":"assistant"}}"#)?;
/// let message = opening.message(&uuid, Attempt::FIRST, StreamStatus::Complete, "Hi!", &ending);
/// assert_eq!(message.kind(), "message_generate");
/// assert_eq!(
///     message.fields(),
///     r#""message_uuid":"a1","attempt":1,"status":"complete","conversation_uuid":"c1","message":{"uuid":"a1","content":"Hi!","status":"complete","attempt":1,"role":"assistant"}"#
/// );
/// # Ok::<(), tetherline_protocol::frame::FrameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamOpening {
    kind: Box<str>,
    message_uuid: Option<MessageId>,
    reference: Option<MessageId>,
    fields: Box<str>,
}

/// What an answer ends with, besides its text: fields of the application's that are known only now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEnding {
    /// How it ended.
    pub status: StreamStatus,
    fields: Box<str>,
    message: Box<str>,
}

impl StreamOpening {
    /// Reads a JSON object. `type` may be left out and is `message_generate` then.
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        let object = Object::parse(text)?;
        let kind = match object.get("type") {
            None => message_type::MESSAGE_GENERATE,
            Some(_) => object.kind()?,
        };
        if message_type::is_reserved(kind) {
            return Err(FrameError::Reserved(kind.into()));
        }
        let named = |name| object.get(name).map(|value| id(name, value)).transpose();
        let fields = fields_of(&object, &["type", "message_uuid", "ref"], &OF_THE_SERVER)?;
        Ok(Self {
            kind: kind.into(),
            message_uuid: named("message_uuid")?,
            reference: named("ref")?,
            fields,
        })
    }

    /// The pieces as a store keeps them; `fields` is what [`StreamOpening::fields`] answered.
    #[must_use]
    pub fn from_stored(
        kind: Box<str>,
        message_uuid: MessageId,
        reference: Option<MessageId>,
        fields: Box<str>,
    ) -> Self {
        Self { kind, message_uuid: Some(message_uuid), reference, fields }
    }

    /// The type of the message that the answer becomes.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The answer's name, if whoever opens it has one for it.
    #[must_use]
    pub fn message_uuid(&self) -> Option<&MessageId> {
        self.message_uuid.as_ref()
    }

    /// The send that it answers.
    #[must_use]
    pub fn reference(&self) -> Option<&MessageId> {
        self.reference.as_ref()
    }

    /// The application's fields, as [`Message::fields`] has them.
    #[must_use]
    pub fn fields(&self) -> &str {
        &self.fields
    }

    /// The `message_start` of an attempt.
    #[must_use]
    pub fn start_frame(&self, message_uuid: &MessageId, attempt: Attempt) -> String {
        let mut text = String::with_capacity(self.fields.len() + 160);
        // Writing to a `String` cannot fail, hence the `let _`; ids need no escaping.
        let _ = write!(
            text,
            r#"{{"type":"{}","message_uuid":"{message_uuid}","attempt":{attempt}"#,
            message_type::MESSAGE_START
        );
        if let Some(reference) = &self.reference {
            let _ = write!(text, r#","ref":"{reference}""#);
        }
        push_fields(&mut text, &self.fields);
        text.push('}');
        text
    }

    /// The message that the answer becomes. Fields that are named at both ends have the later value.
    #[must_use]
    pub fn message(
        &self,
        message_uuid: &MessageId,
        attempt: Attempt,
        status: StreamStatus,
        content: &str,
        ending: &StreamEnding,
    ) -> Message {
        let status = status.as_str();
        let mut fields =
            format!(r#""message_uuid":"{message_uuid}","attempt":{attempt},"status":"{status}""#);
        push_fields(&mut fields, &self.fields_without(&ending.fields));
        push_fields(&mut fields, &ending.fields);
        // Serialising a `&str` cannot fail.
        let content = serde_json::to_string(content).unwrap_or_default();
        let _ = write!(
            fields,
            r#","message":{{"uuid":"{message_uuid}","content":{content},"status":"{status}","attempt":{attempt}"#
        );
        push_fields(&mut fields, &ending.message);
        fields.push('}');
        Message::from_stored(self.kind.clone(), self.reference.clone(), fields.into())
    }

    fn fields_without(&self, others: &str) -> Box<str> {
        if others.is_empty() {
            return self.fields.clone();
        }
        let (own, others) = (format!("{{{}}}", self.fields), format!("{{{others}}}"));
        // Both were parsed when they came in.
        let (Ok(own), Ok(others)) = (Object::parse(&own), Object::parse(&others)) else {
            return self.fields.clone();
        };
        let mut fields = String::new();
        for (name, value) in own.0.iter().filter(|(name, _)| others.get(name).is_none()) {
            push_field(&mut fields, name, value);
        }
        fields.into()
    }
}

impl StreamEnding {
    /// How much the application has put into it, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.fields.len() + self.message.len()
    }

    /// An ending that adds nothing.
    #[must_use]
    pub fn plain(status: StreamStatus) -> Self {
        Self { status, fields: Box::default(), message: Box::default() }
    }

    /// Reads a JSON object: `status` (`complete` if it is left out), fields for the answer's `message`
    /// under that name, and fields to stand beside it. An `attempt` is somebody else's to read.
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        let object = Object::parse(text)?;
        let status = match object.get("status") {
            None => StreamStatus::Complete,
            Some(value) => {
                serde_json::from_str(value.get()).map_err(|_| FrameError::Field("status"))?
            }
        };
        let message = match object.get("message") {
            None => Box::default(),
            Some(value) => message_fields(value)?,
        };
        let own = ["status", "message", "attempt"];
        let reserved = ["type", "message_uuid", "ref", "id", "seq", "timestamp", "offset", "text"];
        Ok(Self { status, fields: fields_of(&object, &own, &reserved)?, message })
    }
}

fn message_fields(value: &RawValue) -> Result<Box<str>, FrameError> {
    let object = Object::parse(value.get()).map_err(|error| match error {
        FrameError::NotAnObject => FrameError::Field("message"),
        error => error,
    })?;
    fields_of(&object, &[], &OF_THE_MESSAGE)
}

/// What is left of an object without `own`, as JSON text without the braces.
fn fields_of(object: &Object<'_>, own: &[&str], reserved: &[&str]) -> Result<Box<str>, FrameError> {
    let mut fields = String::new();
    for (name, value) in &object.0 {
        let name = name.as_ref();
        if own.contains(&name) {
            continue;
        }
        if reserved.contains(&name) {
            return Err(FrameError::Reserved(name.into()));
        }
        push_field(&mut fields, name, value);
    }
    if fields.len() > STREAM_FIELDS_BYTES_MAX {
        return Err(FrameError::TooLarge { bytes_max: STREAM_FIELDS_BYTES_MAX });
    }
    Ok(fields.into())
}

fn push_fields(text: &mut String, fields: &str) {
    if !fields.is_empty() {
        text.push(',');
        text.push_str(fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid() -> MessageId {
        "a1".parse().unwrap()
    }

    #[test]
    fn what_the_server_says_about_an_answer_nobody_else_can_say() {
        for name in OF_THE_SERVER {
            let opening = format!(r#"{{"message_uuid":"a1","{name}":1}}"#);
            assert_eq!(StreamOpening::parse(&opening), Err(FrameError::Reserved(name.into())));
        }
        for name in OF_THE_MESSAGE {
            let ending = format!(r#"{{"message":{{"{name}":1}}}}"#);
            assert_eq!(StreamEnding::parse(&ending), Err(FrameError::Reserved(name.into())));
        }
        assert!(matches!(StreamOpening::parse(r#"{"type":"pong"}"#), Err(FrameError::Reserved(_))));
    }

    #[test]
    fn what_is_said_at_the_end_replaces_what_was_said_at_the_beginning() {
        let opening = StreamOpening::parse(r#"{"title":"Draft","version":1}"#).unwrap();
        let ending = StreamEnding::parse(r#"{"title":"Done","status":"failed"}"#).unwrap();
        let message = opening.message(&uuid(), Attempt::FIRST, ending.status, "", &ending);
        assert_eq!(
            message.fields(),
            r#""message_uuid":"a1","attempt":1,"status":"failed","version":1,"title":"Done","message":{"uuid":"a1","content":"","status":"failed","attempt":1}"#
        );
    }

    #[test]
    fn the_largest_set_of_fields_fits_and_one_more_byte_does_not() {
        let opening = |bytes: usize| {
            let note = "x".repeat(bytes - r#""note":"""#.len());
            StreamOpening::parse(&format!(r#"{{"note":"{note}"}}"#))
        };
        assert!(opening(STREAM_FIELDS_BYTES_MAX).is_ok());
        assert_eq!(
            opening(STREAM_FIELDS_BYTES_MAX + 1),
            Err(FrameError::TooLarge { bytes_max: STREAM_FIELDS_BYTES_MAX })
        );
    }

    #[test]
    fn text_of_any_kind_survives_as_the_answers_content() {
        let opening = StreamOpening::parse("{}").unwrap();
        let ending = StreamEnding::plain(StreamStatus::Stopped);
        let message = opening.message(&uuid(), Attempt::FIRST, ending.status, "\"\\\n👍", &ending);
        assert!(message.fields().contains(r#""content":"\"\\\n👍""#), "{}", message.fields());
    }
}
