use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use tetherline_process::{answer, outcome_of};
use tetherline_protocol::UserId;
use tetherline_server::issue_token;

use crate::files;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The server's signing secret.
    #[arg(long, value_name = "FILE", env = "TETHERLINE_JWT_SECRET_FILE")]
    jwt_secret_file: PathBuf,
    /// What it says as `iss`.
    #[arg(long = "jwt-issuer", value_name = "ISS", env = "TETHERLINE_JWT_ISSUER")]
    issuer: Option<String>,
    /// What it says as `aud`; of several the first.
    #[arg(
        long = "jwt-audience",
        value_name = "AUD",
        value_delimiter = ',',
        env = "TETHERLINE_JWT_AUDIENCE"
    )]
    audiences: Vec<String>,
    /// The claim that has the user, beside `sub`.
    #[arg(long = "jwt-user-claim", value_name = "CLAIM", env = "TETHERLINE_JWT_USER_CLAIM")]
    user_claim: Option<String>,
    /// Who may connect with it: 1 to 255 bytes, such as a UUID or auth0|5f7c.
    #[arg(long)]
    user: UserId,
    /// Its session (`sid`), which `tetherline sign-out --session` ends.
    #[arg(long, value_name = "SID")]
    session: Option<String>,
    /// How long it is good for, such as 90s, 15m, 1h or 7d.
    #[arg(long, default_value = "1h", value_parser = duration)]
    ttl: Duration,
    /// Print one JSON object instead of the token.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut keys = files::jwt_keys(&options.jwt_secret_file)?;
    if let Some(issuer) = &options.issuer {
        keys = keys.with_issuer(issuer);
    }
    if let Some(audience) = options.audiences.first() {
        keys = keys.with_audience(audience);
    }
    if let Some(claim) = &options.user_claim {
        keys = keys.with_user_claim(claim).context("--jwt-user-claim")?;
    }
    let token = issue_token(&keys, &options.user, options.session.as_deref(), options.ttl);
    let done = "tetherline: a token was made";
    if options.json {
        let Options { user, session, ttl, .. } = options;
        let report = json!({
            "token": token, "user": user, "session": session, "expires_in_s": ttl.as_secs(),
        });
        return Ok(outcome_of(answer(&report), done));
    }
    Ok(outcome_of(answer(&token), done))
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration: write it like 90s, 15m, 1h or 7d");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds_each = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let count: u64 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    match count.checked_mul(seconds_each) {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_with_their_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h"), Ok(Duration::from_hours(1)));
        assert_eq!(duration("7d"), Ok(Duration::from_hours(168)));
        for wrong in [
            "",
            "1",
            "h",
            "1y",
            "-1h",
            "0s",
            "1.5h",
            "99999999999999999999s",
            "9999999999999999999d",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
