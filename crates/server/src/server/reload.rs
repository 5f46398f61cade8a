//! What may change while a server serves.

use std::{
    mem::{replace, take},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tetherline_protocol::Limits;

use super::{Server, Shared};
use crate::{
    ApiKey, Application, Config, ConnectHook, ConnectHookOptions, Contradiction, Drain, Origin,
    TokenRules, connection::session::WrittenLimits, http::message_request_bytes,
    security::hook::Asker,
};

/// What is looked at when somebody comes or asks. A connection keeps the limits that its client was told.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) jwt: TokenRules,
    pub(crate) api_key: Option<ApiKey>,
    pub(crate) allowed_origins: Vec<Origin>,
    pub(crate) allow_query_token: bool,
    /// A copy that sessions share.
    pub(crate) limits: Arc<Limits>,
    pub(crate) written_limits: WrittenLimits,
    pub(crate) space_bytes_min: u64,
    pub(crate) drain: Drain,
    pub(crate) drain_window: Duration,
    outcomes_per_user_max: u64,
    outcome_bytes_per_user_max: u64,
}

impl Current {
    /// Nobody else keeps keys that are fetched: what is replaced is fetched no more.
    pub(super) fn taken_from(config: &mut Config) -> Self {
        Self {
            jwt: replace(&mut config.jwt, TokenRules::new()),
            api_key: config.api_key.take(),
            allowed_origins: take(&mut config.allowed_origins),
            allow_query_token: config.allow_query_token,
            written_limits: WrittenLimits::new(&config.limits),
            limits: Arc::new(config.limits.clone()),
            space_bytes_min: config.space_bytes_min,
            drain: config.drain,
            drain_window: config.drain_window,
            outcomes_per_user_max: config.outcomes_per_user_max,
            outcome_bytes_per_user_max: config.outcome_bytes_per_user_max,
        }
    }

    /// How many outcomes of a user's sends are kept, and how many bytes of them.
    pub(super) fn outcomes_max(&self) -> (u64, u64) {
        (self.outcomes_per_user_max, self.outcome_bytes_per_user_max)
    }
}

/// One value that many read and few replace: one lock for each who reads.
#[derive(Debug)]
pub(crate) struct Replaceable<T>(RwLock<T>);

impl<T: Clone> Replaceable<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(RwLock::new(value))
    }

    pub(crate) fn get(&self) -> T {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether this is still so, for those who ask often.
    pub(crate) fn is(&self, same: impl FnOnce(&T) -> bool) -> bool {
        same(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers what was there before.
    pub(crate) fn set(&self, value: T) -> T {
        replace(&mut self.0.write().unwrap_or_else(PoisonError::into_inner), value)
    }
}

/// Why the old holds on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// With the new rules nobody could come in.
    #[error("the keys that are to be fetched cannot be had")]
    KeysAway,
    /// The new limits cannot hold together.
    #[error("the limits contradict each other")]
    Contradiction(#[from] Contradiction),
}

impl Server {
    /// Works by `config` from now on, by all of it or, if it fails, by nothing of it. [`Config::api_keys`] follow their
    /// file by themselves and stay as they were at the start, and so do [`Config::request_bodies_bytes_max`],
    /// [`Config::sends_bytes_per_user_max`] and [`Config::sends_bytes_max`].
    ///
    /// Nobody is closed: whoever is connected stays until their token ends, also where more are connected than may be
    /// from now on, and keeps those [`Config::limits`] that their client was told. What was taken of a rate that has
    /// changed is forgotten.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn reload(&self, mut config: Config) -> Result<(), ReloadError> {
        config.check()?;
        let shared = &self.shared;
        let new = Current::taken_from(&mut config);
        new.jwt.begin(&shared.alarm);
        new.jwt.tried().await;
        if new.jwt.lacks_fetched_keys() {
            return Err(ReloadError::KeysAway);
        }
        // Before a token counts that lives longer.
        shared.store.keep_sign_outs_for(new.jwt.tokens_count_at_most_for());
        let (outcomes_max, bytes_max) = new.outcomes_max();
        shared.store.keep_outcomes(outcomes_max, bytes_max);
        // The store looks through mailboxes when it is told limits, so not for the same again.
        if shared.current().limits != new.limits {
            shared.store.work_by(&new.limits);
        }
        shared.bodies.have_room_for(message_request_bytes(&new.limits));
        shared.hub.limit(&new.limits);
        shared.reception.limit(new.limits.connections_per_user_max);
        shared.meters.change(&config);
        shared.current.set(Arc::new(new));
        Ok(())
    }

    /// Hands what clients send to another application from now on, or to none. What is with the one before is ended
    /// there.
    pub fn replace_application(&self, application: Option<Arc<dyn Application>>) {
        self.shared.application.set(application);
    }

    /// Asks another connect hook from now on, or none. Questions that are with the one before are ended there, and whom
    /// it let in stays until that has to be renewed.
    pub fn replace_connect_hook(&self, hook: Option<(Arc<dyn ConnectHook>, ConnectHookOptions)>) {
        let meters = &self.shared.meters;
        let asker = hook.map(|(hook, options)| Asker::new(hook, options, meters.clone()));
        self.shared.connect_hook.set(asker.map(Arc::new));
    }
}

impl Shared {
    pub(crate) fn current(&self) -> Arc<Current> {
        self.current.get()
    }
}
