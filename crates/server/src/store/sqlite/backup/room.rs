//! Whether a copy fits where it is to be.

use std::path::Path;

use super::file::BackupError;

/// Asks the disk of a folder for so much. One that does not say what it has is tried all the same.
pub(super) fn expect(to: &Path, needed_bytes: u64) -> Result<(), BackupError> {
    let folder = to.parent().unwrap_or(Path::new("."));
    let Ok(disk) = rustix::fs::statvfs(folder) else { return Ok(()) };
    // What is kept for root is not there for whoever makes backups, and root may not rely on it.
    let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free_bytes >= needed_bytes {
        return Ok(());
    }
    Err(BackupError::NoRoom { path: to.into(), needed_bytes, free_bytes })
}
