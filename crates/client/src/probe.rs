//! Asking the same URL without an upgrade why the socket did not open.

use std::time::SystemTime;

use reqwest::{
    Response, StatusCode,
    header::{AUTHORIZATION, RETRY_AFTER},
    redirect,
};
use tetherline_engine::ProbeAnswer;
use tetherline_protocol::{ErrorCode, Problem, TOKEN_HEADER, limits::PROBE_ANSWER_BYTES_MAX};

use crate::{
    endpoint::Endpoint,
    link::CONNECT_TIMEOUT,
    tls::Trust,
    trouble::{Trouble, chain},
};

/// What the URL answers, and in words, unless it says that nothing is wrong.
pub(crate) async fn probe(
    endpoint: Endpoint,
    trust: Trust,
    token: String,
) -> (ProbeAnswer, Option<Trouble>) {
    match ask(&endpoint, &trust, &token).await {
        Ok(answer) => answer.judged(),
        Err(error) => (ProbeAnswer::Unreachable, Some(chain(&error.without_url()))),
    }
}

async fn ask(endpoint: &Endpoint, trust: &Trust, token: &str) -> reqwest::Result<Answer> {
    // As the socket: through no proxy that the environment names, and to nowhere else.
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(CONNECT_TIMEOUT);
    let client = if endpoint.is_tls() {
        client.tls_backend_preconfigured(trust.config().await.as_ref().clone())
    } else {
        // Certificates that nobody needs need not be there.
        client.tls_certs_only([])
    };
    let client = client.build()?;
    let request = client.get(endpoint.http()).header(TOKEN_HEADER, token);
    let request = match endpoint.password() {
        Some(password) => request.header(AUTHORIZATION, password),
        None => request,
    };
    let mut answer = read(request.send().await?).await;
    if answer.missed_the_header() {
        // An older server does not know the header; the other place for a token may be taken.
        if endpoint.password().is_some() {
            answer.problem = None;
        } else {
            answer = read(client.get(endpoint.http()).bearer_auth(token).send().await?).await;
        }
    }
    // Something in between has taken the token away, and the server said nothing of it.
    answer.problem = answer.problem.filter(|problem| !problem.saw_no_token());
    Ok(answer)
}

/// `Retry-After` is a number of seconds, or a date.
fn wait_ms(value: &str, now: SystemTime) -> Option<u64> {
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    let wait = httpdate::parse_http_date(value).ok()?.duration_since(now).ok()?;
    u64::try_from(wait.as_millis()).ok()
}

struct Answer {
    status: StatusCode,
    problem: Option<Problem>,
    retry_after_ms: Option<u64>,
}

impl Answer {
    /// Whether a token is refused that was looked for elsewhere.
    fn missed_the_header(&self) -> bool {
        self.problem.as_ref().is_some_and(|problem| {
            problem.code == ErrorCode::Unauthorized
                && problem.field.as_deref() != Some(TOKEN_HEADER)
        })
    }

    fn judged(self) -> (ProbeAnswer, Option<Trouble>) {
        let Self { status, problem, retry_after_ms } = self;
        let code = problem.as_ref().map(|problem| problem.code);
        let answer = ProbeAnswer::of(status.as_u16(), code, retry_after_ms);
        let words = match problem {
            _ if answer == ProbeAnswer::Acceptable => return (answer, None),
            Some(problem) => problem.message.into(),
            None => format!("it answers {status}, and not as Tetherline does").into(),
        };
        (answer, Some(words))
    }
}

async fn read(mut response: Response) -> Answer {
    let status = response.status();
    let retry_after_ms = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| wait_ms(value.to_str().ok()?.trim(), SystemTime::now()));
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > PROBE_ANSWER_BYTES_MAX {
            // Ours are shorter.
            body.clear();
            break;
        }
    }
    Answer { status, problem: Problem::parse(&body), retry_after_ms }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_wait_is_a_number_of_seconds_or_a_date() {
        // What a proxy names as a date was no wait at all: its 503 was asked again at once.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_747);
        assert_eq!(wait_ms("30", now), Some(30_000));
        assert_eq!(wait_ms("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(30_000));
        // RFC 9110, section 5.6.7: the two forms of old.
        assert_eq!(wait_ms("Sunday, 06-Nov-94 08:49:37 GMT", now), Some(30_000));
        assert_eq!(wait_ms("Sun Nov  6 08:49:37 1994", now), Some(30_000));
        for none in ["", "soon", "-1", "Sun, 06 Nov 1994 08:49:06 GMT"] {
            assert_eq!(wait_ms(none, now), None, "{none}");
        }
    }
}
