//! Which tokens count.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{Args, builder::NonEmptyStringValueParser};
use tetherline_server::{Jwks, JwksOptions, TOKEN_LEEWAY_MAX, TokenRules, VerifyingKey};

use crate::{files, token::duration};

#[derive(Debug, Args)]
pub(super) struct TokenOptions {
    /// A secret that tokens are signed with (HS256). May be repeated while one takes the place of another. Without
    /// any option that names a key, DIR/jwt.secret, made on the first start.
    #[arg(long = "jwt-secret-file", value_name = "FILE", env = "TETHERLINE_JWT_SECRET_FILE")]
    secret_files: Vec<PathBuf>,
    /// Public keys in PEM form: RSA for tokens signed with RS256, P-256 for ES256, Ed25519 for EdDSA. May be
    /// repeated, or be several with commas between.
    #[arg(
        long = "jwt-public-key-file",
        value_name = "FILE",
        value_delimiter = ',',
        env = "TETHERLINE_JWT_PUBLIC_KEY_FILE"
    )]
    public_key_files: Vec<PathBuf>,
    /// A JWK set (RFC 7517): keys with names, of which a token says its own (`kid`).
    #[arg(long = "jwt-jwks-file", value_name = "FILE", env = "TETHERLINE_JWT_JWKS_FILE")]
    jwks_file: Option<PathBuf>,
    /// Where an identity provider publishes such a set: https, or http on this very machine. It is fetched at the
    /// start, when it is old, and when a token names a key that is not in it.
    #[arg(long = "jwt-jwks-url", value_name = "URL", env = "TETHERLINE_JWT_JWKS_URL")]
    jwks_url: Option<String>,
    /// The proxy on the way there, such as http://127.0.0.1:3128. HTTP_PROXY and the like in the environment count
    /// for nothing.
    #[arg(
        long = "jwt-jwks-proxy",
        value_name = "URL",
        env = "TETHERLINE_JWT_JWKS_PROXY",
        requires = "jwks_url"
    )]
    jwks_proxy: Option<String>,
    /// Trust the certificates in this PEM file there, instead of the machine's.
    #[arg(
        long = "jwt-jwks-cacert",
        value_name = "FILE",
        env = "TETHERLINE_JWT_JWKS_CACERT",
        requires = "jwks_url"
    )]
    jwks_cacert: Option<PathBuf>,
    /// Only tokens with this `iss` count.
    #[arg(
        long = "jwt-issuer",
        value_name = "ISS",
        value_parser = NonEmptyStringValueParser::new(),
        env = "TETHERLINE_JWT_ISSUER"
    )]
    issuer: Option<String>,
    /// Only tokens with this `aud` count. May be repeated, or be several with commas between, of which a token
    /// needs one.
    #[arg(
        long = "jwt-audience",
        value_name = "AUD",
        value_delimiter = ',',
        value_parser = NonEmptyStringValueParser::new(),
        env = "TETHERLINE_JWT_AUDIENCE"
    )]
    audiences: Vec<String>,
    /// How many seconds the clocks may be apart that tokens are written and read by.
    #[arg(
        long = "jwt-leeway",
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(0..=TOKEN_LEEWAY_MAX.as_secs()),
        env = "TETHERLINE_JWT_LEEWAY"
    )]
    leeway: u64,
    /// How long a token may count at most, such as 12h or 100d, from its `iat` to its `exp`: for so long it is
    /// remembered who was signed out. With more than before, tokens may count again whose sign-out was forgotten.
    #[arg(
        long = "jwt-life-max",
        value_name = "TIME",
        default_value = "100d",
        value_parser = duration,
        env = "TETHERLINE_JWT_LIFE_MAX"
    )]
    life_max: Duration,
    /// The claim that is the user.
    #[arg(
        long = "jwt-user-claim",
        value_name = "CLAIM",
        default_value = "sub",
        env = "TETHERLINE_JWT_USER_CLAIM"
    )]
    user_claim: String,
}

impl TokenOptions {
    pub(super) fn rules(&self, data: &Path) -> Result<TokenRules> {
        let mut rules = TokenRules::new()
            .with_keys(self.keys(data)?)
            .with_leeway(Duration::from_secs(self.leeway))
            .context("--jwt-leeway")?
            .with_life_max(self.life_max)
            .context("--jwt-life-max")?
            .with_user_claim(&self.user_claim)
            .context("--jwt-user-claim")?;
        if let Some(url) = &self.jwks_url {
            rules = rules.with_jwks(self.jwks(url)?);
        }
        if let Some(issuer) = &self.issuer {
            rules = rules.with_issuer(issuer).context("--jwt-issuer")?;
        }
        for audience in &self.audiences {
            rules = rules.with_audience(audience).context("--jwt-audience")?;
        }
        Ok(rules)
    }

    fn keys(&self, data: &Path) -> Result<Vec<VerifyingKey>> {
        let mut keys = Vec::new();
        for path in &self.secret_files {
            keys.push(files::jwt_secret(path)?);
        }
        for path in &self.public_key_files {
            keys.extend(files::public_keys(path)?);
        }
        if let Some(path) = &self.jwks_file {
            keys.extend(files::jwks(path)?);
        }
        // Whoever names keys does not want tokens to count that were signed with another.
        if keys.is_empty() && self.jwks_url.is_none() {
            keys.push(files::own_jwt_secret(&data.join("jwt.secret"))?);
        }
        Ok(keys)
    }

    fn jwks(&self, url: &str) -> Result<Jwks> {
        let trusted = self.jwks_cacert.as_deref();
        let trusted =
            trusted.map(|path| files::certificates(path, "--jwt-jwks-cacert")).transpose()?;
        let mut jwks = JwksOptions::new(url);
        jwks.ca_certificates = trusted.as_ref().map(|(pem, _)| pem.as_slice());
        jwks.proxy = self.jwks_proxy.as_deref();
        Jwks::open(jwks).context("--jwt-jwks-url")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_be_as_far_apart_as_the_protocol_says() {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            options: TokenOptions,
        }
        let parse = |leeway: &[&str]| {
            let line = [&["serve"][..], leeway].concat();
            <Only as clap::Parser>::try_parse_from(line).map(|only| only.options.leeway)
        };
        let by_default = parse(&[]).unwrap();
        assert_eq!(1_000 * by_default, tetherline_protocol::limits::TOKEN_LEEWAY_MS);
        assert_eq!(parse(&["--jwt-leeway", "300"]).unwrap(), TOKEN_LEEWAY_MAX.as_secs());
        for wrong in ["301", "-1", "1.5", ""] {
            assert!(parse(&["--jwt-leeway", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tokens_may_live_as_long_as_the_server_says() {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            options: TokenOptions,
        }
        let options = <Only as clap::Parser>::parse_from(["serve"]).options;
        assert_eq!(options.life_max, tetherline_server::TOKEN_LIFE_MAX);
    }
}
