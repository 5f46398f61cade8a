//! The one task that hears what the store commits, and has the hub carry it out in that order.

use std::{
    future::pending,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::hub::Hub;
use crate::store::{Event, Store, StoreError, Subscription};

/// How often, at most, the heads of everybody connected are compared with the store's.
const COMPARE_EVERY: Duration = Duration::from_secs(1);
/// Users whose heads are asked for at once.
const HEADS_MAX: usize = 256;

/// Goes on for as long as the store does. A store that tells [`Event::Missed`] and cannot be read is
/// asked again until it can.
pub(crate) async fn follow(mut commits: Subscription, hub: Arc<Hub>, store: Weak<dyn Store>) {
    let mut last_at = None;
    let mut compare_at = None;
    loop {
        let told = tokio::select! {
            told = commits.next() => told,
            () = at(compare_at) => Some(Vec::new()),
        };
        let Some(events) = told else { return };
        let now = std::time::Instant::now();
        for event in events {
            if let Event::Missed = event {
                let next = last_at.map_or_else(Instant::now, |last| last + COMPARE_EVERY);
                compare_at.get_or_insert(next);
            } else {
                hub.tell(event, Some(now));
            }
        }
        if compare_at.is_some_and(|at| at <= Instant::now()) {
            let Some(store) = store.upgrade() else { return };
            let compared = compare(&hub, &*store).await;
            let now = Instant::now();
            last_at = Some(now);
            // The store has said why, as often as is good.
            compare_at = compared.is_err().then_some(now + COMPARE_EVERY);
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Whoever was told too little has it afterwards.
async fn compare(hub: &Hub, store: &dyn Store) -> Result<(), StoreError> {
    hub.all_streamed();
    for users in hub.users().chunks(HEADS_MAX) {
        let heads = store.heads(users).await?;
        for (user, head) in users.iter().zip(&heads) {
            hub.compare(user, head);
        }
    }
    Ok(())
}
