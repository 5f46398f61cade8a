//! Why nothing was done, in words for people and reasons for programs.

use http::StatusCode;
use tetherline_protocol::{ErrorCode, frame::FrameError};

use super::super::{answer::Problem, publish::RETRY};
use crate::store::{AppendTextError, FinishStreamError, OpenStreamError};

pub(super) fn not_understood(error: &FrameError) -> Problem {
    let message = format!("The body was not understood: {error}.");
    Problem::unreadable(error.code(), error.field(), message)
}

pub(super) fn unknown() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        ErrorCode::NotFound,
        "No answer of this name was opened for this user.",
    )
}

fn conflict(reason: &'static str, error: &dyn std::fmt::Display) -> Problem {
    let message = format!("Nothing was done: {error}.");
    Problem::new(StatusCode::CONFLICT, ErrorCode::Conflict, message).reason(reason)
}

fn crowded(error: &dyn std::fmt::Display) -> Problem {
    Problem::unavailable(format!("Nothing was done: {error}."), RETRY)
}

fn out_of_order(error: &dyn std::fmt::Display) -> Problem {
    tracing::debug!(%error, "the store did not take a stream");
    Problem::unavailable("The answer was not stored; try again.", RETRY)
}

pub(super) fn not_opened(error: &OpenStreamError) -> Problem {
    match error {
        OpenStreamError::TooMany { .. } => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::RateLimited,
            format!("Nothing was done: {error}."),
        )
        .retry_after(RETRY),
        OpenStreamError::Crowded => crowded(error),
        OpenStreamError::Store(error) => out_of_order(error),
    }
}

pub(super) fn not_added(error: &AppendTextError) -> Problem {
    match error {
        AppendTextError::Unknown => unknown(),
        AppendTextError::Superseded { attempt } => conflict("superseded", error).attempt(*attempt),
        AppendTextError::Stopped { next_offset } => {
            conflict("stopped", error).next_offset(*next_offset)
        }
        AppendTextError::Finished { status } => conflict("finished", error).status(*status),
        AppendTextError::Conflict { next_offset } => {
            conflict("overlap", error).next_offset(*next_offset)
        }
        AppendTextError::Gap { next_offset } => conflict("gap", error).next_offset(*next_offset),
        AppendTextError::TooLong { next_offset, .. } => {
            let message = format!("Nothing was done: {error}.");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::MessageTooLarge, message)
                .next_offset(*next_offset)
        }
        AppendTextError::Crowded => crowded(error),
        AppendTextError::Store(error) => out_of_order(error),
    }
}

pub(super) fn not_finished(error: &FinishStreamError) -> Problem {
    match error {
        FinishStreamError::Unknown => unknown(),
        FinishStreamError::Superseded { attempt } => {
            conflict("superseded", error).attempt(*attempt)
        }
        FinishStreamError::Append(error) => out_of_order(error),
    }
}
