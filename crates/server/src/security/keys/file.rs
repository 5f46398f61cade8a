//! The file that publish keys are in: their names, what they are for, and their digests.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    PREFIX, Scope,
    name::{ApiKeyName, UserPrefix},
    write::Absent,
};
use crate::clock;

/// How many keys a file may have.
pub const API_KEYS_MAX: usize = 256;
/// How long it may be, in bytes.
pub const API_KEYS_BYTES_MAX: u64 = 256 * 1024;
/// The file's form.
const VERSION: u32 = 1;
/// Two versions of one key are never the same by chance.
const VERSION_BYTES: usize = 12;

/// Why keys cannot be read, added or removed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyFileError {
    /// The file or its folder cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It would not be whose it was, and the server could not read it.
    #[error(
        "cannot write {} for the user with the number {owner}, whose it is: {source}; run this as that user", path.display()
    )]
    Owner {
        /// Which file.
        path: PathBuf,
        /// Whose it is, or whose the folder is.
        owner: u32,
        /// What the operating system said.
        source: io::Error,
    },
    /// There was one.
    #[error("{} is missing", .0.display())]
    Gone(PathBuf),
    /// It is no such file.
    #[error("{} is not what `tetherline keys` writes: {reason}", path.display())]
    Nonsense {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Each has a name of its own.
    #[error("there is a key called {0} already; remove it first, or choose another name")]
    Taken(ApiKeyName),
    /// There is none to remove.
    #[error("there is no key called {0}")]
    Unknown(ApiKeyName),
    /// For longer than [`API_KEYS_LOCK_WAIT`].
    #[error("somebody else is changing the keys; try again")]
    Busy,
    /// [`API_KEYS_MAX`].
    #[error("there are {API_KEYS_MAX} keys, which is as many as there may be; remove some")]
    TooMany,
    /// The operating system gave no random numbers.
    #[error("the operating system gave no random numbers: {0}")]
    Random(getrandom::Error),
}

/// One key, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedApiKey {
    name: ApiKeyName,
    scopes: Box<[Scope]>,
    users: Option<UserPrefix>,
    added_at: String,
    digest: [u8; 32],
}

impl NamedApiKey {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &ApiKeyName {
        &self.name
    }

    /// What it is for.
    #[must_use]
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// For whom, unless for everybody.
    #[must_use]
    pub fn users(&self) -> Option<&UserPrefix> {
        self.users.as_ref()
    }

    /// When it was added, in RFC 3339.
    #[must_use]
    pub fn added_at(&self) -> &str {
        &self.added_at
    }

    /// The same as long as it is for the same; it tells nothing of the key itself.
    pub(crate) fn version(&self) -> ApiKeyVersion {
        let written = text(std::slice::from_ref(self));
        ApiKeyVersion(BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(written)[..VERSION_BYTES]))
    }

    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// A key that is in no file yet, and what to show.
pub(crate) struct Made {
    pub(crate) key: NamedApiKey,
    pub(crate) secret: String,
}

impl Made {
    pub(super) fn new(
        name: ApiKeyName,
        scopes: &[Scope],
        users: Option<UserPrefix>,
    ) -> Result<Self, ApiKeyFileError> {
        let mut random = [0_u8; 32];
        getrandom::fill(&mut random).map_err(ApiKeyFileError::Random)?;
        let secret = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
        let key = NamedApiKey {
            name,
            scopes: in_order(scopes),
            users,
            added_at: clock::rfc3339(clock::now_ms()).as_str().into(),
            digest: Sha256::digest(&secret).into(),
        };
        Ok(Self { key, secret })
    }
}

impl NamedApiKey {
    /// It is one of them from now on.
    pub(super) fn join(self, keys: &mut Vec<Self>) -> Result<(), ApiKeyFileError> {
        if keys.iter().any(|key| key.name == self.name) {
            return Err(ApiKeyFileError::Taken(self.name));
        }
        if keys.len() >= API_KEYS_MAX {
            return Err(ApiKeyFileError::TooMany);
        }
        keys.push(self);
        Ok(())
    }

    pub(super) fn is_for(&mut self, scopes: &[Scope], users: Option<UserPrefix>) {
        (self.scopes, self.users) = (in_order(scopes), users);
    }
}

/// How a key was at some time, so that of two who change it the second hears of the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiKeyVersion(String);

impl ApiKeyVersion {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ApiKeyVersion {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// The file, as `tetherline keys` changes it. A server that follows it needs no restart.
#[derive(Debug, Clone)]
pub struct ApiKeyFile(pub(super) PathBuf);

impl ApiKeyFile {
    /// It is written when the first key is added.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.into())
    }

    /// The keys in it, in the order in which they were added.
    pub fn list(&self) -> Result<Vec<NamedApiKey>, ApiKeyFileError> {
        match read(&self.0)? {
            Some(bytes) => parse(&self.0, &bytes),
            None => Ok(Vec::new()),
        }
    }

    /// Makes a key and answers it. It is nowhere else: the file has its digest.
    pub fn add(
        &self,
        name: &ApiKeyName,
        scopes: &[Scope],
        users: Option<&UserPrefix>,
    ) -> Result<String, ApiKeyFileError> {
        let made = Made::new(name.clone(), scopes, users.cloned())?;
        self.change(Absent::IsEmpty, |keys| made.key.clone().join(keys))?;
        Ok(made.secret)
    }

    /// From within a second on, the key counts for nothing.
    pub fn remove(&self, name: &ApiKeyName) -> Result<(), ApiKeyFileError> {
        self.change(Absent::IsEmpty, |keys| {
            keys.remove(find(keys, name)?);
            Ok(())
        })
    }
}

pub(super) fn in_order(scopes: &[Scope]) -> Box<[Scope]> {
    Scope::ALL.into_iter().filter(|scope| scopes.contains(scope)).collect()
}

/// Where the key of that name is.
pub(super) fn find(keys: &[NamedApiKey], name: &ApiKeyName) -> Result<usize, ApiKeyFileError> {
    let place = keys.iter().position(|key| key.name == *name);
    place.ok_or_else(|| ApiKeyFileError::Unknown(name.clone()))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    keys: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: ApiKeyName,
    scopes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<UserPrefix>,
    added_at: String,
    sha256: String,
}

impl Entry {
    fn of(key: &NamedApiKey) -> Self {
        Self {
            name: key.name.clone(),
            scopes: key.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            users: key.users.clone(),
            added_at: key.added_at.clone(),
            sha256: BASE64_URL_SAFE_NO_PAD.encode(key.digest),
        }
    }
}

pub(super) fn text(keys: &[NamedApiKey]) -> String {
    let written = Written { version: VERSION, keys: keys.iter().map(Entry::of).collect() };
    serde_json::to_string_pretty(&written).expect("texts always serialise") + "\n"
}

/// What is in the file, if there is one.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, ApiKeyFileError> {
    let failed = |source| ApiKeyFileError::File { path: path.into(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(API_KEYS_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<NamedApiKey>, ApiKeyFileError> {
    let nonsense = |reason: String| ApiKeyFileError::Nonsense { path: path.into(), reason };
    if bytes.len() as u64 > API_KEYS_BYTES_MAX {
        return Err(nonsense(format!("it has more than {API_KEYS_BYTES_MAX} bytes")));
    }
    let written: Written =
        serde_json::from_slice(bytes).map_err(|error| nonsense(error.to_string()))?;
    if written.version != VERSION {
        return Err(nonsense(format!(
            "it has form {}, and only {VERSION} is known",
            written.version
        )));
    }
    if written.keys.len() > API_KEYS_MAX {
        return Err(nonsense(format!("it has more than {API_KEYS_MAX} keys")));
    }
    let mut keys: Vec<NamedApiKey> = Vec::new();
    for Entry { name, scopes, users, added_at, sha256 } in written.keys {
        if keys.iter().any(|key| key.name == name) {
            return Err(nonsense(format!("two keys are called {name}")));
        }
        let scopes: Result<_, _> = scopes.iter().map(|scope| scope.parse()).collect();
        let scopes = scopes.map_err(|error| nonsense(format!("{name}: {error}")))?;
        let digest = BASE64_URL_SAFE_NO_PAD.decode(sha256).ok().and_then(|it| it.try_into().ok());
        let digest = digest.ok_or_else(|| nonsense(format!("{name}: `sha256` is no digest")))?;
        keys.push(NamedApiKey { name, scopes, users, added_at, digest });
    }
    Ok(keys)
}
