//! Answers that are asked for, and what is to be told about them.
//!
//! Every function works inside one transaction: the effect, the record that a repeat is recognised
//! by, and the publication are committed together or not at all.

mod lost;
mod outbox;
mod queue;
mod sends;
#[cfg(test)]
mod tests;
mod turns;

use serde::Serialize;
use tetherline_protocol::{
    Attempt, MessageId, StreamStatus, UserId,
    message_type::{MESSAGE_GENERATE, MESSAGE_REGENERATE},
};

pub(crate) use self::{
    lost::{last_sent, send_again},
    outbox::{Ending, Publication, Sent, sent, unsent},
    queue::{
        begin_again, begun, claim, finish, forget_old, is_pending_in, left_behind, pending,
        pending_answer_to,
    },
    sends::{Again, Question, Taken, ask, regenerate, stop},
};
use crate::history::{Failure, Role};

/// An answer to be written now.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) position: i64,
    pub(crate) user: UserId,
    /// The send that asked for it.
    pub(crate) send_id: MessageId,
    pub(crate) kind: Kind,
    pub(crate) conversation: String,
    pub(crate) question: String,
    pub(crate) answer: MessageId,
    pub(crate) version: u32,
    /// Somebody does not want it any more.
    pub(crate) is_stopped: bool,
}

/// Whether it is the first answer to its question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Generate,
    /// Another version, or another attempt.
    Regenerate,
}

/// One message as the provider sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) role: Role,
    pub(crate) content: String,
}

impl Kind {
    /// The type of the message that the answer becomes.
    pub(crate) const fn message_type(self) -> &'static str {
        match self {
            Self::Generate => MESSAGE_GENERATE,
            Self::Regenerate => MESSAGE_REGENERATE,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Regenerate => "regenerate",
        }
    }
}

/// What became of an attempt at an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) attempt: Attempt,
    pub(crate) status: StreamStatus,
    /// All that there is of it.
    pub(crate) text: String,
    pub(crate) failure: Option<Failure>,
}

/// An answer that was asked for and is not there yet, as the page is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Pending {
    pub(crate) message_uuid: String,
    /// The send that asked for it: by this it is stopped before it has begun.
    pub(crate) r#ref: String,
    pub(crate) parent: String,
    pub(crate) version: u32,
}
