use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tetherline_protocol::{
    ErrorCode, MessageId, StopTarget,
    frame::{Message, Stop},
};

use crate::{Refusal, connection::sends_room::SendShare, store::Outcome};

/// How long a connection whose sends have no room is not read: an application that is quick makes room
/// within it, and then nobody has to come again. Pings and acknowledgements wait no longer than this,
/// which is less than the `SUSPECT_TIMEOUT_MS` of a client that is in a hurry.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// When a send may come again for which there was no room. An application that is slower than
/// [`PATIENCE`] takes longer for those that wait.
const CROWDED_RETRY: Duration = Duration::from_secs(5);

/// One connection's sends, in order, one at a time.
///
/// After a retryable refusal the later ones are refused with the same code until the refused one
/// comes back, so that nothing overtakes it. There is one that is waited for, and it is the earliest:
/// whatever a client repeats, it begins there.
pub(super) struct Sends {
    connection: MessageId,
    waiting_max: usize,
    unnamed: u64,
    running: Option<Name>,
    waiting: VecDeque<(Name, Errand, SendShare)>,
    room: Room,
    barrier: Option<(MessageId, Refusal)>,
}

/// What a client wants done, in its turn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Errand {
    Message(Message),
    Stop(StopTarget),
}

/// What becomes of a send, under the name that the client knows.
pub(super) type Answer = (Option<MessageId>, Outcome);

/// Room for a send, or why it has to come again.
pub(super) trait Admit: FnOnce() -> Result<SendShare, NotAdmitted> {}

impl<F: FnOnce() -> Result<SendShare, NotAdmitted>> Admit for F {}

/// Why a send has to come again.
pub(super) enum NotAdmitted {
    /// Too much of this user's, or of everybody's, waits for the application.
    NoRoom,
    /// It comes faster than it may, by so much.
    TooFast(Duration),
}

/// The client's own name for a send, if it gave one.
type Name = Option<MessageId>;

/// Whether one more may come.
#[derive(Debug, Clone, Copy)]
enum Room {
    Some,
    /// None, and the connection is not read until then.
    Awaited {
        until: Instant,
    },
    /// None for so long that what comes is refused.
    None,
}

impl Sends {
    /// At most `waiting_max` wait behind the one that is with the application.
    pub(super) fn new(connection: MessageId, waiting_max: usize) -> Self {
        Self {
            connection,
            waiting_max,
            unnamed: 0,
            running: None,
            waiting: VecDeque::new(),
            room: Room::Some,
            barrier: None,
        }
    }

    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the connection may be read: what it says has room, or is refused.
    pub(super) fn wants_more(&self) -> bool {
        !matches!(self.room, Room::Awaited { .. })
    }

    /// When the patience with the application ends.
    pub(super) fn next_at(&self) -> Option<Instant> {
        match self.room {
            Room::Awaited { until } => Some(until),
            Room::Some | Room::None => None,
        }
    }

    /// Looks whether there is room. `is_crowded`: too much waits of this user's, or of everybody's. It is waited
    /// for only by whoever has something with the application, and hears when that is settled; of all others
    /// it is not asked, as it is one lock that all connections share.
    pub(super) fn look(&mut self, is_crowded: impl FnOnce() -> bool, now: Instant) {
        let is_crowded = self.running.is_some() && is_crowded();
        self.room = match self.room {
            _ if !self.is_full() && !is_crowded => Room::Some,
            Room::Some => Room::Awaited { until: now + PATIENCE },
            Room::Awaited { until } if now >= until => Room::None,
            room => room,
        };
    }

    /// Answers what becomes of it if it is refused at once.
    pub(super) fn push(&mut self, message: Message, admit: impl Admit) -> Option<Answer> {
        self.enqueue(message.id().cloned(), Errand::Message(message), admit)
    }

    /// It has its place behind the send that it may be about.
    pub(super) fn push_stop(&mut self, stop: Stop, admit: impl Admit) -> Option<Answer> {
        let Stop { id, target } = stop;
        self.enqueue(id, Errand::Stop(target), admit)
    }

    fn enqueue(&mut self, name: Name, errand: Errand, admit: impl Admit) -> Option<Answer> {
        if let Some((awaited, refusal)) = &self.barrier
            && name.as_ref() != Some(awaited)
        {
            return Some((name, Err(refusal.clone())));
        }
        let admitted = if self.is_full() { Err(NotAdmitted::NoRoom) } else { admit() };
        match admitted {
            Ok(share) => {
                self.barrier = None;
                self.waiting.push_back((name, errand, share));
                None
            }
            // It is answered when its turn comes. Refused, it would be waited for after that, and in vain.
            Err(_) if name.is_some() && self.has(&name) => None,
            Err(why) => {
                let refusal = why.into_refusal();
                self.barrier = name.clone().map(|id| (id, refusal.clone()));
                Some((name, Err(refusal)))
            }
        }
    }

    /// The next one for the application, if its turn has come: its id, whether the client gave that, what it
    /// wants, and the room that it takes until that is settled, whoever still waits for it.
    pub(super) fn next(&mut self) -> Option<(MessageId, bool, Errand, SendShare)> {
        if self.running.is_some() {
            return None;
        }
        let (name, errand, share) = self.waiting.pop_front()?;
        let id = name.clone().unwrap_or_else(|| self.own_name());
        let named = name.is_some();
        self.running = Some(name);
        Some((id, named, errand, share))
    }

    /// The outcome of the running send. If it has to come again, what waits behind it has to, too.
    pub(super) fn settle(&mut self, outcome: Outcome) -> Vec<Answer> {
        let Some(name) = self.running.take() else { return Vec::new() };
        let mut answers = vec![(name.clone(), outcome.clone())];
        if let (Some(id), Err(refusal)) = (name, outcome)
            && refusal.is_retryable()
        {
            // What was refused for want of room was behind it, and comes again behind it.
            let same = refusal.clone();
            let crowded_out = self.barrier.replace((id, refusal));
            for (name, errand, share) in std::mem::take(&mut self.waiting) {
                answers.extend(self.enqueue(name, errand, || Ok(share)));
            }
            // Unless it had come again already: then the next that was refused does, if it had not.
            if self.barrier.is_none() {
                let next = answers[1..].iter().find(|(name, _)| name.is_some() && !self.has(name));
                let next = next.and_then(|(name, _)| Some((name.clone()?, same)));
                self.barrier = next.or(crowded_out);
            }
        }
        answers
    }

    fn has(&self, name: &Name) -> bool {
        self.running.as_ref() == Some(name) || self.waiting.iter().any(|(it, ..)| it == name)
    }

    fn is_full(&self) -> bool {
        self.running.is_some() && self.waiting.len() >= self.waiting_max
    }

    fn own_name(&mut self) -> MessageId {
        self.unnamed += 1;
        format!("{}.{}", self.connection, self.unnamed)
            .parse()
            .expect("a connection's id is a UUID, and a UUID with a number is a short id")
    }
}

impl NotAdmitted {
    fn into_refusal(self) -> Refusal {
        let (message, wait) = match self {
            Self::NoRoom => (
                "Too many messages wait for the application. This one is kept and sent again.",
                CROWDED_RETRY,
            ),
            Self::TooFast(wait) => (
                "Messages come faster than the server takes them. This one is kept and sent again.",
                wait,
            ),
        };
        Refusal::new(ErrorCode::RateLimited, message).retry_after(wait)
    }
}
