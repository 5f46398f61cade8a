use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tetherline_engine::{SendNo, SendOutcome, SendRefused};
use tetherline_protocol::{
    MessageId, StopTarget,
    frame::{ErrorFrame, FrameError, Message, SendAnswer},
    limits::OUTBOX_TTL_MS,
    message_type::MESSAGE_STOP,
};
use tokio::sync::oneshot;

/// The application at the other end took the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The message's id.
    pub id: MessageId,
    /// What the application answered, if it answered more than yes.
    pub answer: Option<SendAnswer>,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The text is no message.
    #[error("this is no message: {0}")]
    Invalid(FrameError),
    /// Too much is waiting to be taken already.
    #[error("too many messages wait to be sent; try again when some have gone")]
    OutboxFull,
    /// The identity was refused, or the client closed first.
    #[error("not signed in any more")]
    SignedOut,
    /// The server or the application refused it for good.
    #[error("{message} ({code})")]
    Refused {
        /// What it is about.
        code: Box<str>,
        /// One sentence for a person.
        message: Box<str>,
    },
    /// It would have to be kept for longer than three days, and the server recognises no repeat for
    /// ever.
    #[error("a message may wait for at most three days")]
    TtlTooLong,
    /// Nobody took it within its time to live.
    #[error("nobody took the message within its time to live")]
    Expired,
    /// The client is gone.
    #[error("the client is closed")]
    Closed,
}

type Answer = oneshot::Sender<Result<Accepted, SendError>>;

/// A message that is about to enter the outbox.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) id: MessageId,
    pub(crate) text: Box<str>,
    pub(crate) ttl_ms: u64,
    answer: Answer,
}

impl Outgoing {
    pub(crate) fn parse(json: &str, ttl: Duration, answer: Answer) -> Result<Self, SendError> {
        // Whatever does not fit is refused for being too long.
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let message = Message::parse(json).map_err(SendError::Invalid)?;
        let id = message.id().cloned().unwrap_or_else(new_id);
        let text = message.to_frame(&id, None, &now_ms().to_string()).into();
        Ok(Self { id, text, ttl_ms, answer })
    }

    /// Ids need no escaping.
    pub(crate) fn stop(target: &StopTarget, answer: Answer) -> Self {
        let id = new_id();
        let (field, value) = match target {
            StopTarget::Message(uuid) => ("message_uuid", uuid),
            StopTarget::Send(send) => ("ref", send),
        };
        let text = format!(r#"{{"type":"{MESSAGE_STOP}","id":"{id}","{field}":"{value}"}}"#);
        Self { id, text: text.into(), ttl_ms: OUTBOX_TTL_MS, answer }
    }

    pub(crate) fn refuse(self, refused: SendRefused) {
        let error = match refused {
            SendRefused::SignedOut => SendError::SignedOut,
            SendRefused::TtlTooLong => SendError::TtlTooLong,
            _ => SendError::OutboxFull,
        };
        // Whoever does not wait for the answer does not need it.
        let _ = self.answer.send(Err(error));
    }
}

/// Who waits for which send. The engine keeps the texts and the order.
#[derive(Debug, Default)]
pub(crate) struct Sends {
    /// By the number in [`SendNo`].
    by_no: HashMap<u32, Waiting>,
    /// Oldest first: a message may be repeated while it is under way, and each is answered.
    by_id: HashMap<MessageId, VecDeque<SendNo>>,
}

#[derive(Debug)]
struct Waiting {
    id: MessageId,
    answer: Answer,
    refusal: Option<ErrorFrame>,
    said: Option<SendAnswer>,
}

impl Sends {
    pub(crate) fn insert(&mut self, no: SendNo, id: MessageId, answer: Answer) {
        self.by_id.entry(id.clone()).or_default().push_back(no);
        self.by_no.insert(no.0, Waiting { id, answer, refusal: None, said: None });
    }

    pub(crate) fn find(&self, id: &MessageId) -> Option<SendNo> {
        self.by_id.get(id)?.front().copied()
    }

    /// Keeps the words of a refusal until the engine says whether it is final.
    pub(crate) fn note_refusal(&mut self, no: SendNo, refusal: ErrorFrame) {
        if let Some(waiting) = self.by_no.get_mut(&no.0) {
            waiting.refusal = Some(refusal);
        }
    }

    /// Keeps what goes with a yes until the engine has settled the send.
    pub(crate) fn note_answer(&mut self, no: SendNo, said: Option<SendAnswer>) {
        if let Some(waiting) = self.by_no.get_mut(&no.0) {
            waiting.said = said;
        }
    }

    /// Nobody is signed in any more, so nobody will take what waits.
    pub(crate) fn refuse_all(&mut self) {
        self.by_id.clear();
        for (_, waiting) in self.by_no.drain() {
            let _ = waiting.answer.send(Err(SendError::SignedOut));
        }
    }

    pub(crate) fn settle(&mut self, no: SendNo, outcome: SendOutcome) {
        let Some(Waiting { id, answer, refusal, said }) = self.by_no.remove(&no.0) else { return };
        if let Entry::Occupied(mut repeats) = self.by_id.entry(id.clone()) {
            repeats.get_mut().retain(|&other| other != no);
            if repeats.get().is_empty() {
                repeats.remove();
            }
        }
        let result = match outcome {
            SendOutcome::Accepted => Ok(Accepted { id, answer: said }),
            SendOutcome::Refused => Err(refused(refusal)),
            SendOutcome::SignedOut => Err(SendError::SignedOut),
            _ => Err(SendError::Expired),
        };
        let _ = answer.send(result);
    }
}

impl Outgoing {
    pub(crate) fn into_parts(self) -> (MessageId, Answer) {
        (self.id, self.answer)
    }
}

fn refused(refusal: Option<ErrorFrame>) -> SendError {
    let (code, message) = refusal.map_or_else(
        || ("rejected".into(), "the message was refused".into()),
        |refusal| (refusal.code, refusal.message),
    );
    SendError::Refused { code, message }
}

fn new_id() -> MessageId {
    let text = uuid::Uuid::now_v7().to_string();
    text.parse().expect("a UUID's text is 36 URL-safe characters")
}

fn now_ms() -> u128 {
    // A clock before 1970 is the operating system's problem; the server's clock is what counts.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}
