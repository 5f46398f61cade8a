//! From the wish to the answer: which job is next, what has begun, and how it ended.

use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use tetherline_protocol::Attempt;

use super::{Job, Kind, Outcome, Pending, Turn, outbox, turns};
use crate::{
    clock::rfc3339,
    history::{self, About, ChatMessage, Role},
    limits::{ANSWERS_AT_ONCE_PER_USER_MAX, HISTORY_MESSAGES_MAX, JOBS_KEPT_MS},
};

const JOB_COLUMNS: &str = "j.position, j.user_uuid, j.send_id, j.kind, j.conversation_uuid, \
                           j.question_uuid, j.answer_uuid, j.version, j.stopped_at IS NOT NULL";

/// Takes the oldest answer that may be begun now, and what goes to the provider with it. A person's
/// share is bounded, and a question waits for every answer that the provider is to be told of with
/// it. What was stopped waits for nothing, because it is only to be said so; `has_room` is about all
/// others.
pub(crate) fn claim(
    transaction: &Transaction<'_>,
    has_room: bool,
) -> rusqlite::Result<Option<(Job, Vec<Turn>)>> {
    let job = transaction
        .prepare_cached(&format!(
            "SELECT {JOB_COLUMNS} FROM jobs j
             WHERE j.done_at IS NULL AND j.attempt IS NULL
               AND NOT EXISTS (SELECT 1 FROM temp.running r WHERE r.job = j.position)
               AND (j.stopped_at IS NOT NULL
                    OR (?1
                        AND NOT EXISTS (
                            WITH RECURSIVE branch (uuid, depth) AS (
                                VALUES (j.question_uuid, 0)
                                UNION ALL
                                SELECT m.parent, branch.depth + 1 FROM branch
                                JOIN messages m
                                    ON m.user_uuid = j.user_uuid AND m.uuid = branch.uuid
                                WHERE m.parent IS NOT NULL AND branch.depth + 1 < ?3
                            )
                            SELECT 1 FROM branch
                            JOIN jobs before ON before.user_uuid = j.user_uuid
                                AND before.answer_uuid = branch.uuid AND before.done_at IS NULL)
                        AND (SELECT count(*) FROM temp.running r
                             WHERE r.user_uuid = j.user_uuid) < ?2))
             ORDER BY j.stopped_at IS NULL, j.position LIMIT 1",
        ))?
        .query_row(params![has_room, ANSWERS_AT_ONCE_PER_USER_MAX, HISTORY_MESSAGES_MAX], job_from)
        .optional()?;
    let Some(job) = job else {
        return Ok(None);
    };
    transaction.execute(
        "INSERT INTO temp.running VALUES (?1, ?2)",
        params![job.position, job.user.as_str()],
    )?;
    let turns = turns::up_to(transaction, &job)?;
    Ok(Some((job, turns)))
}

/// Notes that an attempt was begun, before it has any text, and answers whether it was stopped
/// meanwhile.
pub(crate) fn begun(
    transaction: &Transaction<'_>,
    job: i64,
    attempt: Attempt,
) -> rusqlite::Result<bool> {
    transaction
        .prepare_cached(
            "UPDATE jobs SET attempt = ?2 WHERE position = ?1 RETURNING stopped_at IS NOT NULL",
        )?
        .query_row(params![job, attempt.get()], |row| row.get(0))
}

/// Stores what there is of an answer, and the order to end it.
pub(crate) fn finish(
    transaction: &Transaction<'_>,
    job: &Job,
    outcome: &Outcome,
    now_ms: i64,
) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM temp.running WHERE job = ?1", [job.position])?;
    let done = transaction.execute(
        "UPDATE jobs SET done_at = ?2 WHERE position = ?1 AND done_at IS NULL",
        params![job.position, now_ms],
    )?;
    if done == 0 {
        return Ok(());
    }
    let user = job.user.as_str();
    let before = history::message(transaction, user, job.answer.as_str())?;
    let message = ChatMessage {
        uuid: job.answer.to_string(),
        content: outcome.text.clone(),
        status: outcome.status,
        attempt: Some(outcome.attempt.get()),
        about: About {
            role: Role::Assistant,
            created_at: before
                .map_or_else(|| rfc3339(now_ms), |(before, _)| before.about.created_at),
            parent: Some(job.question.clone()),
            version: job.version,
            reply_to: Some(job.question.clone()),
            error: outcome.failure.clone(),
        },
    };
    history::put(transaction, user, &job.conversation, &message, now_ms)?;
    outbox::queue_ending(transaction, job, outcome, &message, now_ms)
}

/// What an earlier life has begun and not ended, and the attempts.
pub(crate) fn left_behind(connection: &Connection) -> rusqlite::Result<Vec<(Job, Attempt)>> {
    connection
        .prepare(&format!(
            "SELECT {JOB_COLUMNS}, j.attempt FROM jobs j
             WHERE j.done_at IS NULL AND j.attempt IS NOT NULL ORDER BY j.position"
        ))?
        .query_map([], |row| {
            let attempt = Attempt::new(row.get(9)?).unwrap_or(Attempt::FIRST);
            Ok((job_from(row)?, attempt))
        })?
        .collect()
}

/// Has a job of which nothing was seen begun anew.
pub(crate) fn begin_again(transaction: &Transaction<'_>, job: i64) -> rusqlite::Result<()> {
    transaction.execute("UPDATE jobs SET attempt = NULL WHERE position = ?1", [job])?;
    Ok(())
}

/// The answers of a conversation that are asked for and not there yet, oldest first.
pub(crate) fn pending(
    connection: &Connection,
    user: &str,
    conversation: &str,
) -> rusqlite::Result<Vec<Pending>> {
    connection
        .prepare_cached(
            "SELECT answer_uuid, send_id, question_uuid, version FROM jobs
             WHERE user_uuid = ?1 AND conversation_uuid = ?2 AND done_at IS NULL
             ORDER BY position",
        )?
        .query_map([user, conversation], |row| {
            Ok(Pending {
                message_uuid: row.get(0)?,
                r#ref: row.get(1)?,
                parent: row.get(2)?,
                version: row.get(3)?,
            })
        })?
        .collect()
}

/// The newest answer to a question that is still to come.
pub(crate) fn pending_answer_to(
    connection: &Connection,
    user: &str,
    question: &str,
) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached(
            "SELECT answer_uuid FROM jobs
             WHERE user_uuid = ?1 AND question_uuid = ?2 AND done_at IS NULL
             ORDER BY position DESC LIMIT 1",
        )?
        .query_row([user, question], |row| row.get(0))
        .optional()
}

/// Whether an answer of that name is still to come in a conversation.
pub(crate) fn is_pending_in(
    connection: &Connection,
    user: &str,
    conversation: &str,
    answer: &str,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM jobs WHERE user_uuid = ?1 AND conversation_uuid = ?2
                AND answer_uuid = ?3 AND done_at IS NULL",
        )?
        .exists([user, conversation, answer])
}

/// Forgets wishes that nobody can repeat any more. Questions are known by their message.
pub(crate) fn forget_old(transaction: &Transaction<'_>, now_ms: i64) -> rusqlite::Result<usize> {
    transaction.execute("DELETE FROM jobs WHERE done_at < ?1", [now_ms - JOBS_KEPT_MS])
}

fn job_from(row: &Row<'_>) -> rusqlite::Result<Job> {
    let kind: String = row.get(3)?;
    Ok(Job {
        position: row.get(0)?,
        user: parsed(row, 1)?,
        send_id: parsed(row, 2)?,
        // The table takes no others.
        kind: if kind == Kind::Generate.as_str() { Kind::Generate } else { Kind::Regenerate },
        conversation: row.get(4)?,
        question: row.get(5)?,
        answer: parsed(row, 6)?,
        version: row.get(7)?,
        is_stopped: row.get(8)?,
    })
}

fn parsed<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error: T::Err| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
    })
}
