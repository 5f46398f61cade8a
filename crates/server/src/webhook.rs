//! An application behind a URL: every send becomes one signed HTTP request.
//!
//! The request carries the headers of [Standard Webhooks](https://www.standardwebhooks.com), so
//! that its libraries can verify it, and an `Idempotency-Key`, since a request whose answer was
//! lost is made again.

use std::{fmt, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Client, StatusCode, Url, redirect};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::Sha256;
use tetherline_protocol::{DeviceId, ErrorCode, MessageId, StopTarget, UserId, message_type};

use crate::{Application, Incoming, Refusal, Stop, clock};

/// How long one request may take.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a request is made whose outcome is unknown, before the client is asked to come again.
pub const WEBHOOK_ATTEMPTS_MAX: u32 = 3;
/// How much of an answer is read, in bytes.
pub const WEBHOOK_ANSWER_BYTES_MAX: usize = 16 * 1024;
/// The wait before the second request; it doubles.
const RETRY_WAIT: Duration = Duration::from_millis(200);
/// When the client comes again after that.
const CLIENT_RETRY_AFTER: Duration = Duration::from_secs(2);

/// Hands sends to a URL. A 2xx settles them as accepted, a 4xx as refused for good; anything else
/// leaves the outcome unknown, and the request is made again.
pub struct Webhook {
    url: Url,
    secret: Box<[u8]>,
    http: Client,
}

/// Why there is no webhook.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWebhook {
    /// Not an address that can be asked.
    #[error("{0} is not an http:// or https:// address")]
    Address(Box<str>),
    /// The HTTP client cannot be set up on this machine.
    #[error("no HTTP client can be made: {0}")]
    Client(reqwest::Error),
}

impl Webhook {
    /// A webhook at `url` whose requests are signed with `secret`, the very bytes.
    pub fn new(url: &str, secret: &str) -> Result<Self, InvalidWebhook> {
        let url = Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| InvalidWebhook::Address(url.into()))?;
        let http = Client::builder()
            .timeout(WEBHOOK_TIMEOUT)
            // A redirected request would carry a person's message somewhere that nobody named.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(InvalidWebhook::Client)?;
        Ok(Self { url, secret: secret.as_bytes().into(), http })
    }

    async fn deliver(&self, key: &str, body: &str) -> Result<(), Refusal> {
        let mut wait = RETRY_WAIT;
        for attempt in 1..=WEBHOOK_ATTEMPTS_MAX {
            match self.ask(key, body).await {
                Answer::Final(outcome) => return outcome,
                Answer::Unknown(reason) => {
                    tracing::warn!(attempt, reason, "the webhook gave no outcome");
                }
            }
            if attempt < WEBHOOK_ATTEMPTS_MAX {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
        }
        let refusal = Refusal::new(
            ErrorCode::Unavailable,
            "The application does not answer at the moment. Your message is kept and sent again.",
        );
        Err(refusal.retry_after(CLIENT_RETRY_AFTER))
    }

    async fn ask(&self, key: &str, body: &str) -> Answer {
        // Anew for every request: receivers refuse timestamps that are old.
        let timestamp = (clock::now_ms() / 1_000).to_string();
        let request = self
            .http
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .header("webhook-id", key)
            .header("webhook-timestamp", &timestamp)
            .header("webhook-signature", self.sign(key, &timestamp, body))
            .body(body.to_owned());
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => return Answer::Unknown("it took too long"),
            Err(error) if error.is_connect() => return Answer::Unknown("it cannot be reached"),
            Err(_) => return Answer::Unknown("the connection broke"),
        };
        match answer.status() {
            status if status.is_success() => Answer::Final(Ok(())),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Answer::Unknown("it asked for patience")
            }
            status if status.is_client_error() => Answer::Final(Err(refusal(answer).await)),
            _ => Answer::Unknown("it failed"),
        }
    }

    fn sign(&self, id: &str, timestamp: &str, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret)
            .expect("HMAC takes a key of any length (RFC 2104)");
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl Application for Webhook {
    fn receive(&self, incoming: Incoming) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let Incoming { user, device, id, message } = incoming;
            let message = message.to_frame(&id, None, &now());
            self.deliver(&key(&user, &id), &body(&user, device.as_ref(), &message)).await
        })
    }

    fn stop(&self, stop: Stop) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let Stop { user, device, id, target } = stop;
            let (field, name) = match target {
                StopTarget::Message(uuid) => ("message_uuid", uuid),
                StopTarget::Send(send) => ("ref", send),
            };
            let (kind, now) = (message_type::MESSAGE_STOP, now());
            let message =
                format!(r#"{{"type":"{kind}","id":"{id}","timestamp":{now},"{field}":"{name}"}}"#);
            self.deliver(&key(&user, &id), &body(&user, device.as_ref(), &message)).await
        })
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the secret nor a query that may hold one.
        formatter
            .debug_struct("Webhook")
            .field("host", &self.url.host_str())
            .finish_non_exhaustive()
    }
}

enum Answer {
    Final(Result<(), Refusal>),
    /// The application may or may not have taken it.
    Unknown(&'static str),
}

/// What the application knows a repeat by: a header value, whatever the user is called.
fn key(user: &UserId, id: &MessageId) -> String {
    format!("{}/{id}", user.in_url())
}

/// The message goes through byte for byte.
fn body(user: &UserId, device: Option<&DeviceId>, message: &str) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        user: &'a UserId,
        device: Option<&'a DeviceId>,
        message: &'a RawValue,
    }
    let message = serde_json::from_str(message).expect("a frame is JSON");
    serde_json::to_string(&Body { user, device, message }).expect("names and JSON are JSON")
}

/// As JSON.
fn now() -> String {
    format!("\"{}\"", clock::rfc3339(clock::now_ms()))
}

/// What a refusing application says in its body, if it says something that can be passed on.
async fn refusal(mut answer: reqwest::Response) -> Refusal {
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        text.extend_from_slice(&chunk);
        if text.len() > WEBHOOK_ANSWER_BYTES_MAX {
            text.clear();
            break;
        }
    }
    Refusal::from_answer(&text)
}
