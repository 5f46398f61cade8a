#[cfg(any(feature = "webhook", feature = "fuzzing"))]
pub(crate) mod connect_answer;
#[cfg(feature = "webhook")]
pub(crate) mod connect_webhook;
pub(crate) mod connecting;
pub(crate) mod connections;
#[cfg(feature = "webhook")]
pub(crate) mod endpoint;
#[cfg(any(feature = "jwks", feature = "webhook"))]
pub(crate) mod outbound;
pub(crate) mod reception;
#[cfg(feature = "webhook")]
pub(crate) mod webhook;

use std::{borrow::Cow, time::Duration};

use futures_util::future::BoxFuture;
use tetherline_protocol::{
    DeviceId, ErrorCode, MessageId, StopTarget, UserId,
    frame::{Message, SendAnswer},
};

use crate::StoreError;
#[cfg(any(feature = "webhook", feature = "fuzzing"))]
pub use connect_answer::{CONNECT_HOOK_REFUSAL_BYTES_MAX, CONNECT_HOOK_SESSION_BYTES_MAX};
#[cfg(feature = "webhook")]
pub use connect_webhook::{ConnectWebhook, ConnectWebhookOptions};
pub use connecting::{
    ConnectHook, ConnectRefusal, ConnectRequest, GRANT_AGE, GRANT_AGE_MAX, Grant, May,
};
pub use connections::{ConnectionChange, ConnectionEnd, ConnectionEvent, ConnectionEvents};
#[cfg(feature = "webhook")]
pub use endpoint::{InvalidWebhook, WEBHOOK_ANSWER_BYTES_MAX};
#[cfg(any(feature = "jwks", feature = "webhook"))]
pub use outbound::{NoHttpClient, http_client};
#[cfg(feature = "webhook")]
pub use webhook::{
    WEBHOOK_ATTEMPTS_MAX, WEBHOOK_BYTES_MAX, WEBHOOK_REQUESTS_MAX, WEBHOOK_TIMEOUT,
    WEBHOOK_TURN_TIMEOUT, Webhook, WebhookOptions,
};

/// Where clients' sends go, and who knows which sign-ins have ended.
///
/// One connection's sends come one after the other, in the order in which they were sent. A send
/// whose client vanished before the answer is finished all the same.
///
/// ```
/// # use futures_util::future::BoxFuture;
/// use tetherline_server::{Application, Incoming, Refusal, SendAnswer};
///
/// struct Shop;
///
/// impl Application for Shop {
///     fn receive(&self, incoming: Incoming) -> BoxFuture<'_, Result<Option<SendAnswer>, Refusal>> {
///         Box::pin(async move {
///             match incoming.message.kind() {
///                 "price_asked" => Ok(SendAnswer::of(&serde_json::json!({ "price": 12 })).ok()),
///                 _ => Ok(None),
///             }
///         })
///     }
/// }
/// ```
pub trait Application: Send + Sync + 'static {
    /// Takes one message. `Ok`, and refusals that are final, are recorded under the message's id
    /// and repeated to whoever repeats it; what is retryable comes again. What is answered beside the yes,
    /// if anything, goes to whoever sent it.
    ///
    /// A crash between the effect and the record hands the message over a second time: commit
    /// `(user, id)` together with the effect to have it exactly once.
    fn receive(&self, incoming: Incoming) -> BoxFuture<'_, Result<Option<SendAnswer>, Refusal>>;

    /// Somebody does not want more of a stream. From before this call on it takes no text; whoever
    /// writes it has `stream_stop_grace_ms` to end it. For a send whose stream has not begun this comes,
    /// too: then it need not begin at all. A stop may come twice. A refusal that is final changes nothing:
    /// the stream is stopped.
    fn stop(&self, stop: Stop) -> BoxFuture<'_, Result<(), Refusal>> {
        let _ = stop;
        Box::pin(std::future::ready(Ok(())))
    }

    /// Whether a sign-in (the `sid` of a good token) still stands. It is asked whenever such a
    /// token opens a connection or renews one; those that are open already are closed by
    /// [`crate::Server::close_session`]. What [`crate::Server::sign_out`] has ended is not asked about. An application that ends no sign-ins need not answer.
    fn is_signed_in(
        &self,
        user: &UserId,
        session: &str,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        let _ = (user, session);
        Box::pin(std::future::ready(Ok(true)))
    }

    /// Whether it wants to hear who connects and disconnects, by [`Application::connections_changed`].
    fn hears_of_connections(&self) -> bool {
        false
    }

    /// Connections have begun or ended. It comes one after the other; what is answered with a retryable refusal comes
    /// again, a second and later up to half a minute after that, and what follows waits.
    fn connections_changed(&self, events: ConnectionEvents) -> BoxFuture<'_, Result<(), Refusal>> {
        let _ = events;
        Box::pin(std::future::ready(Ok(())))
    }
}

/// One message from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Incoming {
    /// Who sent it; the token says so.
    pub user: UserId,
    /// From which device, if the client named one.
    pub device: Option<DeviceId>,
    /// Its name and idempotency key; ours if the client gave none.
    pub id: MessageId,
    /// The message.
    pub message: Message,
}

/// Somebody's wish that a stream takes no text any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stop {
    /// Whose stream it is; the token says so.
    pub user: UserId,
    /// From which device, if the client named one.
    pub device: Option<DeviceId>,
    /// The wish's own name; ours if the client gave none.
    pub id: MessageId,
    /// Which stream.
    pub target: StopTarget,
}

/// Longest code that an application may give a refusal over HTTP, in bytes.
#[cfg(any(feature = "webhook", feature = "fuzzing"))]
const CODE_BYTES_MAX: usize = tetherline_protocol::limits::TYPE_BYTES_MAX;

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    retryable: bool,
    retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal with one of the protocol's codes, which also says whether it is final.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: Cow::Borrowed(code.as_str()),
            message: message.into(),
            retryable: code.is_retryable(),
            retry_after: None,
        }
    }

    /// A final refusal with a code of the application's own.
    pub fn with_own_code(
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { code: code.into(), message: message.into(), retryable: false, retry_after: None }
    }

    /// The final refusal that an application writes as `{"error": {"code", "message"}}`, the message being
    /// optional. Anything else is something else's answer, and so is a code that the protocol has for what is
    /// not final.
    #[cfg(any(feature = "webhook", feature = "fuzzing"))]
    pub(crate) fn from_answer(answer: &[u8]) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Body {
            error: Reason,
        }
        #[derive(serde::Deserialize)]
        struct Reason {
            code: String,
            message: Option<String>,
        }
        let Body { error: Reason { code, message } } = serde_json::from_slice(answer).ok()?;
        let is_retryable =
            ErrorCode::ALL.iter().any(|known| known.is_retryable() && known.as_str() == code);
        if is_retryable || code.is_empty() || code.len() > CODE_BYTES_MAX {
            return None;
        }
        let message =
            message.map_or(Cow::Borrowed("The application refused this message."), Cow::Owned);
        Some(Self::with_own_code(code, message))
    }

    /// Makes it retryable: the same message is worth another try after this time.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retryable = true;
        self.retry_after = Some(wait);
        self
    }

    /// The code on the wire.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// One sentence for a person.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same message is worth another try.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// When to try again, if that is known.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        self.retry_after
    }
}
