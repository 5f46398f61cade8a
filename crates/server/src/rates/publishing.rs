use std::{
    hash::Hash,
    time::{Duration, Instant},
};

use tetherline_protocol::frame::Message;

use super::{Rate, RateLimit, Rates};
use crate::Network;

/// What publishers have taken, by key, by address and together.
#[derive(Debug)]
pub(super) struct Publishing {
    keys: Both<Box<str>>,
    addresses: Both<Network>,
    together: Both<()>,
}

/// What is counted in messages and in bytes.
#[derive(Debug)]
struct Both<K> {
    messages: RateLimit<K>,
    bytes: RateLimit<K>,
}

/// So many messages, and so many bytes of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Amount {
    /// This message, once more.
    pub(crate) fn add(&mut self, message: &Message) {
        self.messages += 1;
        self.bytes += message.fields().len() as u64;
    }
}

impl Publishing {
    pub(super) fn new(rates: &Rates) -> Self {
        Self {
            keys: Both::new(rates.publishes_per_key, rates.publish_bytes_per_key),
            addresses: Both::new(rates.publishes_per_address, rates.publish_bytes_per_address),
            together: Both::new(rates.publishes_per_server, rates.publish_bytes_per_server),
        }
    }

    pub(super) fn change(&self, rates: &Rates) {
        self.keys.change(rates.publishes_per_key, rates.publish_bytes_per_key);
        self.addresses.change(rates.publishes_per_address, rates.publish_bytes_per_address);
        self.together.change(rates.publishes_per_server, rates.publish_bytes_per_server);
    }

    pub(super) fn refused_by_key(&self) -> [u64; 2] {
        self.keys.refused()
    }

    pub(super) fn refused_by_address(&self) -> [u64; 2] {
        self.addresses.refused()
    }

    pub(super) fn refused_together(&self) -> [u64; 2] {
        self.together.refused()
    }

    /// Takes it of each, or says how long to wait.
    pub(super) fn take(
        &self,
        key: &str,
        network: Option<Network>,
        amount: Amount,
        now: Instant,
    ) -> Result<(), Duration> {
        let key = (!self.keys.are_off()).then(|| key.into());
        self.keys.take(key.as_ref(), amount, now)?;
        let taken = self.addresses.take(network.as_ref(), amount, now).and_then(|()| {
            let taken = self.together.take(Some(&()), amount, now);
            taken.inspect_err(|_| self.addresses.give_back(network.as_ref(), amount, now))
        });
        taken.inspect_err(|_| self.keys.give_back(key.as_ref(), amount, now))
    }
}

impl<K: Hash + Eq + Clone> Both<K> {
    fn change(&self, messages: Option<Rate>, bytes: Option<Rate>) {
        self.messages.change(messages);
        self.bytes.change(bytes);
    }

    fn new(messages: Option<Rate>, bytes: Option<Rate>) -> Self {
        Self { messages: RateLimit::new(messages), bytes: RateLimit::new(bytes) }
    }

    fn refused(&self) -> [u64; 2] {
        [self.messages.refused(), self.bytes.refused()]
    }

    fn are_off(&self) -> bool {
        self.messages.is_off() && self.bytes.is_off()
    }

    fn take(&self, key: Option<&K>, amount: Amount, now: Instant) -> Result<(), Duration> {
        let Some(key) = key else { return Ok(()) };
        self.messages.take(key, amount.messages, now)?;
        let taken = self.bytes.take(key, amount.bytes, now);
        taken.inspect_err(|_| self.messages.give_back(key, amount.messages, now))
    }

    fn give_back(&self, key: Option<&K>, amount: Amount, now: Instant) {
        let Some(key) = key else { return };
        self.messages.give_back(key, amount.messages, now);
        self.bytes.give_back(key, amount.bytes, now);
    }
}
