//! Backups of a chat: its database and its mailboxes, which belong together.
//!
//! The mailboxes are copied first. What is committed meanwhile is then in the copy of the database at
//! least, and a start on the two brings it to the mailboxes again. The other way round there would be
//! messages of which no history knows.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use tetherline_server::backup::{
    self, BackedUp, BackupError, Claim, Existing, MAILBOX_FILE, Progress, Replaced, RestoreError,
};

use crate::database::{self, CHAT_FILE, OpenDatabaseError};

/// Why a chat was not restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreChatError {
    /// One of its files is no backup, or the folder's are in use or in the way.
    #[error(transparent)]
    Files(#[from] RestoreError),
    /// The chat's own database is another program's, a newer one's, or in use.
    #[error(transparent)]
    Database(#[from] OpenDatabaseError),
    /// It is some other file.
    #[error("{} is no backup of a chat; name the folder that `backup` wrote", .0.display())]
    NotAChat(PathBuf),
}

impl From<BackupError> for RestoreChatError {
    fn from(error: BackupError) -> Self {
        Self::Files(error.into())
    }
}

/// Copies a chat's database and mailboxes into a new folder, while it runs or not. Secrets are not in
/// it.
pub fn back_up(
    data: &Path,
    to: &Path,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<BackedUp, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.into()));
    }
    let partial = Partial::create(to)?;
    let mailbox = backup::back_up_mailbox(data, &partial.path.join(MAILBOX_FILE), progress)?;
    let chat = backup::copy(&data.join(CHAT_FILE), &partial.path.join(CHAT_FILE), progress)?;
    partial.finish(to)?;
    Ok(BackedUp { bytes: mailbox.bytes + chat, ..mailbox })
}

/// What a restore has done.
#[derive(Debug)]
pub struct Restored {
    /// Where what was there before is kept.
    pub replaced: Vec<Replaced>,
    /// Whether who was signed out in the mailboxes of before stays so.
    pub knows_sign_outs: bool,
}

/// Puts both files of a backup in the place of a stopped chat's. Every page is told so and reads its
/// history anew.
pub fn restore(
    from: &Path,
    data: &Path,
    existing: Existing,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Restored, RestoreChatError> {
    let failed = |source| BackupError::File { path: data.into(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(failed)?;
    let _lock = database::lock(data)?;
    let path = data.join(CHAT_FILE);
    if existing == Existing::Refuse && path.exists() {
        return Err(RestoreError::Occupied(path).into());
    }
    let restoring = data.join("chat.db.restoring");
    // One that was interrupted left it.
    backup::discard(&restoring)?;
    backup::copy(&from.join(CHAT_FILE), &restoring, progress)?;
    let replaced = restore_both(from, data, &restoring, existing, progress);
    if replaced.is_err() {
        backup::discard(&restoring)?;
    }
    replaced
}

fn restore_both(
    from: &Path,
    data: &Path,
    restoring: &Path,
    existing: Existing,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Restored, RestoreChatError> {
    if !database::is_a_chats(restoring)? {
        return Err(RestoreChatError::NotAChat(from.join(CHAT_FILE)));
    }
    // First, as it was copied: between the two a start finds mailboxes that are older.
    let mailbox = backup::restore_mailbox(&from.join(MAILBOX_FILE), data, existing, progress)?;
    let chat = backup::put_in_place(restoring, &data.join(CHAT_FILE))?;
    let replaced = mailbox.replaced.into_iter().chain(chat).collect();
    Ok(Restored { replaced, knows_sign_outs: mailbox.knows_sign_outs })
}

/// A folder that is not whole yet; gone with what made it, or with the next one of its name.
struct Partial {
    path: PathBuf,
    _claim: Claim,
}

impl Partial {
    fn create(to: &Path) -> Result<Self, BackupError> {
        let mut path = to.as_os_str().to_owned();
        path.push(".partial");
        let path = PathBuf::from(path);
        let partial = Self { _claim: Claim::on(&path)?, path };
        let failed = |source| BackupError::File { path: partial.path.clone(), source };
        match fs::remove_dir_all(&partial.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        fs::DirBuilder::new().mode(0o700).create(&partial.path).map_err(failed)?;
        Ok(partial)
    }

    fn finish(self, to: &Path) -> Result<(), BackupError> {
        let failed = |source| BackupError::File { path: to.into(), source };
        fs::rename(&self.path, to).map_err(failed)?;
        let absolute = std::path::absolute(to).map_err(failed)?;
        absolute
            .parent()
            .map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
            .map_err(failed)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // It may have its final name.
        let _ = fs::remove_dir_all(&self.path);
    }
}
