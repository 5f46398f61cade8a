//! A connect hook behind a URL: every question becomes one signed HTTP request.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use tetherline_protocol::{DeviceId, UserId};

use super::endpoint::{Endpoint, InvalidWebhook, text_of};
use crate::{
    CONNECT_HOOK_TIMEOUT_MAX, ConnectHook, ConnectRefusal, ConnectRequest, Grant, May,
    security::hook::CONNECT_HOOK_RETRY,
    store::fresh_id,
    trouble::{SharedTrouble, Word},
};

/// The longest sentence that a refusal may have, in bytes.
pub const CONNECT_HOOK_REFUSAL_BYTES_MAX: usize = 1024;
/// The longest name of a sign-in that it may give, in bytes.
pub const CONNECT_HOOK_SESSION_BYTES_MAX: usize = 255;
/// The longest that a client is told to wait.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// Asks a URL who connects. Only what has the form of an answer is one: anything else may come from what lies in
/// between, and then nobody can say who it is.
#[derive(Debug)]
pub struct ConnectWebhook {
    endpoint: Endpoint,
    trouble: SharedTrouble,
}

/// Where a connect hook is, and how it is asked.
#[derive(Debug, Clone, Copy)]
pub struct ConnectWebhookOptions<'a> {
    /// Its address.
    pub url: &'a str,
    /// What its requests are signed with, as [`crate::WebhookOptions::secret`].
    pub secret: &'a str,
    /// The proxy on the way to it. The environment names none.
    pub proxy: Option<&'a str>,
    /// The certificates in PEM form of whoever may vouch for it, instead of those that the machine trusts.
    pub ca_certificates: Option<&'a [u8]>,
}

impl<'a> ConnectWebhookOptions<'a> {
    /// No proxy, and whom the machine trusts.
    #[must_use]
    pub fn new(url: &'a str, secret: &'a str) -> Self {
        Self { url, secret, proxy: None, ca_certificates: None }
    }
}

impl ConnectWebhook {
    /// A connect hook at this address. With http, and not on this very machine, a line of the log warns of it.
    pub fn open(options: ConnectWebhookOptions<'_>) -> Result<Self, InvalidWebhook> {
        let (to, trusted) = ((options.url, options.secret), options.ca_certificates);
        let endpoint = Endpoint::open(to, options.proxy, trusted, CONNECT_HOOK_TIMEOUT_MAX)?;
        if let Some(host) = endpoint.overheard_host() {
            tracing::warn!(
                host,
                "the connect hook is asked over plain http: whoever is on the way to it reads people's cookies and \
                 tokens; use https, unless all of that network is your own"
            );
        }
        Ok(Self { endpoint, trouble: SharedTrouble::default() })
    }

    async fn ask(&self, request: ConnectRequest) -> Result<Answer, String> {
        let key = format!("connect/{}", fresh_id());
        let answer = self.endpoint.post(&key, &body(&request)).await?;
        let status = answer.status();
        // 407 is always a proxy's, whatever its body looks like.
        let is_said = status.is_success()
            || (status.is_client_error() && status != StatusCode::PROXY_AUTHENTICATION_REQUIRED);
        if !is_said {
            return Err(format!("it answered {status}"));
        }
        let text = text_of(answer).await?.ok_or("its answer is too long")?;
        let said = Said::parse(&text).map_err(|why| format!("it answered {status}, and {why}"))?;
        match said.into_answer()? {
            Answer::Granted(_) if !status.is_success() => {
                Err(format!("it answered {status} with a user"))
            }
            answer => Ok(answer),
        }
    }
}

impl ConnectHook for ConnectWebhook {
    fn admit(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Grant, ConnectRefusal>> {
        Box::pin(async move {
            match self.ask(request).await {
                Ok(answer) => {
                    if let Some(Word::Works { times }) = self.trouble.worked_now() {
                        let what = "the connect hook says again who connects";
                        tracing::info!(unanswered_again = times, "{what}");
                    }
                    match answer {
                        Answer::Granted(grant) => Ok(grant),
                        Answer::Refused(refusal) => Err(refusal),
                    }
                }
                Err(reason) => {
                    if let Some(Word::Fails { times }) = self.trouble.failed_now() {
                        tracing::warn!(reason, times, "the connect hook did not say who connects");
                    }
                    let message = "Who you are cannot be found out right now; try again.";
                    Err(ConnectRefusal::unavailable(message, CONNECT_HOOK_RETRY))
                }
            }
        })
    }
}

fn body(request: &ConnectRequest) -> Bytes {
    #[derive(Serialize)]
    struct Body<'a> {
        r#type: &'static str,
        user: Option<&'a UserId>,
        token_user: Option<&'a UserId>,
        device: Option<&'a DeviceId>,
        origin: Option<&'a str>,
        token: Option<&'a str>,
        cookies: Option<&'a str>,
        address: Option<String>,
        renewal: bool,
    }
    let body = Body {
        r#type: "connect",
        user: request.user.as_ref(),
        token_user: request.token_user.as_ref(),
        device: request.device.as_ref(),
        origin: request.origin.as_deref(),
        token: request.token.as_deref(),
        cookies: request.cookies.as_deref(),
        address: request.address.map(|address| address.to_string()),
        renewal: request.renewal,
    };
    serde_json::to_vec(&body).expect("texts are JSON").into()
}

enum Answer {
    Granted(Grant),
    Refused(ConnectRefusal),
}

/// What it says, before anybody has looked whether that makes sense.
#[derive(Deserialize)]
struct Said {
    user: Option<UserId>,
    session: Option<Box<str>>,
    expires_in_ms: Option<u64>,
    may: Option<SaidMay>,
    refuse: Option<String>,
    code: Option<SaidCode>,
    retry_after_ms: Option<u64>,
}

/// A word that is not known would be a permission that somebody meant to withhold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidMay {
    send: Option<bool>,
    stop: Option<bool>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum SaidCode {
    Unauthorized,
    Forbidden,
    RateLimited,
    Unavailable,
}

impl Said {
    fn parse(text: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(text).map_err(|error| {
            // Serde's own words quote what was said, which is a secret for all that we know.
            format!("its body is no answer (line {}, column {})", error.line(), error.column())
        })
    }

    fn into_answer(self) -> Result<Answer, &'static str> {
        match self.refuse {
            Some(_) if self.user.is_some() => Err("it names a user and refuses"),
            Some(sentence) if sentence.len() > CONNECT_HOOK_REFUSAL_BYTES_MAX => {
                Err("its sentence is too long")
            }
            Some(sentence) => {
                Ok(Answer::Refused(refusal(sentence, self.code, self.retry_after_ms)))
            }
            None => self.into_grant().map(Answer::Granted),
        }
    }

    fn into_grant(self) -> Result<Grant, &'static str> {
        let user = self.user.ok_or("it names no user and refuses nobody")?;
        if self.session.as_ref().is_some_and(|it| it.len() > CONNECT_HOOK_SESSION_BYTES_MAX) {
            return Err("its session is too long");
        }
        if self.expires_in_ms == Some(0) {
            return Err("what it says has expired");
        }
        let may = self.may.map_or(May::EVERYTHING, |said| {
            let send = said.send.unwrap_or(true);
            May { send, stop: said.stop.unwrap_or(send) }
        });
        let expires_in = self.expires_in_ms.map(Duration::from_millis);
        Ok(Grant { session: self.session, expires_in, may, ..Grant::new(user) })
    }
}

fn refusal(
    sentence: String,
    code: Option<SaidCode>,
    retry_after_ms: Option<u64>,
) -> ConnectRefusal {
    let sentence = if sentence.trim().is_empty() {
        "The application lets nobody in with these credentials.".to_owned()
    } else {
        sentence
    };
    let said = retry_after_ms.map(|wait| Duration::from_millis(wait).min(RETRY_AFTER_MAX));
    let wait = said.unwrap_or(CONNECT_HOOK_RETRY);
    match code {
        Some(SaidCode::Forbidden) => ConnectRefusal::forbidden(sentence),
        Some(SaidCode::RateLimited) => ConnectRefusal::rate_limited(sentence, wait),
        Some(SaidCode::Unavailable) => ConnectRefusal::unavailable(sentence, wait),
        None if said.is_some() => ConnectRefusal::unavailable(sentence, wait),
        Some(SaidCode::Unauthorized) | None => ConnectRefusal::unauthorized(sentence),
    }
}
