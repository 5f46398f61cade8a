use alloc::{boxed::Box, string::String};
use core::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::message::nests_too_deep;
use crate::limits;

/// What an application says with its yes to a send: one JSON value, kept as it was written.
///
/// ```
/// use tetherline_protocol::frame::SendAnswer;
///
/// let answer = SendAnswer::parse(r#"{"price":12}"#)?;
/// assert_eq!(answer, SendAnswer::of(&serde_json::json!({ "price": 12 }))?);
/// # Ok::<(), tetherline_protocol::frame::InvalidAnswer>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SendAnswer(Box<RawValue>);

/// Why a value cannot go with an `accepted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidAnswer {
    /// It is not one JSON value, or cannot be written as one.
    NotJson,
    /// `null` is what there is when nothing was answered.
    Null,
    /// It nests as deep as a whole frame may.
    TooDeep,
    /// Larger than [`limits::ANSWER_BYTES_MAX`].
    TooLarge,
}

impl fmt::Display for InvalidAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson => formatter.write_str("it is not JSON"),
            Self::Null => formatter.write_str("`null` is no answer"),
            Self::TooDeep => {
                write!(formatter, "it nests deeper than {}", limits::NESTING_MAX - 1)
            }
            Self::TooLarge => {
                write!(formatter, "it is larger than {} bytes", limits::ANSWER_BYTES_MAX)
            }
        }
    }
}

impl core::error::Error for InvalidAnswer {}

impl SendAnswer {
    /// The answer that this value is as JSON.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, InvalidAnswer> {
        let json = serde_json::to_string(value).map_err(|_| InvalidAnswer::NotJson)?;
        Self::checked(json)
    }

    /// The answer that is written as this JSON.
    pub fn parse(json: &str) -> Result<Self, InvalidAnswer> {
        if json.len() > limits::ANSWER_BYTES_MAX {
            return Err(InvalidAnswer::TooLarge);
        }
        Self::checked(json.into())
    }

    fn checked(json: String) -> Result<Self, InvalidAnswer> {
        if json.len() > limits::ANSWER_BYTES_MAX {
            return Err(InvalidAnswer::TooLarge);
        }
        // One level is the frame around it.
        if nests_too_deep(&json, limits::NESTING_MAX - 1) {
            return Err(InvalidAnswer::TooDeep);
        }
        let value = RawValue::from_string(json).map_err(|_| InvalidAnswer::NotJson)?;
        if value.get() == "null" { Err(InvalidAnswer::Null) } else { Ok(Self(value)) }
    }

    /// As JSON.
    #[must_use]
    pub fn as_json(&self) -> &str {
        self.0.get()
    }

    /// As a value of one's own.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_str(self.as_json())
    }
}

impl PartialEq for SendAnswer {
    fn eq(&self, other: &Self) -> bool {
        self.as_json() == other.as_json()
    }
}

impl Eq for SendAnswer {}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::*;

    #[test]
    fn the_last_byte_fits_and_one_more_does_not() {
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        assert!(SendAnswer::parse(&text(limits::ANSWER_BYTES_MAX)).is_ok());
        let larger = text(limits::ANSWER_BYTES_MAX + 1);
        assert_eq!(SendAnswer::parse(&larger), Err(InvalidAnswer::TooLarge));
        let value: String = serde_json::from_str(&larger).unwrap();
        assert_eq!(SendAnswer::of(&value), Err(InvalidAnswer::TooLarge));
    }

    #[test]
    fn an_answer_nests_so_deep_that_its_frame_can_still_be_read() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let answer = SendAnswer::parse(&nested(limits::NESTING_MAX - 1)).unwrap();
        let frame = format!(r#"{{"type":"accepted","ref":"a","answer":{}}}"#, answer.as_json());
        let read = crate::frame::ServerFrame::parse(&frame);
        assert!(
            matches!(read, Ok(crate::frame::ServerFrame::Accepted(it)) if it.answer == Some(answer))
        );
        let deeper = SendAnswer::parse(&nested(limits::NESTING_MAX));
        assert_eq!(deeper, Err(InvalidAnswer::TooDeep));
    }

    #[test]
    fn what_is_no_json_or_nothing_is_no_answer() {
        for text in ["", "OK", "{} {}", "[1", "NaN"] {
            assert_eq!(SendAnswer::parse(text), Err(InvalidAnswer::NotJson), "{text}");
        }
        assert_eq!(SendAnswer::parse(" null\n"), Err(InvalidAnswer::Null));
        assert_eq!(SendAnswer::of(&()), Err(InvalidAnswer::Null));
        assert_eq!(SendAnswer::parse(" false ").unwrap().as_json(), "false");
    }
}
