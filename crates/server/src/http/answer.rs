use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Serialize, Serializer};
use tetherline_protocol::{Attempt, ErrorCode, StreamStatus};

use crate::metrics::Connect;

/// An error as HTTP says it, in the form of RFC 9457: `{"type", "title", "status", "detail", "error"}`. Its extension `error` is
/// `{"code", "message", "field"?, "retry_after_ms"?, …}`, which is all that there was before that form, and all that
/// one of many answers has.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: ErrorCode,
    message: Box<str>,
    field: Option<Box<str>>,
    details: Details,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What it counts as, where somebody wanted to connect.
    counts_as: Option<Connect>,
}

/// What a program can go on with that was told no.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<Attempt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<StreamStatus>,
    /// As the header `Retry-After` says it, which one of many answers does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u32>,
}

#[derive(Serialize)]
struct Body<'a> {
    /// A name, and nothing to fetch (RFC 9457, section 3.1.1): a server that is somebody's own has no address of ours.
    #[serde(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    detail: &'a str,
    error: &'a Problem,
}

impl<'a> Body<'a> {
    fn of(problem: &'a Problem) -> Self {
        let code = problem.code.as_str();
        Self {
            kind: format!("{PROBLEM_TYPES}{code}"),
            title: title(code),
            status: problem.status.as_u16(),
            detail: &problem.message,
            error: problem,
        }
    }
}

/// What a `type` begins with; a code follows.
const PROBLEM_TYPES: &str = "urn:x-tetherline:";
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// The code in the words of a sentence: the same for all problems of a type.
fn title(code: &str) -> String {
    let mut words = code.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

#[derive(Serialize)]
struct Error<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(flatten)]
    details: Details,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        let (details, headers) = (Details::default(), Vec::new());
        Self {
            status,
            code,
            message: message.into().into(),
            field: None,
            details,
            headers,
            counts_as: None,
        }
    }

    pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BadFrame, message).field(field)
    }

    /// What somebody sent is not what it should be, as whoever read it says.
    pub(super) fn unreadable(code: ErrorCode, field: Option<&str>, message: String) -> Self {
        let status = match code {
            ErrorCode::MessageTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self { field: field.map(Into::into), ..Self::new(status, code, message) }
    }

    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, message)
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    pub(super) fn unavailable(message: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Unavailable, message)
            .retry_after(retry_after)
    }

    pub(super) fn code(mut self, code: ErrorCode) -> Self {
        self.code = code;
        self
    }

    /// Whether it is about who asks.
    pub(super) fn is_unauthorized(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    pub(crate) fn field(mut self, field: &str) -> Self {
        self.field = Some(field.into());
        self
    }

    pub(super) fn reason(mut self, reason: &'static str) -> Self {
        self.details.reason = Some(reason);
        self
    }

    pub(super) fn next_offset(mut self, next_offset: u64) -> Self {
        self.details.next_offset = Some(next_offset);
        self
    }

    pub(super) fn attempt(mut self, attempt: Attempt) -> Self {
        self.details.attempt = Some(attempt);
        self
    }

    pub(super) fn status(mut self, status: StreamStatus) -> Self {
        self.details.status = Some(status);
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = u32::try_from(wait.as_millis().div_ceil(1_000).max(1)).unwrap_or(u32::MAX);
        self.details.retry_after_ms = Some(seconds.saturating_mul(1_000));
        self.header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    pub(super) fn counts_as(mut self, outcome: Connect) -> Self {
        self.counts_as = Some(outcome);
        self
    }

    /// What a refusal to connect is counted as.
    pub(super) fn outcome(&self) -> Connect {
        self.counts_as.unwrap_or(match self.code {
            ErrorCode::Unauthorized => Connect::Unauthorized,
            ErrorCode::TokenNotYetValid => Connect::TokenNotYetValid,
            ErrorCode::Forbidden => Connect::Forbidden,
            ErrorCode::RateLimited => Connect::RateLimited,
            ErrorCode::Unavailable => Connect::Unavailable,
            _ => Connect::BadRequest,
        })
    }

    pub(super) fn http_status(&self) -> StatusCode {
        self.status
    }
}

/// What stands in the body as `error`.
impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let error = Error {
            code: self.code.as_str(),
            message: &self.message,
            field: self.field.as_deref(),
            details: self.details,
        };
        error.serialize(serializer)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(Body::of(&self))).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM);
        response.headers_mut().extend(self.headers);
        response
    }
}

/// A file of a page that is in the binary; `policy` is what a browser lets that page do.
pub(super) fn part_of_a_page(
    kind: &'static str,
    policy: &'static str,
    text: &'static str,
) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Another version of the server has another page.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

/// The token of an `Authorization: Bearer` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
