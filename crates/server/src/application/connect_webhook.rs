//! A connect hook behind a URL: every question becomes one signed HTTP request.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::StatusCode;
use serde::Serialize;
use tetherline_protocol::{DeviceId, UserId};

use super::{
    connect_answer::Answer,
    endpoint::{Endpoint, InvalidWebhook, text_of},
};
use crate::{
    CONNECT_HOOK_TIMEOUT_MAX, ConnectHook, ConnectRefusal, ConnectRequest, Grant,
    security::hook::CONNECT_HOOK_RETRY,
    store::fresh_id,
    trouble::{SharedTrouble, Word},
};

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
        let said =
            Answer::parse(&text).map_err(|why| format!("it answered {status}, and {why}"))?;
        match said {
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
