//! Where devices are, as a model: an acknowledgement counts at once, and a crash takes those that were not
//! written yet.

use std::collections::BTreeMap;

use super::{DeviceNo, Store};
use crate::{Mutant, world::UserNo};

/// How often they are written.
pub(crate) const SAVE_EVERY_MS: u64 = 1_000;

#[derive(Clone, Default)]
pub(super) struct Cursors {
    written: BTreeMap<DeviceNo, u64>,
    floor: u64,
    /// Further than that, and since when.
    ahead: Option<Ahead>,
    /// How far they were before crashes.
    before: Before,
}

#[derive(Clone, Default)]
struct Before {
    cursors: BTreeMap<DeviceNo, u64>,
    floor: u64,
}

#[derive(Clone)]
struct Ahead {
    cursors: BTreeMap<DeviceNo, u64>,
    floor: u64,
    since: u64,
}

impl Cursors {
    /// What was erased left this floor, and no device.
    pub(super) fn beginning_at(floor: u64) -> Self {
        Self { floor, ..Self::default() }
    }

    /// As a backup has them: one that is taken while a server runs has what is written.
    pub(super) fn written(&self) -> Self {
        Self { ahead: None, before: Before::default(), ..self.clone() }
    }

    pub(super) fn floor(&self) -> u64 {
        self.ahead.as_ref().map_or(self.floor, |ahead| ahead.floor)
    }

    pub(super) fn of(&self, device: DeviceNo) -> u64 {
        let Some(written) = self.written.get(&device) else { return self.floor() };
        let ahead = self.ahead.as_ref().and_then(|ahead| ahead.cursors.get(&device));
        *ahead.unwrap_or(written)
    }

    /// How far a device ever was. A crash takes an acknowledgement, and what it was about stays handled.
    pub(super) fn furthest_of(&self, device: DeviceNo) -> u64 {
        let before = self.before.cursors.get(&device).unwrap_or(&self.before.floor);
        self.of(device).max(*before)
    }

    pub(super) fn knows(&self, device: DeviceNo) -> bool {
        self.written.contains_key(&device)
    }

    pub(super) fn devices(&self) -> usize {
        self.written.len()
    }

    pub(super) fn forget(&mut self, device: DeviceNo) {
        self.written.remove(&device);
    }

    /// It starts at the floor, which is written with it.
    pub(super) fn greet(&mut self, device: DeviceNo) {
        self.save();
        self.written.entry(device).or_insert(self.floor);
    }

    pub(super) fn acknowledge(&mut self, device: DeviceNo, seq: u64, now: u64) {
        let floor = self.floor;
        let ahead =
            self.ahead.get_or_insert_with(|| Ahead { cursors: BTreeMap::new(), floor, since: now });
        ahead.floor = ahead.floor.max(seq);
        if let Some(written) = self.written.get(&device) {
            let cursor = ahead.cursors.entry(device).or_insert(*written);
            *cursor = seq.max(*cursor);
        }
    }

    pub(super) fn save(&mut self) {
        if let Some(ahead) = self.ahead.take() {
            self.floor = ahead.floor;
            for (device, cursor) in ahead.cursors {
                self.written.entry(device).and_modify(|written| *written = cursor);
            }
        }
    }

    fn lose(&mut self) {
        let cursors = self.written.keys().map(|device| (*device, self.furthest_of(*device)));
        let floor = self.floor().max(self.before.floor);
        self.before = Before { cursors: cursors.collect(), floor };
        self.ahead = None;
    }
}

impl Store {
    /// It is time to write what was acknowledged.
    pub(crate) fn save_cursors(&mut self) {
        if self.mutant != Some(Mutant::CursorsNeverWritten) {
            self.mailboxes.iter_mut().for_each(|mailbox| mailbox.cursors.save());
        }
    }

    pub(super) fn save_cursors_of(&mut self, user: UserNo) {
        if self.mutant != Some(Mutant::CursorsNeverWritten) {
            self.mailboxes[user].cursors.save();
        }
    }

    pub(super) fn lose_cursors(&mut self) {
        self.mailboxes.iter_mut().for_each(|mailbox| mailbox.cursors.lose());
    }

    /// Since when an acknowledgement waits that a crash would take.
    pub(crate) fn acknowledged_since(&self) -> Option<u64> {
        let ahead = self.mailboxes.iter().filter_map(|mailbox| mailbox.cursors.ahead.as_ref());
        ahead.map(|ahead| ahead.since).min()
    }
}
