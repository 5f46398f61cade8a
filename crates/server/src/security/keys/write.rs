//! Writing the file of keys: one at a time, as a whole, and for whom it was.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::file::{ApiKeyFile, ApiKeyFileError, NamedApiKey, parse, read, text};

/// How long whoever changes keys waits for somebody else who does. A folder that stays locked, as by a process that was
/// stopped, must not keep threads for ever.
pub const API_KEYS_LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_EVERY: Duration = Duration::from_millis(20);

/// What it means that there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// There are no keys yet.
    IsEmpty,
    /// There was one: whoever wrote a new one would take all other keys away.
    IsGone,
}

impl ApiKeyFile {
    /// The keys in it, in the order in which they were added.
    pub(super) fn list_if(&self, absent: Absent) -> Result<Vec<NamedApiKey>, ApiKeyFileError> {
        match read(&self.0)? {
            Some(bytes) => parse(&self.0, &bytes),
            None if absent == Absent::IsEmpty => Ok(Vec::new()),
            None => Err(ApiKeyFileError::Gone(self.0.clone())),
        }
    }

    /// One at a time, and whoever reads sees the file of before or after.
    pub(super) fn change<T, E: From<ApiKeyFileError>>(
        &self,
        absent: Absent,
        change: impl FnOnce(&mut Vec<NamedApiKey>) -> Result<T, E>,
    ) -> Result<T, E> {
        let path = &self.0;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = self.lock(folder.unwrap_or(Path::new(".")))?;
        let mut keys = self.list_if(absent)?;
        let changed = change(&mut keys)?;
        let new = path.with_extension("json.new");
        let written = self.write(&new, &keys, &folder);
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written?;
        Ok(changed)
    }

    fn lock(&self, folder: &Path) -> Result<File, ApiKeyFileError> {
        let failed = |source| self.failed(source);
        fs::create_dir_all(folder).map_err(failed)?;
        let folder = File::open(folder).map_err(failed)?;
        let until = Instant::now() + API_KEYS_LOCK_WAIT;
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(folder),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    thread::sleep(LOCK_EVERY);
                }
                Err(TryLockError::WouldBlock) => return Err(ApiKeyFileError::Busy),
                Err(TryLockError::Error(error)) => return Err(self.failed(error)),
            }
        }
    }

    fn write(
        &self,
        new: &Path,
        keys: &[NamedApiKey],
        folder: &File,
    ) -> Result<(), ApiKeyFileError> {
        let failed = |source| self.failed(source);
        // One that was interrupted left it.
        let _ = fs::remove_file(new);
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(0o600).open(new).map_err(failed)?;
        file.write_all(text(keys).as_bytes()).map_err(failed)?;
        self.keep_owner(&file, folder)?;
        file.sync_all().map_err(failed)?;
        fs::rename(new, &self.0).and_then(|()| folder.sync_all()).map_err(failed)
    }

    /// What root writes beside a server that is somebody else has to be that somebody's: nobody else can read it.
    fn keep_owner(&self, new: &File, folder: &File) -> Result<(), ApiKeyFileError> {
        let failed = |source| self.failed(source);
        let made = new.metadata().map_err(failed)?;
        let kept = match fs::metadata(&self.0) {
            Ok(old) => old,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Err(_) if made.uid() == 0 => folder.metadata().map_err(failed)?,
            Err(_) => return Ok(()),
        };
        let owner = kept.uid();
        if made.uid() == owner {
            return Ok(());
        }
        fchown(new, Some(owner), Some(kept.gid())).map_err(|source| ApiKeyFileError::Owner {
            path: self.0.clone(),
            owner,
            source,
        })
    }

    fn failed(&self, source: io::Error) -> ApiKeyFileError {
        ApiKeyFileError::File { path: self.0.clone(), source }
    }
}
