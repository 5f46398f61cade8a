//! What may become of keys that somebody changes with a key. Who asks is looked at together with what they change, while
//! nobody else changes anything: their key may have been taken back while their request was on its way.

use super::{
    Scope,
    file::{ApiKeyFileError, ApiKeyVersion, Made, NamedApiKey, find},
    name::{ApiKeyName, UserPrefix},
};

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asker {
    /// Whoever has the key of the configuration.
    Everything,
    /// By the digest of their key.
    Named([u8; 32]),
}

/// What a key is for.
#[derive(Debug)]
pub(crate) struct KeyUse {
    pub(crate) scopes: Vec<Scope>,
    pub(crate) users: Option<UserPrefix>,
}

/// Which state of a key is changed.
#[derive(Debug)]
pub(crate) enum KeyState {
    Any,
    OneOf(Vec<ApiKeyVersion>),
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum KeyChangeError {
    #[error("the key of whoever asks counts no more")]
    Withdrawn,
    #[error("the key of whoever asks is not for keys any more")]
    Narrowed,
    #[error("the key of whoever asks may do less")]
    Excess,
    #[error("the key called {0} was changed meanwhile; look at it again")]
    Changed(ApiKeyName),
    #[error(transparent)]
    File(#[from] ApiKeyFileError),
}

/// The scopes that whoever asks may hand out.
pub(crate) struct Power(Vec<Scope>);

impl Power {
    pub(crate) fn add(
        &self,
        keys: &mut Vec<NamedApiKey>,
        name: ApiKeyName,
        KeyUse { scopes, users }: KeyUse,
    ) -> Result<Made, KeyChangeError> {
        self.covers(&scopes)?;
        let made = Made::new(name, &scopes, users)?;
        made.key.clone().join(keys)?;
        Ok(made)
    }

    pub(crate) fn update(
        &self,
        keys: &mut [NamedApiKey],
        (name, from): (&ApiKeyName, &KeyState),
        KeyUse { scopes, users }: KeyUse,
    ) -> Result<NamedApiKey, KeyChangeError> {
        let place = self.changeable(keys, name, from)?;
        self.covers(&scopes)?;
        keys[place].is_for(&scopes, users);
        Ok(keys[place].clone())
    }

    pub(crate) fn remove(
        &self,
        keys: &mut Vec<NamedApiKey>,
        (name, from): (&ApiKeyName, &KeyState),
    ) -> Result<(), KeyChangeError> {
        keys.remove(self.changeable(keys, name, from)?);
        Ok(())
    }

    /// Whoever could change a key that may do more could take it over.
    fn changeable(
        &self,
        keys: &[NamedApiKey],
        name: &ApiKeyName,
        from: &KeyState,
    ) -> Result<usize, KeyChangeError> {
        let place = find(keys, name)?;
        self.covers(keys[place].scopes())?;
        match from {
            KeyState::OneOf(versions) if !versions.contains(&keys[place].version()) => {
                Err(KeyChangeError::Changed(name.clone()))
            }
            KeyState::Any | KeyState::OneOf(_) => Ok(place),
        }
    }

    fn covers(&self, scopes: &[Scope]) -> Result<(), KeyChangeError> {
        let covered = scopes.iter().all(|scope| self.0.contains(scope));
        if covered { Ok(()) } else { Err(KeyChangeError::Excess) }
    }
}

impl Asker {
    /// What they may hand out, if their key is still among these.
    pub(super) fn power(self, keys: &[NamedApiKey]) -> Result<Power, KeyChangeError> {
        let digest = match self {
            Self::Everything => return Ok(Power(Scope::ALL.to_vec())),
            Self::Named(digest) => digest,
        };
        let own = keys.iter().find(|key| *key.digest() == digest);
        let own = own.ok_or(KeyChangeError::Withdrawn)?;
        if own.users().is_some() || !own.scopes().contains(&Scope::Admin) {
            return Err(KeyChangeError::Narrowed);
        }
        Ok(Power(own.scopes().to_vec()))
    }
}
