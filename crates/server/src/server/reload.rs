//! Whom a server lets in, which may change while it serves.

use std::{
    mem::{replace, take},
    sync::{Arc, PoisonError, RwLock},
};

use super::{Server, Shared};
use crate::{ApiKey, Config, Origin, TokenRules};

/// What is looked at when somebody comes, and never later.
#[derive(Debug)]
pub(crate) struct Admits {
    pub(crate) jwt: TokenRules,
    pub(crate) api_key: Option<ApiKey>,
    pub(crate) allowed_origins: Vec<Origin>,
    pub(crate) allow_query_token: bool,
}

impl Admits {
    /// Nobody else keeps keys that are fetched: what is replaced is fetched no more.
    pub(super) fn taken_from(config: &mut Config) -> Self {
        Self {
            jwt: replace(&mut config.jwt, TokenRules::new()),
            api_key: config.api_key.take(),
            allowed_origins: take(&mut config.allowed_origins),
            allow_query_token: config.allow_query_token,
        }
    }
}

/// What holds now: one lock for each who comes.
#[derive(Debug)]
pub(super) struct Current(RwLock<Arc<Admits>>);

impl Current {
    pub(super) fn new(admits: Admits) -> Self {
        Self(RwLock::new(Arc::new(admits)))
    }

    fn get(&self) -> Arc<Admits> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, admits: Admits) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(admits);
    }
}

/// Why the old holds on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// With the new rules nobody could come in.
    #[error("the keys that are to be fetched cannot be had")]
    KeysAway,
}

impl Server {
    /// Lets in whom `config` says from now on: by [`Config::jwt`], [`Config::api_key`], [`Config::allowed_origins`] and
    /// [`Config::allow_query_token`], all at once, as fast as [`Config::rates`] say, those of single connections aside. Everything else stays as it was at the start, and whoever is
    /// connected stays until their token ends. [`Config::api_keys`] follow their file by themselves.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn reload(&self, mut config: Config) -> Result<(), ReloadError> {
        let admits = Admits::taken_from(&mut config);
        admits.jwt.begin(&self.shared.alarm);
        admits.jwt.tried().await;
        if admits.jwt.lacks_fetched_keys() {
            return Err(ReloadError::KeysAway);
        }
        // Before a token counts that lives longer.
        self.shared.store.keep_sign_outs_for(admits.jwt.tokens_count_at_most_for());
        self.shared.meters.change(&config.rates);
        self.shared.admits.set(admits);
        Ok(())
    }
}

impl Shared {
    pub(crate) fn admits(&self) -> Arc<Admits> {
        self.admits.get()
    }
}
