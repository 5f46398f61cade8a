//! Publish keys: several, with names, each for some things only and perhaps for some users only.

mod change;
mod file;
mod name;
mod write;

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tetherline_protocol::UserId;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    alarm::Alarm,
    lock::lock,
    trouble::{SharedTrouble, Word},
};
pub(crate) use change::{Asker, KeyChangeError, KeyState, KeyUse, Power};
pub use file::{API_KEYS_BYTES_MAX, API_KEYS_MAX, ApiKeyFile, ApiKeyFileError, NamedApiKey};
pub(crate) use file::{ApiKeyVersion, Made};
pub use name::{ApiKeyName, InvalidApiKeyName, InvalidUserPrefix, UserPrefix};
pub use write::API_KEYS_LOCK_WAIT;
use write::Absent;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How every such key begins, so that whoever finds one knows what it is.
const PREFIX: &str = "tlk_";
/// The prefix, and 32 random bytes as base64url.
const KEY_BYTES: usize = PREFIX.len() + 43;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// Messages, batches, streams and their text.
    Publish,
    /// Where a mailbox ends, and how far a stream is.
    Read,
    /// Erasing, signing out, tickets for others, and keys.
    Admin,
}

impl Scope {
    /// Each there is.
    pub const ALL: [Self; 3] = [Self::Publish, Self::Read, Self::Admin];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

/// There is no such scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a scope is publish, read or admin")]
pub struct InvalidScope;

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(InvalidScope)
    }
}

/// What a publisher shows besides [`Config::api_key`](crate::Config::api_key): keys of a file, which a running server
/// follows within a second. A file that cannot be read any more, or is nonsense, changes nothing.
#[derive(Clone)]
pub struct ApiKeys(Arc<Keys>);

struct Keys {
    path: Option<PathBuf>,
    table: watch::Sender<Arc<Table>>,
    read: Mutex<Option<Vec<u8>>>,
    /// Of those who change the file over HTTP.
    turn: Arc<tokio::sync::Mutex<()>>,
    trouble: SharedTrouble,
}

/// By their SHA-256: with 256 random bits in a key there is nothing to guess that a slow hash would protect, and what
/// finding a digest tells by its time tells nothing of a key.
type Table = HashMap<[u8; 32], Arc<NamedApiKey>>;

impl Default for ApiKeys {
    /// None.
    fn default() -> Self {
        Self::new(None)
    }
}

impl ApiKeys {
    /// Those in this file, as `tetherline keys` writes it; none if it is missing.
    pub fn in_file(path: &Path) -> Result<Self, ApiKeyFileError> {
        let keys = Self::new(Some(path.into()));
        keys.0.look()?;
        Ok(keys)
    }

    fn new(path: Option<PathBuf>) -> Self {
        Self(Arc::new(Keys {
            path,
            table: watch::Sender::new(Arc::default()),
            read: Mutex::default(),
            turn: Arc::default(),
            trouble: SharedTrouble::default(),
        }))
    }

    /// How many there are now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.table.borrow().len()
    }

    /// Those in the file, in the order in which they were added; none where there is no file.
    pub(crate) async fn list(&self) -> Option<Result<Vec<NamedApiKey>, ApiKeyFileError>> {
        let (keys, file) = self.file()?;
        let listed = tokio::task::spawn_blocking(move || file.list_if(keys.absent()));
        Some(listed.await.expect("nothing in it panics, and nobody cancels it"))
    }

    /// Changes the file, and takes up at once what was changed; none where there is no file. `by` is what the key of
    /// whoever asks is called, for the log: it has a line for each change, also of those who did not wait for an answer.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        (asker, by): (Asker, &str),
        (what, name): (&'static str, ApiKeyName),
        change: impl FnOnce(&Power, &mut Vec<NamedApiKey>) -> Result<T, KeyChangeError> + Send + 'static,
    ) -> Option<Result<T, KeyChangeError>> {
        let (keys, file) = self.file()?;
        // One thread at a time waits for the folder.
        let Ok(turn) = timeout(API_KEYS_LOCK_WAIT, self.0.turn.clone().lock_owned()).await else {
            return Some(Err(ApiKeyFileError::Busy.into()));
        };
        let (span, by) = (tracing::Span::current(), by.to_owned());
        let changed = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let _in_its_span = span.entered();
            let changed = file.change(keys.absent(), |keys| change(&asker.power(keys)?, keys))?;
            tracing::info!(key = name.as_str(), by, "publish keys: one was {what}");
            // It is changed all the same: the next look is soon.
            keys.say(&keys.look());
            Ok(changed)
        });
        Some(changed.await.expect("nothing in it panics, and nobody cancels it"))
    }

    fn file(&self) -> Option<(Arc<Keys>, ApiKeyFile)> {
        Some((self.0.clone(), ApiKeyFile::at(self.0.path.as_deref()?)))
    }

    /// Follows the file from now on.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(crate) fn begin(&self, alarm: &Alarm) {
        if self.0.path.is_none() {
            return;
        }
        let (keys, watched) =
            (Arc::downgrade(&self.0), alarm.watch("the task that follows publish keys"));
        tokio::spawn(async move {
            follow(keys).await;
            drop(watched);
        });
    }

    pub(crate) fn find(&self, shown: &str) -> Option<Grant> {
        if shown.len() != KEY_BYTES || !shown.starts_with(PREFIX) {
            return None;
        }
        self.grant(&Sha256::digest(shown).into())
    }

    /// The same for who has shown it before.
    pub(crate) fn grant(&self, digest: &[u8; 32]) -> Option<Grant> {
        let key = self.0.table.borrow().get(digest).cloned()?;
        Some(Grant::Named { key, keys: self.clone() })
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ApiKeys({})", self.count())
    }
}

/// Ends when nobody has the keys any more.
async fn follow(keys: Weak<Keys>) {
    loop {
        sleep(LOOK_EVERY).await;
        let Some(keys) = keys.upgrade() else { return };
        let looked = tokio::task::spawn_blocking(move || {
            let looked = keys.look();
            keys.say(&looked);
        });
        // Nothing in it panics; if it did, the next look is another.
        let _ = looked.await;
    }
}

impl Keys {
    fn absent(&self) -> Absent {
        if lock(&self.read).is_some() { Absent::IsGone } else { Absent::IsEmpty }
    }

    /// Takes up what has changed in the file.
    fn look(&self) -> Result<(), ApiKeyFileError> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut last = lock(&self.read);
        let bytes = match file::read(path)? {
            Some(bytes) => bytes,
            None if last.is_none() => return Ok(()),
            None => return Err(ApiKeyFileError::Gone(path.clone())),
        };
        if last.as_ref() == Some(&bytes) {
            return Ok(());
        }
        let keys = file::parse(path, &bytes)?;
        let table: Table = keys.into_iter().map(|key| (*key.digest(), Arc::new(key))).collect();
        if last.is_some() {
            tracing::info!(keys = table.len(), "publish keys were changed");
        }
        *last = Some(bytes);
        self.table.send_replace(Arc::new(table));
        Ok(())
    }

    fn say(&self, looked: &Result<(), ApiKeyFileError>) {
        match looked {
            Ok(()) => {
                if let Some(Word::Works { .. }) = self.trouble.worked_now() {
                    tracing::info!("publish keys can be read again");
                }
            }
            Err(error) => {
                if let Some(Word::Fails { .. }) = self.trouble.failed_now() {
                    tracing::error!(%error, "publish keys cannot be read; those of before go on to count");
                }
            }
        }
    }
}

/// What somebody may do who has shown a key.
#[derive(Clone)]
pub(crate) enum Grant {
    /// Everything: it is the one key of the configuration.
    Everything,
    /// What the key of that name is for.
    Named { key: Arc<NamedApiKey>, keys: ApiKeys },
}

impl Grant {
    /// Whose key it is; the one of the configuration has no name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Everything => "",
            Self::Named { key, .. } => key.name().as_str(),
        }
    }

    /// Its SHA-256, if it has a name.
    pub(crate) fn digest(&self) -> Option<[u8; 32]> {
        match self {
            Self::Everything => None,
            Self::Named { key, .. } => Some(*key.digest()),
        }
    }

    pub(crate) fn has(&self, scope: Scope) -> bool {
        match self {
            Self::Everything => true,
            Self::Named { key, .. } => key.scopes().contains(&scope),
        }
    }

    pub(crate) fn is_for(&self, user: &UserId) -> bool {
        match self {
            Self::Everything => true,
            Self::Named { key, .. } => key.users().is_none_or(|prefix| prefix.is_of(user)),
        }
    }

    pub(crate) fn is_for_everybody(&self) -> bool {
        match self {
            Self::Everything => true,
            Self::Named { key, .. } => key.users().is_none(),
        }
    }

    /// Who they are for those who change keys.
    pub(crate) fn asker(&self) -> Asker {
        self.digest().map_or(Asker::Everything, Asker::Named)
    }

    pub(crate) fn is_everything(&self) -> bool {
        matches!(self, Self::Everything)
    }

    /// Resolves when the key of that name does not count any more, or not any more for this; never for the one of the
    /// configuration, which [`ApiKeys`] do not know.
    pub(crate) async fn withdrawn(&self, scope: Scope, user: &UserId) {
        let Self::Named { key, keys } = self else { return std::future::pending().await };
        let mut table = keys.0.table.subscribe();
        let is_over = |table: &Arc<Table>| {
            let now = table.get(key.digest());
            !now.is_some_and(|now| {
                now.scopes().contains(&scope) && now.users().is_none_or(|users| users.is_of(user))
            })
        };
        if table.wait_for(is_over).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
