//! Which tokens count.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{TokenData, errors::ErrorKind};
use serde::Deserialize;

use super::{
    Identity, InvalidToken,
    claims::{Claims, Demands, InvalidRule, named},
    is_there,
    jwks_url::Jwks,
    key::{Algorithm, VerifyingKey},
    since_epoch,
};
use crate::alarm::Alarm;

/// With how many keys a token is tried at most, those first that it names. More than one is only for issuers
/// that give their keys no names.
pub const KEYS_TRIED_MAX: usize = 8;

/// Which tokens count: the keys that may have signed them, and what they have to say.
///
/// ```
/// use tetherline_server::{Config, TokenRules, VerifyingKey};
///
/// # fn rules(pem: &[u8]) -> Result<Config, Box<dyn std::error::Error>> {
/// let rules = TokenRules::new()
///     .with_keys(VerifyingKey::from_pem(pem)?)
///     .with_issuer("https://accounts.example.com")?
///     .with_audience("chat")?;
/// Ok(Config::new(rules))
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct TokenRules {
    keys: Vec<VerifyingKey>,
    jwks: Option<Jwks>,
    pub(super) demands: Demands,
}

impl TokenRules {
    /// No key may have signed a token, so that none counts yet. A token's user is its `sub`, and clocks may be
    /// `TOKEN_LEEWAY_MS` apart.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These may have signed a token, too.
    #[must_use]
    pub fn with_keys(mut self, keys: impl IntoIterator<Item = VerifyingKey>) -> Self {
        self.keys.extend(keys);
        self
    }

    /// And those that are published at a URL, instead of at another one.
    #[cfg(feature = "jwks")]
    #[must_use]
    pub fn with_jwks(self, jwks: Jwks) -> Self {
        Self { jwks: Some(jwks), ..self }
    }

    /// Tokens need this `iss`.
    pub fn with_issuer(mut self, issuer: &str) -> Result<Self, InvalidRule> {
        self.demands.issuer(named(issuer, "issuer")?);
        Ok(self)
    }

    /// Tokens need this `aud`, or another one that was named so.
    pub fn with_audience(mut self, audience: &str) -> Result<Self, InvalidRule> {
        self.demands.audience(named(audience, "audience")?);
        Ok(self)
    }

    /// How far the clocks may be apart that tokens are written and read by: at most
    /// [`TOKEN_LEEWAY_MAX`](crate::TOKEN_LEEWAY_MAX).
    pub fn with_leeway(mut self, leeway: Duration) -> Result<Self, InvalidRule> {
        self.demands.leeway(leeway)?;
        Ok(self)
    }

    /// How long a token may count at most, from its `iat` to its `exp`: [`TOKEN_LIFE_MAX`](crate::TOKEN_LIFE_MAX)
    /// unless it is said. For so long it is remembered who has signed out.
    pub fn with_life_max(mut self, life_max: Duration) -> Result<Self, InvalidRule> {
        self.demands.life_max(life_max)?;
        Ok(self)
    }

    pub(crate) fn tokens_count_at_most_for(&self) -> Duration {
        self.demands.counts_at_most_for()
    }

    /// Which claim is the user, instead of `sub`: a text, or a whole number.
    pub fn with_user_claim(mut self, claim: &str) -> Result<Self, InvalidRule> {
        self.demands.user_claim(claim)?;
        Ok(self)
    }

    /// Fetches what is to be fetched, from now on.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(crate) fn begin(&self, alarm: &Alarm) {
        if let Some(jwks) = &self.jwks {
            jwks.keep(alarm);
        }
    }

    /// Resolves when the first attempt to fetch anything is over.
    pub(crate) async fn tried(&self) {
        if let Some(jwks) = &self.jwks {
            jwks.tried().await;
        }
    }

    /// Whether keys are to be fetched, and there are none.
    pub(crate) fn lacks_fetched_keys(&self) -> bool {
        self.jwks.as_ref().is_some_and(|jwks| jwks.keys().is_none())
    }

    pub(crate) fn verify(&self, token: &str) -> Result<Identity, InvalidToken> {
        let header = Header::of(token)?;
        let fetched = self.jwks.as_ref().and_then(Jwks::keys);
        let known = self.keys.iter().chain(fetched.iter().flat_map(|keys| keys.iter()));
        let meant = known.clone().filter(|key| header.means(key));
        let meant = meant.chain(known.filter(|key| header.may_mean(key)));
        for key in meant.take(KEYS_TRIED_MAX) {
            if let Some(claims) = self.signed_with(key, token)? {
                return self.demands.identity(claims, token, since_epoch());
            }
        }
        Err(self.unknown(&header, fetched.as_deref().unwrap_or_default()))
    }

    /// What to say of a token that none of the known keys has signed: its key may be one that was published
    /// since they were fetched, unless there is another of its name.
    fn unknown(&self, header: &Header, fetched: &[VerifyingKey]) -> InvalidToken {
        let is_named =
            |key: &VerifyingKey| header.kid.is_some() && key.kid() == header.kid.as_deref();
        match &self.jwks {
            Some(jwks) if header.algorithm.is_public() && !fetched.iter().any(is_named) => {
                jwks.missed()
            }
            _ => InvalidToken::Malformed,
        }
    }

    /// The claims, if this key has signed them.
    fn signed_with(&self, key: &VerifyingKey, token: &str) -> Result<Option<Claims>, InvalidToken> {
        match jsonwebtoken::decode(token, key.decoding(), self.demands.of(key.algorithm())) {
            Ok(TokenData { claims, .. }) => Ok(Some(claims)),
            Err(error) => match error.kind() {
                ErrorKind::InvalidSignature => Ok(None),
                ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => {
                    Err(InvalidToken::OtherService)
                }
                _ => Err(InvalidToken::Malformed),
            },
        }
    }
}

/// What a token says of how it was signed: which key is meant, and never how that is used. Keys that it brings
/// along or points at (`jwk`, `jku`, `x5c`, `x5u`) count for nothing.
struct Header {
    algorithm: Algorithm,
    kid: Option<Box<str>>,
}

impl Header {
    fn of(token: &str) -> Result<Self, InvalidToken> {
        let mut parts = token.splitn(4, '.');
        let (Some(text), Some(_), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidToken::Malformed);
        };
        let text = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidToken::Malformed)?;
        let said: Said = serde_json::from_slice(&text).map_err(|_| InvalidToken::Malformed)?;
        // RFC 7515, section 4.1.11: whoever does not understand what `crit` names refuses the token, and
        // there is nothing that we do.
        let algorithm = Algorithm::named(&said.alg).filter(|_| !said.has_crit);
        Ok(Self { algorithm: algorithm.ok_or(InvalidToken::Malformed)?, kid: said.kid })
    }

    /// Whether it names this very key.
    fn means(&self, key: &VerifyingKey) -> bool {
        self.algorithm == key.algorithm() && self.kid.is_some() && self.kid.as_deref() == key.kid()
    }

    /// Whether nothing says that it is another one.
    fn may_mean(&self, key: &VerifyingKey) -> bool {
        self.algorithm == key.algorithm() && (self.kid.is_none() || key.kid().is_none())
    }
}

#[derive(Deserialize)]
struct Said {
    alg: Box<str>,
    kid: Option<Box<str>>,
    /// Even as `null`, which the library takes for none.
    #[serde(default, rename = "crit", deserialize_with = "is_there")]
    has_crit: bool,
}
