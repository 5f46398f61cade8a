//! Who connects, as an application says it that signs no tokens, and what they may do.

use std::{borrow::Cow, fmt, net::IpAddr, time::Duration};

use futures_util::future::BoxFuture;
use tetherline_protocol::{DeviceId, ErrorCode, UserId};

/// How long what a connect hook said counts, unless it says so itself.
pub const GRANT_AGE: Duration = Duration::from_mins(15);
/// The longest: what it says beyond counts for no longer.
pub const GRANT_AGE_MAX: Duration = Duration::from_hours(24);

/// Says who connects where no token of the server's own keys does: from a cookie, or from a token that means
/// something to the application alone. Attach it with [`crate::Server::attach_connect_hook`].
///
/// ```
/// # use futures_util::future::BoxFuture;
/// use tetherline_server::{ConnectHook, ConnectRefusal, ConnectRequest, Grant};
///
/// struct Sessions;
///
/// impl ConnectHook for Sessions {
///     fn admit(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Grant, ConnectRefusal>> {
///         Box::pin(async move {
///             match request.cookies.as_deref() {
///                 Some("session=adas") => Ok(Grant::new("ada".parse().unwrap())),
///                 _ => Err(ConnectRefusal::unauthorized("Nobody is signed in; sign in again.")),
///             }
///         })
///     }
/// }
/// ```
pub trait ConnectHook: Send + Sync + 'static {
    /// Answers whom the credentials of this request speak for. It is asked before the upgrade, for the same URL
    /// without one, and again when somebody who is connected renews what they came with.
    fn admit(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Grant, ConnectRefusal>>;
}

/// What somebody came with.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectRequest {
    /// Whom the path names: nobody, if it is `/ws`. The grant has to be for this very user.
    pub user: Option<UserId>,
    /// Whom a token of the server's own keys speaks for, which is only asked about with
    /// [`crate::ConnectHookOptions::always`].
    pub token_user: Option<UserId>,
    /// From which device, if the client named one.
    pub device: Option<DeviceId>,
    /// The page's origin, which is an allowed one; native clients have none.
    pub origin: Option<Box<str>>,
    /// The token, if there is one.
    pub token: Option<Box<str>>,
    /// The header `Cookie`, as it came. Cookies of a page whose origin is not known are not among it.
    pub cookies: Option<Box<str>>,
    /// Who asks: the other end of the connection, or whom a proxy that is trusted says it serves.
    pub address: Option<IpAddr>,
    /// Whether it is an open connection that is to last longer. Cookies are then those that it began with.
    pub renewal: bool,
}

impl fmt::Debug for ConnectRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ConnectRequest")
            .field("user", &self.user)
            .field("device", &self.device)
            .field("renewal", &self.renewal)
            .finish_non_exhaustive()
    }
}

/// Whom a request speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// Who it is.
    pub user: UserId,
    /// The name of the sign-in, by which [`crate::Server::sign_out`] ends its connections.
    pub session: Option<Box<str>>,
    /// How long it counts: [`GRANT_AGE`] if nothing is said, [`GRANT_AGE_MAX`] at most.
    pub expires_in: Option<Duration>,
    /// What they may do.
    pub may: May,
}

impl Grant {
    /// They may do everything, for [`GRANT_AGE`].
    #[must_use]
    pub fn new(user: UserId) -> Self {
        Self { user, session: None, expires_in: None, may: May::EVERYTHING }
    }
}

/// What somebody who is connected may do besides reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct May {
    /// Send messages to the application.
    pub send: bool,
    /// Stop streams.
    pub stop: bool,
}

impl May {
    /// What whoever has a token of the server's own keys may do.
    pub const EVERYTHING: Self = Self { send: true, stop: true };
    /// Only read.
    pub const NOTHING: Self = Self { send: false, stop: false };
}

/// Why somebody is not let in. The sentence is for them: it says what happened, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConnectRefusal {
    code: ErrorCode,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
}

impl ConnectRefusal {
    /// Whom they speak for is not known: 401. Clients try with fresh credentials, and then are signed out.
    pub fn unauthorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: ErrorCode::Unauthorized, message: message.into(), retry_after: None }
    }

    /// They are known, and may not: 403. Clients do the same.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: ErrorCode::Forbidden, message: message.into(), retry_after: None }
    }

    /// They came too often: 429, and they come again after this time.
    pub fn rate_limited(message: impl Into<Cow<'static, str>>, wait: Duration) -> Self {
        Self { code: ErrorCode::RateLimited, message: message.into(), retry_after: Some(wait) }
    }

    /// It cannot be said right now: 503, and they come again after this time. Nobody is signed out.
    pub fn unavailable(message: impl Into<Cow<'static, str>>, wait: Duration) -> Self {
        Self { code: ErrorCode::Unavailable, message: message.into(), retry_after: Some(wait) }
    }

    /// The code on the wire.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// One sentence for a person.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// When to try again, if that helps.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        self.retry_after
    }
}
