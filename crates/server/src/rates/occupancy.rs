use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use crate::{Network, lock::lock};

/// How many connections are open from each network.
#[derive(Debug)]
pub(super) struct Occupancy {
    open: Mutex<HashMap<Network, usize>>,
    per_network_max: usize,
}

/// A connection's place among those from its network, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Occupied {
    occupancy: Arc<Occupancy>,
    network: Network,
}

impl Occupancy {
    pub(super) fn new(per_network_max: usize) -> Arc<Self> {
        Arc::new(Self { open: Mutex::default(), per_network_max })
    }

    /// `None`: there are as many as may be.
    pub(super) fn occupy(self: &Arc<Self>, network: Network) -> Option<Occupied> {
        let mut open = lock(&self.open);
        let count = open.entry(network).or_default();
        if *count >= self.per_network_max {
            return None;
        }
        *count += 1;
        Some(Occupied { occupancy: self.clone(), network })
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        let mut open = lock(&self.occupancy.open);
        if let Some(count) = open.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.network);
            }
        }
    }
}
