use std::sync::atomic::Ordering;

use super::Hub;
use crate::lock::lock;

/// Who is connected, and how far behind, counted one after the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) users: usize,
    pub(crate) connections: usize,
    /// Messages that were asked for and are still to be sent.
    pub(crate) waiting: Messages,
    /// Messages that were sent and not acknowledged.
    pub(crate) unhandled: Messages,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Messages {
    pub(crate) all: usize,
    /// Of the connection that has most.
    pub(crate) largest: usize,
}

impl Messages {
    fn add(&mut self, messages: u64) {
        let messages = usize::try_from(messages).unwrap_or(usize::MAX);
        self.all = self.all.saturating_add(messages);
        self.largest = self.largest.max(messages);
    }
}

impl Hub {
    pub(crate) fn census(&self) -> Census {
        let channels = self.channels();
        let mut census = Census { users: channels.len(), ..Census::default() };
        for channel in channels {
            for seat in &lock(&channel.live).seats {
                census.connections += 1;
                census.waiting.add(seat.waiting.load(Ordering::Relaxed));
                census.unhandled.add(seat.unhandled.load(Ordering::Relaxed));
            }
        }
        census
    }
}
