//! The parsers of what comes from outside, for the fuzz targets.
//!
//! Nothing here is for applications, and no promise is made about it.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::HeaderMap;
use jsonwebtoken::Algorithm;
use tetherline_protocol::UserId;

pub use crate::connection::socket::fuzzing::frames;
pub use crate::http::fuzzing::{device, idempotency_key, token};
use crate::{
    ConnectRefusal, Grant, JwtKeys, Origin, Refusal, TokenRules, VerifyingKey,
    application::connect_answer::Answer,
    security::{origin::RequestOrigin, secret::secret_in},
};

/// Whether a page is on the list.
#[must_use]
pub fn is_allowed(headers: &HeaderMap, allowed: &[Origin]) -> bool {
    matches!(RequestOrigin::of(headers, allowed), RequestOrigin::Allowed(_))
}

/// Whom a token speaks for.
#[must_use]
pub fn bearer_of(keys: &JwtKeys, token: &str) -> Option<UserId> {
    TokenRules::from(keys.clone()).verify(token).ok().map(|identity| identity.user)
}

/// A token with these claims, whatever they are, and our signature.
///
/// # Panics
///
/// Never: HS256 takes any secret.
#[must_use]
pub fn signed(keys: &JwtKeys, claims: &[u8]) -> String {
    let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let signed = format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(claims));
    let signature =
        jsonwebtoken::crypto::sign(signed.as_bytes(), keys.encoding(), Algorithm::HS256)
            .expect("HS256 takes any secret");
    format!("{signed}.{signature}")
}

/// How many keys count of a document: of one in a file, and of one that everybody can read.
#[must_use]
pub fn keys(document: &[u8]) -> (usize, usize) {
    let count = |keys: Result<Vec<_>, _>| keys.map_or(0, |keys| keys.len());
    (count(VerifyingKey::from_jwks(document)), count(VerifyingKey::from_published_jwks(document)))
}

/// What a webhook's 4xx says, if it is the application's.
#[must_use]
pub fn refusal(answer: &[u8]) -> Option<Refusal> {
    Refusal::from_answer(answer)
}

/// What a connect hook says, if it has the form of an answer.
#[must_use]
pub fn connect_answer(answer: &[u8]) -> Option<Result<Grant, ConnectRefusal>> {
    Some(match Answer::parse(answer).ok()? {
        Answer::Granted(grant) => Ok(grant),
        Answer::Refused(refusal) => Err(refusal),
    })
}

/// The secret in a file with this text.
#[must_use]
pub fn secret(text: &str) -> Option<&str> {
    secret_in(text)
}
