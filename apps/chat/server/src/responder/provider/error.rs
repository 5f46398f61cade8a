//! What a provider can do wrong, and how it is told to the person who asked.

use reqwest::StatusCode;
use serde_json::Value;

use crate::history::Failure;
use crate::trouble::PROVIDER;

/// As much of a provider's own words as goes to the log.
fn excerpt(words: &str) -> String {
    words.chars().take(LOGGED_CHARS_MAX).collect()
}

/// Why an answer is not whole, or not there at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::responder) enum ProviderError {
    #[error(
        "The AI provider cannot be reached. Check that it is running and that OPENAI_BASE_URL is \
         right, then try again."
    )]
    Unreachable,
    #[error("The AI provider took too long to answer. Try again, perhaps with a shorter question.")]
    TimedOut,
    #[error("The AI provider fell silent in the middle of its answer. Try again.")]
    Stalled,
    #[error("The AI provider's answer ended too early. Try again.")]
    EndedEarly,
    #[error("The AI provider refused our key. Check OPENAI_API_KEY, then try again.")]
    Unauthorized,
    #[error("The AI provider is busy or the quota is used up. Wait a little, then try again.")]
    RateLimited,
    #[error(
        "The AI provider does not know the model or the address. Check CHAT_MODEL and OPENAI_BASE_URL."
    )]
    NotFound,
    #[error(
        "The AI provider refused the request (HTTP {0}). Whoever runs this chat finds its reason in the log."
    )]
    Refused(u16),
    #[error("The AI provider has a problem of its own (HTTP {0}). Try again in a moment.")]
    Failed(u16),
    #[error("The AI provider gave up on its answer. Try again in a moment.")]
    GaveUp,
    #[error(
        "The AI provider sent something that is no answer. Try again; if it persists, check OPENAI_BASE_URL."
    )]
    Unreadable,
    #[error("The AI provider sent an empty answer. Try again.")]
    Empty,
    #[error(
        "The model reached its length limit before it wrote anything. Ask for something shorter, or \
         raise the limit."
    )]
    OutOfRoom,
    #[error("The model reached its length limit here.")]
    CutByLength,
    #[error("The AI provider's content filter ended the answer here. Try other words.")]
    CutByFilter,
    #[error("The AI provider's content filter held the answer back. Rephrase the question.")]
    Filtered,
    #[error(
        "The conversation is longer than the model can read. Start a new one, or shorten the \
         question."
    )]
    ContextTooLong,
}

/// How much of an error's own words goes to the log, in characters.
const LOGGED_CHARS_MAX: usize = 500;

impl ProviderError {
    /// What a status other than success means.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Unauthorized,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::PAYLOAD_TOO_LARGE => Self::ContextTooLong,
            // Somewhere else may be somebody else's.
            status if status.is_redirection() => Self::NotFound,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::PAYMENT_REQUIRED => Self::RateLimited,
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Self::TimedOut,
            status if status.is_client_error() => Self::Refused(status.as_u16()),
            status => Self::Failed(status.as_u16()),
        }
    }

    /// What a status other than success means, and the body that came with it. Its words are for whoever runs the
    /// chat: they may name accounts and machines.
    pub(super) fn of_refusal(status: StatusCode, model: &str, body: &[u8]) -> Self {
        let cause = excerpt(&String::from_utf8_lossy(body));
        let why = format_args!("{status} for {model}: {cause}");
        PROVIDER.warn("the provider refused to answer", &why);
        let named = serde_json::from_slice::<Value>(body).ok().and_then(|mut body| {
            let error = body["error"].take();
            Self::named(if error.is_null() { &body } else { &error })
        });
        named.unwrap_or_else(|| Self::of_status(status))
    }

    /// What an error means that stands where an answer should.
    pub(super) fn told(error: &Value) -> Self {
        let cause = excerpt(&error.to_string());
        PROVIDER.warn("the provider reported an error instead of an answer", &cause);
        let code = &error["code"];
        let status = code.as_u64().or_else(|| code.as_str()?.parse().ok());
        Self::named(error)
            .or_else(|| {
                let status = u16::try_from(status?).ok().filter(|code| (400..600).contains(code));
                StatusCode::from_u16(status?).ok().map(Self::of_status)
            })
            .unwrap_or(Self::GaveUp)
    }

    /// What an error says by its name, whatever the status.
    fn named(error: &Value) -> Option<Self> {
        let is_named = |names: &[&str]| {
            [&error["code"], &error["type"]]
                .iter()
                .filter_map(|said| said.as_str())
                .any(|said| names.iter().any(|name| said.contains(name)))
        };
        if is_named(&["context_length", "exceed_context_size"]) {
            Some(Self::ContextTooLong)
        } else if is_named(&["content_filter", "content_policy"]) {
            Some(Self::Filtered)
        } else if is_named(&["rate_limit", "quota"]) {
            Some(Self::RateLimited)
        } else if is_named(&["model_not_found"]) {
            Some(Self::NotFound)
        } else if is_named(&["api_key", "authentication"]) {
            Some(Self::Unauthorized)
        } else {
            None
        }
    }

    /// Whether nothing has been logged of it where it came from: it is a reading of ours, and has no other cause.
    pub(super) fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::Stalled
                | Self::EndedEarly
                | Self::Unreadable
                | Self::Empty
                | Self::OutOfRoom
                | Self::Filtered
        )
    }

    pub(in crate::responder) fn into_failure(self) -> Failure {
        let code = match self {
            Self::Unreachable => "provider_unreachable",
            Self::TimedOut => "provider_timed_out",
            Self::Stalled => "provider_stalled",
            Self::EndedEarly => "provider_ended_early",
            Self::Unauthorized => "provider_unauthorized",
            Self::RateLimited => "provider_rate_limited",
            Self::NotFound => "provider_not_found",
            Self::Refused(_) => "provider_refused",
            Self::Failed(_) => "provider_failed",
            Self::GaveUp => "provider_gave_up",
            Self::Unreadable => "provider_unreadable",
            Self::Empty => "provider_empty",
            Self::OutOfRoom => "provider_out_of_room",
            Self::CutByLength => Failure::CUT_BY_LENGTH,
            Self::CutByFilter => Failure::CUT_BY_FILTER,
            Self::Filtered => "provider_filtered",
            Self::ContextTooLong => "provider_context_too_long",
        };
        Failure { code: code.into(), message: self.to_string() }
    }
}
