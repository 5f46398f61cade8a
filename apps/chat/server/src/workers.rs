//! The tasks in the background: one answers questions, one brings what was committed to the mailbox.
//! Both find their work in the database, so that a restart needs little more than starting them.

mod answers;
mod outbox;
mod recovery;
mod stops;

use std::time::Duration;

use tokio::{sync::Notify, time::sleep};

pub(crate) use self::{
    answers::{Answering, answer_questions},
    outbox::publish_outbox,
    recovery::recover,
    stops::Stops,
};
use crate::limits::{OUTBOX_RETRY_BASE, OUTBOX_RETRY_CAP};

/// How others say that there is work. A wake is a hint; the database knows what there is to do.
#[derive(Default)]
pub(crate) struct Wakes {
    pub(crate) answerer: Notify,
    pub(crate) publisher: Notify,
}

/// Pauses that double up to a cap.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(OUTBOX_RETRY_BASE)
    }
}

impl Pause {
    async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(OUTBOX_RETRY_CAP);
    }
}
