//! The file of a Unix socket, from its beginning to its end.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    time::SystemTime,
};

use tokio::net::UnixListener;

/// Removed when this is dropped, unless another server has put its own in its place.
pub(super) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// Numbers of files come again; where the file system knows when one was made, it is told apart all the same.
#[derive(PartialEq, Eq)]
struct Identity {
    device: u64,
    number: u64,
    made: Option<SystemTime>,
}

/// Listens, for whoever may open a file of this mode. What a server leaves behind that was not stopped in order is
/// taken: nobody listens there.
pub(super) fn bind(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_behind(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }?;
    let file = SocketFile { path: path.to_owned(), identity: Identity::of(path)? };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok((listener, file))
}

fn is_left_behind(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        let file = fs::symlink_metadata(path)?;
        Ok(Self { device: file.dev(), number: file.ino(), made: file.created().ok() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if Identity::of(&self.path).is_ok_and(|now| now == self.identity) {
            // Left behind, it is taken by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}
