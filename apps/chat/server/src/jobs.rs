//! Questions that wait for their answer, and what is to be published about them.
//!
//! Every function works inside one transaction: the effect, the record that a repeat is recognised
//! by, and the publication are committed together or not at all.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::Serialize;
use tetherline_protocol::message_type::{MESSAGE_CREATED, MESSAGE_GENERATE, MESSAGE_REGENERATE};
use uuid::Uuid;

use crate::{
    clock::rfc3339,
    history::{self, ChatMessage, Conversation, Failure, Role, Status},
    limits::{
        ANSWERS_AT_ONCE_PER_USER_MAX, HISTORY_BYTES_MAX, HISTORY_MESSAGES_MAX, JOBS_KEPT_MS,
        OUTBOX_PAGE, QUESTIONS_WAITING_PER_USER_MAX,
    },
};

/// A question as it came in.
pub(crate) struct Question {
    pub(crate) user: String,
    /// The send's id; it becomes the message's uuid, and a new conversation's as well.
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) conversation: Option<String>,
}

/// A wish for another answer.
pub(crate) struct Retry {
    pub(crate) user: String,
    pub(crate) id: String,
    pub(crate) conversation: String,
    pub(crate) answer: String,
}

/// What became of a question or a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Committed; an answer will follow.
    New,
    /// It had been taken before; nothing was done.
    Repeated,
    /// The conversation or answer does not exist, for this person at least.
    NotFound,
    /// Too many questions of this person wait.
    TooMany,
}

/// A question to be answered now.
pub(crate) struct Job {
    pub(crate) position: i64,
    pub(crate) user: String,
    send_id: String,
    is_retry: bool,
    conversation: String,
    question: String,
    answer: String,
    /// The conversation up to and including the question, bounded, oldest first.
    pub(crate) turns: Vec<Turn>,
}

/// One message as the provider sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) role: Role,
    pub(crate) content: String,
}

/// A frame that the mailbox does not have yet.
pub(crate) struct Publication {
    pub(crate) position: i64,
    pub(crate) user: String,
    pub(crate) key: String,
    pub(crate) frame: String,
}

/// Stores a question and queues it.
pub(crate) fn ask(
    transaction: &Transaction<'_>,
    question: &Question,
    now_ms: i64,
) -> rusqlite::Result<Taken> {
    if is_known(transaction, &question.user, &question.id)? {
        return Ok(Taken::Repeated);
    }
    if is_busy(transaction, &question.user)? {
        return Ok(Taken::TooMany);
    }
    let conversation = match &question.conversation {
        Some(uuid) if history::conversation(transaction, &question.user, uuid)?.is_none() => {
            return Ok(Taken::NotFound);
        }
        Some(uuid) => uuid,
        None => {
            history::open(transaction, &question.user, &question.id, &question.text, now_ms)?;
            &question.id
        }
    };
    let message = ChatMessage {
        uuid: question.id.clone(),
        role: Role::User,
        content: question.text.clone(),
        status: Status::Complete,
        created_at: rfc3339(now_ms),
        error: None,
        reply_to: None,
    };
    history::put(transaction, &question.user, conversation, &message, now_ms)?;
    let key = format!("created:{}", question.id);
    queue_publication(transaction, &question.user, &key, MESSAGE_CREATED, conversation, &message)?;
    let answer = Uuid::now_v7().to_string();
    let row = ["generate", conversation, &question.id, &answer];
    insert(transaction, &question.user, &question.id, row, now_ms)?;
    Ok(Taken::New)
}

/// Queues the question of an answer once more.
pub(crate) fn retry(
    transaction: &Transaction<'_>,
    retry: &Retry,
    now_ms: i64,
) -> rusqlite::Result<Taken> {
    if is_known(transaction, &retry.user, &retry.id)? {
        return Ok(Taken::Repeated);
    }
    let question = match history::message(transaction, &retry.user, &retry.answer)? {
        Some((answer, conversation)) if conversation == retry.conversation => answer.reply_to,
        _ => None,
    };
    let Some(question) = question else {
        return Ok(Taken::NotFound);
    };
    if is_busy(transaction, &retry.user)? {
        return Ok(Taken::TooMany);
    }
    let row = ["regenerate", &retry.conversation, &question, &retry.answer];
    insert(transaction, &retry.user, &retry.id, row, now_ms)?;
    Ok(Taken::New)
}

/// Takes the oldest question that may be answered now: a person's share is bounded, and within a
/// conversation one answer follows the other.
pub(crate) fn claim(transaction: &Transaction<'_>) -> rusqlite::Result<Option<Job>> {
    let job = transaction
        .prepare_cached(
            "SELECT position, user_uuid, send_id, kind = 'regenerate', conversation_uuid,
                    question_uuid, answer_uuid
             FROM jobs j
             WHERE done_at IS NULL
               AND NOT EXISTS (SELECT 1 FROM temp.running r
                               WHERE r.user_uuid = j.user_uuid
                                 AND r.conversation_uuid = j.conversation_uuid)
               AND (SELECT count(*) FROM temp.running r WHERE r.user_uuid = j.user_uuid) < ?1
             ORDER BY position LIMIT 1",
        )?
        .query_row([ANSWERS_AT_ONCE_PER_USER_MAX], job_from)
        .optional()?;
    let Some(mut job) = job else {
        return Ok(None);
    };
    transaction.execute(
        "INSERT INTO temp.running VALUES (?1, ?2, ?3)",
        params![job.position, job.user, job.conversation],
    )?;
    job.turns = turns_up_to(transaction, &job)?;
    Ok(Some(job))
}

/// Stores the answer (or why there is none) and queues it for the mailbox.
pub(crate) fn finish(
    transaction: &Transaction<'_>,
    job: &Job,
    outcome: Result<String, Failure>,
    now_ms: i64,
) -> rusqlite::Result<()> {
    release(transaction, job.position)?;
    let done = transaction.execute(
        "UPDATE jobs SET done_at = ?2 WHERE position = ?1 AND done_at IS NULL",
        params![job.position, now_ms],
    )?;
    if done == 0 {
        return Ok(());
    }
    let before = history::message(transaction, &job.user, &job.answer)?.map(|(answer, _)| answer);
    let (content, error) = match outcome {
        Ok(content) => (content, None),
        // A failed retry takes nothing away from the answer that was there.
        Err(failure) => (
            before.as_ref().map(|answer| answer.content.clone()).unwrap_or_default(),
            Some(failure),
        ),
    };
    let message = ChatMessage {
        uuid: job.answer.clone(),
        role: Role::Assistant,
        content,
        status: if error.is_some() { Status::Failed } else { Status::Complete },
        created_at: before.map_or_else(|| rfc3339(now_ms), |answer| answer.created_at),
        error,
        reply_to: Some(job.question.clone()),
    };
    history::put(transaction, &job.user, &job.conversation, &message, now_ms)?;
    let kind = if job.is_retry { MESSAGE_REGENERATE } else { MESSAGE_GENERATE };
    let key = format!("answered:{}", job.send_id);
    queue_publication(transaction, &job.user, &key, kind, &job.conversation, &message)
}

/// Lets a job that was not finished be claimed again.
fn release(connection: &Connection, position: i64) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM temp.running WHERE job = ?1", [position])?;
    Ok(())
}

/// The oldest publications that the mailbox does not have yet.
pub(crate) fn unsent(connection: &Connection) -> rusqlite::Result<Vec<Publication>> {
    connection
        .prepare_cached(
            "SELECT position, user_uuid, key, frame FROM publications ORDER BY position LIMIT ?1",
        )?
        .query_map([OUTBOX_PAGE], |row| {
            Ok(Publication {
                position: row.get(0)?,
                user: row.get(1)?,
                key: row.get(2)?,
                frame: row.get(3)?,
            })
        })?
        .collect()
}

/// Strikes off what the mailbox has.
pub(crate) fn sent(transaction: &Transaction<'_>, positions: &[i64]) -> rusqlite::Result<()> {
    let mut statement =
        transaction.prepare_cached("DELETE FROM publications WHERE position = ?1")?;
    for position in positions {
        statement.execute([position])?;
    }
    Ok(())
}

/// Forgets retries that nobody can repeat any more. Questions are known by their message.
pub(crate) fn forget_old(transaction: &Transaction<'_>, now_ms: i64) -> rusqlite::Result<usize> {
    transaction.execute("DELETE FROM jobs WHERE done_at < ?1", [now_ms - JOBS_KEPT_MS])
}

fn is_known(connection: &Connection, user: &str, id: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM messages WHERE user_uuid = ?1 AND uuid = ?2
             UNION ALL SELECT 1 FROM jobs WHERE user_uuid = ?1 AND send_id = ?2",
        )?
        .exists([user, id])
}

fn is_busy(connection: &Connection, user: &str) -> rusqlite::Result<bool> {
    let waiting: u32 = connection
        .prepare_cached("SELECT count(*) FROM jobs WHERE user_uuid = ?1 AND done_at IS NULL")?
        .query_row([user], |row| row.get(0))?;
    Ok(waiting >= QUESTIONS_WAITING_PER_USER_MAX)
}

fn insert(
    transaction: &Transaction<'_>,
    user: &str,
    send_id: &str,
    [kind, conversation, question, answer]: [&str; 4],
    now_ms: i64,
) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO jobs (user_uuid, send_id, kind, conversation_uuid, question_uuid,
                           answer_uuid, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![user, send_id, kind, conversation, question, answer, now_ms],
    )?;
    Ok(())
}

fn job_from(row: &Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        position: row.get(0)?,
        user: row.get(1)?,
        send_id: row.get(2)?,
        is_retry: row.get(3)?,
        conversation: row.get(4)?,
        question: row.get(5)?,
        answer: row.get(6)?,
        turns: Vec::new(),
    })
}

/// The newest turns that fit, the question always last among them. An answer counts where its
/// question stands: of two questions asked in one breath, the second still sees the first one's
/// answer. Answers without text are left out, and so is the one that is about to be replaced.
fn turns_up_to(connection: &Connection, job: &Job) -> rusqlite::Result<Vec<Turn>> {
    let mut statement = connection.prepare_cached(
        "SELECT m.role = 'user', m.content, coalesce(q.position, m.position) AS turn
         FROM messages m
         LEFT JOIN messages q ON q.user_uuid = m.user_uuid AND q.uuid = m.reply_to
         WHERE m.user_uuid = ?1 AND m.conversation_uuid = ?2 AND m.content <> ''
           AND (m.uuid = ?3 OR turn < (SELECT position FROM messages
                                       WHERE user_uuid = ?1 AND uuid = ?3))
         ORDER BY turn DESC, m.position DESC LIMIT ?4",
    )?;
    let newest_first = statement.query_map(
        params![job.user, job.conversation, job.question, HISTORY_MESSAGES_MAX],
        |row| {
            let role = if row.get(0)? { Role::User } else { Role::Assistant };
            Ok(Turn { role, content: row.get(1)? })
        },
    )?;
    let mut turns = Vec::new();
    let mut bytes = 0;
    for turn in newest_first {
        let turn = turn?;
        bytes += turn.content.len();
        if bytes > HISTORY_BYTES_MAX && !turns.is_empty() {
            break;
        }
        turns.push(turn);
    }
    turns.reverse();
    Ok(turns)
}

#[derive(Serialize)]
struct Frame<'a> {
    r#type: &'a str,
    conversation_uuid: &'a str,
    conversation: Option<Conversation>,
    message: &'a ChatMessage,
}

fn queue_publication(
    transaction: &Transaction<'_>,
    user: &str,
    key: &str,
    kind: &str,
    conversation_uuid: &str,
    message: &ChatMessage,
) -> rusqlite::Result<()> {
    let conversation = history::conversation(transaction, user, conversation_uuid)?;
    let frame = Frame { r#type: kind, conversation_uuid, conversation, message };
    let frame = serde_json::to_string(&frame)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    transaction.execute(
        "INSERT INTO publications (user_uuid, key, frame) VALUES (?1, ?2, ?3)",
        params![user, key, frame],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::{Database, tests::temporary};

    struct Story {
        _folder: tempfile::TempDir,
        database: Database,
    }

    impl Story {
        async fn with(users: &'static [&'static str]) -> Self {
            let (folder, database) = temporary();
            database
                .write(move |transaction| {
                    for user in users {
                        transaction
                            .execute("INSERT INTO users VALUES (?1, ?1, ?1, 'hash', 0)", [user])?;
                    }
                    Ok(())
                })
                .await
                .unwrap();
            Self { _folder: folder, database }
        }

        async fn ask(&self, user: &str, id: &str, conversation: Option<&str>) -> Taken {
            let question = Question {
                user: user.into(),
                id: id.into(),
                text: format!("{id}?"),
                conversation: conversation.map(Into::into),
            };
            self.database.write(move |transaction| ask(transaction, &question, 1)).await.unwrap()
        }

        async fn claim(&self) -> Option<Job> {
            self.database.write(claim).await.unwrap()
        }

        async fn finish(&self, job: Job, answer: &str) {
            let answer = answer.to_owned();
            self.database
                .write(move |transaction| finish(transaction, &job, Ok(answer), 2))
                .await
                .unwrap();
        }

        async fn unsent(&self) -> Vec<String> {
            let publications = self.database.read(unsent).await.unwrap();
            publications.into_iter().map(|publication| publication.key).collect()
        }
    }

    #[tokio::test]
    async fn a_question_its_record_and_its_publication_are_one() {
        let story = Story::with(&["ada"]).await;
        assert_eq!(story.ask("ada", "q1", None).await, Taken::New);
        assert_eq!(story.ask("ada", "q1", None).await, Taken::Repeated);
        assert_eq!(story.unsent().await, ["created:q1"]);
        let job = story.claim().await.unwrap();
        story.finish(job, "a1").await;
        assert_eq!(story.unsent().await, ["created:q1", "answered:q1"]);
        assert_eq!(story.ask("ada", "q1", None).await, Taken::Repeated);
        assert!(story.claim().await.is_none());
    }

    #[tokio::test]
    async fn within_a_conversation_one_answer_follows_the_other_and_knows_it() {
        let story = Story::with(&["ada"]).await;
        story.ask("ada", "q1", None).await;
        story.ask("ada", "q2", Some("q1")).await;
        let first = story.claim().await.unwrap();
        assert!(story.claim().await.is_none(), "the second waits for the first");
        story.finish(first, "a1").await;
        let second = story.claim().await.unwrap();
        let said: Vec<&str> = second.turns.iter().map(|turn| turn.content.as_str()).collect();
        assert_eq!(said, ["q1?", "a1", "q2?"]);
    }

    #[tokio::test]
    async fn one_person_cannot_take_all_the_answers() {
        let story = Story::with(&["ada", "bob"]).await;
        for number in 0..=ANSWERS_AT_ONCE_PER_USER_MAX {
            story.ask("ada", &format!("a{number}"), None).await;
        }
        story.ask("bob", "b", None).await;
        for _ in 0..ANSWERS_AT_ONCE_PER_USER_MAX {
            assert_eq!(story.claim().await.unwrap().user, "ada");
        }
        assert_eq!(story.claim().await.unwrap().user, "bob");
        assert!(story.claim().await.is_none());
    }

    #[tokio::test]
    async fn a_person_who_asks_too_fast_is_asked_to_wait_and_can_go_on_after_an_answer() {
        let story = Story::with(&["ada"]).await;
        for number in 0..QUESTIONS_WAITING_PER_USER_MAX {
            assert_eq!(story.ask("ada", &format!("q{number}"), None).await, Taken::New);
        }
        assert_eq!(story.ask("ada", "more", None).await, Taken::TooMany);
        assert_eq!(story.ask("ada", "q0", None).await, Taken::Repeated, "known ones are no burden");
        let job = story.claim().await.unwrap();
        story.finish(job, "a0").await;
        assert_eq!(story.ask("ada", "more", None).await, Taken::New);
    }

    #[tokio::test]
    async fn what_goes_to_the_provider_is_bounded_and_ends_with_the_question() {
        let story = Story::with(&["ada"]).await;
        story.ask("ada", "q0", None).await;
        let long = "x".repeat(HISTORY_BYTES_MAX / 2);
        let mut job = story.claim().await.unwrap();
        for number in 1..4 {
            story.finish(job, &long).await;
            story.ask("ada", &format!("q{number}"), Some("q0")).await;
            job = story.claim().await.unwrap();
        }
        let bytes: usize = job.turns.iter().map(|turn| turn.content.len()).sum();
        assert!(bytes <= HISTORY_BYTES_MAX, "{bytes}");
        assert_eq!(job.turns.last().unwrap().content, "q3?");
    }

    #[tokio::test]
    async fn retries_are_forgotten_only_when_nobody_can_repeat_them() {
        let story = Story::with(&["ada"]).await;
        story.ask("ada", "q1", None).await;
        let job = story.claim().await.unwrap();
        story.finish(job, "a1").await;
        let forget = async |now_ms| {
            story.database.write(move |transaction| forget_old(transaction, now_ms)).await.unwrap()
        };
        assert_eq!(forget(2 + JOBS_KEPT_MS).await, 0);
        assert_eq!(forget(3 + JOBS_KEPT_MS).await, 1);
        assert_eq!(story.ask("ada", "q1", None).await, Taken::Repeated, "its message is there");
    }
}
