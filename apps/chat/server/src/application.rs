//! What people send over their WebSocket.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, de::DeserializeOwned};
use tetherline_protocol::{
    ErrorCode, UserId,
    message_type::{MESSAGE_GENERATE, MESSAGE_REGENERATE},
};
use tetherline_server::{Application, Incoming, Refusal, SendAnswer, Stop, StoreError};

use crate::trouble::SENDS;
use crate::{
    clock::now_ms,
    database::{Database, DatabaseError},
    history::Place,
    jobs::{self, Again, Question, Taken},
    limits::{QUESTION_BYTES_MAX, QUESTIONS_RETRY_AFTER, QUESTIONS_WAITING_PER_USER_MAX},
    sign_in,
    workers::{Stops, Wakes},
};

/// Takes questions, wishes for other answers, and wishes for no more; commits each exactly once by
/// its id.
pub(crate) struct ChatApplication {
    pub(crate) database: Database,
    pub(crate) wakes: Arc<Wakes>,
    pub(crate) stops: Arc<Stops>,
}

impl Application for ChatApplication {
    fn receive(&self, incoming: Incoming) -> BoxFuture<'_, Result<Option<SendAnswer>, Refusal>> {
        Box::pin(async move {
            let taken = match incoming.message.kind() {
                MESSAGE_GENERATE => self.ask(&incoming).await?,
                MESSAGE_REGENERATE => self.regenerate(&incoming).await?,
                other => return Err(unknown_type(other)),
            };
            match taken {
                Taken::New => {
                    self.wakes.publisher.notify_one();
                    self.wakes.answerer.notify_one();
                    Ok(None)
                }
                Taken::Repeated => Ok(None),
                Taken::NotFound => Err(not_found()),
                Taken::Whole => Err(whole()),
                Taken::TooMany => Err(too_many()),
            }
        })
    }

    /// The answer takes no text any more when this is called, so what remains is to let go of the
    /// provider. One that has not begun becomes a job that is only ended.
    fn stop(&self, stop: Stop) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let stopped = self
                .database
                .write(move |transaction| {
                    jobs::stop(transaction, &stop.user, &stop.target, now_ms())
                })
                .await
                .map_err(|error| unavailable(&error))?;
            for job in stopped {
                self.stops.stop(job);
            }
            self.wakes.answerer.notify_one();
            Ok(())
        })
    }

    fn is_signed_in(
        &self,
        _user: &UserId,
        session: &str,
    ) -> BoxFuture<'_, Result<bool, StoreError>> {
        let session = session.to_owned();
        Box::pin(async move {
            sign_in::stands(&self.database, session)
                .await
                .map_err(|error| StoreError::new(error.to_string()))
        })
    }
}

#[derive(Deserialize)]
struct AskFields {
    message: String,
    conversation_uuid: Option<String>,
    parent: Option<String>,
    edits: Option<String>,
}

#[derive(Deserialize)]
struct AgainFields {
    conversation_uuid: String,
    message_uuid: String,
    #[serde(default)]
    retry: bool,
}

impl ChatApplication {
    async fn ask(&self, incoming: &Incoming) -> Result<Taken, Refusal> {
        let fields: AskFields = fields(incoming, "`message`, the text of the question")?;
        if fields.message.trim().is_empty() {
            return Err(Refusal::new(
                ErrorCode::Rejected,
                "The message is empty; write something first.",
            ));
        }
        if fields.message.len() > QUESTION_BYTES_MAX {
            return Err(Refusal::new(
                ErrorCode::Rejected,
                format!(
                    "The message is too long: {} bytes, and {QUESTION_BYTES_MAX} are allowed. \
                     Shorten it, or split it up.",
                    fields.message.len()
                ),
            ));
        }
        let place = match (fields.edits, fields.parent) {
            (Some(question), _) => Place::InsteadOf(question),
            (None, Some(message)) => Place::After(message),
            (None, None) => Place::Newest,
        };
        let question = Question {
            user: incoming.user.as_str().to_owned(),
            id: incoming.id.to_string(),
            text: fields.message,
            conversation: fields.conversation_uuid,
            place,
        };
        self.database
            .write(move |transaction| jobs::ask(transaction, &question, now_ms()))
            .await
            .inspect(|_| SENDS.over())
            .map_err(|error| unavailable(&error))
    }

    async fn regenerate(&self, incoming: &Incoming) -> Result<Taken, Refusal> {
        let fields: AgainFields = fields(incoming, "`conversation_uuid` and `message_uuid`")?;
        let again = Again {
            user: incoming.user.as_str().to_owned(),
            id: incoming.id.to_string(),
            conversation: fields.conversation_uuid,
            answer: fields.message_uuid,
            is_retry: fields.retry,
        };
        self.database
            .write(move |transaction| jobs::regenerate(transaction, &again, now_ms()))
            .await
            .inspect(|_| SENDS.over())
            .map_err(|error| unavailable(&error))
    }
}

fn fields<T: DeserializeOwned>(incoming: &Incoming, expected: &str) -> Result<T, Refusal> {
    serde_json::from_str(&incoming.message.to_object()).map_err(|_| {
        let kind = incoming.message.kind();
        Refusal::new(ErrorCode::Rejected, format!("A {kind} message needs {expected}, as text."))
    })
}

fn unknown_type(kind: &str) -> Refusal {
    Refusal::new(
        ErrorCode::UnknownType,
        format!(
            "This chat knows no message of type {kind}; it takes {MESSAGE_GENERATE} and \
             {MESSAGE_REGENERATE}."
        ),
    )
}

fn not_found() -> Refusal {
    Refusal::new(
        ErrorCode::NotFound,
        "This conversation or message does not exist. Reload the page, or start a new \
         conversation.",
    )
}

fn whole() -> Refusal {
    Refusal::new(
        ErrorCode::Rejected,
        "This answer is already complete. Ask for another version of it instead.",
    )
}

fn too_many() -> Refusal {
    Refusal::new(
        ErrorCode::RateLimited,
        format!(
            "{QUESTIONS_WAITING_PER_USER_MAX} of your questions still wait for an answer; this \
             one will be sent again automatically."
        ),
    )
    .retry_after(QUESTIONS_RETRY_AFTER)
}

/// Nothing was committed, so the client may send it again.
fn unavailable(error: &DatabaseError) -> Refusal {
    SENDS.error("a send could not be stored", error);
    Refusal::new(
        ErrorCode::Unavailable,
        "The message could not be stored right now. It will be sent again automatically.",
    )
}
