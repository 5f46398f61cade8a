use alloc::{boxed::Box, vec::Vec};

use super::message::{FrameError, Message, Object, id, string};
use crate::{
    Attempt, Epoch, MessageId, Seq, StopTarget, StreamPosition, limits::STREAMS_KNOWN_MAX,
    message_type,
};

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
        /// Which message stands there.
        after_id: AfterId,
        /// The epoch in which `after` counts.
        epoch: Option<Epoch>,
        /// What it has of streams; `None` if it does not want to see them.
        have: Option<Vec<StreamPosition>>,
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
    /// A stream shall stop. It settles as a send does.
    Stop(Stop),
    /// For the application.
    Application(Message),
}

/// What a client says of the message at the position after which it wants to read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterId {
    /// Nothing: it knows no such question, and the position counts by its number.
    Unsaid,
    /// It does not know, and wants to be told.
    Unknown,
    /// This one. If another message stands there, its history is not this mailbox's.
    Known(MessageId),
}

/// `message_stop`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The name that the client gave it.
    pub id: Option<MessageId>,
    /// Which answer.
    pub target: StopTarget,
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
                after_id: after_id(&object)?,
                epoch: field(&object, "epoch")?,
                have: have(&object)?,
            }),
            message_type::ACK => {
                Ok(Self::Ack { seq: field(&object, "seq")?.ok_or(FrameError::Field("seq"))? })
            }
            message_type::AUTHENTICATE => {
                let token = object.get("token").ok_or(FrameError::Field("token"))?;
                Ok(Self::Authenticate { token: string("token", token)?.into() })
            }
            message_type::MESSAGE_STOP => stop(&object).map(Self::Stop),
            _ => Message::from_object(&object).map(Self::Application),
        }
    }
}

fn after_id(object: &Object<'_>) -> Result<AfterId, FrameError> {
    Ok(match object.get("after_id") {
        None => AfterId::Unsaid,
        Some(value) if value.get() == "null" => AfterId::Unknown,
        Some(value) => AfterId::Known(id("after_id", value)?),
    })
}

fn have(object: &Object<'_>) -> Result<Option<Vec<StreamPosition>>, FrameError> {
    #[derive(serde::Deserialize)]
    struct Have {
        message_uuid: MessageId,
        attempt: Attempt,
        offset: Seq,
        hash: Option<u32>,
        #[serde(default)]
        check: bool,
    }
    let Some(have) = field::<Vec<Have>>(object, "have")? else { return Ok(None) };
    if have.len() > STREAMS_KNOWN_MAX {
        return Err(FrameError::Field("have"));
    }
    let position = |have: Have| StreamPosition {
        message_uuid: have.message_uuid,
        attempt: have.attempt,
        offset: have.offset.get(),
        hash: have.hash,
        is_only_checked: have.check,
    };
    Ok(Some(have.into_iter().map(position).collect()))
}

fn stop(object: &Object<'_>) -> Result<Stop, FrameError> {
    let named = |name| object.get(name).map(|value| id(name, value)).transpose();
    let target = match (named("message_uuid")?, named("ref")?) {
        (Some(uuid), _) => StopTarget::Message(uuid),
        (None, Some(send)) => StopTarget::Send(send),
        (None, None) => return Err(FrameError::Field("message_uuid")),
    };
    Ok(Stop { id: named("id")?, target })
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
    use alloc::format;

    use super::*;

    #[test]
    fn the_quick_starts_frames_are_understood() {
        assert!(matches!(
            ClientFrame::parse(r#"{"type":"ping","timestamp":"2026-01-01T00:00:00.000Z"}"#),
            Ok(ClientFrame::Ping { timestamp: Some(_) })
        ));
        assert_eq!(
            ClientFrame::parse(r#"{"type":"get_pending"}"#),
            Ok(ClientFrame::GetPending {
                after: None,
                after_id: AfterId::Unsaid,
                epoch: None,
                have: None
            })
        );
        let ClientFrame::Application(message) =
            ClientFrame::parse(r#"{"type":"message_generate","message":"Hello, AI!"}"#).unwrap()
        else {
            panic!("an application message")
        };
        assert_eq!(message.to_object(), r#"{"message":"Hello, AI!"}"#);
    }

    #[test]
    fn a_client_says_what_it_has_of_streams_and_which_shall_stop() {
        let ClientFrame::GetPending { have: Some(have), .. } = ClientFrame::parse(
            r#"{"type":"get_pending","after":0,"have":[{"message_uuid":"a","attempt":2,"offset":7}]}"#,
        )
        .unwrap() else {
            panic!("get_pending")
        };
        let attempt = Attempt::new(2).unwrap();
        assert_eq!(
            have,
            [StreamPosition {
                message_uuid: "a".parse().unwrap(),
                attempt,
                offset: 7,
                hash: None,
                is_only_checked: false
            }]
        );
        let stop = |text| ClientFrame::parse(text);
        assert_eq!(
            stop(r#"{"type":"message_stop","id":"s","ref":"q"}"#),
            Ok(ClientFrame::Stop(Stop {
                id: Some("s".parse().unwrap()),
                target: StopTarget::Send("q".parse().unwrap())
            }))
        );
        assert!(matches!(
            stop(r#"{"type":"message_stop","message_uuid":"a"}"#),
            Ok(ClientFrame::Stop(Stop { id: None, target: StopTarget::Message(_) }))
        ));
        assert_eq!(stop(r#"{"type":"message_stop"}"#), Err(FrameError::Field("message_uuid")));
    }

    #[test]
    fn a_position_comes_without_its_message_with_it_or_with_the_wish_to_be_told() {
        let said = |rest: &str| {
            let text = format!(r#"{{"type":"get_pending","after":7{rest}}}"#);
            ClientFrame::parse(&text).map(|frame| match frame {
                ClientFrame::GetPending { after_id, .. } => after_id,
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(said(""), Ok(AfterId::Unsaid));
        assert_eq!(said(r#","after_id":null"#), Ok(AfterId::Unknown));
        assert_eq!(said(r#","after_id":"m7""#), Ok(AfterId::Known("m7".parse().unwrap())));
        assert!(said(r#","after_id":7"#).is_err());
        assert!(said(r#","after_id":"m 7""#).is_err());
    }

    #[test]
    fn a_client_names_no_more_answers_than_it_may_remember() {
        let frame = |count: usize| {
            let have = [r#"{"message_uuid":"a","attempt":1,"offset":0}"#].repeat(count).join(",");
            ClientFrame::parse(&format!(r#"{{"type":"get_pending","have":[{have}]}}"#))
        };
        assert!(frame(STREAMS_KNOWN_MAX).is_ok());
        assert_eq!(frame(STREAMS_KNOWN_MAX + 1), Err(FrameError::Field("have")));
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
