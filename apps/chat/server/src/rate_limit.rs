//! How often somebody may fail at a password.

use std::time::{Duration, Instant};

use tetherline_server::{Network, RateLimit};
use uuid::Uuid;

use crate::{
    device::Device,
    limits::{RATE_LIMIT_KEYS_MAX, SIGN_INS_PER_DEVICE, SIGN_INS_PER_EMAIL, SIGN_INS_PER_NETWORK},
};

/// Who may try how often. Nobody's tries count against anybody in another network, and none against a device on which
/// that person has signed in before: a name is no secret, so its owner must not be kept out by it.
pub(crate) struct SignInRations {
    networks: RateLimit<Network>,
    emails: RateLimit<(Network, String)>,
    devices: RateLimit<Uuid>,
}

/// An attempt that counts as failed until it is given back.
pub(crate) enum Attempt {
    OfDevice(Uuid),
    OfNetwork(Network, String),
}

impl SignInRations {
    pub(crate) fn new() -> Self {
        Self {
            networks: RateLimit::watching(Some(SIGN_INS_PER_NETWORK), RATE_LIMIT_KEYS_MAX),
            emails: RateLimit::watching(Some(SIGN_INS_PER_EMAIL), RATE_LIMIT_KEYS_MAX),
            devices: RateLimit::watching(Some(SIGN_INS_PER_DEVICE), RATE_LIMIT_KEYS_MAX),
        }
    }

    /// Takes one attempt, from the person's own device first, or says how long to wait for the next.
    pub(crate) fn take(
        &self,
        network: Network,
        email: String,
        device: Option<&Device>,
        now: Instant,
    ) -> Result<Attempt, Duration> {
        if let Some(device) = device
            && self.devices.take(&device.id(), 1, now).is_ok()
        {
            return Ok(Attempt::OfDevice(device.id()));
        }
        self.networks.take(&network, 1, now)?;
        let key = (network, email);
        if let Err(wait) = self.emails.take(&key, 1, now) {
            self.networks.give_back(&network, 1, now);
            return Err(wait);
        }
        Ok(Attempt::OfNetwork(key.0, key.1))
    }

    /// It did not fail.
    pub(crate) fn give_back(&self, attempt: Attempt, now: Instant) {
        match attempt {
            Attempt::OfDevice(id) => self.devices.give_back(&id, 1, now),
            Attempt::OfNetwork(network, email) => {
                self.networks.give_back(&network, 1, now);
                self.emails.give_back(&(network, email), 1, now);
            }
        }
    }
}
