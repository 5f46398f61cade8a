/// What stands in a close frame's reason before the time after which to come back, in ms.
pub const RETRY_AFTER_IN_REASON: &str = "retry_after_ms=";

/// Why a connection was closed, as the WebSocket close code says it (RFC 6455, section 7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseCode {
    /// 1000: the client is done (signed out, page left).
    Normal,
    /// 1002: a breach of RFC 6455.
    ProtocolError,
    /// 1003: a binary frame; the wire is text.
    Unsupported,
    /// 1007: text that is not UTF-8.
    InvalidUtf8,
    /// 1008: misuse that went on after it was answered with `error`.
    PolicyViolation,
    /// 1009: a message over `message_bytes_max`.
    TooBig,
    /// 1011: a fault of the server; the details are in its log.
    Internal,
    /// 1012: the server is going away; come back when its reason says.
    Restart,
    /// 4401: the token expired or was revoked.
    TokenExpired,
    /// 4403: `authenticate` named another user.
    OtherUser,
    /// 4408: nothing was heard for `idle_timeout_ms`.
    Silent,
    /// 4410: the user's mailbox was erased; what comes next counts in a new epoch.
    Erased,
    /// 4413: the reader took nothing for `stuck_timeout_ms`.
    Stuck,
    /// 4429: the rate limit was passed again and again.
    RateLimited,
}

/// What a client does about a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reaction {
    /// Connect again, after the backoff.
    Reconnect,
    /// Fetch a fresh token and connect again at once; refused once more, slower and slower.
    FreshToken,
}

impl CloseCode {
    /// Every code that this protocol gives a meaning.
    pub const ALL: [Self; 14] = [
        Self::Normal,
        Self::ProtocolError,
        Self::Unsupported,
        Self::InvalidUtf8,
        Self::PolicyViolation,
        Self::TooBig,
        Self::Internal,
        Self::Restart,
        Self::TokenExpired,
        Self::OtherUser,
        Self::Silent,
        Self::Erased,
        Self::Stuck,
        Self::RateLimited,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::ProtocolError => 1002,
            Self::Unsupported => 1003,
            Self::InvalidUtf8 => 1007,
            Self::PolicyViolation => 1008,
            Self::TooBig => 1009,
            Self::Internal => 1011,
            Self::Restart => 1012,
            Self::TokenExpired => 4401,
            Self::OtherUser => 4403,
            Self::Silent => 4408,
            Self::Erased => 4410,
            Self::Stuck => 4413,
            Self::RateLimited => 4429,
        }
    }

    /// The name in `UPPER_SNAKE` case, as the generated TypeScript has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "NORMAL",
            Self::ProtocolError => "PROTOCOL_ERROR",
            Self::Unsupported => "UNSUPPORTED",
            Self::InvalidUtf8 => "INVALID_UTF8",
            Self::PolicyViolation => "POLICY_VIOLATION",
            Self::TooBig => "TOO_BIG",
            Self::Internal => "INTERNAL",
            Self::Restart => "RESTART",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::OtherUser => "OTHER_USER",
            Self::Silent => "SILENT",
            Self::Erased => "ERASED",
            Self::Stuck => "STUCK",
            Self::RateLimited => "RATE_LIMITED",
        }
    }

    /// When whoever closed wants the client back, in ms: what the close frame's reason ends in, behind
    /// [`RETRY_AFTER_IN_REASON`]. Older servers, and whatever stands in between, say nothing of it.
    #[must_use]
    pub fn retry_after_ms(reason: &str) -> Option<u64> {
        let (_, told) = reason.split_once(RETRY_AFTER_IN_REASON)?;
        told.parse().ok()
    }

    /// What a client does about any close code, known or not: unknown ones are worth another try.
    #[must_use]
    pub const fn reaction(code: u16) -> Reaction {
        match code {
            4401 | 4403 => Reaction::FreshToken,
            _ => Reaction::Reconnect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_when_to_come_back_or_nothing() {
        let told = CloseCode::retry_after_ms;
        assert_eq!(told("the server restarts; retry_after_ms=1500"), Some(1_500));
        assert_eq!(told("retry_after_ms=0"), Some(0));
        for nothing in [
            "",
            "the server restarts",
            "retry_after_ms=",
            "retry_after_ms=-1",
            "retry_after_ms=1.5",
            "retry_after_ms=1 s",
        ] {
            assert_eq!(told(nothing), None, "{nothing}");
        }
    }
}
