//! What a token has to say, whoever signed it.

use std::{collections::HashSet, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Validation;
use serde::Deserialize;
use serde_json::{Map, Value};
use tetherline_protocol::{UserId, limits::TOKEN_LEEWAY_MS};

use super::{Identity, InvalidToken, key::Algorithm};
use crate::May;

/// How far the clock of whoever signs a token and ours may be apart, unless somebody says otherwise.
pub(super) const LEEWAY: Duration = Duration::from_millis(TOKEN_LEEWAY_MS);
/// The most that they may be allowed to: more would only prolong what `exp` ends.
pub const TOKEN_LEEWAY_MAX: Duration = Duration::from_mins(5);
/// How long a token may count at most, unless somebody says otherwise: for so long it is remembered who has
/// signed out.
pub const TOKEN_LIFE_MAX: Duration = Duration::from_hours(100 * 24);
/// The longest that a client is told to wait for its token to count: a clock that is wrong may be put
/// right at any moment.
pub(super) const NOT_YET_VALID_WAIT_SECS_MAX: f64 = 30.0;
/// The claim that is the user, unless somebody says otherwise.
pub(super) const SUBJECT: &str = "sub";
/// What claims say that have a meaning of their own: none of it is anybody's name.
const NOBODY: [(&str, &str); 7] = [
    ("iss", "who signed a token"),
    ("aud", "for which services a token is"),
    ("exp", "when a token ends"),
    ("nbf", "when a token begins"),
    ("iat", "when a token was made"),
    ("jti", "which token it is"),
    ("sid", "which sign-in a token belongs to"),
];

/// A rule for tokens that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRule {
    /// The claim that shall be the user never is.
    #[error(
        "`{claim}` says {meaning}, and not whose it is; name the claim that has the user's id, such as sub"
    )]
    UserClaim {
        /// Which claim.
        claim: &'static str,
        /// What it says instead.
        meaning: &'static str,
    },
    /// Nothing was named.
    #[error("the {0} is empty; name one, or leave it away")]
    Empty(&'static str),
    /// More than [`TOKEN_LEEWAY_MAX`].
    #[error("clocks may be {} seconds apart at most: more would only prolong what `exp` ends", TOKEN_LEEWAY_MAX.as_secs())]
    Leeway,
}

/// What is demanded of every token, made once and not for each of them.
#[derive(Debug, Clone)]
pub(super) struct Demands {
    by_algorithm: [Validation; Algorithm::ALL.len()],
    leeway: Duration,
    life_max: Duration,
    user_claim: Box<str>,
}

impl Default for Demands {
    fn default() -> Self {
        let by_algorithm = Algorithm::ALL.map(|algorithm| {
            let mut rules = Validation::new(algorithm.into());
            // The library rounds times to seconds; [`Claims`] takes them as they are.
            rules.validate_exp = false;
            rules.validate_aud = false;
            rules.required_spec_claims.clear();
            rules
        });
        Self { by_algorithm, leeway: LEEWAY, life_max: TOKEN_LIFE_MAX, user_claim: SUBJECT.into() }
    }
}

impl Demands {
    pub(super) fn issuer(&mut self, issuer: &str) {
        for rules in &mut self.by_algorithm {
            rules.set_issuer(&[issuer]);
            rules.required_spec_claims.insert("iss".into());
        }
    }

    /// One more that a token may be for.
    pub(super) fn audience(&mut self, audience: &str) {
        for rules in &mut self.by_algorithm {
            rules.aud.get_or_insert_with(HashSet::new).insert(audience.into());
            rules.validate_aud = true;
            rules.required_spec_claims.insert("aud".into());
        }
    }

    pub(super) fn leeway(&mut self, leeway: Duration) -> Result<(), InvalidRule> {
        if leeway > TOKEN_LEEWAY_MAX {
            return Err(InvalidRule::Leeway);
        }
        self.leeway = leeway;
        Ok(())
    }

    pub(super) fn life_max(&mut self, life_max: Duration) -> Result<(), InvalidRule> {
        if life_max.is_zero() {
            return Err(InvalidRule::Empty("longest life of a token"));
        }
        self.life_max = life_max;
        Ok(())
    }

    /// From the making of a token that counts until its end, whatever clocks say.
    pub(super) fn counts_at_most_for(&self) -> Duration {
        self.life_max.saturating_add(self.leeway * 2)
    }

    pub(super) fn user_claim(&mut self, claim: &str) -> Result<(), InvalidRule> {
        if let Some(&(claim, meaning)) = NOBODY.iter().find(|(name, _)| *name == claim) {
            return Err(InvalidRule::UserClaim { claim, meaning });
        }
        self.user_claim = named(claim, "user's claim")?.into();
        Ok(())
    }

    /// What the library is to see to: that the token says this algorithm, `iss` and `aud`.
    pub(super) fn of(&self, algorithm: Algorithm) -> &Validation {
        &self.by_algorithm[algorithm as usize]
    }

    /// What the claims of a token say whose signature is good.
    pub(super) fn identity(
        &self,
        claims: Claims,
        token: &str,
        now: Duration,
    ) -> Result<Identity, InvalidToken> {
        let expires_in = claims.time_left(now, self.leeway)?;
        claims.expect_to_end_within(self.life_max, now)?;
        let user = if *self.user_claim == *SUBJECT {
            claims.sub.as_deref().and_then(|name| name.parse().ok())
        } else {
            named_by(&self.user_claim, token)
        };
        let user = user.ok_or(InvalidToken::Malformed)?;
        let made_ms = claims.iat.map(|iat| (iat * 1_000.0) as i64);
        let may = May::EVERYTHING;
        Ok(Identity { user, session: claims.sid, made_ms, expires_in, may })
    }
}

pub(super) fn named<'a>(name: &'a str, what: &'static str) -> Result<&'a str, InvalidRule> {
    Some(name).filter(|name| !name.is_empty()).ok_or(InvalidRule::Empty(what))
}

/// The user in a claim of the application's own. Applications number their users, too: a whole number is
/// its digits.
fn named_by(claim: &str, token: &str) -> Option<UserId> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&claims).ok()?;
    match claims.get(claim)? {
        Value::String(name) => name.parse().ok(),
        Value::Number(number) if !number.is_f64() => number.to_string().parse().ok(),
        _ => None,
    }
}

/// What is read of a token. `iss` and `aud` are the library's to check. Times are what RFC 7519, section 2,
/// takes for one: any JSON number of seconds since 1970, with a fraction or an exponent, too.
#[derive(Deserialize)]
pub(super) struct Claims {
    pub(super) sub: Option<Box<str>>,
    pub(super) sid: Option<Box<str>>,
    pub(super) exp: f64,
    pub(super) nbf: Option<f64>,
    pub(super) iat: Option<f64>,
}

impl Claims {
    /// How long the token counts from now on: until `exp`, and as much longer as clocks may be apart.
    pub(super) fn time_left(
        &self,
        now: Duration,
        leeway: Duration,
    ) -> Result<Duration, InvalidToken> {
        let (now, leeway) = (now.as_secs_f64(), leeway.as_secs_f64());
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

    /// A token that does not say when it was made is as old as the first look at it, for all that anybody knows.
    fn expect_to_end_within(&self, life_max: Duration, now: Duration) -> Result<(), InvalidToken> {
        let made = self.iat.unwrap_or(now.as_secs_f64());
        if life_max < Duration::MAX && self.exp - made > life_max.as_secs_f64() {
            return Err(InvalidToken::TooLong { days_max: life_max.as_secs() / (24 * 60 * 60) });
        }
        Ok(())
    }
}
