use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Requests that are with the application at a time, of all connections together.
pub const WEBHOOK_REQUESTS_MAX: usize = 256;
/// Sends that wait for the application or are with it, of all connections together, in bytes.
pub const WEBHOOK_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long a send waits for its turn before its client is asked to come again.
pub const WEBHOOK_TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// What the smallest send counts as, in bytes: it is a task, a timer and a request, too.
const SEND_BYTES_MIN: usize = 1024;

/// What all sends of one server share.
#[derive(Debug)]
pub(super) struct Budget {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    bytes_max: usize,
}

/// Held by a send for as long as it is in memory, and by a request for as long as it takes.
pub(super) struct Share {
    _permit: OwnedSemaphorePermit,
}

impl Budget {
    pub(super) fn new(requests_max: usize, bytes_max: usize) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(requests_max)),
            bytes: Arc::new(Semaphore::new(bytes_max)),
            bytes_max,
        }
    }

    /// Room for a send of this size, if there is some at once. One that is larger than all there is
    /// takes all there is.
    pub(super) fn admit(&self, bytes: usize) -> Option<Share> {
        let cost = bytes.max(SEND_BYTES_MIN).min(self.bytes_max);
        let permit = self.bytes.clone().try_acquire_many_owned(u32::try_from(cost).ok()?).ok()?;
        Some(Share { _permit: permit })
    }

    /// A request's turn, in the order in which they asked.
    pub(super) async fn turn(&self) -> Option<Share> {
        let turn = timeout(WEBHOOK_TURN_TIMEOUT, self.requests.clone().acquire_owned()).await;
        Some(Share { _permit: turn.ok()?.ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_waited_for_and_not_for_ever() {
        let budget = Budget::new(1, WEBHOOK_BYTES_MAX);
        let first = budget.turn().await.unwrap();
        assert!(budget.turn().await.is_none());
        drop(first);
        assert!(budget.turn().await.is_some());
    }

    #[test]
    fn the_last_byte_fits_and_one_more_does_not() {
        let budget = Budget::new(1, 4 * SEND_BYTES_MIN);
        let _half = budget.admit(2 * SEND_BYTES_MIN).unwrap();
        assert!(budget.admit(2 * SEND_BYTES_MIN + 1).is_none());
        let rest = budget.admit(2 * SEND_BYTES_MIN).unwrap();
        assert!(budget.admit(1).is_none());
        drop(rest);
        let _small = (budget.admit(1).unwrap(), budget.admit(1).unwrap());
        assert!(budget.admit(1).is_none(), "the smallest counts, too");
    }

    #[test]
    fn what_is_larger_than_everything_goes_alone() {
        let budget = Budget::new(1, 4 * SEND_BYTES_MIN);
        let large = budget.admit(100 * SEND_BYTES_MIN).unwrap();
        assert!(budget.admit(1).is_none());
        drop(large);
        assert!(budget.admit(1).is_some());
    }
}
