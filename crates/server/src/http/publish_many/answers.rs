//! What is answered: for each item what it would have been answered alone.

use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use serde::Serialize;
use tetherline_protocol::{MessageId, Seq, UserId, excerpt};
use utoipa::ToSchema;

use super::super::{
    answer::Problem,
    description::schemas::{Error, Position},
    streams::NDJSON,
};
use crate::Published;

/// The answers to all items of a request, in their order.
pub(super) struct Answers(pub(super) Vec<Answer>);

/// The answer to one item, or to one user of it.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = PublishedItem)]
pub(super) struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, nullable = false)]
    user: Option<Name>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, nullable = false)]
    id: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Position, nullable = false)]
    seq: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    repeated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Error, nullable = false)]
    error: Option<Problem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, no_recursion)]
    users: Option<Vec<Answer>>,
}

/// One of an item's users, as far as it is shown.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Name {
    User(UserId),
    Nobody(String),
}

impl Name {
    /// What was written where a user is named, and cannot be one.
    pub(super) fn nobodys(name: &str) -> Self {
        Self::Nobody(excerpt(name))
    }
}

impl Answer {
    pub(super) fn kept(Published { id, seq, repeated }: Published) -> Self {
        let status = if repeated { StatusCode::OK } else { StatusCode::CREATED }.as_u16();
        let (id, seq, repeated) = (Some(id), Some(seq), Some(repeated));
        Self { status, id, seq, repeated, ..Self::default() }
    }

    pub(super) fn told(id: MessageId) -> Self {
        Self { status: StatusCode::ACCEPTED.as_u16(), id: Some(id), ..Self::default() }
    }

    pub(super) fn refused(problem: Problem) -> Self {
        Self { status: problem.http_status().as_u16(), error: Some(problem), ..Self::default() }
    }

    pub(super) fn of_each(users: Vec<Self>) -> Self {
        let status = together(&users).as_u16();
        Self { status, users: Some(users), ..Self::default() }
    }

    pub(super) fn of(self, name: Name) -> Self {
        Self { user: Some(name), ..self }
    }
}

impl Answers {
    pub(super) fn into_response(self, as_lines: bool) -> Response {
        let status = together(&self.0);
        let (kind, mut text) = (if as_lines { NDJSON } else { "application/json" }, Vec::new());
        let written = if as_lines {
            self.0.iter().try_for_each(|answer| {
                serde_json::to_writer(&mut text, answer)?;
                text.push(b'\n');
                Ok(())
            })
        } else {
            serde_json::to_writer(&mut text, &self.0)
        };
        written.expect("texts and numbers are JSON, and memory takes them");
        (status, [(header::CONTENT_TYPE, kind)], text).into_response()
    }
}

/// Whether somebody has to look at each.
fn together(answers: &[Answer]) -> StatusCode {
    let is_yes = |status: u16| (200..300).contains(&status) && status != StatusCode::MULTI_STATUS;
    let all_went_well = answers.iter().all(|answer| is_yes(answer.status));
    if all_went_well { StatusCode::OK } else { StatusCode::MULTI_STATUS }
}
