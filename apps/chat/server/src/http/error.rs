use std::{borrow::Cow, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tetherline_server::BodyError;

use crate::trouble::REQUESTS;
use crate::{accounts::InvalidSignUp, database::DatabaseError, password::PasswordError};

/// What the API says when it does not do what was asked. The message is for the person.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    field: Option<&'static str>,
    retry_after: Option<Duration>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), field: None, retry_after: None }
    }

    pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    pub(super) fn not_found(message: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "This address of the API does not take this HTTP method.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    pub(super) fn email_taken() -> Self {
        let message = "This e-mail already has an account. Sign in instead, or use another e-mail.";
        let error = Self::new(StatusCode::CONFLICT, "email_taken", message);
        Self { field: Some("email"), ..error }
    }

    pub(super) fn wrong_credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "wrong_credentials", "E-mail or password is wrong.")
    }

    pub(super) fn signed_out() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "signed_out", "You are signed out. Sign in again.")
    }

    pub(super) fn unauthorized() -> Self {
        let message =
            "The access token is missing, expired or wrong. Refresh it, or sign in again.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(super) fn foreign_origin() -> Self {
        let message = "This page may not use the chat; start the chat with --allow-origin and the \
                       page's address.";
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(super) fn rate_limited(retry_after: Duration) -> Self {
        let retry_after = whole_seconds(retry_after);
        let seconds = retry_after.as_secs();
        let wait = match seconds {
            1 => "a second".into(),
            2..=90 => format!("{seconds} seconds"),
            _ => format!("{} minutes", seconds.div_ceil(60)),
        };
        let message = format!("Too many attempts. Wait {wait}, then try again.");
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message);
        Self { retry_after: Some(retry_after), ..error }
    }

    /// The peer learns nothing about the cause; the log has it.
    pub(super) fn internal(cause: &dyn std::fmt::Display) -> Self {
        REQUESTS.error("a request failed", cause);
        let message = "Something went wrong on our side. Try again in a moment.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

/// Rounded up: who comes a moment too early is refused again.
fn whole_seconds(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
        .max(Duration::from_secs(1))
}

impl From<InvalidSignUp> for ApiError {
    fn from(invalid: InvalidSignUp) -> Self {
        Self { field: Some(invalid.field()), ..Self::invalid(invalid.to_string()) }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { bytes_max } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("Send at most {bytes_max} bytes."),
            ),
            BodyError::Encoded => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported",
                "Send the JSON as it is, without a Content-Encoding.",
            ),
            BodyError::TooSlow => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                "too_slow",
                "The request came too slowly. Send it again.",
            ),
            BodyError::Crowded => Self {
                retry_after: Some(Duration::from_secs(1)),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "The server is busy right now. Try again in a moment.",
                )
            },
            _ => Self::invalid("The request was cut off. Send it again."),
        }
    }
}

impl From<DatabaseError> for ApiError {
    fn from(error: DatabaseError) -> Self {
        Self::internal(&error)
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self {
                retry_after: Some(Duration::from_secs(5)),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "Many people are signing in right now. Try again in a few seconds.",
                )
            },
            PasswordError::Failed(_) => Self::internal(&error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(field) = self.field {
            error["field"] = field.into();
        }
        let mut title = self.code.replace('_', " ");
        title[..1].make_ascii_uppercase();
        // RFC 9457, in the delivery server's form: `error` is what its own clients read.
        let problem = json!({
            "type": format!("urn:x-tetherline:{}", self.code),
            "title": title,
            "status": self.status.as_u16(),
            "detail": error["message"],
            "error": error,
        });
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, kind, problem.to_string()).into_response();
        if let Some(wait) = self.retry_after {
            let seconds = HeaderValue::from(wait.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // It said "Wait 1 seconds", and "Wait 900 seconds".
    #[test]
    fn a_wait_is_said_as_people_say_it() {
        let said = |seconds| {
            let error = ApiError::rate_limited(Duration::from_secs(seconds));
            error.message.replace("Too many attempts. Wait ", "").replace(", then try again.", "")
        };
        assert_eq!(
            [0, 1, 2, 90, 91, 900].map(said),
            ["a second", "a second", "2 seconds", "90 seconds", "2 minutes", "15 minutes"]
        );
    }
}
