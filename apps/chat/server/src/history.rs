//! Conversations and their messages: the rows, and how they look as JSON.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::Serialize;

use crate::{
    clock::rfc3339,
    limits::{CONVERSATIONS_LISTED_MAX, MESSAGES_LISTED_MAX, TITLE_CHARS_MAX},
};

/// A conversation in a listing and beside every message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Conversation {
    pub(crate) uuid: String,
    pub(crate) title: String,
    pub(crate) updated_at: String,
}

/// A message of a conversation, over HTTP and over the WebSocket alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ChatMessage {
    pub(crate) uuid: String,
    pub(crate) role: Role,
    pub(crate) content: String,
    pub(crate) status: Status,
    pub(crate) created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply_to: Option<String>,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    User,
    Assistant,
}

/// Whether an answer is one. A failed one carries its `error`, and whatever text it had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Complete,
    Failed,
}

/// Why there is no answer, for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// The newest conversations of a person.
pub(crate) fn conversations(
    connection: &Connection,
    user: &str,
) -> rusqlite::Result<Vec<Conversation>> {
    connection
        .prepare_cached(
            "SELECT uuid, title, updated_at FROM conversations
             WHERE user_uuid = ?1 ORDER BY updated_at DESC, uuid DESC LIMIT ?2",
        )?
        .query_map(params![user, CONVERSATIONS_LISTED_MAX], conversation_from)?
        .collect()
}

/// One conversation of a person, if it is theirs.
pub(crate) fn conversation(
    connection: &Connection,
    user: &str,
    uuid: &str,
) -> rusqlite::Result<Option<Conversation>> {
    connection
        .prepare_cached(
            "SELECT uuid, title, updated_at FROM conversations WHERE user_uuid = ?1 AND uuid = ?2",
        )?
        .query_row([user, uuid], conversation_from)
        .optional()
}

/// The newest messages of a conversation, oldest first.
pub(crate) fn messages(
    connection: &Connection,
    user: &str,
    conversation: &str,
) -> rusqlite::Result<Vec<ChatMessage>> {
    connection
        .prepare_cached(&format!(
            "SELECT * FROM (
                 SELECT {MESSAGE_COLUMNS}, position FROM messages
                 WHERE user_uuid = ?1 AND conversation_uuid = ?2 ORDER BY position DESC LIMIT ?3
             ) ORDER BY position"
        ))?
        .query_map(params![user, conversation, MESSAGES_LISTED_MAX], message_from)?
        .collect()
}

/// One message of a person, and the conversation that it is in.
pub(crate) fn message(
    connection: &Connection,
    user: &str,
    uuid: &str,
) -> rusqlite::Result<Option<(ChatMessage, String)>> {
    connection
        .prepare_cached(&format!(
            "SELECT {MESSAGE_COLUMNS}, conversation_uuid FROM messages
             WHERE user_uuid = ?1 AND uuid = ?2"
        ))?
        .query_row([user, uuid], |row| Ok((message_from(row)?, row.get(7)?)))
        .optional()
}

/// Opens a conversation with the title that its first question gives it.
pub(crate) fn open(
    transaction: &Transaction<'_>,
    user: &str,
    uuid: &str,
    question: &str,
    now_ms: i64,
) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO conversations (user_uuid, uuid, title, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?4)",
        params![user, uuid, title_of(question), now_ms],
    )?;
    Ok(())
}

/// Adds a message at the end of its conversation, or replaces the one with its uuid in place, and
/// marks the conversation as changed.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    user: &str,
    conversation: &str,
    message: &ChatMessage,
    now_ms: i64,
) -> rusqlite::Result<()> {
    let failure = message.error.as_ref();
    transaction.execute(
        "INSERT INTO messages (user_uuid, uuid, conversation_uuid, role, content, error_code,
                               error_message, reply_to, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (user_uuid, uuid) DO UPDATE SET
             content = excluded.content, error_code = excluded.error_code,
             error_message = excluded.error_message",
        params![
            user,
            message.uuid,
            conversation,
            if message.role == Role::User { "user" } else { "assistant" },
            message.content,
            failure.map(|failure| &failure.code),
            failure.map(|failure| &failure.message),
            message.reply_to,
            now_ms,
        ],
    )?;
    transaction.execute(
        "UPDATE conversations SET updated_at = max(updated_at, ?3)
         WHERE user_uuid = ?1 AND uuid = ?2",
        params![user, conversation, now_ms],
    )?;
    Ok(())
}

const MESSAGE_COLUMNS: &str =
    "uuid, role, content, error_code, error_message, reply_to, created_at";

fn message_from(row: &Row<'_>) -> rusqlite::Result<ChatMessage> {
    let code: Option<String> = row.get(3)?;
    let error = match code {
        Some(code) => Some(Failure { code, message: row.get(4)? }),
        None => None,
    };
    let role: String = row.get(1)?;
    Ok(ChatMessage {
        uuid: row.get(0)?,
        role: if role == "user" { Role::User } else { Role::Assistant },
        content: row.get(2)?,
        status: if error.is_some() { Status::Failed } else { Status::Complete },
        created_at: rfc3339(row.get(6)?),
        error,
        reply_to: row.get(5)?,
    })
}

fn conversation_from(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    Ok(Conversation { uuid: row.get(0)?, title: row.get(1)?, updated_at: rfc3339(row.get(2)?) })
}

/// The first line that says something, cut at a word.
fn title_of(question: &str) -> String {
    let line = question.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    if line.chars().count() <= TITLE_CHARS_MAX {
        return line.to_owned();
    }
    let cut: String = line.chars().take(TITLE_CHARS_MAX - 1).collect();
    let words = match cut.rsplit_once(char::is_whitespace) {
        Some((words, _)) if words.chars().count() >= TITLE_CHARS_MAX / 2 => words.trim_end(),
        _ => &cut,
    };
    format!("{words}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_first_line_cut_at_a_word() {
        assert_eq!(title_of("\n  Hello there \nmore"), "Hello there");
        let long = "How do I explain to a friend what a mailbox per user is good for in the end?";
        assert_eq!(title_of(long), "How do I explain to a friend what a mailbox per user is…");
        let title = title_of(&"ü".repeat(200));
        assert_eq!(title.chars().count(), TITLE_CHARS_MAX);
    }
}
