//! What an earlier life has left in the middle of a word.

use tetherline_protocol::{Attempt, StreamStatus};
use tetherline_server::{
    Server,
    store::{StreamPhase, StreamState},
};

use super::answers::interrupted;
use crate::trouble::LOST;
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
    find_what_is_lost(database, server).await?;
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

/// A mailbox that was restored, alone or from an earlier moment than this database, lacks what this
/// one takes for published. Nobody would hear of it who was away, and an answer that is over here
/// would go on as a stream there.
async fn find_what_is_lost(database: &Database, server: &Server) -> Result<(), OpenChatError> {
    for (name, last) in database.read(jobs::last_sent).await? {
        let Ok(user) = name.parse() else { continue };
        let head = server.head(&user).await?.seq;
        if head >= last {
            continue;
        }
        let again =
            database.write(move |transaction| jobs::send_again(transaction, &name, head)).await?;
        let whose = format_args!("{again} messages of {user:?}");
        LOST.warn("the mailbox is older than the chat; publishing again", &whose);
    }
    Ok(())
}

fn outcome_of(attempt: Attempt, state: Option<StreamState>) -> Option<Outcome> {
    let state = state.filter(|state| state.attempt == attempt)?;
    let (status, failure) = match state.phase {
        StreamPhase::Open if state.text.is_empty() => return None,
        StreamPhase::Stopped | StreamPhase::Finished(StreamStatus::Stopped) => {
            (StreamStatus::Stopped, None)
        }
        // Its text is in a message, which only a mailbox has that is newer than this database.
        StreamPhase::Finished(_) => return None,
        _ => (StreamStatus::Interrupted, Some(interrupted())),
    };
    Some(Outcome { attempt, status, text: state.text.into(), failure })
}
