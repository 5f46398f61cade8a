//! An address of the application's that is asked with signed requests.
//!
//! They carry the headers of [Standard Webhooks](https://www.standardwebhooks.com), so that its libraries can
//! verify them, and an `Idempotency-Key`, since a request whose answer was lost may be made again.

mod signature;

use std::{fmt, time::Duration};

use bytes::Bytes;
use reqwest::{Certificate, Client, Response, Url};

pub(crate) use self::signature::PREFIX as SECRET_PREFIX;
use self::signature::SigningSecret;
use super::outbound::{NoHttpClient, http_client, is_overheard};
use crate::{chain, clock};

/// How much of an answer is read, in bytes.
pub const WEBHOOK_ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Why there is no webhook.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWebhook {
    /// It cannot be asked.
    #[error(transparent)]
    Http(#[from] NoHttpClient),
    /// The secret says that it is one of Standard Webhooks, and is not.
    #[error(
        "the secret begins with whsec_, and what follows is not at least 16 bytes in base64; delete \
         its file to have one made"
    )]
    Secret,
    /// Those to trust are none, or a broken one is among them.
    #[error("those to trust are no certificates in PEM form")]
    Certificates,
}

/// Where requests go, and what they are signed with.
pub(crate) struct Endpoint {
    url: Url,
    secret: SigningSecret,
    http: Client,
}

impl Endpoint {
    /// `ca_certificates` are in PEM form, and count instead of those that the machine trusts.
    pub(crate) fn open(
        (url, secret): (&str, &str),
        proxy: Option<&str>,
        ca_certificates: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<Self, InvalidWebhook> {
        let secret = SigningSecret::parse(secret).map_err(|_| InvalidWebhook::Secret)?;
        let trusted = ca_certificates.map(certificates).transpose()?;
        let (http, url) = http_client(url, proxy, |builder| {
            let builder = builder.timeout(timeout);
            match trusted {
                Some(trusted) => builder.tls_certs_only(trusted),
                None => builder,
            }
        })?;
        Ok(Self { url, secret, http })
    }

    /// The host, if whatever lies between here and there can read what is asked.
    pub(crate) fn overheard_host(&self) -> Option<&str> {
        self.url.host_str().filter(|_| is_overheard(&self.url))
    }

    /// Answers with the head of what came back, or the reason why nothing did. `key` is what a repeat is known
    /// by.
    pub(crate) async fn post(&self, key: &str, body: &Bytes) -> Result<Response, String> {
        // Anew for every request: receivers refuse timestamps that are old.
        let timestamp = (clock::now_ms() / 1_000).to_string();
        let request = self
            .http
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .header("webhook-id", key)
            .header("webhook-timestamp", &timestamp)
            .header("webhook-signature", self.secret.sign(key, &timestamp, body))
            .body(body.clone());
        request.send().await.map_err(broken)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the secret nor a query that may hold one.
        formatter
            .debug_struct("Endpoint")
            .field("host", &self.url.host_str())
            .finish_non_exhaustive()
    }
}

/// What an answer says; nothing if that is more than is read.
pub(crate) async fn text_of(mut answer: Response) -> Result<Option<Vec<u8>>, String> {
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        text.extend_from_slice(&chunk);
        if text.len() > WEBHOOK_ANSWER_BYTES_MAX {
            return Ok(None);
        }
    }
    Ok(Some(text))
}

/// The address may hold a secret.
fn broken(error: reqwest::Error) -> String {
    chain(&error.without_url())
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, InvalidWebhook> {
    let found = Certificate::from_pem_bundle(pem).ok().filter(|found| !found.is_empty());
    found.ok_or(InvalidWebhook::Certificates)
}
