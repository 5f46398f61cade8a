use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tetherline_protocol::{ErrorCode, UserId};

/// Shortest signing secret and API key, in bytes: below it, guessing becomes practical.
pub const SECRET_BYTES_MIN: usize = 16;

/// What tokens are signed and checked with: HS256 with one shared secret.
#[derive(Clone)]
pub struct JwtKeys {
    keys: Arc<Keys>,
    issuer: Option<Box<str>>,
    audience: Option<Box<str>>,
}

struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
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
        check_strength(secret)?;
        let keys = Keys {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
        };
        Ok(Self { keys: Arc::new(keys), issuer: None, audience: None })
    }

    /// Also demand (and write) this `iss`.
    #[must_use]
    pub fn with_issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Also demand (and write) this `aud`.
    #[must_use]
    pub fn with_audience(mut self, audience: &str) -> Self {
        self.audience = Some(audience.into());
        self
    }

    #[cfg(feature = "fuzzing")]
    pub(crate) fn encoding(&self) -> &EncodingKey {
        &self.keys.encoding
    }

    pub(crate) fn verify(&self, token: &str) -> Result<Identity, InvalidToken> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.keys.decoding, &self.rules())
            .map_err(|error| InvalidToken::from(error.kind()))?
            .claims;
        let user = claims.sub.parse().map_err(|_| InvalidToken::Malformed)?;
        let now = since_epoch();
        let expires_in = Duration::from_secs(claims.exp).saturating_sub(now);
        // The library lets the very second of `exp` pass; RFC 7519 does not.
        if expires_in.is_zero() {
            return Err(InvalidToken::Expired);
        }
        Ok(Identity { user, session: claims.sid, expires_in })
    }

    fn rules(&self) -> Validation {
        let mut rules = Validation::new(Algorithm::HS256);
        // A token is good until `exp` and not a second longer: connections are closed by it.
        rules.leeway = 0;
        rules.validate_nbf = true;
        rules.set_required_spec_claims(&["exp", "sub"]);
        match &self.issuer {
            Some(issuer) => {
                rules.set_issuer(&[issuer]);
                rules.required_spec_claims.insert("iss".into());
            }
            None => rules.iss = None,
        }
        match &self.audience {
            Some(audience) => {
                rules.set_audience(&[audience]);
                rules.required_spec_claims.insert("aud".into());
            }
            None => rules.validate_aud = false,
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
/// `session` names the sign-in, so that [`crate::Server::sign_out`] can end it.
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
    let claims = Claims {
        sub: user.as_str().into(),
        iat: Some(now.as_secs()),
        exp: now.saturating_add(ttl).as_secs(),
        sid: session.map(Into::into),
        iss: keys.issuer.clone(),
        aud: keys.audience.clone(),
    };
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &keys.keys.encoding)
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

/// Whom a good token speaks for, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: UserId,
    pub(crate) session: Option<Box<str>>,
    pub(crate) expires_in: Duration,
}

/// Why a token is no good. The texts are for its bearer and never quote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidToken {
    #[error("the token has expired; fetch a fresh one")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token was issued for another service")]
    OtherService,
    #[error("the token is not one of ours: wrong signature, algorithm or shape")]
    Malformed,
    #[error("the sign-in that the token belongs to has ended; sign in again")]
    SignedOut,
    #[error("whether the token's sign-in still stands cannot be looked up right now; try again")]
    Undecided,
}

impl InvalidToken {
    pub(crate) fn code(self) -> ErrorCode {
        match self {
            Self::Undecided => ErrorCode::Unavailable,
            _ => ErrorCode::Unauthorized,
        }
    }
}

impl From<&jsonwebtoken::errors::ErrorKind> for InvalidToken {
    fn from(kind: &jsonwebtoken::errors::ErrorKind) -> Self {
        use jsonwebtoken::errors::ErrorKind;
        match kind {
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::NotYetValid,
            ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => Self::OtherService,
            _ => Self::Malformed,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iss: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none", skip_deserializing)]
    aud: Option<Box<str>>,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> JwtKeys {
        JwtKeys::from_secret(b"0123456789abcdef0123456789abcdef").unwrap()
    }

    fn user() -> UserId {
        "ada".parse().unwrap()
    }

    fn signed(keys: &JwtKeys, claims: &serde_json::Value) -> String {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &keys.keys.encoding).unwrap()
    }

    #[test]
    fn a_token_names_its_user_and_sign_in() {
        let token = issue_token(&keys(), &user(), Some("s1"), Duration::from_mins(1));
        let identity = keys().verify(&token).unwrap();
        assert_eq!(identity.user, user());
        assert_eq!(identity.session.as_deref(), Some("s1"));
        assert!(identity.expires_in > Duration::from_secs(50));
    }

    #[test]
    fn what_we_did_not_sign_for_now_is_refused() {
        let now = since_epoch().as_secs();
        let claims = |exp: u64, nbf: u64| serde_json::json!({"sub": "ada", "exp": exp, "nbf": nbf});
        let verify = |claims| keys().verify(&signed(&keys(), &claims)).unwrap_err();
        assert_eq!(verify(claims(now - 1, 0)), InvalidToken::Expired);
        assert_eq!(verify(claims(now + 60, now + 30)), InvalidToken::NotYetValid);
        assert_eq!(verify(serde_json::json!({"sub": "ada"})), InvalidToken::Malformed);
        assert_eq!(
            verify(serde_json::json!({"sub": "a/b", "exp": now + 60})),
            InvalidToken::Malformed
        );

        let other = JwtKeys::from_secret(b"another secret of enough bytes").unwrap();
        let forged = issue_token(&other, &user(), None, Duration::from_mins(1));
        assert_eq!(keys().verify(&forged), Err(InvalidToken::Malformed));
        // {"alg":"none","typ":"JWT"} . {"sub":"ada","exp":9999999999} . nothing
        let unsigned =
            "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhZGEiLCJleHAiOjk5OTk5OTk5OTl9.";
        assert_eq!(keys().verify(unsigned), Err(InvalidToken::Malformed));
        let hs384 = jsonwebtoken::encode(
            &Header::new(Algorithm::HS384),
            &claims(now + 60, 0),
            &keys().keys.encoding,
        )
        .unwrap();
        assert_eq!(keys().verify(&hs384), Err(InvalidToken::Malformed));
    }

    #[test]
    fn issuer_and_audience_are_demanded_once_they_are_named() {
        let named = keys().with_issuer("us").with_audience("chat");
        let token = issue_token(&named, &user(), None, Duration::from_mins(1));
        assert!(named.verify(&token).is_ok());
        assert!(keys().verify(&token).is_ok());
        let bare = issue_token(&keys(), &user(), None, Duration::from_mins(1));
        assert!(named.verify(&bare).is_err());
        let other = keys().with_issuer("us").with_audience("mail");
        let token = issue_token(&other, &user(), None, Duration::from_mins(1));
        assert_eq!(named.verify(&token), Err(InvalidToken::OtherService));
    }

    #[test]
    fn a_short_secret_is_refused_at_its_edge() {
        assert!(JwtKeys::from_secret(&[7; SECRET_BYTES_MIN]).is_ok());
        assert!(JwtKeys::from_secret(&[7; SECRET_BYTES_MIN - 1]).is_err());
        assert!(ApiKey::new("short").is_err());
        assert!(!format!("{:?}", ApiKey::new("0123456789abcdef").unwrap()).contains("0123"));
    }
}
