use alloc::{boxed::Box, string::String};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    answer::SendAnswer,
    message::{FrameError, Object},
};
use crate::{Attempt, Epoch, Limits, MessageId, Seq, UserId, message_type};

// `L` is how the limits are held: a server has written them once.
/// `connection_established`: who and where this connection is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConnectionEstablished<L = Limits> {
    /// Names this connection in the server's log.
    pub connection_id: MessageId,
    /// Whose mailbox it is.
    pub user_uuid: UserId,
    /// [`crate::PROTOCOL_VERSION`].
    pub protocol: u32,
    /// Which history the positions count in.
    pub epoch: Epoch,
    /// The newest message's position.
    pub head: Seq,
    /// Which message that is; absent if nobody knows any more, or the mailbox is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_id: Option<MessageId>,
    /// Up to where this device has acknowledged.
    pub cursor: Seq,
    /// Which message stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor_id: Option<MessageId>,
    /// Whether a `get_pending` with an `after_id` is answered with `position_checked`. A server that
    /// does not say so does not know it.
    #[serde(default)]
    pub checks_positions: bool,
    /// How often to ping, in ms.
    pub heartbeat_interval_ms: u64,
    /// When the token runs out, counted from now, in ms.
    pub token_expires_in_ms: u64,
    /// The server's limits.
    pub limits: L,
    /// The server's clock, RFC 3339 in UTC.
    pub timestamp: Box<str>,
}

/// `pong`: the answer to a ping.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pong {
    /// The ping's own timestamp, untouched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Box<RawValue>>,
    /// The server's clock, RFC 3339 in UTC.
    pub server_time: Box<str>,
}

/// `pending_check_complete`: what waited has been sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PendingCheckComplete {
    /// The summary.
    pub data: PendingSummary,
}

/// The `data` of `pending_check_complete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingSummary {
    /// Messages sent since the `get_pending` that this answers.
    pub delivered: u64,
    /// The head that was seen at that moment, and is now passed.
    pub head: Seq,
    /// False when messages may be missing: an unknown epoch or position, or retention took some.
    pub recovered: bool,
    /// Streams that are open; what there is of them has been sent.
    pub streams: u64,
}

/// `mailbox_gap`: what was between these positions is not kept any more. It comes where the messages
/// would have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxGap {
    /// The last position that was sent, or asked for.
    pub after: Seq,
    /// The first position that may still come.
    pub next: Seq,
    /// Which message stood before that one, if somebody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_id: Option<MessageId>,
}

/// `position_checked`: from where a `get_pending` with an `after_id` is answered. It comes before
/// anything that it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionChecked {
    /// The position that was named.
    pub after: Seq,
    /// The message that was named with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_id: Option<MessageId>,
    /// From here is read on: the same position, or the device's cursor, if what was named is none of
    /// this mailbox's history.
    pub from: Seq,
    /// Which message stands there, if somebody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_id: Option<MessageId>,
}

impl PositionChecked {
    /// Whether what was named is a position of this mailbox.
    #[must_use]
    pub fn is_known(&self) -> bool {
        let is_another = |named: &MessageId| self.from_id.as_ref().is_some_and(|id| id != named);
        self.from == self.after && !self.after_id.as_ref().is_some_and(is_another)
    }
}

/// `accepted`: the application took a message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Accepted {
    /// The message's id.
    #[serde(rename = "ref")]
    pub reference: MessageId,
    /// What it answers, if it answers more than yes. A client takes one of any size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<SendAnswer>,
}

/// `message_start`: a stream begins, or begins again. Beside these fields
/// stand those that it was opened with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageStart {
    /// The answer's name.
    pub message_uuid: MessageId,
    /// Which attempt at it: what a later one says replaces what an earlier one said.
    pub attempt: Attempt,
    /// The send that it answers.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<MessageId>,
}

/// `message_delta`: a piece of stream text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageDelta {
    /// The answer's name.
    pub message_uuid: MessageId,
    /// Which attempt at it.
    pub attempt: Attempt,
    /// Where the piece belongs, in UTF-16 units; never within a surrogate pair.
    pub offset: u64,
    /// The piece.
    pub text: Box<str>,
}

/// `message_lost`: a stream is not, or no more, as a client has said that it has it. What there
/// is of it follows from its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageLost {
    /// The answer's name.
    pub message_uuid: MessageId,
    /// Which attempt at it.
    pub attempt: Attempt,
    /// How much the client had, in UTF-16 units.
    pub offset: u64,
    /// The hash of that.
    pub hash: u32,
}

/// `error`: something failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorFrame {
    /// One of [`crate::ErrorCode`]'s names, or the application's own.
    pub code: Box<str>,
    /// One sentence for a person.
    pub message: Box<str>,
    /// The message it is about, if it is about one.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<MessageId>,
    /// Whether the very same message is worth another try.
    pub retryable: bool,
    /// When, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl<L: Serialize> ConnectionEstablished<L> {
    /// Writes the frame; `None` only if the limits cannot be written.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        write(message_type::CONNECTION_ESTABLISHED, self)
    }
}

/// A frame from the server, as a native client reads it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ServerFrame {
    /// The first frame of every connection.
    ConnectionEstablished(Box<ConnectionEstablished>),
    /// The answer to a ping.
    Pong(Pong),
    /// What waited has been sent.
    PendingCheckComplete(PendingSummary),
    /// Some positions have no messages any more.
    MailboxGap(MailboxGap),
    /// From where a question is answered.
    PositionChecked(PositionChecked),
    /// A stream begins. It is written by [`super::StreamOpening::start_frame`].
    MessageStart(MessageStart),
    /// Stream text.
    MessageDelta(MessageDelta),
    /// An answer is not what the client has of it.
    MessageLost(MessageLost),
    /// A send settled well.
    Accepted(Accepted),
    /// A send settled badly, or something else failed.
    Error(ErrorFrame),
    /// Anything else, for the application's handlers.
    Application {
        /// Its `type`.
        kind: Box<str>,
        /// Its position; none if it is live-only.
        seq: Option<Seq>,
        /// Its id.
        id: Option<MessageId>,
        /// Which attempt at which answer this message is the end of.
        ends: Option<(MessageId, Attempt)>,
    },
}

impl ServerFrame {
    /// Reads one text frame.
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        let object = Object::parse(text)?;
        let kind = object.kind()?;
        Ok(match kind {
            message_type::CONNECTION_ESTABLISHED => {
                Self::ConnectionEstablished(Box::new(read(text, "connection_established")?))
            }
            message_type::PONG => Self::Pong(read(text, "pong")?),
            message_type::PENDING_CHECK_COMPLETE => Self::PendingCheckComplete(
                read::<PendingCheckComplete>(text, "pending_check_complete")?.data,
            ),
            message_type::MAILBOX_GAP => Self::MailboxGap(read(text, "mailbox_gap")?),
            message_type::POSITION_CHECKED => {
                Self::PositionChecked(read(text, "position_checked")?)
            }
            message_type::MESSAGE_LOST => Self::MessageLost(read(text, "message_lost")?),
            message_type::MESSAGE_START => Self::MessageStart(read(text, "message_start")?),
            message_type::MESSAGE_DELTA => Self::MessageDelta(read(text, "message_delta")?),
            message_type::ACCEPTED => Self::Accepted(read(text, "accepted")?),
            message_type::ERROR => Self::Error(read(text, "error")?),
            _ => {
                let header: Header = read(text, "header")?;
                let ends = header.seq.and_then(|_| ends(&object));
                Self::Application { kind: kind.into(), seq: header.seq, id: header.id, ends }
            }
        })
    }

    /// Writes the control frames. An application's message is written by
    /// [`super::Message::to_frame`], an answer's start by [`super::StreamOpening::start_frame`], so for
    /// those variants this answers `None`.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::ConnectionEstablished(frame) => frame.to_text(),
            Self::Pong(frame) => write(message_type::PONG, frame),
            Self::PendingCheckComplete(data) => write(
                message_type::PENDING_CHECK_COMPLETE,
                &PendingCheckComplete { data: data.clone() },
            ),
            Self::MailboxGap(frame) => write(message_type::MAILBOX_GAP, frame),
            Self::PositionChecked(frame) => write(message_type::POSITION_CHECKED, frame),
            Self::MessageLost(frame) => write(message_type::MESSAGE_LOST, frame),
            Self::MessageDelta(frame) => write(message_type::MESSAGE_DELTA, frame),
            Self::Accepted(frame) => write(message_type::ACCEPTED, frame),
            Self::Error(frame) => write(message_type::ERROR, frame),
            Self::MessageStart(_) | Self::Application { .. } => None,
        }
    }
}

/// An application may have fields of these names with anything in them.
fn ends(object: &Object<'_>) -> Option<(MessageId, Attempt)> {
    let uuid = serde_json::from_str(object.get("message_uuid")?.get()).ok()?;
    let attempt = serde_json::from_str(object.get("attempt")?.get()).ok()?;
    Some((uuid, attempt))
}

#[derive(Deserialize)]
struct Header {
    seq: Option<Seq>,
    id: Option<MessageId>,
}

fn read<'a, T: Deserialize<'a>>(text: &'a str, field: &'static str) -> Result<T, FrameError> {
    serde_json::from_str(text).map_err(|_| FrameError::Field(field))
}

/// A frame's own fields behind its `type`; each of them has some.
fn write<T: Serialize>(kind: &'static str, frame: &T) -> Option<String> {
    let fields = serde_json::to_string(frame).ok()?;
    Some([r#"{"type":""#, kind, r#"","#, fields.strip_prefix('{')?].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_frames_survive_the_way_there_and_back() {
        let summary = PendingSummary {
            delivered: 3,
            head: Seq::new(9).unwrap(),
            recovered: true,
            streams: 0,
        };
        let text = ServerFrame::PendingCheckComplete(summary.clone()).to_text().unwrap();
        assert_eq!(
            text,
            r#"{"type":"pending_check_complete","data":{"delivered":3,"head":9,"recovered":true,"streams":0}}"#
        );
        let ServerFrame::PendingCheckComplete(read) = ServerFrame::parse(&text).unwrap() else {
            panic!("another frame came back")
        };
        assert_eq!(read, summary);
    }

    #[test]
    fn the_message_that_ends_an_answer_says_which_and_no_other_message_is_taken_for_one() {
        let ends = |text: &str| match ServerFrame::parse(text).unwrap() {
            ServerFrame::Application { ends, .. } => ends,
            other => panic!("{other:?}"),
        };
        let end = ends(r#"{"type":"message_generate","seq":3,"message_uuid":"a","attempt":2}"#);
        assert_eq!(end, Some(("a".parse().unwrap(), Attempt::new(2).unwrap())));
        for text in [
            r#"{"type":"message_generate","message_uuid":"a","attempt":2}"#,
            r#"{"type":"note","seq":3,"message_uuid":"a"}"#,
            r#"{"type":"note","seq":3,"message_uuid":{"a":1},"attempt":"two"}"#,
        ] {
            assert_eq!(ends(text), None, "{text}");
        }
    }

    #[test]
    fn a_pings_timestamp_comes_back_untouched() {
        let timestamp = RawValue::from_string("1e3".into()).unwrap();
        let pong = Pong { timestamp: Some(timestamp), server_time: "now".into() };
        assert_eq!(
            ServerFrame::Pong(pong).to_text().unwrap(),
            r#"{"type":"pong","timestamp":1e3,"server_time":"now"}"#
        );
    }
}
