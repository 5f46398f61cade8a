use std::path::Path;

use anyhow::Result;

use crate::files;

/// An address of the application's that is asked with signed requests, and what was in the files that it needs.
#[derive(PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) url: String,
    pub(super) secret: String,
    pub(super) proxy: Option<String>,
    /// Certificates in PEM form.
    pub(super) trusted: Option<Vec<u8>>,
}

impl Asked {
    /// Of the files each comes with the option that names it.
    pub(super) fn read(
        url: &str,
        proxy: Option<&str>,
        (secret, secret_option): (Option<&Path>, &str),
        (trusted, trusted_option): (Option<&Path>, &str),
        data: &Path,
    ) -> Result<Self> {
        let secret = match secret {
            Some(path) => files::webhook_secret(path, secret_option)?,
            None => files::webhook_secret_made_if_missing(&data.join("webhook.secret"))?,
        };
        let trusted = trusted.map(|path| files::certificates(path, trusted_option)).transpose()?;
        Ok(Self {
            url: url.to_owned(),
            secret,
            proxy: proxy.map(str::to_owned),
            trusted: trusted.map(|(pem, _)| pem),
        })
    }
}
