//! What people want: an answer, another one, or no more of one.

use rusqlite::{Connection, Transaction, params};
use tetherline_protocol::{StopTarget, StreamStatus, UserId};
use uuid::Uuid;

use super::{
    Kind, Pending,
    outbox::{self, Created},
};
use crate::{
    clock::rfc3339,
    history::{self, About, ChatMessage, Place, Role},
    limits::QUESTIONS_WAITING_PER_USER_MAX,
};

/// A question as it came in.
pub(crate) struct Question {
    pub(crate) user: String,
    /// The send's id; it becomes the message's uuid, and a new conversation's as well.
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) conversation: Option<String>,
    pub(crate) place: Place,
}

/// A wish for another answer.
pub(crate) struct Again {
    pub(crate) user: String,
    pub(crate) id: String,
    pub(crate) conversation: String,
    pub(crate) answer: String,
    /// The same answer is to be tried again, in the place of a new version.
    pub(crate) is_retry: bool,
}

/// What became of a question or a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Committed; an answer will follow.
    New,
    /// It had been taken before, or is being done already; nothing was done.
    Repeated,
    /// The conversation or message does not exist, for this person at least.
    NotFound,
    /// The answer is whole; there is nothing to try again.
    Whole,
    /// Too many questions of this person wait.
    TooMany,
}

/// Stores a question and queues it.
pub(crate) fn ask(
    transaction: &Transaction<'_>,
    question: &Question,
    now_ms: i64,
) -> rusqlite::Result<Taken> {
    let Question { user, id, text, .. } = question;
    if is_known(transaction, user, id)? {
        return Ok(Taken::Repeated);
    }
    if is_busy(transaction, user)? {
        return Ok(Taken::TooMany);
    }
    let (conversation, parent) = match &question.conversation {
        None if question.place == Place::Newest => {
            history::open(transaction, user, id, text, now_ms)?;
            (id, None)
        }
        Some(uuid) if history::conversation(transaction, user, uuid)?.is_some() => {
            match history::parent_at(transaction, user, uuid, &question.place)? {
                Some(parent) => (uuid, parent),
                None => return Ok(Taken::NotFound),
            }
        }
        _ => return Ok(Taken::NotFound),
    };
    let version =
        history::next_version(transaction, user, conversation, parent.as_deref(), Role::User)?;
    let message = ChatMessage {
        uuid: id.clone(),
        content: text.clone(),
        status: StreamStatus::Complete,
        attempt: None,
        about: About {
            role: Role::User,
            created_at: rfc3339(now_ms),
            parent,
            version,
            reply_to: None,
            error: None,
        },
    };
    history::put(transaction, user, conversation, &message, now_ms)?;
    let answer = Pending {
        message_uuid: Uuid::now_v7().to_string(),
        r#ref: id.clone(),
        parent: id.clone(),
        version: 1,
    };
    queue(transaction, user, Kind::Generate, conversation, &answer, now_ms)?;
    let created = Created { conversation, message: &message, answer: &answer };
    outbox::queue_created(transaction, user, &created)?;
    Ok(Taken::New)
}

/// Queues the question of an answer once more, for a new version or for the same answer.
pub(crate) fn regenerate(
    transaction: &Transaction<'_>,
    again: &Again,
    now_ms: i64,
) -> rusqlite::Result<Taken> {
    let Again { user, id, conversation, answer, is_retry } = again;
    if is_known(transaction, user, id)? {
        return Ok(Taken::Repeated);
    }
    let found = history::message(transaction, user, answer)?;
    let Some((before, _)) = found.filter(|(_, of)| of == conversation) else {
        return Ok(Taken::NotFound);
    };
    let Some(question) = before.about.reply_to else { return Ok(Taken::NotFound) };
    if *is_retry && is_pending(transaction, user, answer)? {
        return Ok(Taken::Repeated);
    }
    if *is_retry && before.status == StreamStatus::Complete {
        return Ok(Taken::Whole);
    }
    if is_busy(transaction, user)? {
        return Ok(Taken::TooMany);
    }
    let (message_uuid, version) = if *is_retry {
        (before.uuid, before.about.version)
    } else {
        let parent = Some(question.as_str());
        let version =
            history::next_version(transaction, user, conversation, parent, Role::Assistant)?;
        (Uuid::now_v7().to_string(), version)
    };
    let answer = Pending { message_uuid, r#ref: id.clone(), parent: question, version };
    queue(transaction, user, Kind::Regenerate, conversation, &answer, now_ms)?;
    Ok(Taken::New)
}

/// Notes that an answer is not wanted any more, whether it has begun or not. Answers the jobs that it
/// is about: none, if the answer is there already.
pub(crate) fn stop(
    transaction: &Transaction<'_>,
    user: &UserId,
    target: &StopTarget,
    now_ms: i64,
) -> rusqlite::Result<Vec<i64>> {
    let (column, id) = match target {
        StopTarget::Message(message_uuid) => ("answer_uuid", message_uuid),
        StopTarget::Send(id) => ("send_id", id),
    };
    transaction
        .prepare_cached(&format!(
            "UPDATE jobs SET stopped_at = coalesce(stopped_at, ?3)
             WHERE user_uuid = ?1 AND {column} = ?2 AND done_at IS NULL RETURNING position"
        ))?
        .query_map(params![user.as_str(), id.as_str(), now_ms], |row| row.get(0))?
        .collect()
}

fn is_known(connection: &Connection, user: &str, id: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM messages WHERE user_uuid = ?1 AND uuid = ?2
             UNION ALL SELECT 1 FROM jobs WHERE user_uuid = ?1 AND send_id = ?2",
        )?
        .exists([user, id])
}

fn is_pending(connection: &Connection, user: &str, answer: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM jobs WHERE user_uuid = ?1 AND answer_uuid = ?2 AND done_at IS NULL",
        )?
        .exists([user, answer])
}

fn is_busy(connection: &Connection, user: &str) -> rusqlite::Result<bool> {
    let waiting: u32 = connection
        .prepare_cached("SELECT count(*) FROM jobs WHERE user_uuid = ?1 AND done_at IS NULL")?
        .query_row([user], |row| row.get(0))?;
    Ok(waiting >= QUESTIONS_WAITING_PER_USER_MAX)
}

fn queue(
    transaction: &Transaction<'_>,
    user: &str,
    kind: Kind,
    conversation: &str,
    answer: &Pending,
    now_ms: i64,
) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO jobs (user_uuid, send_id, kind, conversation_uuid, question_uuid,
                           answer_uuid, version, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            user,
            answer.r#ref,
            kind.as_str(),
            conversation,
            answer.parent,
            answer.message_uuid,
            answer.version,
            now_ms
        ],
    )?;
    Ok(())
}
