//! Whoever signs tokens: an identity provider with a key of its own.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
    },
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

pub struct Issuer {
    kid: Option<&'static str>,
    key: Key,
}

enum Key {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// For ada, for an hour.
pub fn claims() -> Value {
    json!({ "sub": "ada", "exp": super::now() + 3_600.0 })
}

impl Issuer {
    pub fn rsa() -> Self {
        Self { kid: None, key: Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()) }
    }

    pub fn p256() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { kid: None, key: Key::P256(key) }
    }

    pub fn ed25519() -> Self {
        Self { kid: None, key: Key::Ed25519(Ed25519KeyPair::generate().unwrap()) }
    }

    /// One of each kind.
    pub fn all() -> [Self; 3] {
        [Self::rsa(), Self::p256(), Self::ed25519()]
    }

    pub fn named(self, kid: &'static str) -> Self {
        Self { kid: Some(kid), ..self }
    }

    pub fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Rsa(_) => "RS256",
            Key::P256(_) => "ES256",
            Key::Ed25519(_) => "EdDSA",
        }
    }

    pub fn header(&self) -> Value {
        match self.kid {
            Some(kid) => json!({ "alg": self.algorithm(), "typ": "JWT", "kid": kid }),
            None => json!({ "alg": self.algorithm(), "typ": "JWT" }),
        }
    }

    pub fn token(&self) -> String {
        self.signed(&self.header(), &claims())
    }

    pub fn signed(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
        let signature = self.sign(signed.as_bytes(), header["alg"] == "RS512");
        format!("{signed}.{}", base64(signature))
    }

    fn sign(&self, signed: &[u8], is_long: bool) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                let padding = if is_long { &RSA_PKCS1_SHA512 } else { &RSA_PKCS1_SHA256 };
                key.sign(padding, &random, signed, &mut signature).unwrap();
                signature
            }
            Key::P256(key) => key.sign(&random, signed).unwrap().as_ref().to_vec(),
            Key::Ed25519(key) => key.sign(signed).as_ref().to_vec(),
        }
    }

    /// The public key as `SubjectPublicKeyInfo`.
    pub fn der(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = match &self.key {
            Key::Rsa(key) => key.public_key().as_der().unwrap(),
            Key::P256(key) => key.public_key().as_der().unwrap(),
            Key::Ed25519(key) => key.public_key().as_der().unwrap(),
        };
        der.as_ref().to_vec()
    }

    pub fn pem(&self) -> String {
        pem("PUBLIC KEY", &self.der())
    }

    /// The public key as a document lists it.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.key {
            Key::Rsa(key) => {
                let key = key.public_key();
                let n = base64(key.modulus().big_endian_without_leading_zero());
                let e = base64(key.exponent().big_endian_without_leading_zero());
                json!({ "kty": "RSA", "use": "sig", "n": n, "e": e })
            }
            Key::P256(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({ "kty": "EC", "crv": "P-256", "x": base64(x), "y": base64(y) })
            }
            Key::Ed25519(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64(key.public_key()) })
            }
        };
        if let Some(kid) = self.kid {
            jwk["kid"] = kid.into();
        }
        jwk
    }
}

/// The document in which these stand.
pub fn jwks(issuers: &[&Issuer]) -> String {
    let keys: Vec<_> = issuers.iter().map(|issuer| issuer.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

pub fn pem(kind: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}
