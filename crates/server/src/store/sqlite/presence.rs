//! Whether the files are still the ones that were opened. A file can be moved, deleted or replaced
//! under a server that has it open, and what is committed then is found by nobody.

use std::{
    fs::{File, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use super::{
    super::StoreError,
    OpenError, own_log,
    paths::{Identity, owners_only, sibling},
    trouble::{Blame, Fault, Word},
};
use crate::trouble::SharedTrouble;

/// Whoever only reads looks for a moment whether the lock is free, and has it meanwhile ([`Lock::is_free`]): a start that
/// meets that waits, and asks so often.
const LOOKS: u32 = 5;
const LOOK_TIME: Duration = Duration::from_millis(10);

/// In the lock file until the first start has got through. Older programs left it empty, and made the
/// mailbox file first.
const MAKING: &str = "making a mailbox\n";
/// In the lock file ever after, for whoever wonders what it is.
const MADE: &str = "A mailbox was made here, and this file says so when mailbox.db is missing. \
                    Delete it only to start anew without the messages, and never while a server runs.\n";

/// Something deletes lock files.
static DELETED: SharedTrouble = SharedTrouble::new();

/// Keeps every other server away from the file for as long as it lives.
pub(super) struct Lock {
    file: File,
    path: PathBuf,
    content: String,
}

impl Lock {
    pub(super) fn take(path: &Path) -> Result<Self, OpenError> {
        let lock_path = sibling(path, "-lock");
        let failed = |source| OpenError::File { path: lock_path.clone(), source };
        let is_new = match owners_only().create_new(true).open(&lock_path) {
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(failed(error)),
        };
        let mut file = owners_only().open(&lock_path).map_err(failed)?;
        let mut looks = LOOKS;
        while let Err(error) = file.try_lock() {
            match error {
                TryLockError::WouldBlock if looks > 0 => thread::sleep(LOOK_TIME),
                TryLockError::WouldBlock => return Err(OpenError::InUse(path.into())),
                TryLockError::Error(error) => return Err(failed(error)),
            }
            looks -= 1;
        }
        let mut content = String::new();
        if is_new {
            content = MAKING.into();
            // A disk that is full has no room for a mailbox either.
            file.write_all(MAKING.as_bytes()).map_err(failed)?;
        } else {
            let _ = (&file).take(MADE.len() as u64 + 1).read_to_string(&mut content);
        }
        Ok(Self { file, path: lock_path, content })
    }

    /// Whether nobody serves the mailbox just now. It makes no lock file where there is none.
    pub(super) fn is_free(path: &Path) -> bool {
        match File::open(sibling(path, "-lock")) {
            Ok(file) => file.try_lock_shared().is_ok(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Whether there has been a mailbox here, as far as the lock file knows.
    pub(super) fn had_a_mailbox(&self) -> bool {
        self.content != MAKING
    }

    /// There is one now.
    pub(super) fn has_a_mailbox(&mut self) {
        if self.content == MADE {
            return;
        }
        self.content = MADE.into();
        let write = || {
            self.file.set_len(0)?;
            io::Seek::rewind(&mut &self.file)?;
            (&self.file).write_all(MADE.as_bytes())
        };
        // An empty one says the same.
        if let Err(error) = write() {
            tracing::warn!(%error, path = %self.path.display(), "the lock file was not written");
        }
    }

    /// Takes the place of one that was deleted. Whoever was faster has the store now.
    fn renew(&mut self) -> Result<(), Absence> {
        let gone = || Absence::Replaced(self.path.clone());
        let file = owners_only().create_new(true).open(&self.path).map_err(|_| gone())?;
        file.try_lock().map_err(|_| gone())?;
        let mut content = &file;
        let _ = content.write_all(MADE.as_bytes());
        if let Some(Word::Fails { times }) = DELETED.failed_now() {
            let path = self.path.display();
            tracing::warn!(%path, times, "the lock file was deleted; it is there again");
        }
        self.file = file;
        Ok(())
    }
}

/// The mailbox file and its side files, as they were when they were opened.
pub(super) struct Files(Vec<(PathBuf, Identity)>);

/// Those and the lock.
pub(super) struct Presence {
    files: Arc<Files>,
    lock: Lock,
}

/// Why nothing can be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum Absence {
    /// It may come back.
    #[error(
        "{} is not there any more ({source}); put the very file back, not a copy. If it was deleted, this \
         process ({}) has the last of it open: do not end it before that is saved",
        path.display(), std::process::id()
    )]
    Away { path: PathBuf, source: io::Error },
    /// It cannot.
    #[error("{} was replaced under the running server; start it anew", .0.display())]
    Replaced(PathBuf),
}

impl From<Absence> for Fault {
    fn from(absence: Absence) -> Self {
        let blame = match absence {
            Absence::Away { .. } => Blame::Store,
            Absence::Replaced(_) => Blame::Gone,
        };
        Self { blame, error: StoreError::new(absence.to_string()), is_locked: false }
    }
}

impl Files {
    /// They are all open.
    pub(super) fn of(path: &Path) -> Result<Self, OpenError> {
        let paths = [path.to_owned(), sibling(path, "-wal"), sibling(path, "-shm")];
        let identified = paths.into_iter().map(|path| match Identity::at(&path) {
            Ok(identity) => Ok((path, identity)),
            Err(source) => Err(OpenError::File { path, source }),
        });
        Ok(Self(identified.collect::<Result<_, _>>()?))
    }

    pub(super) fn mailbox(&self) -> &Path {
        &self.0[0].0
    }

    pub(super) fn check(&self) -> Result<(), Absence> {
        self.0.iter().try_for_each(|(path, identity)| same(path, *identity))
    }
}

impl Drop for Presence {
    /// Everything is closed, and the lock is held still.
    fn drop(&mut self) {
        let is_ours = same(&self.files.0[0].0, self.files.0[0].1).is_ok();
        let has_lock = self
            .lock
            .file
            .metadata()
            .is_ok_and(|opened| same(&self.lock.path, Identity::of(&opened)).is_ok());
        if is_ours
            && has_lock
            && let Err(error) = own_log::end(self.files.mailbox())
        {
            // As after a crash: whatever log lies beside it counts as its own.
            tracing::debug!(%error, "the mailbox file does not say that it is whole");
        }
    }
}

impl Presence {
    pub(super) fn new(files: Arc<Files>, lock: Lock) -> Self {
        Self { files, lock }
    }

    pub(super) fn check(&mut self) -> Result<(), Absence> {
        self.files.check()?;
        let opened = self.lock.file.metadata();
        let opened = opened.map_err(|source| away(&self.lock.path, source))?;
        match same(&self.lock.path, Identity::of(&opened)) {
            // The others are where they were, so only this one was deleted.
            Err(Absence::Away { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.lock.renew()
            }
            checked => checked,
        }
    }
}

fn same(path: &Path, identity: Identity) -> Result<(), Absence> {
    let found = Identity::at(path).map_err(|source| away(path, source))?;
    if found == identity { Ok(()) } else { Err(Absence::Replaced(path.into())) }
}

fn away(path: &Path, source: io::Error) -> Absence {
    Absence::Away { path: path.into(), source }
}

/// Creates the file, if there is none, readable by its owner only. SQLite gives its side files the
/// same mode.
pub(super) fn create(path: &Path) -> Result<(), OpenError> {
    match owners_only().create_new(true).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(OpenError::File { path: path.into(), source: error })
        }
        _ => Ok(()),
    }
}

pub(super) fn create_folder(path: &Path) -> Result<(), OpenError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(|source| OpenError::File { path: path.into(), source })
}

/// Whether there is nothing in the file.
pub(super) fn is_empty(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |found| found.len() == 0)
}
