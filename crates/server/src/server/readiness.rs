use std::time::{Duration, Instant};

use tokio::{sync::Mutex, time::timeout};

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
    /// Its store does not answer, or the last that was to be kept was not. The reason is for the operator.
    NoStore(StoreError),
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
        match self.store_answers().await {
            Ok(()) => Readiness::Ready,
            Err(error) => Readiness::NoStore(error),
        }
    }

    /// Whether the store reads and writes, as of a second ago at the most.
    async fn store_answers(&self) -> Result<(), StoreError> {
        let looking = async {
            let mut last = self.looks.0.lock().await;
            if let Some((at, answer)) = &*last
                && at.elapsed() < LOOK_EVERY
            {
                return answer.clone();
            }
            let answer = self.store.answers().await;
            *last = Some((Instant::now(), answer.clone()));
            answer
        };
        let silent = || StoreError::new("it does not answer");
        timeout(STORE_ANSWER_TIMEOUT, looking).await.unwrap_or_else(|_| Err(silent()))
    }
}
