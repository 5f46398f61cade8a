use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::BoxFuture;
use tetherline_protocol::{ErrorCode, MessageId, UserId};
use tokio::sync::{Notify, watch};

use crate::{
    Refusal,
    store::{Outcome, Store, StoreError},
};

/// Where sends are handed to the application: each id of a user once at a time, and finished even
/// if the connection that brought it is gone. A repeater waits for the same answer.
#[derive(Clone)]
pub(crate) struct Reception {
    under_way: Arc<Mutex<UnderWay>>,
    idle: Arc<Notify>,
    per_user_max: usize,
}

/// What is done about a send, once it is known that nothing was done before.
pub(crate) type HandingOver = BoxFuture<'static, Outcome>;

type UnderWay = HashMap<UserId, HashMap<MessageId, watch::Receiver<Option<Outcome>>>>;

impl Reception {
    /// At most `per_user_max` sends of one user are with the application at a time.
    pub(crate) fn new(per_user_max: usize) -> Self {
        Self { under_way: Arc::default(), idle: Arc::default(), per_user_max }
    }

    /// Waits until nothing is with the application any more.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.lock().is_empty() {
                return;
            }
            idle.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `handing_over` hands it to the application, if there is one. `named`: the client gave the id, so
    /// it may come again and its outcome is recorded.
    pub(crate) fn receive(
        &self,
        store: Arc<dyn Store>,
        name: (UserId, MessageId),
        named: bool,
        handing_over: Option<HandingOver>,
    ) -> BoxFuture<'static, Outcome> {
        let outcome = self.join_or_start(store, name, named, handing_over);
        Box::pin(async move {
            let mut outcome = outcome?;
            match outcome.wait_for(Option::is_some).await {
                Ok(value) => value.clone().unwrap_or(Ok(None)),
                // The sender is dropped without a value only when the application panicked.
                Err(_) => Err(fault()),
            }
        })
    }

    fn join_or_start(
        &self,
        store: Arc<dyn Store>,
        (user, id): (UserId, MessageId),
        named: bool,
        handing_over: Option<HandingOver>,
    ) -> Result<watch::Receiver<Option<Outcome>>, Refusal> {
        let mut under_way = self.lock();
        let of_user = under_way.entry(user.clone()).or_default();
        let full = of_user.len() >= self.per_user_max;
        match of_user.entry(id.clone()) {
            Entry::Occupied(running) => Ok(running.get().clone()),
            Entry::Vacant(_) if full => Err(Refusal::new(
                ErrorCode::Unavailable,
                "Too many of your messages are being worked on; try again in a moment.",
            )),
            Entry::Vacant(place) => {
                let (sender, receiver) = watch::channel(None);
                place.insert(receiver.clone());
                let place = Place { reception: self.clone(), user, id };
                tokio::spawn(async move {
                    let outcome = settle(store.as_ref(), &place, named, handing_over).await;
                    drop(place);
                    sender.send_replace(Some(outcome));
                });
                Ok(receiver)
            }
        }
    }
}

/// Gives the place back even when the application panics.
struct Place {
    reception: Reception,
    user: UserId,
    id: MessageId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.reception.lock();
        if let Some(of_user) = under_way.get_mut(&self.user) {
            of_user.remove(&self.id);
            if of_user.is_empty() {
                under_way.remove(&self.user);
            }
        }
        if under_way.is_empty() {
            self.reception.idle.notify_waiters();
        }
    }
}

async fn settle(
    store: &dyn Store,
    Place { user, id, .. }: &Place,
    named: bool,
    handing_over: Option<HandingOver>,
) -> Outcome {
    let Some(handing_over) = handing_over else {
        return Err(Refusal::new(
            ErrorCode::NoApplication,
            "This server has no application that takes messages.",
        ));
    };
    if !named {
        return handing_over.await;
    }
    match store.outcome(user, id).await {
        Ok(Some(outcome)) => return outcome,
        Ok(None) => {}
        Err(error) => return Err(unavailable(&error)),
    }
    let outcome = handing_over.await;
    let is_final = outcome.as_ref().err().is_none_or(|refusal| !refusal.is_retryable());
    if is_final && let Err(error) = store.record(user, id, &outcome).await {
        // Not recorded is not settled: the client tries again and the application decides.
        return Err(unavailable(&error));
    }
    outcome
}

pub(crate) fn unavailable(error: &StoreError) -> Refusal {
    // The store says it, and not once for each of them.
    tracing::debug!(%error, "a send could not be looked up or recorded");
    Refusal::new(ErrorCode::Unavailable, "The server cannot take messages right now.")
}

fn fault() -> Refusal {
    Refusal::new(ErrorCode::Internal, "Something went wrong on the server; try again.")
}
