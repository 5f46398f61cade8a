//! What the store tells of a command once it is committed.

use std::sync::Arc;

use tetherline_protocol::{StreamStatus, frame::Message};

use super::{
    super::{Appended, Event, FinishedStream},
    commands::{Command, Done},
    streams::{StreamCommand, StreamDone},
};

/// An attempt that is over.
pub(super) enum Finish {
    Now { status: StreamStatus, appended: Appended, message: Arc<Message> },
    Before(FinishedStream),
}

impl From<Finish> for FinishedStream {
    fn from(finish: Finish) -> Self {
        match finish {
            Finish::Now { status, appended: Appended { id, seq, .. }, .. } => {
                Self { status, id, seq, repeated: false }
            }
            Finish::Before(finished) => finished,
        }
    }
}

impl Command {
    pub(super) fn event(&mut self, done: &Done) -> Option<Event> {
        match (self, done) {
            (Self::Append { user, message, .. }, Done::Append(Ok(appended))) => {
                (!appended.repeated).then(|| Event::Appended {
                    user: user.clone(),
                    appended: appended.clone(),
                    message: Some(message.clone()),
                })
            }
            (Self::Erase { user, carried_out, .. }, Done::Erased(epoch)) => {
                let (user, epoch) = (user.clone(), epoch.clone());
                carried_out.take().map(|carried_out| Event::Erased { user, epoch, carried_out })
            }
            (Self::Stream(command), Done::Stream(done)) => command.event(done),
            _ => None,
        }
    }
}

impl StreamCommand {
    fn event(&self, done: &StreamDone) -> Option<Event> {
        match (self, done) {
            (Self::Open { user, .. }, StreamDone::Open(Ok(_)))
            | (Self::Append { user, .. }, StreamDone::Append(Ok(_))) => {
                Some(Event::Streamed { user: user.clone() })
            }
            (
                Self::Finish { user, .. },
                StreamDone::Finish(Ok(Finish::Now { appended, message, .. })),
            ) => Some(Event::Appended {
                user: user.clone(),
                appended: appended.clone(),
                message: Some(message.clone()),
            }),
            _ => None,
        }
    }
}
