//! How messages are deleted: never more at once than a budget allows, each mailbox from its beginning.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, params};
use tetherline_protocol::{MessageId, Seq};

use super::{
    aging::{Age, Span},
    index, messages,
    recent::{MessageRow, Recent},
    statements::{self, readable_id},
    writer::BATCH_MAX,
};

/// What is forgotten at once: more than one commit can bring, so that nothing piles up.
const MESSAGES_MAX: i64 = 2_048;
const _: () = assert!(MESSAGES_MAX as usize > BATCH_MAX);
const MESSAGE_BYTES_MAX: i64 = 4 * 1024 * 1024;

/// What may still be deleted in one go. One message always may, whatever its size.
pub(super) struct Budget {
    pub(super) messages: i64,
    bytes: i64,
}

impl Budget {
    pub(super) fn full() -> Self {
        Self { messages: MESSAGES_MAX, bytes: MESSAGE_BYTES_MAX }
    }

    pub(super) fn spend(&mut self, bytes: i64) {
        self.messages -= 1;
        self.bytes -= bytes;
    }

    pub(super) fn is_spent(&self) -> bool {
        self.messages <= 0 || self.bytes <= 0
    }
}

/// Deletes a mailbox's messages after what is trimmed and up to `until`, as far as the budget goes, and
/// answers up to where.
pub(super) fn trim(
    connection: &Connection,
    (mailbox, trimmed): (i64, Seq),
    recent: &Recent,
    until: Seq,
    budget: &mut Budget,
) -> rusqlite::Result<Seq> {
    let rows_max = budget.messages;
    let rows = index::rows_between(connection, mailbox, recent, (trimmed, until), rows_max)?;
    let may_be_more = statements::count(rows.len()) >= rows_max;
    let mut reached = rows.last().filter(|_| may_be_more).map_or(until, |last| last.seq);
    let (mut rest, mut gone) = (&rows[..], None);
    while !budget.is_spent()
        && let Some((first, last, later)) = MessageRow::first_run(rest)
    {
        let deleted = if first == last {
            delete_row(connection, (mailbox, first.number), budget)?
        } else {
            delete_run(connection, mailbox, (first.number, last.number), budget)?
        };
        gone = deleted.map(|(number, id)| (first.seq_of(number), id)).or(gone);
        rest = later;
    }
    if may_be_more {
        // Some of them may have been trimmed before, and cost nothing.
        budget.messages = 0;
    }
    if budget.is_spent()
        && let Some((seq, _)) = gone
    {
        reached = seq;
    }
    let id = gone.filter(|(seq, _)| *seq == reached).and_then(|(_, id)| id);
    note_trimmed(connection, mailbox, reached, id.as_ref())?;
    Ok(reached)
}

/// A row's number, and its message's id if it can be read.
type Deleted = (i64, Option<MessageId>);

/// Answers what it was, if it was still there. The row of somebody else stays, whatever the index says.
fn delete_row(
    connection: &Connection,
    (mailbox, number): (i64, i64),
    budget: &mut Budget,
) -> rusqlite::Result<Option<Deleted>> {
    let deleted = connection
        .prepare_cached(
            "DELETE FROM messages WHERE number = ?1 AND user = ?2
             RETURNING octet_length(fields), id",
        )?
        .query_row([number, mailbox], |row| Ok((row.get(0)?, readable_id(row, 1))))
        .optional()?;
    let Some((bytes, id)) = deleted else { return Ok(None) };
    budget.spend(bytes);
    Ok(Some((number, id)))
}

/// The same of a run, as far as the budget goes. Answers the last row.
fn delete_run(
    connection: &Connection,
    mailbox: i64,
    (first, last): (i64, i64),
    budget: &mut Budget,
) -> rusqlite::Result<Option<Deleted>> {
    let mut statement = connection.prepare_cached(
        "SELECT number, octet_length(fields), id FROM messages
         WHERE number BETWEEN ?1 AND ?2 AND user = ?3 ORDER BY number",
    )?;
    let mut rows = statement.query([first, last, mailbox])?;
    let mut deleted = None;
    while !budget.is_spent()
        && let Some(row) = rows.next()?
    {
        budget.spend(row.get(1)?);
        deleted = Some((row.get(0)?, readable_id(row, 2)));
    }
    drop(rows);
    if let Some((last, _)) = deleted {
        connection
            .prepare_cached("DELETE FROM messages WHERE number BETWEEN ?1 AND ?2 AND user = ?3")?
            .execute([first, last, mailbox])?;
    }
    Ok(deleted)
}

/// Trims all messages up to a row, as far as the budget goes. Rows are in the order of their making, so
/// that what goes of a mailbox is always its beginning.
pub(super) fn trim_by_age(
    connection: &Connection,
    old_until: i64,
    span: Span,
    budget: &mut Budget,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT number, user, seq, created_at, octet_length(fields), id FROM messages
         WHERE number <= ?1 ORDER BY number LIMIT ?2",
    )?;
    let mut rows = statement.query([old_until, budget.messages])?;
    let (mut old, mut last): (BTreeMap<i64, (Seq, Option<MessageId>)>, i64) = Default::default();
    while let Some(row) = rows.next()?.filter(|_| !budget.is_spent()) {
        if span.age(row.get(3)?) == Age::Young {
            break;
        }
        last = row.get(0)?;
        let (mailbox, said) = (row.get(1)?, statements::seq(row, 2).ok());
        let follows = old.get(&mailbox).is_some_and(|(before, _)| before.next() == said);
        // The disk may have changed what it says of itself. It goes alike.
        if let Some(seq) = said
            && (follows || messages::is_whole(connection, last)?)
        {
            old.insert(mailbox, (seq, readable_id(row, 5)));
        }
        budget.spend(row.get(4)?);
    }
    drop(rows);
    connection.prepare_cached("DELETE FROM messages WHERE number <= ?1")?.execute([last])?;
    for (mailbox, (until, id)) in old {
        note_trimmed(connection, mailbox, until, id.as_ref())?;
    }
    Ok(())
}

/// A mailbox has nothing any more up to here. Whoever stands at the last of it proves its history by its id.
fn note_trimmed(
    connection: &Connection,
    mailbox: i64,
    until: Seq,
    id: Option<&MessageId>,
) -> rusqlite::Result<()> {
    index::trimmed_until(connection, mailbox, until)?;
    connection
        .prepare_cached(
            "UPDATE users SET trimmed = ?2, trimmed_id = ?3 WHERE id = ?1 AND trimmed < ?2",
        )?
        .execute(params![mailbox, statements::signed(until), id.map(MessageId::as_str)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::tests::file::File, *};

    struct Table {
        connection: Connection,
        _file: File,
    }

    /// One row per (user, seq, created at), in this order.
    fn table(rows: &[(i64, i64, i64)]) -> Table {
        let file = File::new();
        let connection = file.connect();
        for (user, seq, created_at) in rows {
            connection
                .execute(
                    "INSERT INTO messages (user, seq, id, kind, created_at, fields)
                     VALUES (?1, ?2, 'm', 't', ?3, 'xxxx')",
                    [user, seq, created_at],
                )
                .unwrap();
        }
        let fold = "INSERT INTO positions SELECT user, seq, number FROM messages";
        connection.execute(fold, []).unwrap();
        Table { connection, _file: file }
    }

    impl Table {
        fn trim(&self, budget: &mut Budget) -> Seq {
            let in_memory = Recent::default();
            trim(&self.connection, (1, Seq::ZERO), &in_memory, Seq::MAX, budget).unwrap()
        }

        fn left(&self) -> Vec<(i64, i64)> {
            let mut all =
                self.connection.prepare("SELECT user, seq FROM messages ORDER BY number").unwrap();
            let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.map(Result::unwrap).collect()
        }
    }

    const PLENTY: Budget = Budget { messages: 100, bytes: 1_000 };

    const SPAN: Span = Span { earliest: 0, before: 100, now: 200 };

    #[test]
    fn what_is_just_old_enough_stays_and_what_is_a_millisecond_older_goes() {
        let table = table(&[(1, 1, 99), (2, 1, 99), (1, 2, 100), (2, 2, 101)]);
        trim_by_age(&table.connection, 2, SPAN, &mut { PLENTY }).unwrap();
        assert_eq!(table.left(), [(1, 2), (2, 2)]);
    }

    #[test]
    fn a_message_that_is_young_stays_whatever_was_found_before() {
        let table = table(&[(1, 1, 50), (1, 2, 9_000), (1, 3, 60), (2, 1, 150), (2, 2, 50)]);
        trim_by_age(&table.connection, 5, SPAN, &mut { PLENTY }).unwrap();
        assert_eq!(table.left(), [(2, 1), (2, 2)]);
    }

    #[test]
    fn no_more_than_the_budget_goes_at_once_and_always_one() {
        let table = table(&[(1, 1, 1), (1, 2, 1), (1, 3, 1), (1, 4, 1), (1, 5, 1)]);
        let mut two = Budget { messages: 2, ..PLENTY };
        assert_eq!(table.trim(&mut two), Seq::new(2).unwrap());
        assert!(two.is_spent());
        let mut bytes = Budget { bytes: 1, ..PLENTY };
        table.trim(&mut bytes);
        assert_eq!(table.left(), [(1, 4), (1, 5)]);
        trim_by_age(&table.connection, 4, SPAN, &mut Budget { messages: 1, ..PLENTY }).unwrap();
        assert_eq!(table.left(), [(1, 5)]);
    }
}
