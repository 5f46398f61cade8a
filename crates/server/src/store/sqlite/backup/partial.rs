//! A copy that is not whole yet, and who makes it.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::{
    super::paths::{Identity, owners_only, sibling},
    file::{BackupError, discard, sync, sync_folder_of},
};

/// Somebody's right to make what has this name, for as long as they live. What is there of somebody who
/// does not live any more belongs to nobody, and whoever has the claim may delete it.
#[derive(Debug)]
pub struct Claim {
    /// A file of its own is locked, because SQLite has locks of its own on what it writes, and some file
    /// systems know one kind only.
    path: PathBuf,
    _locked: File,
}

impl Claim {
    /// Fails at once if somebody else has it.
    pub fn on(partial: &Path) -> Result<Self, BackupError> {
        let path = sibling(partial, "-lock");
        let failed = |source| BackupError::File { path: path.clone(), source };
        let under_way = || BackupError::UnderWay(partial.into());
        let file = owners_only().create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(under_way()),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // Whoever had it may have deleted this very file meanwhile, and somebody else made another.
        let opened = file.metadata().map_err(failed)?;
        match Identity::at(&path) {
            Ok(found) if found == Identity::of(&opened) => Ok(Self { path, _locked: file }),
            _ => Err(under_way()),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Before it is unlocked, so that it is never somebody else's.
        let _ = fs::remove_file(&self.path);
    }
}

/// Gone with what made it; or, if that was killed, when the next one of the name is made.
pub(super) struct Partial {
    pub(super) path: PathBuf,
    _claim: Claim,
}

impl Partial {
    pub(super) fn create(to: &Path) -> Result<Self, BackupError> {
        let path = sibling(to, ".partial");
        let partial = Self { _claim: Claim::on(&path)?, path };
        discard(&partial.path)?;
        create_file(&partial.path)?;
        Ok(partial)
    }

    /// Another one, which is to take the place of this.
    pub(super) fn create_next(&self) -> Result<PathBuf, BackupError> {
        let path = sibling(&self.path, "-next");
        create_file(&path)?;
        Ok(path)
    }

    pub(super) fn replace(&self, next: &Path) -> Result<(), BackupError> {
        fs::rename(next, &self.path)
            .map_err(|source| BackupError::File { path: next.into(), source })
    }

    pub(super) fn finish(self, to: &Path) -> Result<(), BackupError> {
        let failed = |source| BackupError::File { path: to.into(), source };
        sync(&self.path).map_err(failed)?;
        // A link never overwrites what somebody else has put there meanwhile. Where there are none, a
        // new name has to do.
        match fs::hard_link(&self.path, to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(BackupError::Exists(to.into()));
            }
            Err(_) => fs::rename(&self.path, to).map_err(failed)?,
        }
        drop(self);
        sync_folder_of(to).map_err(failed)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // It may have its final name.
        let _ = discard(&self.path);
    }
}

fn create_file(path: &Path) -> Result<(), BackupError> {
    let created = owners_only().create_new(true).open(path);
    created.map(drop).map_err(|source| BackupError::File { path: path.into(), source })
}
