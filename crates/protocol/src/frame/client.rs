use alloc::boxed::Box;

use super::message::{FrameError, Message, Object, string};
use crate::{Epoch, Seq, message_type};

/// A frame from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientFrame {
    /// The heartbeat. Its `timestamp` (JSON text) comes back in the `pong`.
    Ping {
        /// Whatever the client put there.
        timestamp: Option<Box<str>>,
    },
    /// Send what waits.
    GetPending {
        /// Read on from exactly here; from the device's cursor if it is missing.
        after: Option<Seq>,
        /// The epoch in which `after` counts.
        epoch: Option<Epoch>,
    },
    /// Everything up to here is handled on this device.
    Ack {
        /// The position.
        seq: Seq,
    },
    /// A fresh token for the same user.
    Authenticate {
        /// The JWT. Its `Debug` form is what it is: never log this frame.
        token: Box<str>,
    },
    /// For the application.
    Application(Message),
}

impl ClientFrame {
    /// Reads one text frame.
    ///
    /// ```
    /// use tetherline_protocol::{Seq, frame::ClientFrame};
    /// assert_eq!(
    ///     ClientFrame::parse(r#"{"type":"ack","seq":12}"#),
    ///     Ok(ClientFrame::Ack { seq: Seq::new(12).unwrap() })
    /// );
    /// ```
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        let object = Object::parse(text)?;
        match object.kind()? {
            message_type::PING => Ok(Self::Ping {
                timestamp: object.get("timestamp").map(|value| value.get().into()),
            }),
            message_type::GET_PENDING => Ok(Self::GetPending {
                after: field(&object, "after")?,
                epoch: field(&object, "epoch")?,
            }),
            message_type::ACK => {
                Ok(Self::Ack { seq: field(&object, "seq")?.ok_or(FrameError::Field("seq"))? })
            }
            message_type::AUTHENTICATE => {
                let token = object.get("token").ok_or(FrameError::Field("token"))?;
                Ok(Self::Authenticate { token: string("token", token)?.into() })
            }
            _ => Message::from_object(&object).map(Self::Application),
        }
    }
}

fn field<'a, T: serde::Deserialize<'a>>(
    object: &Object<'a>,
    name: &'static str,
) -> Result<Option<T>, FrameError> {
    match object.get(name) {
        None => Ok(None),
        Some(value) => serde_json::from_str(value.get()).map_err(|_| FrameError::Field(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_starts_frames_are_understood() {
        assert!(matches!(
            ClientFrame::parse(r#"{"type":"ping","timestamp":"2026-01-01T00:00:00.000Z"}"#),
            Ok(ClientFrame::Ping { timestamp: Some(_) })
        ));
        assert_eq!(
            ClientFrame::parse(r#"{"type":"get_pending"}"#),
            Ok(ClientFrame::GetPending { after: None, epoch: None })
        );
        let ClientFrame::Application(message) =
            ClientFrame::parse(r#"{"type":"message_generate","message":"Hello, AI!"}"#).unwrap()
        else {
            panic!("an application message")
        };
        assert_eq!(message.to_object(), r#"{"message":"Hello, AI!"}"#);
    }

    #[test]
    fn a_position_beyond_what_javascript_can_count_is_refused() {
        assert_eq!(
            ClientFrame::parse(r#"{"type":"ack","seq":9007199254740992}"#),
            Err(FrameError::Field("seq"))
        );
        assert_eq!(ClientFrame::parse(r#"{"type":"ack","seq":-1}"#), Err(FrameError::Field("seq")));
    }
}
