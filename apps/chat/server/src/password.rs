//! argon2id, off the async threads and only a few at a time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::limits::{PASSWORD_HASHES_AT_ONCE_MAX, PASSWORD_HASHES_WAITING_MAX};

/// Hashes and checks passwords.
#[derive(Clone)]
pub(crate) struct Passwords {
    at_once: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    /// Checked when there is no account, so that the time does not tell.
    nobodys_hash: Arc<str>,
}

/// Why a password was neither hashed nor checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many others wait already.
    #[error("too many passwords wait to be checked")]
    Busy,
    /// No randomness, no memory, or a stored hash that is none.
    #[error("hashing a password failed: {0}")]
    Failed(String),
}

impl Passwords {
    /// Takes as long as one hash.
    pub(crate) fn new() -> Result<Self, PasswordError> {
        Ok(Self {
            waiting: Arc::default(),
            at_once: Arc::new(Semaphore::new(PASSWORD_HASHES_AT_ONCE_MAX)),
            nobodys_hash: hash("nobody has this password")?.into(),
        })
    }

    /// A salted hash as a PHC string.
    pub(crate) async fn hash(&self, password: String) -> Result<String, PasswordError> {
        self.work(move || hash(&password)).await
    }

    /// Whether the password is the one that was hashed. No hash costs the same time and is `false`.
    pub(crate) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, PasswordError> {
        let nobody = hash.is_none();
        let hash = hash.unwrap_or_else(|| self.nobodys_hash.to_string());
        let matches = self.work(move || verify(&password, &hash)).await?;
        Ok(matches && !nobody)
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _waiting = Waiting::join(&self.waiting)?;
        let permit = Arc::clone(&self.at_once)
            .acquire_owned()
            .await
            .map_err(|closed| PasswordError::Failed(closed.to_string()))?;
        spawn_blocking(move || {
            let outcome = work();
            drop(permit);
            outcome
        })
        .await
        .map_err(|panicked| PasswordError::Failed(panicked.to_string()))?
    }
}

/// A place among those who wait, given back when its holder is done or gone.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn join(waiting: &Arc<AtomicUsize>) -> Result<Self, PasswordError> {
        let place = Self(Arc::clone(waiting));
        if waiting.fetch_add(1, Ordering::Relaxed) >= PASSWORD_HASHES_WAITING_MAX {
            return Err(PasswordError::Busy);
        }
        Ok(place)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The defaults of the crate are OWASP's: argon2id, 19 MiB, two passes, one lane.
fn hash(password: &str) -> Result<String, PasswordError> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| PasswordError::Failed(error.to_string()))
}

fn verify(password: &str, hash: &str) -> Result<bool, PasswordError> {
    let hash = PasswordHash::new(hash).map_err(|error| PasswordError::Failed(error.to_string()))?;
    Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_matches_and_nobody_matches_nothing() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("wrong horse".into(), Some(hash)).await.unwrap());
        assert!(!passwords.verify("nobody has this password".into(), None).await.unwrap());
    }
}
