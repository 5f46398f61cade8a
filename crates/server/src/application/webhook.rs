//! An application behind a URL: every send becomes one signed HTTP request.

mod budget;
mod connections;

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::{Response, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;
use tetherline_protocol::{
    DeviceId, ErrorCode, MessageId, StopTarget, UserId,
    frame::{InvalidAnswer, SendAnswer},
    message_type,
};

use self::budget::Budget;
pub use self::budget::{WEBHOOK_BYTES_MAX, WEBHOOK_REQUESTS_MAX, WEBHOOK_TURN_TIMEOUT};
use super::endpoint::{Endpoint, InvalidWebhook, text_of};
use crate::{
    Application, ConnectionEvents, Incoming, Refusal, Stop, clock,
    trouble::{SharedTrouble, Word},
};

/// How long one request may take.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a request is made whose outcome is unknown, before the client is asked to come again.
pub const WEBHOOK_ATTEMPTS_MAX: u32 = 3;
/// The wait before the second request; it doubles.
const RETRY_WAIT: Duration = Duration::from_millis(200);
/// When the client comes again after that.
const CLIENT_RETRY_AFTER: Duration = Duration::from_secs(2);

/// Hands sends to a URL. A 2xx settles them as accepted, and what it says as JSON is the answer; a 4xx with
/// `{"error": {"code"}}` in its body settles them as refused for good. Anything else may come from what lies
/// in between, and leaves the outcome unknown: the request is made again.
#[derive(Debug)]
pub struct Webhook {
    endpoint: Endpoint,
    budget: Budget,
    trouble: SharedTrouble,
    answers: SharedTrouble,
    connection_events: bool,
}

/// Where a webhook is, and how it is asked.
#[derive(Debug, Clone, Copy)]
pub struct WebhookOptions<'a> {
    /// Its address.
    pub url: &'a str,
    /// What its requests are signed with: `whsec_` and a key in base64, as [`crate::webhook_secret_file`]
    /// has it, or the key itself.
    pub secret: &'a str,
    /// The proxy on the way to it, such as `http://127.0.0.1:3128`. The environment names none.
    pub proxy: Option<&'a str>,
    /// The certificates in PEM form of whoever may vouch for it, instead of those that the machine trusts.
    pub ca_certificates: Option<&'a [u8]>,
    /// Requests at a time.
    pub requests_max: usize,
    /// Sends that wait or are under way, in bytes.
    pub bytes_max: usize,
    /// Whether it is told who connects and disconnects, too.
    pub connection_events: bool,
}

impl<'a> WebhookOptions<'a> {
    /// No proxy, and the limits as they are documented.
    #[must_use]
    pub fn new(url: &'a str, secret: &'a str) -> Self {
        let (requests_max, bytes_max) = (WEBHOOK_REQUESTS_MAX, WEBHOOK_BYTES_MAX);
        Self {
            url,
            secret,
            proxy: None,
            ca_certificates: None,
            requests_max,
            bytes_max,
            connection_events: false,
        }
    }
}

impl Webhook {
    /// A webhook at `url` whose requests are signed with `secret`.
    pub fn new(url: &str, secret: &str) -> Result<Self, InvalidWebhook> {
        Self::open(WebhookOptions::new(url, secret))
    }

    /// The same with everything that can be chosen.
    pub fn open(options: WebhookOptions<'_>) -> Result<Self, InvalidWebhook> {
        let (to, trusted) = ((options.url, options.secret), options.ca_certificates);
        let endpoint = Endpoint::open(to, options.proxy, trusted, WEBHOOK_TIMEOUT)?;
        let budget = Budget::new(options.requests_max, options.bytes_max);
        let (trouble, answers) = (SharedTrouble::default(), SharedTrouble::default());
        let connection_events = options.connection_events;
        Ok(Self { endpoint, budget, trouble, answers, connection_events })
    }

    async fn deliver(&self, key: &str, body: String) -> Result<Option<SendAnswer>, Undelivered> {
        let _room = self.budget.admit(body.len()).ok_or(Undelivered::Busy)?;
        let body = Bytes::from(body);
        let mut wait = RETRY_WAIT;
        let mut attempt = 1;
        loop {
            let turn = self.budget.turn().await.ok_or(Undelivered::Busy)?;
            let answer = self.ask(key, &body).await;
            drop(turn);
            self.notice(attempt, &answer);
            let undelivered = match answer {
                Answer::Accepted(said) => return Ok(said),
                Answer::Refused(refusal) => return Err(Undelivered::Refused(refusal)),
                Answer::Informal(_) => Undelivered::Informal,
                Answer::Unknown(_) => Undelivered::Unknown,
            };
            if attempt == WEBHOOK_ATTEMPTS_MAX {
                return Err(undelivered);
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
            attempt += 1;
        }
    }

    async fn ask(&self, key: &str, body: &Bytes) -> Answer {
        let answer = match self.endpoint.post(key, body).await {
            Ok(answer) => answer,
            Err(reason) => return Answer::Unknown(reason),
        };
        match answer.status() {
            status if status.is_success() => Answer::Accepted(self.said(answer).await),
            // 407 is always a proxy's, whatever its body looks like.
            status @ (StatusCode::PROXY_AUTHENTICATION_REQUIRED
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS) => Answer::Unknown(format!("it answered {status}")),
            status if status.is_client_error() => match text_of(answer).await {
                Ok(text) => text
                    .and_then(|text| Refusal::from_answer(&text))
                    .map_or(Answer::Informal(status), Answer::Refused),
                Err(reason) => Answer::Unknown(reason),
            },
            status => Answer::Unknown(format!("it answered {status}")),
        }
    }

    /// What comes with a yes. The status has settled the send by then, so whatever is wrong with the rest
    /// is for the log.
    async fn said(&self, answer: Response) -> Option<SendAnswer> {
        if !is_json(&answer) {
            return None;
        }
        let left_out = match text_of(answer).await {
            Ok(Some(text)) if text.is_empty() => return None,
            Ok(text) => match readable(text) {
                Ok(said) => {
                    if let Some(Word::Works { times }) = self.answers.worked_now() {
                        tracing::info!(left_out_again = times, "the webhook's answers can be read");
                    }
                    return Some(said);
                }
                // What frameworks write for a function that returns nothing.
                Err(InvalidAnswer::Null) => return None,
                Err(invalid) => invalid.to_string(),
            },
            Err(reason) => reason,
        };
        if let Some(Word::Fails { times }) = self.answers.failed_now() {
            let what = "the webhook took a send, and its answer was left out";
            tracing::warn!(reason = left_out, times, "{what}");
        }
        None
    }

    /// Says when the webhook stops answering, now and then meanwhile, and when it answers again: one that
    /// answers every other request is one trouble.
    fn notice(&self, attempt: u32, answer: &Answer) {
        let reason = match answer {
            Answer::Accepted(_) | Answer::Refused(_) => {
                if let Some(Word::Works { times }) = self.trouble.worked_now() {
                    tracing::info!(unanswered_again = times, "the webhook gives outcomes again");
                }
                return;
            }
            Answer::Informal(status) => format!(
                "it answered {status} without {{\"error\": {{\"code\": …}}}}, as something in between would"
            ),
            Answer::Unknown(reason) => reason.clone(),
        };
        if let Some(Word::Fails { times }) = self.trouble.failed_now() {
            tracing::warn!(attempt, reason, times, "the webhook gave no outcome");
        } else {
            tracing::debug!(attempt, reason, "the webhook gave no outcome");
        }
    }
}

impl Application for Webhook {
    fn receive(&self, incoming: Incoming) -> BoxFuture<'_, Result<Option<SendAnswer>, Refusal>> {
        let Incoming { user, device, id, message } = incoming;
        let message = message.to_frame(&id, None, &now());
        let (key, body) = (key(&user, &id), body(&user, device.as_ref(), &message));
        Box::pin(async move { self.deliver(&key, body).await.map_err(Undelivered::into_refusal) })
    }

    fn stop(&self, stop: Stop) -> BoxFuture<'_, Result<(), Refusal>> {
        let Stop { user, device, id, target } = stop;
        let (field, name) = match target {
            StopTarget::Message(uuid) => ("message_uuid", uuid),
            StopTarget::Send(send) => ("ref", send),
        };
        let (kind, now) = (message_type::MESSAGE_STOP, now());
        let message =
            format!(r#"{{"type":"{kind}","id":"{id}","timestamp":{now},"{field}":"{name}"}}"#);
        let (key, body) = (key(&user, &id), body(&user, device.as_ref(), &message));
        Box::pin(async move {
            match self.deliver(&key, body).await {
                // A backend that knows no stops, most likely. It takes no more text all the same.
                Err(Undelivered::Informal) => Ok(()),
                told => told.map(|_| ()).map_err(Undelivered::into_refusal),
            }
        })
    }

    fn hears_of_connections(&self) -> bool {
        self.connection_events
    }

    fn connections_changed(&self, events: ConnectionEvents) -> BoxFuture<'_, Result<(), Refusal>> {
        let (key, body) = (connections::key(&events), connections::body(&events));
        Box::pin(async move {
            let why = match self.ask(&key, &body).await {
                Answer::Accepted(_) => return Ok(()),
                Answer::Refused(refusal) => return Err(refusal),
                Answer::Informal(status) => format!("it answered {status}"),
                Answer::Unknown(why) => why,
            };
            Err(Refusal::new(ErrorCode::Unavailable, why))
        })
    }
}

/// What became of one request.
enum Answer {
    Accepted(Option<SendAnswer>),
    Refused(Refusal),
    /// A 4xx that is not in our form: the application's, or something's in between.
    Informal(StatusCode),
    /// The application may or may not have taken it.
    Unknown(String),
}

/// Why a send was not taken.
enum Undelivered {
    Refused(Refusal),
    Informal,
    Unknown,
    /// Too many others wait.
    Busy,
}

impl Undelivered {
    fn into_refusal(self) -> Refusal {
        let message = match self {
            Self::Refused(refusal) => return refusal,
            Self::Informal | Self::Unknown => {
                "The application does not answer at the moment. Your message is kept and sent again."
            }
            Self::Busy => {
                "The application has more to do than it can take. Your message is kept and sent again."
            }
        };
        Refusal::new(ErrorCode::Unavailable, message).retry_after(CLIENT_RETRY_AFTER)
    }
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
    clock::rfc3339(clock::now_ms()).quoted().to_owned()
}

/// Whether an answer says that it is JSON (RFC 8259, or a suffix of RFC 6839).
fn is_json(answer: &Response) -> bool {
    let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

fn readable(text: Option<Vec<u8>>) -> Result<SendAnswer, InvalidAnswer> {
    let text = text.ok_or(InvalidAnswer::TooLarge)?;
    SendAnswer::parse(str::from_utf8(&text).map_err(|_| InvalidAnswer::NotJson)?)
}
