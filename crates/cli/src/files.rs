//! Secrets in files. They never stand on a command line, where every other user can read them.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use reqwest::Certificate;
use tetherline_process::note;
use tetherline_server::{
    ApiKey, JwtKeys, SecretFileError, VerifyingKey, secret_file, webhook_secret_file,
};

const JWT_SECRET_FILE: &str = "--jwt-secret-file";

/// The signing secret in a file that the operator named, so that it has to be there.
pub(crate) fn jwt_keys(path: &Path) -> Result<JwtKeys> {
    let secret = existing(path, JWT_SECRET_FILE)?;
    JwtKeys::from_secret(secret.as_bytes()).with_context(|| format!("{}", path.display()))
}

/// The same for a server, which signs nothing.
pub(crate) fn jwt_secret(path: &Path) -> Result<VerifyingKey> {
    let secret = existing(path, JWT_SECRET_FILE)?;
    VerifyingKey::from_secret(secret.as_bytes()).with_context(|| format!("{}", path.display()))
}

/// The same where no operator named a key.
pub(crate) fn own_jwt_secret(path: &Path) -> Result<VerifyingKey> {
    let secret = made_if_missing(path, "secret for signing tokens")?;
    VerifyingKey::from_secret(secret.as_bytes()).with_context(|| format!("{}", path.display()))
}

/// The public keys in a PEM file.
pub(crate) fn public_keys(path: &Path) -> Result<Vec<VerifyingKey>> {
    VerifyingKey::from_pem(&read(path, "--jwt-public-key-file")?)
        .with_context(|| format!("--jwt-public-key-file {}", path.display()))
}

/// The keys in a JWK set.
pub(crate) fn jwks(path: &Path) -> Result<Vec<VerifyingKey>> {
    VerifyingKey::from_jwks(&read(path, "--jwt-jwks-file")?)
        .with_context(|| format!("--jwt-jwks-file {}", path.display()))
}

/// The same for the publisher's key.
pub(crate) fn api_key(path: &Path) -> Result<String> {
    existing(path, "--api-key-file")
}

/// The same for what requests to the application are signed with.
pub(crate) fn webhook_secret(path: &Path, option: &str) -> Result<String> {
    existing(path, option)
}

/// The certificates to trust, as they are in their file and as they are in use.
pub(crate) fn certificates(path: &Path, option: &str) -> Result<(Vec<u8>, Vec<Certificate>)> {
    let pem = read(path, option)?;
    let found = Certificate::from_pem_bundle(&pem).ok().filter(|found| !found.is_empty());
    let found = found.with_context(|| {
        format!("{option} {} holds no certificates in PEM form", path.display())
    })?;
    Ok((pem, found))
}

fn read(path: &Path, option: &str) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {option} {}", path.display()))
}

/// Checks that a key is long enough for a server.
pub(crate) fn server_api_key(key: &str, path: &Path) -> Result<ApiKey> {
    ApiKey::new(key).with_context(|| format!("{}", path.display()))
}

/// A secret in the data folder: made on the first start, and said so.
pub(crate) fn made_if_missing(path: &Path, what: &str) -> Result<String> {
    made_with(secret_file, path, what)
}

/// The same in the form of Standard Webhooks.
pub(crate) fn webhook_secret_made_if_missing(path: &Path) -> Result<String> {
    made_with(webhook_secret_file, path, "secret for signing requests to the webhook")
}

fn made_with(
    read_or_make: fn(&Path) -> Result<String, SecretFileError>,
    path: &Path,
    what: &str,
) -> Result<String> {
    let is_new = !path.exists();
    let secret = read_or_make(path)?;
    if is_new {
        note!("made a new {what}: {}", path.display());
    }
    Ok(secret)
}

fn existing(path: &Path, option: &str) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| {
        format!("cannot read {}; {option} names the file with the secret", path.display())
    })?;
    let secret = text.trim();
    if secret.is_empty() {
        bail!("{} is empty; put the secret into it", path.display());
    }
    Ok(secret.to_owned())
}
