use alloc::{borrow::Cow, boxed::Box, string::String, vec::Vec};
use core::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::MessageParts;
use crate::{InvalidId, MessageId, Seq, limits, message_type};

/// An application's message: the header fields that it may set, and its own fields unparsed.
///
/// ```
/// use tetherline_protocol::{MessageId, Seq, frame::Message};
///
/// let message = Message::parse(r#"{"type":"notification_new","title":"Hi","ref":"a1"}"#)?;
/// assert_eq!(message.kind(), "notification_new");
/// assert_eq!(
///     message.to_frame(&"m1".parse().unwrap(), Seq::new(7), "\"2026-11-23T12:00:00.000Z\""),
///     r#"{"type":"notification_new","id":"m1","seq":7,"timestamp":"2026-11-23T12:00:00.000Z","ref":"a1","title":"Hi"}"#
/// );
/// # Ok::<(), tetherline_protocol::frame::FrameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    kind: Box<str>,
    id: Option<MessageId>,
    reference: Option<MessageId>,
    timestamp: Option<Box<str>>,
    fields: Box<str>,
}

/// Why a text is no frame. Its `Display` text is meant for the peer that sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// Not JSON, or not one JSON object.
    NotAnObject,
    /// No `type`, or one that is not 1–64 of `A–Z a–z 0–9 _ - . : /`.
    Type,
    /// A header field that this sender may not set, or a name that the protocol keeps.
    Reserved(Box<str>),
    /// A field of the wrong kind.
    Field(&'static str),
    /// An id that cannot be one.
    Id(&'static str, InvalidId),
    /// The same field twice, as far as it is quoted.
    Duplicate(Box<str>),
    /// Nested deeper than [`limits::NESTING_MAX`].
    TooDeep,
    /// Larger than it may be.
    TooLarge {
        /// The limit, in bytes.
        bytes_max: usize,
    },
}

impl FrameError {
    /// The wire's code for it.
    #[must_use]
    pub fn code(&self) -> crate::ErrorCode {
        match self {
            Self::NotAnObject => crate::ErrorCode::BadJson,
            Self::TooLarge { .. } => crate::ErrorCode::MessageTooLarge,
            _ => crate::ErrorCode::BadFrame,
        }
    }

    /// The field that it is about, if it is about one.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Type => Some("type"),
            Self::Reserved(name) if message_type::is_reserved(name) => Some("type"),
            Self::Reserved(name) | Self::Duplicate(name) => Some(name),
            Self::Field(name) | Self::Id(name, _) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => formatter.write_str("a message is one JSON object"),
            Self::Type => formatter.write_str(
                "`type` is missing, or not a text of 1 to 64 letters, digits and _ - . : /",
            ),
            Self::Reserved(name) => write!(formatter, "`{name}` is reserved for the protocol"),
            Self::Field(name) => write!(formatter, "`{name}` has a value of the wrong kind"),
            Self::Id(name, reason) => write!(formatter, "`{name}`: {reason}"),
            Self::Duplicate(name) => write!(formatter, "`{name}` is there twice"),
            Self::TooDeep => {
                write!(formatter, "arrays and objects nest deeper than {}", limits::NESTING_MAX)
            }
            Self::TooLarge { bytes_max } => {
                write!(formatter, "the fields are larger than {bytes_max} bytes")
            }
        }
    }
}

impl core::error::Error for FrameError {}

impl Message {
    /// Splits a message from a publisher or a client. `seq` and the protocol's own type names are
    /// refused.
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        Self::from_object(&Object::parse(text)?)
    }

    pub(super) fn from_object(object: &Object<'_>) -> Result<Self, FrameError> {
        let kind = object.kind()?;
        if message_type::is_reserved(kind) {
            return Err(FrameError::Reserved(kind.into()));
        }
        let mut message = Self {
            kind: kind.into(),
            id: None,
            reference: None,
            timestamp: None,
            fields: Box::default(),
        };
        let bytes = object.0.iter().map(|(name, value)| name.len() + value.get().len() + 4).sum();
        let mut fields = String::with_capacity(bytes);
        for (name, value) in &object.0 {
            match name.as_ref() {
                "type" => {}
                "id" => message.id = Some(id("id", value)?),
                "ref" => message.reference = Some(id("ref", value)?),
                "timestamp" => message.timestamp = Some(timestamp(value)?),
                "seq" => return Err(FrameError::Reserved("seq".into())),
                _ => push_field(&mut fields, name, value),
            }
        }
        message.fields = fields.into();
        Ok(message)
    }

    /// The pieces as a store keeps them. `fields` is what [`Message::fields`] answered.
    #[must_use]
    pub fn from_stored(kind: Box<str>, reference: Option<MessageId>, fields: Box<str>) -> Self {
        Self { kind, id: None, reference, timestamp: None, fields }
    }

    /// The `type`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The `id` that the sender chose.
    #[must_use]
    pub fn id(&self) -> Option<&MessageId> {
        self.id.as_ref()
    }

    /// The `ref`: the id of the message that this one answers.
    #[must_use]
    pub fn reference(&self) -> Option<&MessageId> {
        self.reference.as_ref()
    }

    /// The `timestamp` as JSON text, a string or a number.
    #[must_use]
    pub fn timestamp(&self) -> Option<&str> {
        self.timestamp.as_deref()
    }

    /// The application's own fields as JSON text without the braces: `"a":1,"b":[2]`.
    #[must_use]
    pub fn fields(&self) -> &str {
        &self.fields
    }

    /// The application's own fields as a JSON object.
    #[must_use]
    pub fn to_object(&self) -> String {
        let mut text = String::with_capacity(self.fields.len() + 2);
        text.push('{');
        text.push_str(&self.fields);
        text.push('}');
        text
    }

    /// The frame on the wire. `timestamp` is JSON text and yields to one that the sender set.
    #[must_use]
    pub fn to_frame(&self, id: &MessageId, seq: Option<Seq>, timestamp: &str) -> String {
        MessageParts {
            kind: &self.kind,
            id: id.as_str(),
            seq,
            timestamp: self.timestamp.as_deref().unwrap_or(timestamp),
            reference: self.reference.as_ref().map(MessageId::as_str),
            fields: &self.fields,
        }
        .to_frame()
    }
}

/// The `id` of a text that may be no proper frame otherwise, so that its sender learns which of its
/// messages was refused and does not send it again.
///
/// ```
/// use tetherline_protocol::frame::{Message, id_in};
/// let refused = r#"{"type":"note","id":"m1","seq":7}"#;
/// assert!(Message::parse(refused).is_err());
/// assert_eq!(id_in(refused), "m1".parse().ok());
/// ```
#[must_use]
pub fn id_in(text: &str) -> Option<MessageId> {
    let object: Object<'_> = serde_json::from_str(text).ok()?;
    object.get("id").and_then(|value| id("id", value).ok())
}

pub(super) fn id(name: &'static str, value: &RawValue) -> Result<MessageId, FrameError> {
    let text: Cow<'_, str> = string(name, value)?;
    text.parse().map_err(|reason| FrameError::Id(name, reason))
}

fn timestamp(value: &RawValue) -> Result<Box<str>, FrameError> {
    match value.get().as_bytes().first() {
        Some(b'"' | b'-' | b'0'..=b'9') if value.get().len() <= limits::ID_BYTES_MAX => {
            Ok(value.get().into())
        }
        _ => Err(FrameError::Field("timestamp")),
    }
}

pub(super) fn string<'a>(
    name: &'static str,
    value: &'a RawValue,
) -> Result<Cow<'a, str>, FrameError> {
    serde_json::from_str::<Text<'a>>(value.get())
        .map(|text| text.0)
        .map_err(|_| FrameError::Field(name))
}

pub(super) fn push_field(fields: &mut String, name: &str, value: &RawValue) {
    if !fields.is_empty() {
        fields.push(',');
    }
    if name.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        // Serialising a `&str` cannot fail.
        fields.push_str(&serde_json::to_string(name).unwrap_or_default());
    } else {
        fields.push('"');
        fields.push_str(name);
        fields.push('"');
    }
    fields.push(':');
    fields.push_str(value.get());
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Fields of an object that are compared with each other, which is cheaper than sorting so few.
const FIELDS_COMPARED_MAX: usize = 16;

/// One JSON object with its values unparsed, in the order in which they were written.
pub(super) struct Object<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, FrameError> {
        if nests_too_deep(text, limits::NESTING_MAX) {
            return Err(FrameError::TooDeep);
        }
        Self::parse_outermost(text)
    }

    /// The same for whoever looks at the depth of what is in it.
    pub(super) fn parse_outermost(text: &'a str) -> Result<Self, FrameError> {
        let object: Self = serde_json::from_str(text).map_err(|_| FrameError::NotAnObject)?;
        match object.twice() {
            Some(name) => Err(FrameError::Duplicate(crate::excerpt(name).into())),
            None => Ok(object),
        }
    }

    /// A name that is there twice.
    fn twice(&self) -> Option<&str> {
        let names = || self.0.iter().map(|(name, _)| name.as_ref());
        if self.0.len() <= FIELDS_COMPARED_MAX {
            return names()
                .enumerate()
                .find_map(|(at, name)| names().take(at).find(|it| *it == name));
        }
        let mut names: Vec<&str> = names().collect();
        names.sort_unstable();
        names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| *value)
    }

    /// The `type`. Well-formed types hold no character that JSON escapes, so the raw text will do.
    pub(super) fn kind(&self) -> Result<&'a str, FrameError> {
        self.get("type")
            .and_then(|value| value.get().strip_prefix('"')?.strip_suffix('"'))
            .filter(|kind| message_type::is_well_formed(kind))
            .ok_or(FrameError::Type)
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// Counts brackets outside of strings. Whether they match is the JSON parser's business.
pub(super) fn nests_too_deep(text: &str, depth_max: usize) -> bool {
    // Most texts have no more brackets than may nest, and are not looked at one by one.
    if text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count() <= depth_max {
        return false;
    }
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn the_applications_fields_pass_through_byte_for_byte() {
        let message =
            Message::parse("{ \"type\": \"t\", \"a\" : [1, 2.50],\"b\":\"\\u00e9\"}").unwrap();
        assert_eq!(message.fields(), "\"a\":[1, 2.50],\"b\":\"\\u00e9\"");
    }

    #[test]
    fn what_is_no_message_is_refused_with_the_field_named() {
        let refused = |text| Message::parse(text).unwrap_err();
        assert_eq!(refused("nope"), FrameError::NotAnObject);
        assert_eq!(refused("[]"), FrameError::NotAnObject);
        assert_eq!(refused("{}"), FrameError::Type);
        assert_eq!(refused(r#"{"type":"a b"}"#), FrameError::Type);
        assert_eq!(refused(r#"{"type":"t","seq":1}"#), FrameError::Reserved("seq".into()));
        assert_eq!(refused(r#"{"type":"pong"}"#), FrameError::Reserved("pong".into()));
        assert_eq!(refused(r#"{"type":"t","id":7}"#), FrameError::Field("id"));
        assert_eq!(refused(r#"{"type":"t","a":1,"a":2}"#), FrameError::Duplicate("a".into()));
        assert_eq!(refused(r#"{"type":"t","timestamp":{}}"#), FrameError::Field("timestamp"));
    }

    #[test]
    fn nesting_is_bounded_and_brackets_in_strings_do_not_count() {
        let nested = |depth: usize| {
            format!(r#"{{"type":"t","a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
        };
        assert!(Message::parse(&nested(limits::NESTING_MAX - 1)).is_ok());
        assert_eq!(Message::parse(&nested(limits::NESTING_MAX)), Err(FrameError::TooDeep));
        let brackets = format!(r#"{{"type":"t","a":"\"{}"}}"#, "[".repeat(1_000));
        assert!(Message::parse(&brackets).is_ok());
    }
}
