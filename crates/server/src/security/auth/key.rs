//! Keys that signatures are checked with. Each is for one algorithm: what a token says of itself never
//! chooses how it is looked at.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RsaPublicKeyComponents,
        RsaSubjectPublicKey,
    },
};
use jsonwebtoken::DecodingKey;
use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject as _};

use super::{WeakSecret, check_strength};

/// The shortest RSA key that counts, in bits: RFC 7518, section 3.3.
pub const RSA_BITS_MIN: usize = 2048;
/// The longest, in bits: a longer one takes too much time for each token.
pub const RSA_BITS_MAX: usize = 8192;

/// What signatures are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Hs256,
    Rs256,
    Es256,
    EdDsa,
}

impl Algorithm {
    pub(super) const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    /// As `alg` has it. RFC 9864 calls the last one `Ed25519`, and issuers by its older name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Whether everybody may know what signatures are checked with.
    pub(super) const fn is_public(self) -> bool {
        !matches!(self, Self::Hs256)
    }
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Hs256 => Self::HS256,
            Algorithm::Rs256 => Self::RS256,
            Algorithm::Es256 => Self::ES256,
            Algorithm::EdDsa => Self::EdDSA,
        }
    }
}

/// A key that tokens may have been signed with, for HS256, RS256, ES256 or `EdDSA` (Ed25519).
///
/// One without a name (`kid`) is looked at whatever a token calls its key.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    decoding: Arc<DecodingKey>,
}

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// No section of the file is a public key.
    #[error(
        "there is no public key in PEM form (-----BEGIN PUBLIC KEY-----) in it; \
         `openssl pkey -in FILE -pubout` makes one of a private key, `openssl x509 -in FILE -noout -pubkey` \
         of a certificate"
    )]
    NoPem,
    /// Whoever reads it could sign tokens.
    #[error(
        "there is a private key in it, which is only for whoever signs tokens; \
         `openssl pkey -in FILE -pubout` makes the public one of it"
    )]
    Private,
    /// None of the kinds that are taken.
    #[error(
        "its public key is neither RSA with {RSA_BITS_MIN} to {RSA_BITS_MAX} bits, nor on the curve P-256, \
         nor Ed25519"
    )]
    Kind,
}

impl VerifyingKey {
    /// HS256 with this secret.
    pub fn from_secret(secret: &[u8]) -> Result<Self, WeakSecret> {
        check_strength(secret)?;
        Ok(Self::new(Algorithm::Hs256, DecodingKey::from_secret(secret)))
    }

    /// The public keys in a PEM file, each for the one algorithm of its kind: RSA for RS256, P-256 for ES256,
    /// Ed25519 for `EdDSA`.
    pub fn from_pem(pem: &[u8]) -> Result<Vec<Self>, InvalidKey> {
        let holds = |what: &[u8]| pem.windows(what.len()).any(|part| part == what);
        if holds(b"PRIVATE KEY-----") {
            return Err(InvalidKey::Private);
        }
        let sections = SubjectPublicKeyInfoDer::pem_slice_iter(pem);
        let keys: Result<Vec<_>, _> = sections
            .map(|section| Self::from_der(&section.map_err(|_| InvalidKey::NoPem)?))
            .collect();
        keys.and_then(|keys| if keys.is_empty() { Err(InvalidKey::NoPem) } else { Ok(keys) })
    }

    /// A `SubjectPublicKeyInfo` (RFC 5280).
    fn from_der(der: &[u8]) -> Result<Self, InvalidKey> {
        let key = Self::rsa(der).or_else(|| Self::p256(der)).or_else(|| Self::ed25519(der));
        key.ok_or(InvalidKey::Kind)
    }

    fn rsa(der: &[u8]) -> Option<Self> {
        // It looks at the numbers, too: with an exponent of 1 everybody could sign.
        let key = RsaSubjectPublicKey::from_der(der).ok()?;
        let n = key.modulus().big_endian_without_leading_zero().to_vec();
        let bits = 8 * n.len() - n.first()?.leading_zeros() as usize;
        let is_one = (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits);
        is_one.then(|| Self::new(Algorithm::Rs256, DecodingKey::from_rsa_der(der)))
    }

    pub(super) fn rsa_of(n: &[u8], e: &[u8]) -> Option<Self> {
        let der: PublicKeyX509Der<'_> = RsaPublicKeyComponents { n, e }.as_der().ok()?;
        Self::rsa(der.as_ref())
    }

    /// A point, or a `SubjectPublicKeyInfo`.
    pub(super) fn p256(point: &[u8]) -> Option<Self> {
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()?;
        Some(Self::new(Algorithm::Es256, DecodingKey::from_ec_der(point)))
    }

    /// 32 bytes, or a `SubjectPublicKeyInfo`.
    pub(super) fn ed25519(key: &[u8]) -> Option<Self> {
        ParsedPublicKey::new(&ED25519, key).ok()?;
        Some(Self::new(Algorithm::EdDsa, DecodingKey::from_ed_der(key)))
    }

    fn new(algorithm: Algorithm, decoding: DecodingKey) -> Self {
        Self { kid: None, algorithm, decoding: Arc::new(decoding) }
    }

    /// Only for tokens that call their key so, or by no name.
    #[must_use]
    pub fn with_kid(self, kid: &str) -> Self {
        Self { kid: Some(kid.into()), ..self }
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What HS256 checks with is a secret.
        let (kid, algorithm) = (&self.kid, self.algorithm.name());
        formatter
            .debug_struct("VerifyingKey")
            .field("kid", kid)
            .field("algorithm", &algorithm)
            .finish_non_exhaustive()
    }
}
