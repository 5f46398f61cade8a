//! What a connect hook behind a URL says.

use std::time::Duration;

use serde::Deserialize;
use tetherline_protocol::UserId;

use crate::{ConnectRefusal, Grant, May, security::hook::CONNECT_HOOK_RETRY};

/// The longest sentence that a refusal may have, in bytes.
pub const CONNECT_HOOK_REFUSAL_BYTES_MAX: usize = 1024;
/// The longest name of a sign-in that it may give, in bytes.
pub const CONNECT_HOOK_SESSION_BYTES_MAX: usize = 255;
/// The longest that a client is told to wait.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// The only forms that are an answer.
pub(crate) enum Answer {
    Granted(Grant),
    Refused(ConnectRefusal),
}

impl Answer {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let said: Said = serde_json::from_slice(text).map_err(|error| {
            // Serde's own words quote what was said, which is a secret for all that we know.
            format!("its body is no answer (line {}, column {})", error.line(), error.column())
        })?;
        Ok(said.into_answer()?)
    }
}

/// What it says, before anybody has looked whether that makes sense.
#[derive(Deserialize)]
struct Said {
    user: Option<UserId>,
    session: Option<Box<str>>,
    expires_in_ms: Option<u64>,
    may: Option<SaidMay>,
    refuse: Option<String>,
    code: Option<SaidCode>,
    retry_after_ms: Option<u64>,
}

/// A word that is not known would be a permission that somebody meant to withhold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidMay {
    send: Option<bool>,
    stop: Option<bool>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum SaidCode {
    Unauthorized,
    Forbidden,
    RateLimited,
    Unavailable,
}

impl Said {
    fn into_answer(self) -> Result<Answer, &'static str> {
        match self.refuse {
            Some(_) if self.user.is_some() => Err("it names a user and refuses"),
            Some(sentence) if sentence.len() > CONNECT_HOOK_REFUSAL_BYTES_MAX => {
                Err("its sentence is too long")
            }
            Some(sentence) => {
                Ok(Answer::Refused(refusal(sentence, self.code, self.retry_after_ms)))
            }
            None => self.into_grant().map(Answer::Granted),
        }
    }

    fn into_grant(self) -> Result<Grant, &'static str> {
        let user = self.user.ok_or("it names no user and refuses nobody")?;
        if self.session.as_ref().is_some_and(|it| it.len() > CONNECT_HOOK_SESSION_BYTES_MAX) {
            return Err("its session is too long");
        }
        if self.expires_in_ms == Some(0) {
            return Err("what it says has expired");
        }
        let may = self.may.map_or(May::EVERYTHING, |said| {
            let send = said.send.unwrap_or(true);
            May { send, stop: said.stop.unwrap_or(send) }
        });
        let expires_in = self.expires_in_ms.map(Duration::from_millis);
        Ok(Grant { session: self.session, expires_in, may, ..Grant::new(user) })
    }
}

fn refusal(
    sentence: String,
    code: Option<SaidCode>,
    retry_after_ms: Option<u64>,
) -> ConnectRefusal {
    let sentence = if sentence.trim().is_empty() {
        "The application lets nobody in with these credentials.".to_owned()
    } else {
        sentence
    };
    let said = retry_after_ms.map(|wait| Duration::from_millis(wait).min(RETRY_AFTER_MAX));
    let wait = said.unwrap_or(CONNECT_HOOK_RETRY);
    match code {
        Some(SaidCode::Forbidden) => ConnectRefusal::forbidden(sentence),
        Some(SaidCode::RateLimited) => ConnectRefusal::rate_limited(sentence, wait),
        Some(SaidCode::Unavailable) => ConnectRefusal::unavailable(sentence, wait),
        None if said.is_some() => ConnectRefusal::unavailable(sentence, wait),
        Some(SaidCode::Unauthorized) | None => ConnectRefusal::unauthorized(sentence),
    }
}
