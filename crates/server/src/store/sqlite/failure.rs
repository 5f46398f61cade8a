//! What a store cannot recover from: a thread of it is dead, or its file is another one. Whoever has
//! the store hears of it and can end the process, so that something that supervises it starts anew.

use std::thread;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::super::StoreError;

/// Raised at most once.
#[derive(Clone)]
pub(super) struct Alarm(watch::Sender<Option<StoreError>>);

impl Alarm {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// The first reason stays.
    pub(super) fn raise(&self, error: StoreError) {
        self.0.send_if_modified(|raised| {
            let is_first = raised.is_none();
            raised.get_or_insert(error);
            is_first
        });
    }

    pub(super) fn raised(&self) -> BoxFuture<'static, StoreError> {
        let mut raised = self.0.subscribe();
        Box::pin(async move {
            match raised.wait_for(Option::is_some).await.map(|error| error.clone()) {
                Ok(Some(error)) => error,
                // The store was closed, in order.
                _ => std::future::pending().await,
            }
        })
    }

    /// For a thread that the store cannot do without.
    pub(super) fn watch(&self, name: &'static str) -> Watched {
        Watched { alarm: self.clone(), name }
    }
}

pub(super) struct Watched {
    alarm: Alarm,
    name: &'static str,
}

impl Watched {
    /// A panic in it raises the alarm.
    pub(super) fn run<T>(self, task: impl FnOnce() -> T) -> T {
        let done = task();
        drop(self);
        done
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if thread::panicking() {
            self.alarm.raise(StoreError::new(format!("{} has panicked", self.name)));
        }
    }
}
