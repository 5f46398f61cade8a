//! What a document with keys (RFC 7517) means.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{
    is_there,
    key::{Algorithm, VerifyingKey},
};

/// The longest document that is read, in bytes.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;
/// How many keys one may list, whatever they are for.
pub const JWKS_KEYS_MAX: usize = 64;

/// Why a document is no set of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidJwks {
    /// More than [`JWKS_BYTES_MAX`].
    #[error("the document is longer than {JWKS_BYTES_MAX} bytes")]
    TooLong,
    /// Something else altogether.
    #[error("the document is not a JSON object with a list `keys`")]
    NoKeys,
    /// More than [`JWKS_KEYS_MAX`].
    #[error("the document lists {0} keys; {JWKS_KEYS_MAX} are taken at most")]
    TooMany(usize),
    /// It lists nothing.
    #[error("the document lists no keys")]
    Empty,
    /// Nothing that it lists could have signed a token.
    #[error("no key that it lists can be used; the first {why}")]
    Unusable {
        /// How many it lists.
        keys: usize,
        /// What is wrong with the first.
        why: UnusableKey,
    },
}

/// Why a key of a document is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableKey {
    /// Not a JSON Web Key at all.
    #[error("is not a JSON Web Key")]
    Shape,
    /// Another kind of key, or another curve.
    #[error("is neither RSA nor on the curves P-256 or Ed25519")]
    Kind,
    /// Signatures of another kind are made with it.
    #[error("is for another algorithm than RS256, ES256 and EdDSA")]
    Algorithm,
    /// Not for signatures.
    #[error("is not for checking signatures")]
    Use,
    /// Whoever reads the document can sign with it.
    #[error("comes with its private half, so that anybody may have signed with it")]
    Private,
    /// A secret where everybody can read it.
    #[error("is a secret that stands in a public document")]
    Published,
    /// A secret that can be guessed.
    #[error("is a secret that is too short")]
    Weak,
    /// Its numbers are no key.
    #[error("has numbers that are no such key")]
    Broken,
}

impl VerifyingKey {
    /// The keys of a JWK set (RFC 7517) that somebody put into a file. Those that are for something else are
    /// left out, as its section 5 says.
    pub fn from_jwks(document: &[u8]) -> Result<Vec<Self>, InvalidJwks> {
        keys(document, Source::File)
    }

    /// The same of one that everybody can read.
    #[cfg(any(feature = "jwks", feature = "fuzzing"))]
    pub(crate) fn from_published_jwks(document: &[u8]) -> Result<Vec<Self>, InvalidJwks> {
        keys(document, Source::Published)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    File,
    Published,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

fn keys(document: &[u8], source: Source) -> Result<Vec<VerifyingKey>, InvalidJwks> {
    if document.len() > JWKS_BYTES_MAX {
        return Err(InvalidJwks::TooLong);
    }
    let Document { keys } = serde_json::from_slice(document).map_err(|_| InvalidJwks::NoKeys)?;
    if keys.len() > JWKS_KEYS_MAX {
        return Err(InvalidJwks::TooMany(keys.len()));
    }
    let mut usable = Vec::new();
    let mut first = None;
    for text in &keys {
        match key(text, source) {
            Ok(key) => usable.push(key),
            Err(why) => first = first.or(Some(why)),
        }
    }
    match first {
        None if usable.is_empty() => Err(InvalidJwks::Empty),
        Some(why) if usable.is_empty() => Err(InvalidJwks::Unusable { keys: keys.len(), why }),
        _ => Ok(usable),
    }
}

/// One key, with what is read of it.
#[derive(Deserialize)]
struct Jwk {
    kty: Box<str>,
    kid: Option<Box<str>>,
    alg: Option<Box<str>>,
    #[serde(rename = "use")]
    usage: Option<Box<str>>,
    key_ops: Option<Vec<Box<str>>>,
    crv: Option<Box<str>>,
    n: Option<Base64>,
    e: Option<Base64>,
    x: Option<Base64>,
    y: Option<Base64>,
    k: Option<Base64>,
    #[serde(default, rename = "d", deserialize_with = "is_there")]
    is_private: bool,
}

fn key(text: &RawValue, source: Source) -> Result<VerifyingKey, UnusableKey> {
    let jwk: Jwk = serde_json::from_str(text.get()).map_err(|_| UnusableKey::Shape)?;
    let is_for_signatures = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
        && jwk.key_ops.as_deref().is_none_or(|can| can.iter().any(|what| **what == *"verify"));
    if !is_for_signatures {
        return Err(UnusableKey::Use);
    }
    if jwk.is_private {
        return Err(UnusableKey::Private);
    }
    let kid = jwk.kid.clone();
    let key = numbers(jwk, source)?;
    Ok(match kid {
        Some(kid) => key.with_kid(&kid),
        None => key,
    })
}

/// The key itself. It is for the one algorithm of its kind, whatever else it could be used for.
fn numbers(jwk: Jwk, source: Source) -> Result<VerifyingKey, UnusableKey> {
    let algorithm = match (&*jwk.kty, jwk.crv.as_deref()) {
        ("RSA", _) => Algorithm::Rs256,
        ("EC", Some("P-256")) => Algorithm::Es256,
        ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
        ("oct", _) => Algorithm::Hs256,
        _ => return Err(UnusableKey::Kind),
    };
    if jwk.alg.as_deref().is_some_and(|alg| alg != algorithm.name()) {
        return Err(UnusableKey::Algorithm);
    }
    let key = match algorithm {
        Algorithm::Rs256 => rsa(jwk.n, jwk.e),
        Algorithm::Es256 => p256(jwk.x, jwk.y),
        Algorithm::EdDsa => {
            jwk.x.filter(|x| x.0.len() == 32).and_then(|x| VerifyingKey::ed25519(&x.0))
        }
        Algorithm::Hs256 if source == Source::Published => return Err(UnusableKey::Published),
        Algorithm::Hs256 => {
            let secret = jwk.k.ok_or(UnusableKey::Broken)?;
            return VerifyingKey::from_secret(&secret.0).map_err(|_| UnusableKey::Weak);
        }
    };
    key.ok_or(UnusableKey::Broken)
}

fn rsa(n: Option<Base64>, e: Option<Base64>) -> Option<VerifyingKey> {
    let (n, e) = (n?, e?);
    VerifyingKey::rsa_of(n.number(), e.number())
}

fn p256(x: Option<Base64>, y: Option<Base64>) -> Option<VerifyingKey> {
    let (x, y) = (x?, y?);
    // RFC 7518, section 6.2.1.2: as long as the curve's coordinates, zeros in front included.
    let is_full = x.0.len() == 32 && y.0.len() == 32;
    let point = [&[4], &*x.0, &*y.0].concat();
    is_full.then(|| VerifyingKey::p256(&point)).flatten()
}

/// Bytes, as JSON has them.
struct Base64(Vec<u8>);

impl Base64 {
    /// Without the zeros in front that some write although RFC 7518, section 2, tells them not to.
    fn number(&self) -> &[u8] {
        let zeros = self.0.iter().take_while(|byte| **byte == 0).count();
        &self.0[zeros..]
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<str>::deserialize(deserializer)?;
        BASE64_URL_SAFE_NO_PAD.decode(&*text).map(Self).map_err(serde::de::Error::custom)
    }
}
