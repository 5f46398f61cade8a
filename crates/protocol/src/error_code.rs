use core::fmt;

/// What an `error` frame (or an HTTP error body) is about. The text beside it is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The frame is not JSON.
    BadJson,
    /// JSON, but no frame: not an object, no `type`, nested too deep, a reserved field misused.
    BadFrame,
    /// The application knows no message of this type.
    UnknownType,
    /// Over the limit that the text names.
    MessageTooLarge,
    /// No application is attached to this server, so nobody can take the message.
    NoApplication,
    /// The application refuses the message for good.
    Rejected,
    /// The application cannot answer right now; the message is worth another try.
    Unavailable,
    /// Too many messages; wait for `retry_after_ms`.
    RateLimited,
    /// No such thing, or it belongs to somebody else.
    NotFound,
    /// The token or key is missing, expired or wrong.
    Unauthorized,
    /// The token is good, but only from a later time on: a clock is wrong, or nearly so.
    TokenNotYetValid,
    /// The token is good, but for another user; or the page's origin is not allowed.
    Forbidden,
    /// The same idempotency key came with another body.
    Conflict,
    /// A fault of the server; its log has the details.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 14] = [
        Self::BadJson,
        Self::BadFrame,
        Self::UnknownType,
        Self::MessageTooLarge,
        Self::NoApplication,
        Self::Rejected,
        Self::Unavailable,
        Self::RateLimited,
        Self::NotFound,
        Self::Unauthorized,
        Self::TokenNotYetValid,
        Self::Forbidden,
        Self::Conflict,
        Self::Internal,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::BadFrame => "bad_frame",
            Self::UnknownType => "unknown_type",
            Self::MessageTooLarge => "message_too_large",
            Self::NoApplication => "no_application",
            Self::Rejected => "rejected",
            Self::Unavailable => "unavailable",
            Self::RateLimited => "rate_limited",
            Self::NotFound => "not_found",
            Self::Unauthorized => "unauthorized",
            Self::TokenNotYetValid => "token_not_yet_valid",
            Self::Forbidden => "forbidden",
            Self::Conflict => "conflict",
            Self::Internal => "internal",
        }
    }

    /// Whether sending the very same message again may succeed.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Unavailable | Self::RateLimited | Self::TokenNotYetValid | Self::Internal
        )
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
