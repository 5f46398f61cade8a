//! What an earlier life has left in the middle of a word.

use tetherline_protocol::{Attempt, StreamStatus};
use tetherline_server::{
    Server,
    store::{StreamPhase, StreamState},
};

use super::answers::interrupted;
use crate::{
    chat::OpenChatError,
    clock::now_ms,
    database::Database,
    jobs::{self, Outcome},
};

/// Ends every answer that was begun and not ended, with the text that it has. One without any is
/// begun anew by the tasks that start after this: nobody has seen any of it.
///
/// This comes before the server serves anybody, so that no answer is ended by the server itself,
/// which knows less about it.
pub(crate) async fn recover(database: &Database, server: &Server) -> Result<(), OpenChatError> {
    for (job, attempt) in database.read(jobs::left_behind).await? {
        let state = server.stream(&job.user, &job.answer).await?;
        match outcome_of(attempt, state) {
            Some(outcome) => {
                database
                    .write(move |transaction| jobs::finish(transaction, &job, &outcome, now_ms()))
                    .await?;
            }
            None => {
                database
                    .write(move |transaction| jobs::begin_again(transaction, job.position))
                    .await?;
            }
        }
    }
    Ok(())
}

fn outcome_of(attempt: Attempt, state: Option<StreamState>) -> Option<Outcome> {
    let state = state.filter(|state| state.attempt == attempt)?;
    let (status, failure) = match state.phase {
        StreamPhase::Open if state.text.is_empty() => return None,
        StreamPhase::Stopped => (StreamStatus::Stopped, None),
        StreamPhase::Finished(status) => (status, None),
        _ => (StreamStatus::Interrupted, Some(interrupted())),
    };
    Some(Outcome { attempt, status, text: state.text.into(), failure })
}
