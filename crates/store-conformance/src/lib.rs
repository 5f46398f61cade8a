//! What every store promises, as tests over `impl Store`: SQLite and the simulator's model are held to
//! the same sentences, so that what a million simulated seeds say is true of what is deployed.
//!
//! A store's own tests call [`keeps_every_promise`], [`forgets_as_told`], [`survives_restores`] and
//! [`stream_model::holds`] with a [`Bench`] for it, and [`says_what_it_knows`] if it has reports. A new promise of the traits in
//! `tetherline_server::store` gets its sentence here.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

mod credentials;
mod cursors;
mod devices;
mod events;
mod forgetting;
mod mailbox;
mod reports;
mod restores;
pub mod sends;
mod standing;
pub mod stream_model;
mod streams;

use std::{sync::Arc, time::Duration};

use tetherline_protocol::{
    Attempt, DeviceId, IdempotencyKey, Limits, MessageId, Seq, StopTarget, StreamPosition,
    StreamStatus, UserId,
    frame::{Message, StreamEnding, StreamOpening},
};
use tetherline_server::store::{
    Appended, Delivery, Inbox as _, Mailbox as _, Room, Store, StoreError, StreamPage, StreamRead,
    Streams as _, Upkeep as _,
};

pub use forgetting::forgets_as_told;
pub use mailbox::keeps_every_promise;
pub use reports::says_what_it_knows;
pub use restores::survives_restores;

/// A place for one store, and what happens to it there.
pub trait Bench {
    /// The store that is held to its promises.
    type Store: Store;

    /// Opens it as it was left, empty the first time. Whoever had it open has dropped it.
    fn open(&mut self) -> Self::Store;

    /// The machine stops now, and the store is opened again. What is not answered may be there or not.
    fn crash(&mut self, store: Self::Store) -> Self::Store;

    /// So much time passes for the store.
    fn pass(&mut self, ms: u64) -> impl Future<Output = ()>;

    /// Takes a backup of what is answered, as an operator does. The one before is forgotten.
    fn back_up(&mut self, store: &Self::Store) -> impl Future<Output = ()>;

    /// Puts the backup in the store's place. Nobody has it open.
    fn restore(&mut self, how: Restored) -> impl Future<Output = ()>;
}

/// How a backup came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// By the command for it, which renews the epoch.
    Announced,
    /// By somebody who copied files: the store cannot know.
    ByHand,
}

const ROOM: Room = Room { messages: 1_000, bytes: 1 << 20 };

fn user(name: &str) -> UserId {
    name.parse().unwrap()
}

fn device(name: &str) -> DeviceId {
    name.parse().unwrap()
}

/// What a reader has not got yet, wherever the store has it.
async fn read_streams(
    store: &impl Store,
    user: &UserId,
    places: &[StreamPosition],
    room_bytes: usize,
) -> StreamPage {
    let head = store.head(user).await.unwrap().seq;
    match store.read_streams(user, places, room_bytes) {
        StreamRead::Now(page) => page,
        StreamRead::Later(snapshot) => {
            let snapshot = snapshot.await.unwrap();
            assert!(snapshot.as_of >= head, "it is as new as what was read before");
            snapshot.page
        }
    }
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

fn message(text: &str) -> Arc<Message> {
    Arc::new(Message::parse(&format!(r#"{{"type":"t","text":"{text}"}}"#)).unwrap())
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

async fn append(store: &impl Store, name: &str, text: &str) -> Appended {
    store.append(&user(name), None, message(text)).await.unwrap()
}

/// Reads in the epoch of this moment.
pub async fn read(
    store: &impl Store,
    user: &UserId,
    after: Seq,
    room: Room,
) -> Result<Vec<Delivery>, StoreError> {
    let epoch = store.head(user).await?.epoch;
    store.read(user, &epoch, after, room).await
}

async fn positions(store: &impl Store, name: &str) -> Vec<u64> {
    let page = read(store, &user(name), Seq::ZERO, ROOM).await.unwrap();
    page.iter().map(|delivery| delivery.seq.get()).collect()
}

/// Waits for what the store does in the background.
async fn eventually(mut condition: impl AsyncFnMut() -> bool) {
    let met = tokio::time::timeout(Duration::from_mins(1), async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    met.await.expect("the condition is met in time");
}
