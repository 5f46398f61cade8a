//! What a server cannot recover from: a thread or task that it cannot do without is dead, or its store's
//! file is another one. Whoever has the server hears of it and can end the process, so that something
//! that supervises it starts anew.

use std::thread;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::store::StoreError;

/// Raised at most once.
#[derive(Clone)]
pub(crate) struct Alarm(watch::Sender<Option<StoreError>>);

impl Alarm {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// The first reason stays.
    pub(crate) fn raise(&self, error: StoreError) {
        self.0.send_if_modified(|raised| {
            let is_first = raised.is_none();
            raised.get_or_insert(error);
            is_first
        });
    }

    pub(crate) fn raised(&self) -> BoxFuture<'static, StoreError> {
        let mut raised = self.0.subscribe();
        Box::pin(async move {
            match raised.wait_for(Option::is_some).await.map(|error| error.clone()) {
                Ok(Some(error)) => error,
                // The store was closed, in order.
                _ => std::future::pending().await,
            }
        })
    }

    /// For a thread, or a task, that the server cannot do without. A panic in it raises the alarm.
    pub(crate) fn watch(&self, name: &'static str) -> Watched {
        Watched { alarm: self.clone(), name }
    }
}

pub(crate) struct Watched {
    alarm: Alarm,
    name: &'static str,
}

impl Watched {
    pub(crate) fn run<T>(self, task: impl FnOnce() -> T) -> T {
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
