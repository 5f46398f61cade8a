#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, TokenData, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;
use tetherline_protocol::{ErrorCode, UserId, limits::TOKEN_LEEWAY_MS};

/// Shortest signing secret and API key, in bytes: below it, guessing becomes practical.
pub const SECRET_BYTES_MIN: usize = 16;

/// How far the clock of whoever signs a token and ours may be apart.
const LEEWAY: Duration = Duration::from_millis(TOKEN_LEEWAY_MS);
/// The longest that a client is told to wait for its token to count: a clock that is wrong may be put
/// right at any moment.
const NOT_YET_VALID_WAIT_SECS_MAX: f64 = 30.0;

/// What tokens are signed and checked with: HS256 with one shared secret.
#[derive(Clone)]
pub struct JwtKeys {
    keys: Arc<Keys>,
    /// What `issuer` and `audience` demand, made once and not for each token.
    rules: Arc<Validation>,
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
        let rules = Arc::new(rules(None, None));
        Ok(Self { keys: Arc::new(keys), rules, issuer: None, audience: None })
    }

    /// Also demand (and write) this `iss`.
    #[must_use]
    pub fn with_issuer(self, issuer: &str) -> Self {
        self.demanding(|keys| keys.issuer = Some(issuer.into()))
    }

    /// Also demand (and write) this `aud`.
    #[must_use]
    pub fn with_audience(self, audience: &str) -> Self {
        self.demanding(|keys| keys.audience = Some(audience.into()))
    }

    fn demanding(mut self, demand: impl FnOnce(&mut Self)) -> Self {
        demand(&mut self);
        self.rules = Arc::new(rules(self.issuer.as_deref(), self.audience.as_deref()));
        self
    }

    #[cfg(feature = "fuzzing")]
    pub(crate) fn encoding(&self) -> &EncodingKey {
        &self.keys.encoding
    }

    pub(crate) fn verify(&self, token: &str) -> Result<Identity, InvalidToken> {
        let TokenData { header, claims } =
            jsonwebtoken::decode::<Claims>(token, &self.keys.decoding, &self.rules)
                .map_err(|error| InvalidToken::from(error.kind()))?;
        // RFC 7515, section 4.1.11: whoever does not understand what it names refuses the token, and
        // there is nothing that we do.
        if header.crit.is_some() || names_crit(token) {
            return Err(InvalidToken::Malformed);
        }
        let user = claims.sub.parse().map_err(|_| InvalidToken::Malformed)?;
        let expires_in = claims.time_left(since_epoch())?;
        Ok(Identity { user, session: claims.sid, expires_in })
    }
}

fn rules(issuer: Option<&str>, audience: Option<&str>) -> Validation {
    let mut rules = Validation::new(Algorithm::HS256);
    // The library rounds times to seconds; [`Claims`] takes them as they are.
    rules.validate_exp = false;
    rules.set_required_spec_claims(&["sub"]);
    match issuer {
        Some(issuer) => {
            rules.set_issuer(&[issuer]);
            rules.required_spec_claims.insert("iss".into());
        }
        None => rules.iss = None,
    }
    match audience {
        Some(audience) => {
            rules.set_audience(&[audience]);
            rules.required_spec_claims.insert("aud".into());
        }
        None => rules.validate_aud = false,
    }
    rules
}

/// Whether the header has `crit` at all: the library takes one that is `null` for none.
fn names_crit(token: &str) -> bool {
    let header = token.split('.').next().unwrap_or_default();
    let Ok(header) = BASE64_URL_SAFE_NO_PAD.decode(header) else { return true };
    serde_json::from_slice::<Map<String, Value>>(&header)
        .map_or(true, |header| header.contains_key("crit"))
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
    let claims = NewClaims {
        sub: user.as_str().into(),
        iat: now.as_secs(),
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
            Self::NotYetValid { .. } => ErrorCode::TokenNotYetValid,
            _ => ErrorCode::Unauthorized,
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

/// What is read of a token. `iss` and `aud` are the library's to check. Times are what RFC 7519, section 2,
/// takes for one: any JSON number of seconds since 1970, with a fraction or an exponent, too.
#[derive(Deserialize)]
struct Claims {
    sub: Box<str>,
    sid: Option<Box<str>>,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
}

impl Claims {
    /// How long the token counts from now on: until `exp`, and as much longer as clocks may be apart.
    fn time_left(&self, now: Duration) -> Result<Duration, InvalidToken> {
        let (now, leeway) = (now.as_secs_f64(), LEEWAY.as_secs_f64());
        let left = self.exp - now + leeway;
        if left <= 0.0 {
            return Err(InvalidToken::Expired);
        }
        let begins = [self.nbf, self.iat].into_iter().flatten().fold(now, f64::max);
        let ahead = begins - now - leeway;
        if ahead > 0.0 && begins - self.exp >= 2.0 * leeway {
            // No wait helps.
            return Err(InvalidToken::NeverValid);
        }
        if ahead > 0.0 {
            let wait = Duration::from_secs_f64(ahead.min(NOT_YET_VALID_WAIT_SECS_MAX));
            return Err(InvalidToken::NotYetValid { wait });
        }
        Ok(Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX))
    }
}

/// What our own tokens say.
#[derive(Serialize)]
struct NewClaims {
    sub: Box<str>,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
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
