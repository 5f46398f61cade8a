use alloc::string::String;

use crate::Seq;

/// A message as its frame has it, without its bytes being anywhere together yet. Nothing here is checked or
/// escaped: types and ids are plain ASCII words where they come from ([`super::Message::parse`]).
///
/// ```
/// use tetherline_protocol::{Seq, frame::MessageParts};
///
/// let parts = MessageParts {
///     kind: "note",
///     id: "m1",
///     seq: Seq::new(7),
///     timestamp: "\"2026-11-23T12:00:00.000Z\"",
///     reference: None,
///     fields: r#""text":"Hi""#,
/// };
/// assert_eq!(
///     parts.to_frame(),
///     r#"{"type":"note","id":"m1","seq":7,"timestamp":"2026-11-23T12:00:00.000Z","text":"Hi"}"#
/// );
/// ```
#[derive(Debug, Clone, Copy)]
pub struct MessageParts<'a> {
    /// The `type`.
    pub kind: &'a str,
    /// The `id`.
    pub id: &'a str,
    /// The position, if it has one.
    pub seq: Option<Seq>,
    /// The `timestamp`, as JSON text.
    pub timestamp: &'a str,
    /// The `ref`.
    pub reference: Option<&'a str>,
    /// The application's own fields as JSON text without the braces.
    pub fields: &'a str,
}

impl MessageParts<'_> {
    /// The frame on the wire.
    #[must_use]
    pub fn to_frame(&self) -> String {
        let Self { kind, id, seq, timestamp, reference, fields } = *self;
        let words = kind.len() + id.len() + timestamp.len() + reference.map_or(0, str::len);
        // The names, the signs around them, and a position of 16 digits.
        let mut text = String::with_capacity(words + fields.len() + 72);
        let mut push = |parts: [&str; 3]| parts.into_iter().for_each(|part| text.push_str(part));
        push([r#"{"type":""#, kind, r#"","id":""#]);
        push([id, "\"", ""]);
        if let Some(seq) = seq {
            push([r#","seq":"#, itoa::Buffer::new().format(seq.get()), ""]);
        }
        push([r#","timestamp":"#, timestamp, ""]);
        if let Some(reference) = reference {
            push([r#","ref":""#, reference, "\""]);
        }
        if !fields.is_empty() {
            push([",", fields, ""]);
        }
        text.push('}');
        text
    }
}
