use std::{future::Future, pin::Pin, sync::Arc};

use tetherline_engine::NoToken;
use tetherline_protocol::{DeviceId, Seq, UserId};

use crate::{Client, endpoint::Endpoint, tls::Trust};

pub(crate) type TokenFuture = Pin<Box<dyn Future<Output = Result<String, NoToken>> + Send>>;
pub(crate) type TokenProvider = Arc<dyn Fn(bool) -> TokenFuture + Send + Sync>;

/// When a message counts as handled, so that the server need not deliver it to this device again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acknowledge {
    /// When the application asks for the event after it.
    #[default]
    OnNext,
    /// When [`Client::ack`] says so.
    Explicitly,
    /// Never: the device's cursor stays where it is. The server then sets no bound on what it
    /// sends, so a send settles only while the application goes on asking.
    Never,
}

/// Why a client cannot even begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The URL is none, or not one of a server.
    #[error("`{0}` is not the URL of a server: it looks like https://chat.example.org")]
    Url(Box<str>),
    /// [`Builder::user`] was not called.
    #[error("whose mailbox it is was not said: call `user`")]
    NoUser,
    /// [`Builder::token`] was not called.
    #[error("there is no token: call `token`")]
    NoToken,
    /// What [`Builder::ca_certificates`] was given holds none, or a broken one.
    #[error("those to trust are no certificates in PEM form")]
    Certificates,
}

/// Collects what a [`Client`] needs to know.
#[derive(Clone)]
pub struct Builder {
    url: Box<str>,
    user: Option<UserId>,
    device: Option<DeviceId>,
    token: Option<TokenProvider>,
    ca_certificates: Option<Box<[u8]>>,
    start_after: Option<Seq>,
    acknowledge: Acknowledge,
    follow_streams: bool,
}

impl Builder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.into(),
            user: None,
            device: None,
            token: None,
            ca_certificates: None,
            start_after: None,
            acknowledge: Acknowledge::default(),
            follow_streams: false,
        }
    }

    /// Whose mailbox it is.
    #[must_use]
    pub fn user(mut self, user: UserId) -> Self {
        self.user = Some(user);
        self
    }

    /// The device whose cursor is used. Without one the server keeps none, and everything after
    /// the user's floor is new.
    #[must_use]
    pub fn device(mut self, device: DeviceId) -> Self {
        self.device = Some(device);
        self
    }

    /// Called for every attempt, with `true` if the token it gave last was refused or runs out.
    #[must_use]
    pub fn token<F, T>(mut self, provider: F) -> Self
    where
        F: Fn(bool) -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, NoToken>> + Send + 'static,
    {
        self.token = Some(Arc::new(move |fresh| Box::pin(provider(fresh))));
        self
    }

    /// One token and no other: when it is refused, that is the end, and
    /// [`crate::Event::IdentityRefused`] says so.
    #[must_use]
    pub fn only_token(self, token: impl Into<String>) -> Self {
        let token = token.into();
        self.token(move |fresh| {
            let token = token.clone();
            async move { if fresh { Err(NoToken::SignedOut) } else { Ok(token) } }
        })
    }

    /// The certificates, in PEM form, of whoever may vouch for the server, instead of those that the
    /// machine trusts.
    #[must_use]
    pub fn ca_certificates(mut self, pem: &[u8]) -> Self {
        self.ca_certificates = Some(pem.into());
        self
    }

    /// Everything up to here is known already, and everything after it is wanted, whatever the
    /// device has acknowledged.
    #[must_use]
    pub fn start_after(mut self, seq: Seq) -> Self {
        self.start_after = Some(seq);
        self
    }

    /// When a message counts as handled.
    #[must_use]
    pub fn acknowledge(mut self, when: Acknowledge) -> Self {
        self.acknowledge = when;
        self
    }

    /// Shows streams: [`crate::Event::StreamStarted`] and
    /// [`crate::Event::StreamText`]. Otherwise only the messages that they become are seen.
    #[must_use]
    pub fn follow_streams(mut self) -> Self {
        self.follow_streams = true;
        self
    }

    /// Starts connecting, in a task of its own; it goes on until the client is dropped or closed.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn connect(self) -> Result<Client, SetupError> {
        let user = self.user.ok_or(SetupError::NoUser)?;
        let token = self.token.ok_or(SetupError::NoToken)?;
        let endpoint = Endpoint::new(&self.url, &user, self.device.as_ref())
            .ok_or_else(|| SetupError::Url(self.url.clone()))?;
        let trust = match &self.ca_certificates {
            Some(pem) => Trust::only(pem).ok_or(SetupError::Certificates)?,
            None => Trust::Machine,
        };
        Ok(Client::start(Setup {
            endpoint,
            trust,
            token,
            start_after: self.start_after,
            acknowledge: self.acknowledge,
            follow_streams: self.follow_streams,
        }))
    }
}

/// What the driver works with.
pub(crate) struct Setup {
    pub(crate) endpoint: Endpoint,
    pub(crate) trust: Trust,
    pub(crate) token: TokenProvider,
    pub(crate) start_after: Option<Seq>,
    pub(crate) acknowledge: Acknowledge,
    pub(crate) follow_streams: bool,
}
