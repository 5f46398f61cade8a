//! The model of a store under what every store promises: the model's own code behind the traits, with
//! names for its numbers, and with limits where a run has chance.

mod adapter;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tetherline_store_conformance::{
    Bench, Restored, forgets_as_told, keeps_every_promise, stream_model, survives_restores,
};

use adapter::{Adapter, Machine};

/// A machine, which outlives the stores that are opened on it.
struct Model(Arc<Mutex<Machine>>);

impl Model {
    fn new(hides_early: bool) -> Self {
        Self(Arc::new(Mutex::new(Machine::new(hides_early))))
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bench for Model {
    type Store = Adapter;

    fn open(&mut self) -> Adapter {
        self.machine().open();
        Adapter(self.0.clone())
    }

    fn crash(&mut self, store: Adapter) -> Adapter {
        drop(store);
        self.machine().crash();
        self.open()
    }

    async fn pass(&mut self, ms: u64) {
        self.machine().pass(ms);
    }

    async fn back_up(&mut self, _: &Adapter) {
        self.machine().store.back_up();
    }

    async fn restore(&mut self, how: Restored) {
        self.machine().restore(how);
    }
}

#[tokio::test]
async fn the_model_keeps_every_promise_of_a_store() {
    for hides_early in [false, true] {
        keeps_every_promise(&mut Model::new(hides_early)).await;
    }
}

#[tokio::test]
async fn the_model_forgets_as_it_is_told() {
    forgets_as_told(&mut Model::new(false)).await;
}

#[tokio::test]
async fn the_model_comes_back_from_a_backup() {
    survives_restores(&mut Model::new(false)).await;
}

#[test]
fn whatever_happens_a_stream_in_the_model_is_what_its_writers_were_told() {
    stream_model::holds(|| Model::new(false));
}
