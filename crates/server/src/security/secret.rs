use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

const SECRET_BYTES: usize = 32;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretFileError {
    /// The file cannot be read or written.
    #[error("cannot use the secret file {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is there, and empty.
    #[error(
        "the secret file {} is empty: put a secret into it, or delete it to have one made",
        .0.display()
    )]
    Empty(PathBuf),
    /// The operating system gave no random numbers.
    #[error("the operating system gave no random numbers: {0}")]
    Random(getrandom::Error),
}

/// Reads the secret in this file. If there is no such file, it is created with 32 random bytes as
/// base64url text, readable by its owner only.
pub fn secret_file(path: &Path) -> Result<String, SecretFileError> {
    read_or_create(path, |secret| BASE64_URL_SAFE_NO_PAD.encode(secret))
}

/// The same for what requests to a webhook are signed with. A new one is written as Standard Webhooks has
/// it, so that its libraries take the file's text as it is: `whsec_` and the key in base64.
#[cfg(feature = "webhook")]
pub fn webhook_secret_file(path: &Path) -> Result<String, SecretFileError> {
    use base64::prelude::BASE64_STANDARD;
    let written = |secret| {
        format!("{}{}", crate::application::endpoint::SECRET_PREFIX, BASE64_STANDARD.encode(secret))
    };
    read_or_create(path, written)
}

fn read_or_create(
    path: &Path,
    written: fn([u8; SECRET_BYTES]) -> String,
) -> Result<String, SecretFileError> {
    let failed = |source| SecretFileError::File { path: path.into(), source };
    match fs::read_to_string(path) {
        Ok(text) => {
            secret_in(&text).map(Into::into).ok_or_else(|| SecretFileError::Empty(path.into()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, written),
        Err(error) => Err(failed(error)),
    }
}

/// The secret in a file's text: editors leave a newline behind it.
pub(crate) fn secret_in(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|secret| !secret.is_empty())
}

fn create(
    path: &Path,
    written: fn([u8; SECRET_BYTES]) -> String,
) -> Result<String, SecretFileError> {
    let failed = |source| SecretFileError::File { path: path.into(), source };
    let mut secret = [0_u8; SECRET_BYTES];
    getrandom::fill(&mut secret).map_err(SecretFileError::Random)?;
    let text = written(secret);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    // Under another name until it is whole: a disk that was full, or a kill, left an empty secret, which no start takes.
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = Path::new(&partial);
    let made = write(partial, &text).and_then(|()| name(partial, path));
    // It may have its own name by now, and is nobody's otherwise.
    let _ = fs::remove_file(partial);
    made.map(|()| text).map_err(failed)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A link takes no other secret's place, which somebody else may have made meanwhile. Where there are none, a new name has
/// to do.
fn name(partial: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(partial, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => fs::rename(partial, path),
        linked => linked,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/jwt.secret");
        let made = secret_file(&path).unwrap();
        assert_eq!(made.len(), 43);
        assert_eq!(secret_file(&path).unwrap(), made);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, " \n").unwrap();
        assert!(matches!(secret_file(&path), Err(SecretFileError::Empty(_))));
    }
}
