use std::{
    collections::HashMap,
    convert::Infallible,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, Either, select};
use tetherline_protocol::{ErrorCode, MessageId, UserId};
use tokio::{
    sync::{Notify, oneshot},
    time::{sleep, timeout},
};

use crate::{
    Refusal,
    connection::sends_room::SendShare,
    lock::lock,
    store::{Begun, Claim, ClaimError, Outcome, Store, StoreError},
};

/// How long a send is claimed for whoever hands it to the application. Should that process die, a
/// repeat waits for so long.
pub const SEND_CLAIM: Duration = Duration::from_secs(30);
/// How often the claim is renewed while the application works.
pub const SEND_CLAIM_RENEWAL: Duration = Duration::from_secs(10);

/// Where sends are handed to the application: each id of a user once at a time, for which the store has
/// the claims, and finished even if the connection that brought it is gone. A repeater waits for the
/// same answer.
#[derive(Clone)]
pub(crate) struct Reception {
    work: Arc<Mutex<Work>>,
    idle: Arc<Notify>,
    per_user_max: Arc<AtomicUsize>,
}

/// What is done about a send, once it is known that nothing was done before. If that took too long,
/// and somebody else may have begun meanwhile, it is done again.
pub(crate) type HandingOver = Arc<dyn Fn() -> BoxFuture<'static, Outcome> + Send + Sync>;

#[derive(Default)]
struct Work {
    /// Sends that were brought and are not settled yet.
    sends: usize,
    /// Those of them that are with the application, by user.
    handed_over: HashMap<UserId, usize>,
}

impl Reception {
    /// At most `per_user_max` sends of one user are with the application at a time.
    pub(crate) fn new(per_user_max: usize) -> Self {
        let per_user_max = Arc::new(per_user_max.into());
        Self { work: Arc::default(), idle: Arc::default(), per_user_max }
    }

    /// Counts for what comes next.
    pub(crate) fn limit(&self, per_user_max: usize) {
        self.per_user_max.store(per_user_max, Ordering::Relaxed);
    }

    /// Waits until nothing is with the application any more.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if lock(&self.work).sends == 0 {
                return;
            }
            idle.await;
        }
    }

    /// `handing_over` hands it to the application, if there is one. `named`: the client gave the id, so
    /// it may come again and its outcome is recorded.
    pub(crate) fn receive(
        &self,
        store: Arc<dyn Store>,
        (user, id): (UserId, MessageId),
        named: bool,
        (handing_over, share): (Option<HandingOver>, SendShare),
    ) -> BoxFuture<'static, Outcome> {
        let Some(handing_over) = handing_over else {
            return Box::pin(std::future::ready(Err(Refusal::new(
                ErrorCode::NoApplication,
                "This server has no application that takes messages.",
            ))));
        };
        let (asker, outcome) = oneshot::channel();
        let send = Receiving { reception: self.clone(), store, user, id, handing_over };
        let counted = Counted::begin(self);
        tokio::spawn(async move {
            let _held = (counted, share);
            send.settle(named, asker).await;
        });
        // The sender is dropped without a value only when the application panicked.
        Box::pin(async move { outcome.await.unwrap_or_else(|_| Err(fault())) })
    }
}

/// One send on its way to an outcome.
struct Receiving {
    reception: Reception,
    store: Arc<dyn Store>,
    user: UserId,
    id: MessageId,
    handing_over: HandingOver,
}

impl Receiving {
    async fn settle(self, named: bool, mut asker: oneshot::Sender<Outcome>) {
        let outcome =
            if named { self.once(&mut asker).await } else { Some(self.hand_over().await) };
        if let Some(outcome) = outcome {
            // Whoever asked may be gone.
            let _ = asker.send(outcome);
        }
    }

    /// `None`: somebody else is at it, and nobody waits here any more.
    async fn once(&self, asker: &mut oneshot::Sender<Outcome>) -> Option<Outcome> {
        loop {
            match self.store.begin(&self.user, &self.id, SEND_CLAIM).await {
                Err(error) => return Some(Err(unavailable(&error))),
                Ok(Begun::Settled(outcome)) => return Some(outcome),
                Ok(Begun::Yours(claim)) => {
                    let held = Held { store: self.store.clone(), claim };
                    if let Some(outcome) = self.decide(&held).await {
                        return Some(outcome);
                    }
                    // The claim was lost: what counts is what whoever has it now decides.
                }
                Ok(Begun::Elsewhere { left, over }) => {
                    let over = pin!(timeout(left, over));
                    if let Either::Right(_) = select(over, pin!(asker.closed())).await {
                        return None;
                    }
                }
            }
        }
    }

    async fn decide(&self, held: &Held) -> Option<Outcome> {
        let outcome = match select(pin!(self.hand_over()), pin!(held.keep())).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right((never, _)) => match never {},
        };
        if outcome.as_ref().is_err_and(Refusal::is_retryable) {
            return Some(outcome);
        }
        match self.store.record(&held.claim, &outcome).await {
            Ok(()) => Some(outcome),
            Err(ClaimError::Lost) => None,
            // Not recorded is not settled: the client tries again and the application decides.
            Err(ClaimError::Store(error)) => Some(Err(unavailable(&error))),
        }
    }

    async fn hand_over(&self) -> Outcome {
        let Some(_turn) = Turn::take(&self.reception, &self.user) else {
            return Err(Refusal::new(
                ErrorCode::Unavailable,
                "Too many of your messages are being worked on; try again in a moment.",
            ));
        };
        (self.handing_over)().await
    }
}

/// A claim that is given back when it is not needed any more, even when the application panics.
struct Held {
    store: Arc<dyn Store>,
    claim: Claim,
}

impl Held {
    async fn keep(&self) -> Infallible {
        loop {
            sleep(SEND_CLAIM_RENEWAL).await;
            if let Err(error) = self.store.renew(&self.claim, SEND_CLAIM).await {
                // Whether it is lost, recording will tell.
                tracing::debug!(%error, "the claim on a send was not renewed");
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.store.release(&self.claim);
    }
}

/// A send counts until it is settled.
struct Counted(Reception);

impl Counted {
    fn begin(reception: &Reception) -> Self {
        lock(&reception.work).sends += 1;
        Self(reception.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut work = lock(&self.0.work);
        work.sends -= 1;
        if work.sends == 0 {
            self.0.idle.notify_waiters();
        }
    }
}

/// One of those that a user may have with the application at a time.
struct Turn {
    reception: Reception,
    user: UserId,
}

impl Turn {
    fn take(reception: &Reception, user: &UserId) -> Option<Self> {
        let mut work = lock(&reception.work);
        let of_user = work.handed_over.entry(user.clone()).or_default();
        if *of_user >= reception.per_user_max.load(Ordering::Relaxed) {
            return None;
        }
        *of_user += 1;
        Some(Self { reception: reception.clone(), user: user.clone() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut work = lock(&self.reception.work);
        if let Some(of_user) = work.handed_over.get_mut(&self.user) {
            *of_user -= 1;
            if *of_user == 0 {
                work.handed_over.remove(&self.user);
            }
        }
    }
}

pub(crate) fn unavailable(error: &StoreError) -> Refusal {
    // The store says it, and not once for each of them.
    tracing::debug!(%error, "a send could not be looked up or recorded");
    Refusal::new(ErrorCode::Unavailable, "The server cannot take messages right now.")
}

fn fault() -> Refusal {
    Refusal::new(ErrorCode::Internal, "Something went wrong on the server; try again.")
}
