use std::collections::VecDeque;

use tetherline_protocol::{
    MessageId, StopTarget,
    frame::{Message, Stop},
};

use crate::{Refusal, store::Outcome};

/// One connection's sends, in order, one at a time.
///
/// After a retryable refusal the later ones are refused with the same code until the refused one
/// comes back, so that nothing overtakes it.
pub(super) struct Sends {
    connection: MessageId,
    unnamed: u64,
    running: Option<Name>,
    waiting: VecDeque<(Option<MessageId>, Errand)>,
    barrier: Option<(MessageId, Refusal)>,
}

/// What a client wants done, in its turn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Errand {
    Message(Message),
    Stop(StopTarget),
}

#[derive(Debug)]
pub(super) enum Step {
    Hand { id: MessageId, named: bool, errand: Errand },
    Refuse { id: Option<MessageId>, refusal: Refusal },
}

/// The client's own name for a send, if it gave one.
struct Name(Option<MessageId>);

impl Sends {
    pub(super) fn new(connection: MessageId) -> Self {
        Self { connection, unnamed: 0, running: None, waiting: VecDeque::new(), barrier: None }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn push(&mut self, message: Message) {
        self.waiting.push_back((message.id().cloned(), Errand::Message(message)));
    }

    /// It has its place behind the send that it may be about.
    pub(super) fn push_stop(&mut self, Stop { id, target }: Stop) {
        self.waiting.push_back((id, Errand::Stop(target)));
    }

    pub(super) fn next(&mut self) -> Option<Step> {
        if self.running.is_some() {
            return None;
        }
        let (name, errand) = self.waiting.pop_front()?;
        if let Some((refused, refusal)) = &self.barrier {
            if name.as_ref() != Some(refused) {
                return Some(Step::Refuse { id: name, refusal: refusal.clone() });
            }
            self.barrier = None;
        }
        let id = name.clone().unwrap_or_else(|| self.own_name());
        let named = name.is_some();
        self.running = Some(Name(name));
        Some(Step::Hand { id, named, errand })
    }

    /// The outcome of the running send, under the name that the client knows.
    pub(super) fn settle(&mut self, outcome: Outcome) -> Option<(Option<MessageId>, Outcome)> {
        let Name(name) = self.running.take()?;
        if let (Some(id), Err(refusal)) = (&name, &outcome)
            && refusal.is_retryable()
        {
            self.barrier = Some((id.clone(), refusal.clone()));
        }
        Some((name, outcome))
    }

    fn own_name(&mut self) -> MessageId {
        self.unnamed += 1;
        format!("{}.{}", self.connection, self.unnamed)
            .parse()
            .expect("a connection's id is a UUID, and a UUID with a number is a short id")
    }
}
