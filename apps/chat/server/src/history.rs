//! Conversations and their messages: the rows, and how they look as JSON.

mod tree;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::Serialize;
use tetherline_protocol::StreamStatus;

pub(crate) use tree::{Place, newest_leaf, next_version, parent_at};

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
    pub(crate) content: String,
    /// A question is always complete. A failed or interrupted answer carries its `error`, and
    /// whatever text it had before; a complete one that was cut says so in the same place.
    pub(crate) status: StreamStatus,
    /// Which attempt at an answer the text is from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempt: Option<u32>,
    #[serde(flatten)]
    pub(crate) about: About,
}

/// What is said about a message besides its text: in the history, and where an answer ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct About {
    pub(crate) role: Role,
    pub(crate) created_at: String,
    /// The message that it follows.
    pub(crate) parent: Option<String>,
    /// From 1 among those of its kind that follow the same message.
    pub(crate) version: u32,
    /// The question of an answer, under the name that it had before conversations were trees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Failure>,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    User,
    Assistant,
}

impl Role {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }

    /// The table takes no others.
    fn from_column(row: &Row<'_>, column: usize) -> rusqlite::Result<Self> {
        let name: String = row.get(column)?;
        Ok(if name == Self::User.as_str() { Self::User } else { Self::Assistant })
    }
}

/// Why an answer is not whole, or not all that it could have been, for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Failure {
    /// The model wrote as much as it may; it can go on.
    pub(crate) const CUT_BY_LENGTH: &str = "length";
    /// The provider let it write no further.
    pub(crate) const CUT_BY_FILTER: &str = "content_filter";

    /// What it was about is complete nevertheless: as much as there will be of it.
    pub(crate) fn is_cut(&self) -> bool {
        [Self::CUT_BY_LENGTH, Self::CUT_BY_FILTER].contains(&self.code.as_str())
    }
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
        .query_row([user, uuid], |row| Ok((message_from(row)?, row.get(10)?)))
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
    let about = &message.about;
    let failure = about.error.as_ref();
    transaction.execute(
        "INSERT INTO messages (user_uuid, uuid, conversation_uuid, role, content, error_code,
                               error_message, created_at, parent, version, attempt, status)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT (user_uuid, uuid) DO UPDATE SET
             content = excluded.content, error_code = excluded.error_code,
             error_message = excluded.error_message, attempt = excluded.attempt,
             status = excluded.status",
        params![
            user,
            message.uuid,
            conversation,
            about.role.as_str(),
            message.content,
            failure.map(|failure| &failure.code),
            failure.map(|failure| &failure.message),
            now_ms,
            about.parent,
            about.version,
            message.attempt,
            message.status.as_str(),
        ],
    )?;
    transaction.execute(
        "UPDATE conversations SET updated_at = max(updated_at, ?3)
         WHERE user_uuid = ?1 AND uuid = ?2",
        params![user, conversation, now_ms],
    )?;
    Ok(())
}

/// Writes down how an answer really ended, if somebody stopped it at the last moment.
pub(crate) fn set_status(
    transaction: &Transaction<'_>,
    user: &str,
    uuid: &str,
    status: StreamStatus,
) -> rusqlite::Result<()> {
    transaction.execute(
        "UPDATE messages SET status = ?3 WHERE user_uuid = ?1 AND uuid = ?2",
        [user, uuid, status.as_str()],
    )?;
    Ok(())
}

const MESSAGE_COLUMNS: &str = "uuid, role, content, error_code, error_message, created_at, parent, \
                               version, attempt, status";

fn message_from(row: &Row<'_>) -> rusqlite::Result<ChatMessage> {
    let code: Option<String> = row.get(3)?;
    let error = match code {
        Some(code) => Some(Failure { code, message: row.get(4)? }),
        None => None,
    };
    let role = Role::from_column(row, 1)?;
    let parent: Option<String> = row.get(6)?;
    let status: String = row.get(9)?;
    Ok(ChatMessage {
        uuid: row.get(0)?,
        content: row.get(2)?,
        // The table takes no others.
        status: StreamStatus::named(&status).unwrap_or(StreamStatus::Interrupted),
        attempt: row.get(8)?,
        about: About {
            role,
            created_at: rfc3339(row.get(5)?),
            reply_to: parent.clone().filter(|_| role == Role::Assistant),
            parent,
            version: row.get(7)?,
            error,
        },
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
