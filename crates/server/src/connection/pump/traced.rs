//! What whoever follows a user live is told of a connection: what its client says, and how what it is sent goes on.

use std::time::{Duration, Instant};

use tetherline_protocol::{DeviceId, MessageId, Seq, frame::ClientFrame};

use super::{Event, Pump};
use crate::connection::{
    hub::{Ending, Membership, Stands, Told, Waits},
    socket::Goodbye,
};

/// A socket that takes nothing for so long is told of, with whatever happens next.
const STUCK_AFTER: Duration = Duration::from_secs(1);

pub(super) fn connected(membership: &Membership, device: Option<&DeviceId>, now: Instant) {
    if membership.is_traced() {
        let (device, network) = (device.cloned(), membership.network());
        membership.trace(Told::Connected { device, network }, now);
    }
}

impl Pump {
    /// Says where the connection is, once everything is done that was to be done.
    pub(super) fn stands(&self, now: Instant) {
        let stands = self.session.stands();
        if self.membership.is_traced() && self.is_open() {
            changes(&self.membership.stood(), &stands, now, |what| {
                self.membership.trace(what, now);
            });
        }
        self.membership.stands(&stands, now);
    }

    /// Before it is taken. Only what a client asks is taken apart once more, and only for whoever follows.
    pub(super) fn trace_said(&self, event: &Event<'_>, now: Instant) {
        if !self.membership.is_traced() {
            return;
        }
        let what = match event {
            Event::Text(text) => match ClientFrame::parse(text) {
                Ok(ClientFrame::GetPending { after, .. }) => {
                    Told::Asked { after, cursor: self.session.cursor() }
                }
                _ => return,
            },
            Event::Settled(outcome) => {
                let refused = outcome.as_ref().err().map(|refusal| refusal.code().into());
                Told::Settled { refused }
            }
            _ => return,
        };
        self.membership.trace(what, now);
    }

    pub(super) fn trace_send(&self, id: &MessageId, now: Instant) {
        if self.membership.is_traced() {
            self.membership.trace(Told::Send { id: id.clone() }, now);
        }
    }

    pub(super) fn trace_end(&self, goodbye: Option<&Goodbye>, now: Instant) {
        if !self.membership.is_traced() {
            return;
        }
        let how = match goodbye {
            None => Ending::Gone,
            Some(Goodbye::Answer(code)) => Ending::ByClient(*code),
            Some(Goodbye::Ours(code, reason) | Goodbye::Breach(code, reason)) => {
                Ending::ByServer(*code, *reason)
            }
        };
        self.membership.trace(Told::Closed { how }, now);
    }
}

/// What has become of a connection since it was looked at last.
fn changes(before: &Stands, after: &Stands, now: Instant, mut tell: impl FnMut(Told)) {
    let Stands { waiting, unhandled, waits, .. } = *after;
    if let Some(up_to) = after.sent.filter(|_| before.sent != after.sent) {
        tell(Told::Sent { up_to, waiting });
    }
    if let Some(up_to) = handled(after).filter(|now| handled(before).is_some_and(|was| was < *now))
    {
        tell(Told::Acknowledged { up_to, unhandled });
    }
    let is_new = before.waits != waits;
    if is_new && matches!(waits, Waits::ForAcknowledgement | Waits::ForItsRate) {
        tell(Told::Waits { waits });
    }
    if let (Some(was), Some(since)) = (before.stuck_since, after.stuck_since)
        && since.saturating_duration_since(was) < Duration::from_millis(1)
        && now.saturating_duration_since(since) >= STUCK_AFTER
    {
        tell(Told::Stuck { since, unsent_bytes: after.unsent_bytes, waiting });
    }
    if after.is_held && !before.is_held {
        tell(Told::Held);
    }
}

fn handled(stands: &Stands) -> Option<Seq> {
    Seq::new(stands.sent?.get() - stands.unhandled)
}
