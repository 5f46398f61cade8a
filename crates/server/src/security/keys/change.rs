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

/// What is asked for.
#[derive(Debug)]
pub(crate) enum KeyChange {
    Add { name: ApiKeyName, use_: KeyUse },
    Update { name: ApiKeyName, from: KeyState, use_: KeyUse },
    Remove { name: ApiKeyName, from: KeyState },
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

/// What has become of it.
#[derive(Debug)]
pub(crate) enum KeyChanged {
    Added { key: NamedApiKey, secret: String },
    Updated(NamedApiKey),
    Removed,
}

impl KeyChanged {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Added { .. } => "one was added",
            Self::Updated(_) => "one was changed",
            Self::Removed => "one was removed",
        }
    }
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

impl KeyChange {
    pub(crate) fn name(&self) -> &ApiKeyName {
        match self {
            Self::Add { name, .. } | Self::Update { name, .. } | Self::Remove { name, .. } => name,
        }
    }

    pub(super) fn apply(
        self,
        asker: Asker,
        keys: &mut Vec<NamedApiKey>,
    ) -> Result<KeyChanged, KeyChangeError> {
        let power = asker.power(keys)?;
        match self {
            Self::Add { name, use_: KeyUse { scopes, users } } => {
                power.covers(&scopes)?;
                let Made { key, secret } = Made::new(name, &scopes, users)?;
                key.clone().join(keys)?;
                Ok(KeyChanged::Added { key, secret })
            }
            Self::Update { name, from, use_: KeyUse { scopes, users } } => {
                let place = changeable(keys, &name, &from, &power)?;
                power.covers(&scopes)?;
                keys[place].is_for(&scopes, users);
                Ok(KeyChanged::Updated(keys[place].clone()))
            }
            Self::Remove { name, from } => {
                keys.remove(changeable(keys, &name, &from, &power)?);
                Ok(KeyChanged::Removed)
            }
        }
    }
}

/// Whoever could change a key that may do more could take it over.
fn changeable(
    keys: &[NamedApiKey],
    name: &ApiKeyName,
    from: &KeyState,
    power: &Power,
) -> Result<usize, KeyChangeError> {
    let place = find(keys, name)?;
    power.covers(keys[place].scopes())?;
    match from {
        KeyState::OneOf(versions) if !versions.contains(&keys[place].version()) => {
            Err(KeyChangeError::Changed(name.clone()))
        }
        KeyState::Any | KeyState::OneOf(_) => Ok(place),
    }
}

/// The scopes that somebody may hand out.
struct Power(Vec<Scope>);

impl Asker {
    fn power(self, keys: &[NamedApiKey]) -> Result<Power, KeyChangeError> {
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

impl Power {
    fn covers(&self, scopes: &[Scope]) -> Result<(), KeyChangeError> {
        let covered = scopes.iter().all(|scope| self.0.contains(scope));
        if covered { Ok(()) } else { Err(KeyChangeError::Excess) }
    }
}
