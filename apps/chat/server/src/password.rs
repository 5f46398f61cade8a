//! argon2id, off the async threads and only a few at a time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::{sync::Semaphore, task::spawn_blocking};

use tetherline_server::Network;

use crate::limits::{
    PASSWORD_HASHES_AT_ONCE_MAX, PASSWORD_HASHES_OF_DEVICES_MAX, PASSWORD_HASHES_PER_NETWORK_MAX,
    PASSWORD_HASHES_WAITING_MAX,
};

/// Hashes and checks passwords.
#[derive(Clone)]
pub(crate) struct Passwords {
    at_once: Arc<Semaphore>,
    /// For devices that are known, besides.
    of_devices: Arc<Semaphore>,
    waiting: Arc<Mutex<Line>>,
    /// Checked when there is no account, so that the time does not tell.
    nobodys_hash: Arc<str>,
}

/// On whose behalf a password is hashed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asker {
    Network(Network),
    /// A device on which that person has signed in before.
    Device,
}

/// Who waits.
#[derive(Default)]
struct Line {
    devices: usize,
    others: usize,
    of_networks: HashMap<Network, usize>,
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
            of_devices: Arc::new(Semaphore::new(1)),
            nobodys_hash: hash("nobody has this password")?.into(),
        })
    }

    /// A salted hash as a PHC string.
    pub(crate) async fn hash(
        &self,
        password: String,
        asker: Asker,
    ) -> Result<String, PasswordError> {
        self.work(asker, move || hash(&password)).await
    }

    /// Whether the password is the one that was hashed. No hash costs the same time and is `false`.
    pub(crate) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
        asker: Asker,
    ) -> Result<bool, PasswordError> {
        let nobody = hash.is_none();
        let hash = hash.unwrap_or_else(|| self.nobodys_hash.to_string());
        let matches = self.work(asker, move || verify(&password, &hash)).await?;
        Ok(matches && !nobody)
    }

    async fn work<T: Send + 'static>(
        &self,
        asker: Asker,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _waiting = Waiting::join(&self.waiting, asker)?;
        let lane = match asker {
            Asker::Network(_) => &self.at_once,
            Asker::Device => &self.of_devices,
        };
        let permit = Arc::clone(lane)
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
struct Waiting {
    line: Arc<Mutex<Line>>,
    asker: Asker,
}

impl Waiting {
    fn join(line: &Arc<Mutex<Line>>, asker: Asker) -> Result<Self, PasswordError> {
        let mut places = line.lock().unwrap_or_else(PoisonError::into_inner);
        if !places.join(asker) {
            return Err(PasswordError::Busy);
        }
        Ok(Self { line: Arc::clone(line), asker })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).leave(self.asker);
    }
}

impl Line {
    fn join(&mut self, asker: Asker) -> bool {
        let network = match asker {
            Asker::Device => {
                let has_room = self.devices < PASSWORD_HASHES_OF_DEVICES_MAX;
                self.devices += usize::from(has_room);
                return has_room;
            }
            Asker::Network(network) => network,
        };
        let of_network = self.of_networks.get(&network).copied().unwrap_or(0);
        let has_room = self.others < PASSWORD_HASHES_WAITING_MAX
            && of_network < PASSWORD_HASHES_PER_NETWORK_MAX;
        if has_room {
            self.others += 1;
            self.of_networks.insert(network, of_network + 1);
        }
        has_room
    }

    fn leave(&mut self, asker: Asker) {
        match asker {
            Asker::Device => self.devices -= 1,
            Asker::Network(network) => {
                self.others -= 1;
                if let Some(places) = self.of_networks.get_mut(&network) {
                    *places -= 1;
                }
                self.of_networks.retain(|_, places| *places > 0);
            }
        }
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
        let asker = Asker::Device;
        let hash = passwords.hash("correct horse".into(), asker).await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(passwords.verify("correct horse".into(), Some(hash.clone()), asker).await.unwrap());
        assert!(!passwords.verify("wrong horse".into(), Some(hash), asker).await.unwrap());
        assert!(!passwords.verify("nobody has this password".into(), None, asker).await.unwrap());
    }

    #[test]
    fn no_network_takes_all_the_places_and_devices_that_are_known_have_their_own() {
        // Whoever asked often enough at once had everybody else turned away.
        let network =
            |last| Asker::Network(Network::of(std::net::Ipv4Addr::from_bits(last).into()));
        let line = Arc::new(Mutex::new(Line::default()));
        let join = |asker| Waiting::join(&line, asker);
        let mut crowd: Vec<_> =
            (0..PASSWORD_HASHES_PER_NETWORK_MAX).map(|_| join(network(1)).unwrap()).collect();
        assert!(join(network(1)).is_err());
        for last in (2..).take(PASSWORD_HASHES_WAITING_MAX - PASSWORD_HASHES_PER_NETWORK_MAX) {
            crowd.push(join(network(last)).unwrap());
        }
        assert!(join(network(9_999)).is_err());
        let own: Vec<_> =
            (0..PASSWORD_HASHES_OF_DEVICES_MAX).map(|_| join(Asker::Device).unwrap()).collect();
        assert!(join(Asker::Device).is_err());
        drop((crowd, own));
        assert!(join(network(1)).is_ok() && join(Asker::Device).is_ok());
        assert!(line.lock().unwrap().of_networks.is_empty());
    }
}
