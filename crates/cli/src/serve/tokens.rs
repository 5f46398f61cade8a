//! Which tokens count.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{Args, builder::NonEmptyStringValueParser};
use tetherline_server::{TOKEN_LEEWAY_MAX, TokenRules, VerifyingKey};

use crate::files;

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
            .with_user_claim(&self.user_claim)
            .context("--jwt-user-claim")?;
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
        if keys.is_empty() {
            keys.push(files::own_jwt_secret(&data.join("jwt.secret"))?);
        }
        Ok(keys)
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
}
