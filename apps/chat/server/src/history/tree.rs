//! Conversations as trees: where a message goes, and where a conversation ends.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Role, message};
use crate::jobs;

/// Where a question goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the end of the newest branch.
    Newest,
    /// Behind this message, and behind whatever was asked there meanwhile: what two tabs ask at once
    /// are two questions, and not two versions of one.
    After(String),
    /// Beside this question, as another version of it.
    InsteadOf(String),
}

/// The parent of a question at that place; `None` if there is no such place.
#[expect(clippy::option_option, reason = "no place is something else than the place at the root")]
pub(crate) fn parent_at(
    connection: &Connection,
    user: &str,
    conversation: &str,
    place: &Place,
) -> rusqlite::Result<Option<Option<String>>> {
    let here = |uuid: &str| {
        let found = message(connection, user, uuid)?;
        Ok::<_, rusqlite::Error>(found.filter(|(_, of)| of == conversation).map(|(found, _)| found))
    };
    match place {
        Place::Newest => newest_leaf(connection, user, conversation).map(Some),
        Place::InsteadOf(question) => {
            let question = here(question)?.filter(|found| found.about.role == Role::User);
            Ok(question.map(|question| question.about.parent))
        }
        Place::After(uuid) => {
            let behind = match here(uuid)? {
                // Whoever follows a question follows its answer, although that may be still to come.
                Some(found) if found.about.role == Role::User => {
                    answer_below(connection, user, conversation, found.uuid)?
                }
                Some(answer) => answer.uuid,
                None if jobs::is_pending_in(connection, user, conversation, uuid)? => uuid.clone(),
                None => return Ok(None),
            };
            end_of_branch(connection, user, conversation, behind).map(|end| Some(Some(end)))
        }
    }
}

/// The last answer of the newest branch behind this one, there or still to come.
fn end_of_branch(
    connection: &Connection,
    user: &str,
    conversation: &str,
    mut answer: String,
) -> rusqlite::Result<String> {
    while let Some((question, _)) = newest_child(connection, user, conversation, &answer)? {
        let next = answer_below(connection, user, conversation, question)?;
        if next == answer {
            break;
        }
        answer = next;
    }
    Ok(answer)
}

/// Where the branch ends in which something happened last. It may be an answer that is still to
/// come.
pub(crate) fn newest_leaf(
    connection: &Connection,
    user: &str,
    conversation: &str,
) -> rusqlite::Result<Option<String>> {
    let newest = connection
        .prepare_cached(
            "SELECT uuid, role FROM messages
             WHERE user_uuid = ?1 AND conversation_uuid = ?2 ORDER BY position DESC LIMIT 1",
        )?
        .query_row([user, conversation], named)
        .optional()?;
    let Some((mut uuid, mut role)) = newest else { return Ok(None) };
    // An answer may be newer than a question that was asked behind it before it was there.
    while let Some((child, of)) = newest_child(connection, user, conversation, &uuid)? {
        (uuid, role) = (child, of);
    }
    match role {
        Role::User => answer_below(connection, user, conversation, uuid).map(Some),
        Role::Assistant => Ok(Some(uuid)),
    }
}

/// The next version among the children of that kind.
pub(crate) fn next_version(
    connection: &Connection,
    user: &str,
    conversation: &str,
    parent: Option<&str>,
    role: Role,
) -> rusqlite::Result<u32> {
    // Answers that are still to come have their versions already.
    connection
        .prepare_cached(
            "SELECT coalesce(max(version), 0) + 1 FROM (
                 SELECT version FROM messages
                 WHERE user_uuid = ?1 AND conversation_uuid = ?2 AND parent IS ?3 AND role = ?4
                 UNION ALL
                 SELECT version FROM jobs
                 WHERE user_uuid = ?1 AND conversation_uuid = ?2 AND question_uuid = ?3
                   AND done_at IS NULL AND ?4 = 'assistant'
             )",
        )?
        .query_row(params![user, conversation, parent, role.as_str()], |row| row.get(0))
}

/// The newest answer to a question, there or still to come; the question if there is none.
fn answer_below(
    connection: &Connection,
    user: &str,
    conversation: &str,
    question: String,
) -> rusqlite::Result<String> {
    let pending = jobs::pending_answer_to(connection, user, &question)?;
    if let Some(answer) = pending {
        return Ok(answer);
    }
    let child = newest_child(connection, user, conversation, &question)?;
    Ok(child.map_or(question, |(answer, _)| answer))
}

fn newest_child(
    connection: &Connection,
    user: &str,
    conversation: &str,
    parent: &str,
) -> rusqlite::Result<Option<(String, Role)>> {
    connection
        .prepare_cached(
            "SELECT uuid, role FROM messages
             WHERE user_uuid = ?1 AND conversation_uuid = ?2 AND parent = ?3
             ORDER BY position DESC LIMIT 1",
        )?
        .query_row([user, conversation, parent], named)
        .optional()
}

fn named(row: &rusqlite::Row<'_>) -> rusqlite::Result<(String, Role)> {
    Ok((row.get(0)?, Role::from_column(row, 1)?))
}
