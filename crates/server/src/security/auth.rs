mod claims;
mod jwks;
#[cfg(feature = "jwks")]
mod jwks_url;
#[cfg(not(feature = "jwks"))]
#[path = "auth/no_jwks.rs"]
mod jwks_url;
mod key;
#[cfg(feature = "jwks")]
mod refresh;
mod rules;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize as _, Deserializer, de::IgnoredAny};
use serde_json::json;
use subtle::ConstantTimeEq;
use tetherline_protocol::{ErrorCode, UserId};

use crate::{ConnectRefusal, May};

pub use self::{
    claims::{InvalidRule, TOKEN_LEEWAY_MAX, TOKEN_LIFE_MAX},
    jwks::{InvalidJwks, JWKS_BYTES_MAX, JWKS_KEYS_MAX, UnusableKey},
    key::{InvalidKey, RSA_BITS_MAX, RSA_BITS_MIN, VerifyingKey},
    rules::{KEYS_TRIED_MAX, TokenRules},
};
#[cfg(feature = "jwks")]
pub use self::{
    jwks_url::{InvalidJwksUrl, Jwks, JwksOptions},
    refresh::{
        JWKS_AGE, JWKS_AGE_MAX, JWKS_AGE_MIN, JWKS_KEPT_MAX, JWKS_RETRY_BASE, JWKS_RETRY_MAX,
        JWKS_TIMEOUT, JWKS_UNKNOWN_KID_INTERVAL, JwksTimes,
    },
};

/// Shortest signing secret and API key, in bytes: below it, guessing becomes practical.
pub const SECRET_BYTES_MIN: usize = 16;

/// What tokens are signed with: HS256 with one secret. As [`TokenRules`] they are checked with it, too.
#[derive(Clone)]
pub struct JwtKeys {
    encoding: Arc<EncodingKey>,
    verifying: VerifyingKey,
    issuer: Option<Box<str>>,
    audience: Option<Box<str>>,
    user_claim: Option<Box<str>>,
}

/// A secret that is too short to keep anybody out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret has {bytes} bytes; use at least {SECRET_BYTES_MIN}, chosen at random")]
pub struct WeakSecret {
    bytes: usize,
}

impl JwtKeys {
    /// HS256 with this secret.
    pub fn from_secret(secret: &[u8]) -> Result<Self, WeakSecret> {
        let verifying = VerifyingKey::from_secret(secret)?;
        let encoding = Arc::new(EncodingKey::from_secret(secret));
        Ok(Self { encoding, verifying, issuer: None, audience: None, user_claim: None })
    }

    /// Also demand (and write) this `iss`.
    #[must_use]
    pub fn with_issuer(self, issuer: &str) -> Self {
        Self { issuer: Some(issuer.into()), ..self }
    }

    /// Also demand (and write) this `aud`.
    #[must_use]
    pub fn with_audience(self, audience: &str) -> Self {
        Self { audience: Some(audience.into()), ..self }
    }

    /// Demand (and write) the user in this claim, instead of in `sub` alone.
    pub fn with_user_claim(self, claim: &str) -> Result<Self, InvalidRule> {
        claims::Demands::default().user_claim(claim)?;
        Ok(Self { user_claim: Some(claim.into()), ..self })
    }

    #[cfg(feature = "fuzzing")]
    pub(crate) fn encoding(&self) -> &EncodingKey {
        &self.encoding
    }
}

impl From<JwtKeys> for TokenRules {
    /// What was signed with these very keys counts, and nothing else.
    fn from(keys: JwtKeys) -> Self {
        let mut rules = Self::new().with_keys([keys.verifying]);
        if let Some(issuer) = &keys.issuer {
            rules.demands.issuer(issuer);
        }
        if let Some(audience) = &keys.audience {
            rules.demands.audience(audience);
        }
        if let Some(claim) = &keys.user_claim {
            rules.demands.user_claim(claim).expect("it was looked at when it was named");
        }
        rules
    }
}

impl fmt::Debug for JwtKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JwtKeys(secret)")
    }
}

/// Signs a token for one user.
///
/// `session` names the sign-in, so that [`crate::Server::sign_out`] can end it alone.
///
/// ```
/// use std::time::Duration;
/// use tetherline_server::{JwtKeys, issue_token};
///
/// let keys = JwtKeys::from_secret(b"a secret of enough random bytes")?;
/// let token = issue_token(&keys, &"ada".parse().unwrap(), None, Duration::from_hours(1));
/// assert_eq!(token.split('.').count(), 3);
/// # Ok::<(), tetherline_server::WeakSecret>(())
/// ```
///
/// # Panics
///
/// Never: plain text claims always serialise, and HS256 takes any secret.
#[must_use]
pub fn issue_token(keys: &JwtKeys, user: &UserId, session: Option<&str>, ttl: Duration) -> String {
    let now = since_epoch();
    let user_claim = keys.user_claim.as_deref().unwrap_or(claims::SUBJECT);
    let (iat, exp) = (now.as_secs(), now.saturating_add(ttl).as_secs());
    let mut claims = json!({ "sub": user.as_str(), "iat": iat, "exp": exp });
    claims[user_claim] = user.as_str().into();
    let named =
        [("sid", session), ("iss", keys.issuer.as_deref()), ("aud", keys.audience.as_deref())];
    for (name, value) in named {
        if let Some(value) = value {
            claims[name] = value.into();
        }
    }
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &keys.encoding)
        .expect("plain text claims always serialise, and HS256 takes any secret")
}

/// What a publisher shows: compared in constant time, never printed.
#[derive(Clone)]
pub struct ApiKey(Arc<[u8]>);

impl ApiKey {
    /// A key of at least [`SECRET_BYTES_MIN`] bytes.
    pub fn new(key: &str) -> Result<Self, WeakSecret> {
        check_strength(key.as_bytes())?;
        Ok(Self(key.as_bytes().into()))
    }

    pub(crate) fn matches(&self, shown: &str) -> bool {
        self.0.ct_eq(shown.as_bytes()).into()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey(secret)")
    }
}

/// Whom somebody's credentials speak for, for how long, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: UserId,
    pub(crate) session: Option<Box<str>>,
    /// When the token was made, in ms since 1970, if it says so.
    pub(crate) made_ms: Option<i64>,
    pub(crate) expires_in: Duration,
    pub(crate) may: May,
}

/// Why a token is no good. The texts are for its bearer and never quote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidToken {
    #[error("the token has expired; fetch a fresh one")]
    Expired,
    #[error(
        "the token is not valid yet: it counts from a moment that this server's clock has not \
         reached, so its issuer's clock or the server's is wrong"
    )]
    NotYetValid {
        /// When it is worth another try.
        wait: Duration,
    },
    #[error("the token never counts: it expires before the time from which it is valid")]
    NeverValid,
    #[error(
        "the token counts for more than the {days_max} days that this server allows; an earlier `exp` is needed"
    )]
    TooLong {
        /// How many it may.
        days_max: u64,
    },
    #[error("the ticket is wrong, too old, or was used before; get another")]
    Ticket,
    #[error("the token was issued for another service")]
    OtherService,
    #[error("the token is not one of ours: wrong signature, algorithm or shape")]
    Malformed,
    #[error("the sign-in that the token belongs to has ended; sign in again")]
    SignedOut,
    #[error(
        "its user was signed out, and the token does not say whether it was made after that: it needs an `iat`"
    )]
    Undated,
    #[error(
        "whether it is good cannot be said right now, as its issuer's keys cannot be had; try again"
    )]
    #[cfg_attr(not(feature = "jwks"), expect(dead_code, reason = "all keys are here"))]
    KeysAway {
        /// When it is worth another try.
        wait: Duration,
    },
    #[error("whether the token's sign-in still stands cannot be looked up right now; try again")]
    Undecided,
    #[error("the token is another user's than the application says")]
    OtherUser,
    /// The connect hook says so.
    #[error("{0}")]
    Refused(Box<ConnectRefusal>),
}

impl InvalidToken {
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::KeysAway { .. } | Self::Undecided => ErrorCode::Unavailable,
            Self::NotYetValid { .. } => ErrorCode::TokenNotYetValid,
            Self::OtherUser => ErrorCode::Forbidden,
            _ => ErrorCode::Unauthorized,
        }
    }

    /// When the same token is worth another try, if anybody knows.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match self {
            Self::NotYetValid { wait } | Self::KeysAway { wait } => Some(*wait),
            Self::Refused(refusal) => refusal.wait(),
            _ => None,
        }
    }
}

impl From<&jsonwebtoken::errors::ErrorKind> for InvalidToken {
    fn from(kind: &jsonwebtoken::errors::ErrorKind) -> Self {
        use jsonwebtoken::errors::ErrorKind;
        match kind {
            ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => Self::OtherService,
            _ => Self::Malformed,
        }
    }
}

fn check_strength(secret: &[u8]) -> Result<(), WeakSecret> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(WeakSecret { bytes: secret.len() });
    }
    Ok(())
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Whether JSON has a field at all, be it as `null`.
fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}
