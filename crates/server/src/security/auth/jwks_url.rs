//! Keys at a URL: who fetches them when [`Refresh`] says so.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, Weak},
    time::{Duration, Instant},
};

use http::header;
use reqwest::{Certificate, Client, Response, StatusCode, Url};
use tokio::{
    sync::{Notify, watch},
    time::{sleep_until, timeout},
};

use super::{
    InvalidToken,
    jwks::{InvalidJwks, JWKS_BYTES_MAX},
    key::VerifyingKey,
    refresh::{Fetched, JwksTimes, Miss, Next, Refresh, Unfetched, fresh_for},
};
use crate::{
    alarm::Alarm,
    application::outbound::{NoHttpClient, http_client, is_overheard},
    chain,
    lock::lock,
    trouble::{SharedTrouble, Word},
};

/// The keys that an identity provider publishes at a URL (RFC 7517), fetched again and again while a server
/// runs whose [`TokenRules`](super::TokenRules) have them.
///
/// A key that is not in the document any more does not count any more. When there is no document, or none that
/// can be read, those from before go on to count for [`JWKS_KEPT_MAX`](super::JWKS_KEPT_MAX).
#[derive(Clone)]
pub struct Jwks(Arc<Inner>);

struct Inner {
    url: Url,
    http: Client,
    timeout: Duration,
    refresh: Mutex<Refresh>,
    /// There is something to be done before its time, or nobody left to do it for.
    wake: Arc<Notify>,
    /// Whether the first attempt is over.
    tried: watch::Sender<bool>,
    is_kept: OnceLock<()>,
    trouble: SharedTrouble,
}

/// Where keys are published, and how they are fetched.
#[derive(Debug, Clone, Copy)]
pub struct JwksOptions<'a> {
    /// Their address: https, or http on this very machine.
    pub url: &'a str,
    /// The proxy on the way to it, such as `http://127.0.0.1:3128`. The environment names none.
    pub proxy: Option<&'a str>,
    /// The certificates in PEM form of whoever may vouch for it, instead of those that the machine trusts.
    pub ca_certificates: Option<&'a [u8]>,
    /// When.
    pub times: JwksTimes,
}

impl<'a> JwksOptions<'a> {
    /// No proxy, and the times as they are documented.
    #[must_use]
    pub fn new(url: &'a str) -> Self {
        Self { url, proxy: None, ca_certificates: None, times: JwksTimes::default() }
    }
}

/// Why no keys can be fetched from somewhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidJwksUrl {
    /// It cannot be asked.
    #[error(transparent)]
    Http(#[from] NoHttpClient),
    /// What is fetched there can be replaced on the way.
    #[error(
        "keys that come over http:// may be anybody's; use https://, or http:// on this very machine \
         (127.0.0.1, [::1] or localhost)"
    )]
    Plain,
    /// [`JwksOptions::times`] has a least time that is longer than the longest, or one of more than a year.
    #[error(
        "the times contradict each other: neither the least age nor the first wait is longer than the \
         longest, and nothing is longer than a year"
    )]
    Times,
    /// What [`JwksOptions::ca_certificates`] has is none, or a broken one.
    #[error("those to trust are no certificates in PEM form")]
    Certificates,
}

impl Jwks {
    /// The keys at a URL, which are not fetched before a server has them in its rules.
    pub fn open(options: JwksOptions<'_>) -> Result<Self, InvalidJwksUrl> {
        let trusted = options
            .ca_certificates
            .map(|pem| Certificate::from_pem_bundle(pem).ok().filter(|found| !found.is_empty()))
            .map(|found| found.ok_or(InvalidJwksUrl::Certificates))
            .transpose()?;
        if !options.times.fit() {
            return Err(InvalidJwksUrl::Times);
        }
        let timeout = options.times.timeout;
        let (http, url) = http_client(options.url, options.proxy, |builder| match trusted {
            Some(trusted) => builder.tls_certs_only(trusted),
            None => builder,
        })?;
        if is_overheard(&url) {
            return Err(InvalidJwksUrl::Plain);
        }
        Ok(Self(Arc::new(Inner {
            url,
            http,
            timeout,
            refresh: Mutex::new(Refresh::new(options.times, Instant::now())),
            wake: Arc::default(),
            tried: watch::Sender::new(false),
            is_kept: OnceLock::new(),
            trouble: SharedTrouble::default(),
        })))
    }

    pub(super) fn keys(&self) -> Option<Arc<[VerifyingKey]>> {
        lock(&self.0.refresh).keys(Instant::now()).cloned()
    }

    /// What to say of a token whose key is not among them.
    pub(super) fn missed(&self) -> InvalidToken {
        let miss = lock(&self.0.refresh).missed(Instant::now());
        match miss {
            Miss::Forged => InvalidToken::Malformed,
            Miss::Wait(wait) => InvalidToken::KeysAway { wait },
            Miss::Fetch(wait) => {
                self.0.wake.notify_one();
                InvalidToken::KeysAway { wait }
            }
        }
    }

    /// Fetches them from now on, for as long as anybody has them.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(super) fn keep(&self, alarm: &Alarm) {
        self.0.is_kept.get_or_init(|| {
            let watched = alarm.watch("the task that fetches keys");
            let keeping = keep(Arc::downgrade(&self.0), self.0.wake.clone());
            tokio::spawn(async move {
                keeping.await;
                drop(watched);
            });
        });
    }

    /// Resolves when the first attempt is over.
    pub(super) async fn tried(&self) {
        // It cannot fail: what says so is held here.
        let _ = self.0.tried.subscribe().wait_for(|is_over| *is_over).await;
    }
}

impl fmt::Debug for Jwks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An address may hold a secret.
        formatter.debug_struct("Jwks").field("host", &self.0.url.host_str()).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

async fn keep(jwks: Weak<Inner>, wake: Arc<Notify>) {
    while let Some(jwks) = jwks.upgrade() {
        let next = lock(&jwks.refresh).next(Instant::now());
        match next {
            Next::Fetch => jwks.fetch().await,
            Next::Wait(until) => {
                drop(jwks);
                tokio::select! {
                    () = sleep_until(until.into()) => {}
                    () = wake.notified() => {}
                }
            }
        }
    }
}

impl Inner {
    async fn fetch(&self) {
        let answer = timeout(self.timeout, self.ask()).await.unwrap_or_else(|_| {
            Err(Unfetched::Unreachable(format!("it took longer than {:?}", self.timeout)))
        });
        // A start without random numbers has failed long before.
        let random = f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX);
        let fetched = lock(&self.refresh).fetched(answer, Instant::now(), random);
        self.say(&fetched);
        self.tried.send_replace(true);
    }

    async fn ask(&self) -> Result<Fetched, Unfetched> {
        // The address may hold a secret.
        let broken = |error: reqwest::Error| Unfetched::Unreachable(chain(&error.without_url()));
        let request = self.http.get(self.url.clone()).header(header::ACCEPT, "application/json");
        let mut answer = request.send().await.map_err(broken)?;
        if answer.status() != StatusCode::OK {
            return Err(Unfetched::Status(answer.status().as_u16()));
        }
        let fresh_for = fresh_for(answer.headers());
        let document = document(&mut answer).await.map_err(broken)?.ok_or(InvalidJwks::TooLong)?;
        Ok(Fetched { document, fresh_for })
    }

    /// Says when keys cannot be fetched, now and then meanwhile, and when they can be again.
    fn say(&self, fetched: &Result<usize, Unfetched>) {
        let host = self.url.host_str();
        match fetched {
            Ok(keys) => {
                if let Some(Word::Works { times }) = self.trouble.worked_now() {
                    let what = "the keys that tokens are checked with can be fetched again";
                    tracing::info!(host, keys, failed_again = times, "{what}");
                } else {
                    tracing::debug!(host, keys, "the keys that tokens are checked with are here");
                }
            }
            Err(error) => {
                if let Some(Word::Fails { times }) = self.trouble.failed_now() {
                    let what = "the keys that tokens are checked with could not be fetched";
                    tracing::warn!(host, reason = %error, times, "{what}");
                }
            }
        }
    }
}

/// The whole of it, unless it is too long.
async fn document(answer: &mut Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut document = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if document.len() + piece.len() > JWKS_BYTES_MAX {
            return Ok(None);
        }
        document.extend_from_slice(&piece);
    }
    Ok(Some(document))
}
