use std::time::Duration;

use tokio::{
    sync::Mutex,
    task::spawn_blocking,
    time::{Instant, timeout},
};

use super::{Server, Shared};
use crate::{store::StoreError, trouble::Word};

/// How long the store may take to say that it is there.
pub const STORE_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// What has to be left on the disk of the store, in bytes: a log that starts over, and a moment to make room.
pub const SPACE_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// One look at the store serves everybody who asks within this time: asking needs no token.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whether a server wants more connections.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readiness {
    /// It does.
    Ready,
    /// It is going away.
    Draining,
    /// Its store can read or keep nothing just now. The reason is for the operator.
    NoStore(StoreError),
    /// Less is left on the disk of its store than [`Config::space_bytes_min`](crate::Config::space_bytes_min). It goes on
    /// for as long as it can.
    NoSpace {
        /// What is left, in bytes.
        free_bytes: u64,
    },
    /// Its store has said nothing in [`STORE_ANSWER_TIMEOUT`]: something hangs.
    StoreSilent,
}

/// What the last look at the store has found.
#[derive(Default)]
pub(crate) struct Looks(Mutex<Option<(Instant, Readiness)>>);

impl Server {
    /// Whether what was kept lies where the next start will look for it, or why not. Ask it when serving has
    /// ended, and end the process with an exit code that is none of success if it does not.
    pub fn is_in_place(&self) -> Result<(), StoreError> {
        self.shared.store.is_in_place()
    }

    /// Whether this server wants more connections: what a load balancer asks `GET /readyz` for. It takes
    /// [`STORE_ANSWER_TIMEOUT`] at most.
    pub async fn readiness(&self) -> Readiness {
        self.shared.readiness().await
    }
}

impl Shared {
    pub(crate) async fn readiness(&self) -> Readiness {
        if self.hub.is_draining() {
            return Readiness::Draining;
        }
        let look = timeout(STORE_ANSWER_TIMEOUT, self.look_at_store()).await;
        look.unwrap_or(Readiness::StoreSilent)
    }

    /// Whether the store reads and writes, and has room, as of a second ago at the most.
    async fn look_at_store(&self) -> Readiness {
        let mut last = self.looks.0.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < LOOK_EVERY
        {
            return answer.clone();
        }
        let answer = match self.store.answers().await {
            Ok(()) => self.look_for_room().await,
            Err(error) => Readiness::NoStore(error),
        };
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    async fn look_for_room(&self) -> Readiness {
        let store = self.store.clone();
        let free_bytes = spawn_blocking(move || store.free_bytes()).await.ok().flatten();
        let least = self.current().space_bytes_min;
        let is_short = |free_bytes: &u64| *free_bytes < least;
        if let Some(free_bytes) = free_bytes.filter(is_short) {
            if let Some(Word::Fails { times }) = self.room.failed_now() {
                let what = "the disk of the mailboxes is nearly full; make room before it is";
                tracing::warn!(free_bytes, times, "{what}");
            }
            return Readiness::NoSpace { free_bytes };
        }
        if let Some(Word::Works { .. }) = self.room.worked_now() {
            tracing::info!("the disk of the mailboxes has room again");
        }
        Readiness::Ready
    }
}
