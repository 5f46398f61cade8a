//! Whether the threads of a store get on, however many wait for them.

use std::{
    future::Future,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::super::StoreError;
use crate::lock::lock;

/// How often whoever waits for an answer looks whether others have got theirs meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What those have done that read, or the one that writes.
#[derive(Default)]
pub(super) struct Pulse {
    done: AtomicU64,
    /// Why the last that was to be read or committed was not, unless it was itself to blame.
    failed: Mutex<Option<StoreError>>,
}

impl Pulse {
    /// One more read, or command of a commit: what it comes to is another question.
    pub(super) fn beat(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// What was read together, or was to be committed, has come to that.
    pub(super) fn ended(&self, done: Result<(), &StoreError>) {
        *lock(&self.failed) = done.err().cloned();
        self.beat();
    }

    /// The answer to a question that waits behind all others; or, if something was done for those meanwhile, what
    /// the last of it came to: a queue is no failure, and how long it is says nothing.
    pub(super) async fn answer(
        &self,
        question: impl Future<Output = Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        let before = self.done.load(Ordering::Relaxed);
        let works = async {
            while self.done.load(Ordering::Relaxed) == before {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            lock(&self.failed).clone().map_or(Ok(()), Err)
        };
        tokio::select! {
            biased;
            answer = question => answer,
            answer = works => answer,
        }
    }
}
