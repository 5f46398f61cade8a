use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex},
};

use crate::{Network, lock::lock};

/// How many places each has of something: connections that are open from a network, say.
#[derive(Debug)]
pub(crate) struct Occupancy<K> {
    held: Mutex<HashMap<K, usize>>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Occupied<K: Eq + Hash = Network> {
    occupancy: Arc<Occupancy<K>>,
    whose: K,
}

impl<K: Eq + Hash + Clone> Occupancy<K> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { held: Mutex::default() })
    }

    /// `None`: they have as many as they may.
    pub(crate) fn occupy(self: &Arc<Self>, whose: K, max: usize) -> Option<Occupied<K>> {
        let mut held = lock(&self.held);
        if held.get(&whose).copied().unwrap_or_default() >= max {
            return None;
        }
        *held.entry(whose.clone()).or_default() += 1;
        drop(held);
        Some(Occupied { occupancy: self.clone(), whose })
    }
}

impl<K: Eq + Hash + Copy> Occupied<K> {
    pub(crate) fn whose(&self) -> K {
        self.whose
    }
}

impl<K: Eq + Hash> Drop for Occupied<K> {
    fn drop(&mut self) {
        let mut held = lock(&self.occupancy.held);
        if let Some(count) = held.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.whose);
            }
        }
    }
}
