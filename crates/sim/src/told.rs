//! What the store tells about its commits, and when the server's hub hears it: in their order, at some
//! time.

use std::sync::Arc;

use tetherline_protocol::{
    UserId,
    frame::{Message, id_in},
};
use tetherline_server::store::{Appended, CarriedOut, Delivery, Event as Told};

use crate::{
    Mutant,
    event::Event,
    store::Answer,
    streams::Reply,
    world::{UserNo, World},
};

/// What is told of an operation that was committed. `carried_out` is answered once an erasure is.
pub(crate) fn told(
    answer: &Answer,
    name: impl Fn(UserNo) -> UserId,
    contents: &[(UserId, Message)],
    carried_out: impl FnOnce(UserNo) -> CarriedOut,
) -> Option<Told> {
    let appended = |user: UserNo, delivery: &Delivery, message: Arc<Message>| Told::Appended {
        user: name(user),
        appended: appended_as(delivery),
        message: Some(message),
    };
    match *answer {
        Answer::Appended { publish, user, repeated: false, ref delivery } => {
            Some(appended(user, delivery, Arc::new(contents[publish].1.clone())))
        }
        Answer::Erased { user, ref epoch } => Some(Told::Erased {
            user: name(user),
            epoch: Some(epoch.clone()),
            carried_out: carried_out(user),
        }),
        Answer::Stream { ref order, ref reply, ref news } => match (reply, news) {
            (Reply::Opened { .. } | Reply::Added { .. }, _) => {
                Some(Told::Streamed { user: name(order.user) })
            }
            (Reply::Ended(_), Some((delivery, message))) => {
                Some(appended(order.user, delivery, message.clone()))
            }
            _ => None,
        },
        _ => None,
    }
}

/// As a store says it of a delivery of the model's.
fn appended_as(delivery: &Delivery) -> Appended {
    let id = id_in(&delivery.text).expect("the model's messages have ids");
    Appended { id, seq: delivery.seq, repeated: false, created_at_ms: 0 }
}

impl World {
    /// The store tells it, and the hub hears of it soon.
    pub(crate) fn announce(&mut self, life: u32, events: Vec<Told>) {
        self.events.tell(events);
        let delay = if self.fault(10) { self.delay(1, 500) } else { self.delay(0, 5) };
        self.after(delay, Event::Told { life });
    }

    /// The task that follows the store gets to it.
    pub(crate) fn hub_hears(&mut self, life: u32) {
        let Some(running) = self.server.as_mut().filter(|running| running.number == life) else {
            return;
        };
        for event in running.commits.try_next() {
            self.carry_out(event);
        }
    }

    fn carry_out(&mut self, event: Told) {
        let forgets = match (&event, self.mutant) {
            (Told::Appended { .. }, Some(Mutant::WakeForgotten)) => self.fault(30),
            (Told::Streamed { .. }, Some(Mutant::StreamedForgotten)) => self.random.percent(50),
            (Told::Missed, Some(Mutant::MissedForgotten)) => true,
            _ => false,
        };
        if forgets {
            return;
        }
        self.note(&format!("the hub hears {event:?}"));
        let everybody = 0..self.users.len();
        let about = match &event {
            Told::Appended { user, .. } | Told::Streamed { user } | Told::Erased { user, .. } => {
                let user = everybody.clone().find(|other| self.users[*other] == *user);
                user.map_or(0..0, |user| user..user + 1)
            }
            _ => everybody,
        };
        let Some(life) = &self.server else { return };
        if let Told::Missed = event {
            for user in about.clone() {
                life.hub.compare(&self.users[user], &self.store.head(user));
            }
        } else {
            life.hub.tell(event);
        }
        about.for_each(|user| self.wake(user));
    }
}
