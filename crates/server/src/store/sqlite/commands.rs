//! What the writer can be asked to do, and how it answers.

use std::sync::{Arc, Mutex, PoisonError};

use tetherline_protocol::{
    DeviceId, Epoch, IdempotencyKey, MessageId, Seq, UserId, frame::Message,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    super::{AppendError, Appended, CarriedOut, Outcome, Place, SignOut, SignOutError, StoreError},
    streams::{StreamCommand, StreamDone},
};
use crate::lock::lock;

/// Answers whoever asked, and gives back the room that the question took meanwhile.
pub(super) struct Reply<T> {
    sender: oneshot::Sender<T>,
    _room: Option<OwnedSemaphorePermit>,
}

impl<T> Reply<T> {
    pub(super) fn new(room: Option<OwnedSemaphorePermit>) -> (Self, oneshot::Receiver<T>) {
        let (sender, answer) = oneshot::channel();
        (Self { sender, _room: room }, answer)
    }

    /// Whoever asked may be gone.
    pub(super) fn send(self, answer: T) {
        let _ = self.sender.send(answer);
    }
}

pub(super) type Append = Result<Appended, AppendError>;

/// Answers whoever appends one message, or many together.
pub(super) enum AppendReply {
    Alone(Reply<Append>),
    Together(usize, Arc<Together>),
}

impl AppendReply {
    fn send(self, append: Append) {
        match self {
            Self::Alone(reply) => reply.send(append),
            Self::Together(place, together) => {
                lock(&together.appends)[place] = append;
            }
        }
    }
}

/// What became of messages that came together. Once the last of them is answered, so is whoever asked.
pub(super) struct Together {
    appends: Mutex<Vec<Append>>,
    reply: Option<Reply<Vec<Append>>>,
}

impl Together {
    pub(super) fn new(count: usize, reply: Reply<Vec<Append>>) -> Arc<Self> {
        let unanswered = || Err(StoreError::new("the store is closed").into());
        let appends = std::iter::repeat_with(unanswered).take(count).collect();
        Arc::new(Self { appends: Mutex::new(appends), reply: Some(reply) })
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        let appends = self.appends.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(reply) = self.reply.take() {
            reply.send(std::mem::take(appends));
        }
    }
}

pub(super) enum Command {
    Append {
        user: UserId,
        key: Option<(IdempotencyKey, [u8; 32])>,
        message: Arc<Message>,
        reply: AppendReply,
    },
    /// Appends that came together. The writer takes each of them for a command of its own.
    AppendMany(Vec<Command>),
    Greet {
        user: UserId,
        device: DeviceId,
        reply: Reply<Result<Place, StoreError>>,
    },
    Acknowledge {
        user: UserId,
        device: Option<DeviceId>,
        seq: Seq,
        reply: Reply<Result<(), StoreError>>,
    },
    /// Where the devices of a user are is to be in the file before somebody says goodbye.
    SaveCursor {
        user: UserId,
        reply: Reply<Result<(), StoreError>>,
    },
    Record {
        user: UserId,
        id: MessageId,
        outcome: Outcome,
        reply: Reply<Result<(), StoreError>>,
    },
    /// Everything about a user is to be forgotten.
    Erase {
        user: UserId,
        carried_out: Option<CarriedOut>,
        reply: Reply<Result<(), StoreError>>,
    },
    /// Sign-ins of a user have ended.
    SignOut {
        user: UserId,
        ended: SignOut,
        reply: Reply<Result<(), SignOutError>>,
    },
    /// A device has connected.
    Use {
        user: UserId,
        device: DeviceId,
    },
    /// Something about a stream.
    Stream(StreamCommand),
    /// Somebody asks whether anything can be kept.
    Answer {
        reply: Reply<Result<(), StoreError>>,
    },
    /// Write the cursors that are ahead of the file, if it is time.
    SaveCursors {
        reply: Reply<()>,
    },
    /// Look whether there is something to forget. Answers whether there is more.
    Look {
        reply: Reply<bool>,
    },
    /// Whatever a test has the writer do.
    #[cfg(test)]
    Run {
        task: Box<dyn Fn() + Send>,
        reply: Reply<()>,
    },
}

/// What a command came to, kept back until the commit.
pub(super) enum Done {
    Append(Append),
    Greet(Place),
    Looked {
        is_behind: bool,
    },
    Stream(StreamDone),
    SignOut(Result<(), SignOutError>),
    /// The epoch that has begun, if there was a mailbox.
    Erased(Option<Epoch>),
    Nothing,
}

impl Command {
    /// Whether it only adds text to streams, which may wait a moment for others of its kind.
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Stream(StreamCommand::Append { .. }))
    }

    /// Whether it only has the writer look at something, after all others are answered.
    pub(super) fn is_look(&self) -> bool {
        matches!(self, Self::Look { .. } | Self::SaveCursors { .. })
    }

    /// Whoever asked may be gone; that changes nothing about what is committed.
    pub(super) fn succeed(self, done: Done) {
        match (self, done) {
            (Self::Append { reply, .. }, Done::Append(appended)) => reply.send(appended),
            (Self::Greet { reply, .. }, Done::Greet(place)) => reply.send(Ok(place)),
            (
                Self::Acknowledge { reply, .. }
                | Self::SaveCursor { reply, .. }
                | Self::Record { reply, .. }
                | Self::Answer { reply },
                Done::Nothing,
            )
            | (Self::Erase { reply, .. }, Done::Erased(_)) => reply.send(Ok(())),
            (Self::SignOut { reply, .. }, Done::SignOut(done)) => reply.send(done),
            (Self::SaveCursors { reply }, _) => reply.send(()),
            (Self::Look { reply }, Done::Looked { is_behind }) => reply.send(is_behind),
            (Self::Stream(command), Done::Stream(done)) => command.succeed(done),
            (Self::Use { .. }, _) => {}
            #[cfg(test)]
            (Self::Run { reply, .. }, _) => reply.send(()),
            (command, _) => command.fail(&StoreError::new("an answer of the wrong kind")),
        }
    }

    pub(super) fn fail(self, error: &StoreError) {
        let error = error.clone();
        match self {
            Self::Append { reply, .. } => reply.send(Err(error.into())),
            Self::AppendMany(appends) => {
                for append in appends {
                    append.fail(&error);
                }
            }
            Self::Greet { reply, .. } => reply.send(Err(error)),
            Self::Acknowledge { reply, .. }
            | Self::SaveCursor { reply, .. }
            | Self::Record { reply, .. }
            | Self::Erase { reply, .. }
            | Self::Answer { reply } => reply.send(Err(error)),
            Self::SignOut { reply, .. } => reply.send(Err(error.into())),
            Self::Stream(command) => command.fail(error),
            Self::SaveCursors { .. } | Self::Look { .. } | Self::Use { .. } => {}
            #[cfg(test)]
            Self::Run { reply, .. } => drop(reply),
        }
    }
}

/// Each of those that came together is one like the others: it fails, or is committed, alone.
pub(super) fn spread(batch: &mut Vec<Command>) {
    if batch.iter().any(|command| matches!(command, Command::AppendMany(_))) {
        let together = std::mem::take(batch);
        for command in together {
            match command {
                Command::AppendMany(appends) => batch.extend(appends),
                command => batch.push(command),
            }
        }
    }
}
