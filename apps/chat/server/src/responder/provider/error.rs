//! What a provider can do wrong, and how it is told to the person who asked.

use reqwest::StatusCode;
use serde_json::Value;

use crate::history::Failure;

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
    #[error("The AI provider refused the question (HTTP {0}). Rephrase it, or try again.")]
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
            // Somewhere else may be somebody else's.
            status if status.is_redirection() => Self::NotFound,
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited,
            StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Self::TimedOut,
            status if status.is_client_error() => Self::Refused(status.as_u16()),
            status => Self::Failed(status.as_u16()),
        }
    }

    /// What a status other than success means, and the body that came with it.
    pub(super) fn of_refusal(status: StatusCode, body: &[u8]) -> Self {
        let told = serde_json::from_slice::<Value>(body).ok().map(|mut body| {
            let error = body["error"].take();
            Self::told(if error.is_null() { &body } else { &error })
        });
        match told {
            Some(Self::ContextTooLong) => Self::ContextTooLong,
            _ => Self::of_status(status),
        }
    }

    /// What an error means that stands where an answer should. Its words are for whoever runs the
    /// chat: they may name accounts and machines.
    pub(super) fn told(error: &Value) -> Self {
        let words: String = error.to_string().chars().take(LOGGED_CHARS_MAX).collect();
        tracing::warn!(error = words, "the provider reported an error instead of an answer");
        let code = &error["code"];
        let named = |name: &str| {
            [code, &error["type"]]
                .iter()
                .any(|said| said.as_str().is_some_and(|said| said.contains(name)))
        };
        if named("context_length") || named("exceed_context_size") {
            return Self::ContextTooLong;
        }
        let status = code.as_u64().or_else(|| code.as_str()?.parse().ok());
        if let Some(status) = status.and_then(|status| u16::try_from(status).ok())
            && (400..600).contains(&status)
            && let Ok(status) = StatusCode::from_u16(status)
        {
            return Self::of_status(status);
        }
        if named("rate_limit") || named("quota") {
            Self::RateLimited
        } else if named("api_key") || named("authentication") {
            Self::Unauthorized
        } else if named("model_not_found") {
            Self::NotFound
        } else {
            Self::GaveUp
        }
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
