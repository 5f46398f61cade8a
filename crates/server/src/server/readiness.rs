use std::time::Duration;

use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{Server, Shared};
use crate::store::StoreError;

/// How long the store may take to say that it is there.
pub const STORE_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
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
    /// Its store has said nothing in [`STORE_ANSWER_TIMEOUT`]: something hangs.
    StoreSilent,
}

/// What the last look at the store has found.
#[derive(Default)]
pub(crate) struct Looks(Mutex<Option<(Instant, Result<(), StoreError>)>>);

impl Server {
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
        match timeout(STORE_ANSWER_TIMEOUT, self.look_at_store()).await {
            Ok(Ok(())) => Readiness::Ready,
            Ok(Err(error)) => Readiness::NoStore(error),
            Err(_) => Readiness::StoreSilent,
        }
    }

    /// Whether the store reads and writes, as of a second ago at the most.
    async fn look_at_store(&self) -> Result<(), StoreError> {
        let mut last = self.looks.0.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < LOOK_EVERY
        {
            return answer.clone();
        }
        let answer = self.store.answers().await;
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}
