//! What is committed here and is to be brought to the mailbox, in order for each person.

use rusqlite::{Connection, Transaction, params};
use serde::Serialize;
use tetherline_protocol::{
    Attempt, MessageId, Seq, StreamStatus,
    frame::{FrameError, StreamEnding, StreamOpening},
    message_type::MESSAGE_CREATED,
};
use uuid::Uuid;

use super::{Job, Outcome, Pending};
use crate::{
    clock::rfc3339,
    history::{self, About, ChatMessage, Conversation},
    limits::{OUTBOX_PAGE, PUBLICATIONS_FORGOTTEN_MAX, PUBLICATIONS_KEPT_MS},
};

/// Something that the mailbox does not have yet.
pub(crate) struct Publication {
    pub(crate) position: i64,
    pub(crate) user: String,
    pub(crate) key: String,
    /// The whole message.
    pub(crate) frame: String,
    /// Set if it is the stream message that ends a stream there.
    pub(crate) ending: Option<Ending>,
    /// A mailbox that was restored since had it before.
    pub(crate) is_again: bool,
}

/// The end of an answer.
pub(crate) struct Ending {
    pub(crate) message_uuid: String,
    pub(crate) attempt: u32,
    /// What it adds, as JSON.
    pub(crate) fields: String,
}

/// A publication that is done.
pub(crate) struct Sent {
    pub(crate) position: i64,
    /// Where the mailbox has it; none if it is nowhere to be.
    pub(crate) seq: Option<Seq>,
    /// The answer that it ended, and how that ended: whoever stopped it at the last moment has won.
    pub(crate) ended: Option<(String, String, StreamStatus)>,
}

/// A question that was stored, and the answer that is to follow.
pub(super) struct Created<'a> {
    pub(super) conversation: &'a str,
    pub(super) message: &'a ChatMessage,
    pub(super) answer: &'a Pending,
}

/// The oldest publications that the mailbox does not have yet.
pub(crate) fn unsent(connection: &Connection) -> rusqlite::Result<Vec<Publication>> {
    connection
        .prepare_cached(
            "SELECT position, user_uuid, key, frame, message_uuid, attempt, ending, is_again
             FROM publications WHERE sent_at IS NULL ORDER BY position LIMIT ?1",
        )?
        .query_map([OUTBOX_PAGE], |row| {
            let ending = match row.get(6)? {
                Some(fields) => {
                    Some(Ending { message_uuid: row.get(4)?, attempt: row.get(5)?, fields })
                }
                None => None,
            };
            Ok(Publication {
                position: row.get(0)?,
                user: row.get(1)?,
                key: row.get(2)?,
                frame: row.get(3)?,
                ending,
                is_again: row.get(7)?,
            })
        })?
        .collect()
}

/// Strikes off what the mailbox has, and forgets what it has had for long.
pub(crate) fn sent(
    transaction: &Transaction<'_>,
    all: &[Sent],
    now_ms: i64,
) -> rusqlite::Result<()> {
    let mut kept = transaction
        .prepare_cached("UPDATE publications SET sent_at = ?2, seq = ?3 WHERE position = ?1")?;
    let mut deleted = transaction.prepare_cached("DELETE FROM publications WHERE position = ?1")?;
    for sent in all {
        match sent.seq {
            Some(seq) => kept.execute(params![sent.position, now_ms, signed(seq)])?,
            None => deleted.execute([sent.position])?,
        };
        if let Some((user, message_uuid, status)) = &sent.ended {
            history::set_status(transaction, user, message_uuid, *status)?;
        }
    }
    transaction
        .prepare_cached(
            "DELETE FROM publications WHERE position IN
                 (SELECT position FROM publications WHERE sent_at < ?1 LIMIT ?2)",
        )?
        .execute(params![now_ms - PUBLICATIONS_KEPT_MS, PUBLICATIONS_FORGOTTEN_MAX])?;
    Ok(())
}

pub(super) fn queue_created(
    transaction: &Transaction<'_>,
    user: &str,
    created: &Created<'_>,
) -> rusqlite::Result<()> {
    #[derive(Serialize)]
    struct Frame<'a> {
        r#type: &'a str,
        conversation_uuid: &'a str,
        conversation: Option<Conversation>,
        message: &'a ChatMessage,
        answer: &'a Pending,
    }
    let frame = Frame {
        r#type: MESSAGE_CREATED,
        conversation_uuid: created.conversation,
        conversation: history::conversation(transaction, user, created.conversation)?,
        message: created.message,
        answer: created.answer,
    };
    transaction.execute(
        "INSERT INTO publications (user_uuid, key, frame) VALUES (?1, ?2, ?3)",
        params![user, format!("created:{}", created.message.uuid), json(&frame)?],
    )?;
    Ok(())
}

pub(super) fn queue_ending(
    transaction: &Transaction<'_>,
    job: &Job,
    outcome: &Outcome,
    message: &ChatMessage,
    now_ms: i64,
) -> rusqlite::Result<()> {
    #[derive(Serialize)]
    struct Fields<'a> {
        status: StreamStatus,
        conversation: Option<Conversation>,
        message: &'a About,
    }
    let conversation = history::conversation(transaction, job.user.as_str(), &job.conversation)?;
    let fields = Fields { status: outcome.status, conversation, message: &message.about };
    let ending = json(&fields)?;
    let parsed = StreamEnding::parse(&ending).map_err(ours)?;
    let opening = job.opening().map_err(ours)?;
    let whole =
        opening.message(&job.answer, outcome.attempt, outcome.status, &outcome.text, &parsed);
    let id: MessageId = Uuid::now_v7().to_string().parse().map_err(ours)?;
    transaction.execute(
        "INSERT INTO publications (user_uuid, key, frame, message_uuid, attempt, ending)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            job.user.as_str(),
            format!("answered:{}", job.send_id),
            whole.to_frame(&id, None, &format!("\"{}\"", rfc3339(now_ms))),
            job.answer.as_str(),
            outcome.attempt.get(),
            ending,
        ],
    )?;
    Ok(())
}

impl Job {
    /// What the answer is opened with.
    pub(crate) fn opening(&self) -> Result<StreamOpening, FrameError> {
        #[derive(Serialize)]
        struct Opening<'a> {
            r#type: &'a str,
            message_uuid: &'a str,
            r#ref: &'a str,
            conversation_uuid: &'a str,
            version: u32,
            parent: &'a str,
        }
        let opening = Opening {
            r#type: self.kind.message_type(),
            message_uuid: self.answer.as_str(),
            r#ref: self.send_id.as_str(),
            conversation_uuid: &self.conversation,
            version: self.version,
            parent: &self.question,
        };
        let opening = serde_json::to_string(&opening).map_err(|_| FrameError::NotAnObject)?;
        StreamOpening::parse(&opening)
    }
}

impl Ending {
    /// Whose end it is, and what it adds.
    pub(crate) fn parse(&self) -> Option<(MessageId, Attempt, StreamEnding)> {
        let ending = StreamEnding::parse(&self.fields).ok()?;
        Some((self.message_uuid.parse().ok()?, Attempt::new(self.attempt)?, ending))
    }
}

/// At most 2⁵³−1, so the sign is never in question.
pub(super) fn signed(seq: Seq) -> i64 {
    i64::try_from(seq.get()).unwrap_or(i64::MAX)
}

fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(ours)
}

/// Nothing of this can happen with rows of ours; if it does, the transaction is undone.
fn ours(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}
