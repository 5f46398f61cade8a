//! What is forgotten: never much at once, and after the commits, so that nobody waits for it.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension as _, params};
use tetherline_protocol::{MessageId, Seq, UserId};

use super::{
    aging::{Age, Aging, ROWS_MAX, Span},
    index,
    keys::{self, Keys},
    recent::{Recent, Recents, Row},
    rules::Rule,
    statements::{self, Mailbox, readable_id},
    writer::BATCH_MAX,
};

/// Mailboxes that are over their count wait so long for others, unless there are so many: trimmed together
/// they share pages of the file, trimmed one by one each of them writes its own.
pub(super) const TRIM_EVERY: Duration = Duration::from_secs(1);
const TRIM_TOGETHER: usize = 4_096;
/// What is forgotten at once: more than one commit can bring, so that nothing piles up.
const MESSAGES_MAX: i64 = 2_048;
const _: () = assert!(ROWS_MAX as usize > BATCH_MAX && MESSAGES_MAX as usize > BATCH_MAX);
const MESSAGE_BYTES_MAX: i64 = 4 * 1024 * 1024;
/// Users whose mailboxes are measured at once, after a start.
pub(super) const SURVEY_USERS_MAX: usize = 1_024;
/// Users known to have too many messages; the survey finds those that are not noted.
const DUE_USERS_MAX: usize = 65_536;

/// What there is to forget, as far as the writer has noticed.
#[derive(Default)]
pub(super) struct Upkeep {
    due: HashSet<UserId>,
    /// When somebody was last trimmed by their count.
    trimmed_at: Option<Instant>,
    has_asked: bool,
    survey: Survey,
    aging: Aging,
    /// The last look did not get through.
    is_behind: bool,
}

/// Whether the log of streams' text still has text of users who were erased. As long as it does,
/// they stay on the list of those who are to be deleted, so that a restart does not forget it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErasedText {
    Left,
    Gone,
}

/// One pass over all users for each rule, which is known by its number.
#[derive(Default)]
enum Survey {
    #[default]
    NotYet,
    Running {
        after: i64,
        rule: u64,
    },
    Done {
        rule: u64,
    },
}

impl Upkeep {
    /// A message was appended.
    pub(super) fn appended(&mut self, user: &UserId, mailbox: Mailbox, rule: &Rule) {
        if rule.excess(mailbox.head, mailbox.trimmed).is_none() || self.due.contains(user) {
            return;
        }
        if self.due.len() < DUE_USERS_MAX {
            self.due.insert(user.clone());
        } else {
            self.survey = Survey::NotYet;
        }
    }

    /// A user was erased: what is left of them waits to be deleted.
    pub(super) fn erased(&mut self) {
        self.is_behind = true;
    }

    /// Whether there is work that has waited long enough.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let has_waited = |at: Instant| now.saturating_duration_since(at) >= TRIM_EVERY;
        let trims = !self.due.is_empty() && self.trimmed_at.is_none_or(has_waited);
        self.is_behind || trims || self.due.len() >= TRIM_TOGETHER
    }

    /// Whether somebody has to see to it that the writer looks again: once for all that waits.
    pub(super) fn asks_to_be_looked_at(&mut self) -> bool {
        self.is_behind() && !std::mem::replace(&mut self.has_asked, true)
    }

    /// Whether there is work that should not wait for the next look.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind || !self.due.is_empty()
    }

    /// What was planned may have been undone.
    pub(super) fn failed(&mut self) {
        self.due.clear();
        self.survey = Survey::NotYet;
        self.aging = Aging::default();
        self.is_behind = false;
    }

    /// Forgets some of what is old, within a transaction of the caller's. Answers those mailboxes that
    /// were trimmed by their count, and up to where.
    pub(super) fn forget(
        &mut self,
        (connection, keys, recents): (&Connection, &mut Keys, &Recents),
        log: ErasedText,
        rule: &Rule,
        now: i64,
        is_misdated: bool,
    ) -> rusqlite::Result<Vec<(UserId, Seq)>> {
        if self.aging.rule != rule.number {
            self.aging = Aging::by(rule.number);
        }
        let keys_are_left = keys.expire(connection, rule, now)?;
        let ids_are_left = self.aging.forget_ids(connection, rule, now)?;
        let mut budget = Budget { messages: MESSAGES_MAX, bytes: MESSAGE_BYTES_MAX };
        delete_erased(connection, log, &mut budget)?;
        let mut messages_are_left = false;
        // A date that is to be repaired says nothing about the messages around it.
        if let Some(age_ms) = rule.retention_age_ms.filter(|_| !is_misdated) {
            let span = Span::of(now, age_ms);
            messages_are_left = self.aging.messages.look(connection, "messages", span)?;
            trim_by_age(connection, self.aging.messages.old_until, span, &mut budget)?;
        }
        self.survey(connection, recents, rule)?;
        let trimmed = self.trim_by_count(connection, recents, rule, &mut budget)?;
        let surveying = matches!(self.survey, Survey::Running { .. });
        let are_left = keys_are_left || ids_are_left || messages_are_left;
        self.is_behind = budget.is_spent() || surveying || are_left || is_misdated;
        Ok(trimmed)
    }

    fn trim_by_count(
        &mut self,
        connection: &Connection,
        recents: &Recents,
        rule: &Rule,
        budget: &mut Budget,
    ) -> rusqlite::Result<Vec<(UserId, Seq)>> {
        self.has_asked = false;
        if !self.due.is_empty() {
            self.trimmed_at = Some(Instant::now());
        }
        let mut all = Vec::new();
        while let Some(user) = self.due.iter().next().filter(|_| !budget.is_spent()).cloned() {
            let recent = recents.of(&user);
            let known = statements::known_mailbox(connection, &user, &recent)?;
            let excess = known.and_then(|known| {
                let until = rule.excess(known.head, known.trimmed)?;
                Some(((known.user, known.trimmed), until))
            });
            let trimmed = match excess {
                Some((mailbox, until)) => trim(connection, mailbox, &recent, until, budget)?,
                None => known.map_or(Seq::ZERO, |known| known.trimmed),
            };
            if excess.is_none_or(|(_, until)| trimmed >= until) {
                self.due.remove(&user);
            }
            all.push((user, trimmed));
        }
        Ok(all)
    }

    fn survey(
        &mut self,
        connection: &Connection,
        recents: &Recents,
        rule: &Rule,
    ) -> rusqlite::Result<()> {
        let number = rule.number;
        let after = match self.survey {
            Survey::Done { rule: last } if last == number => return Ok(()),
            Survey::Running { after, rule: current } if current == number => after,
            _ => 0,
        };
        self.survey = Survey::Running { after, rule: number };
        if self.due.len() + SURVEY_USERS_MAX > DUE_USERS_MAX {
            return Ok(());
        }
        let mut statement = connection.prepare_cached(
            "SELECT id, name, trimmed FROM users WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?;
        let mut rows = statement.query([after, statements::count(SURVEY_USERS_MAX)])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            let mailbox = row.get(0)?;
            last = Some(mailbox);
            // One whose name was changed in the file is nobody.
            let Ok(user) = row.get_ref(1)?.as_str()?.parse() else { continue };
            let trimmed = statements::seq(row, 2)?;
            let head = index::newest(connection, mailbox, &recents.of(&user))?.max(trimmed);
            if rule.excess(head, trimmed).is_some() {
                self.due.insert(user);
            }
        }
        self.survey = match last {
            Some(after) if rule.retention_messages_max.is_some() => {
                Survey::Running { after, rule: number }
            }
            _ => Survey::Done { rule: number },
        };
        Ok(())
    }
}

/// What may still be deleted in one go. One message always may, whatever its size.
struct Budget {
    messages: i64,
    bytes: i64,
}

impl Budget {
    fn spend(&mut self, bytes: i64) {
        self.messages -= 1;
        self.bytes -= bytes;
    }

    fn is_spent(&self) -> bool {
        self.messages <= 0 || self.bytes <= 0
    }
}

/// The rows of erased users, overwritten and not only unlinked.
fn delete_erased(
    connection: &Connection,
    log: ErasedText,
    budget: &mut Budget,
) -> rusqlite::Result<()> {
    let next = "SELECT min(user) FROM erased";
    let user: Option<i64> = connection.prepare_cached(next)?.query_row([], |row| row.get(0))?;
    let Some(user) = user else { return Ok(()) };
    statements::securely(connection, || delete_user(connection, user, log, budget))
}

fn delete_user(
    connection: &Connection,
    user: i64,
    log: ErasedText,
    budget: &mut Budget,
) -> rusqlite::Result<()> {
    trim(connection, (user, Seq::ZERO), &Recent::default(), Seq::MAX, budget)?;
    budget.messages -= statements::count(keys::delete_erased(connection, user, budget.messages)?);
    for table in ["sends", "streams", "stream_stops"] {
        let statement = format!(
            "DELETE FROM {table} WHERE number IN
                 (SELECT number FROM {table} WHERE user = ?1 LIMIT ?2)"
        );
        let rows = connection.prepare_cached(&statement)?.execute([user, budget.messages])?;
        budget.messages -= statements::count(rows);
    }
    if budget.is_spent() {
        return Ok(());
    }
    if log == ErasedText::Gone {
        connection.prepare_cached("DELETE FROM erased WHERE user = ?1")?.execute([user])?;
    }
    // There may be another one, or more to wait for.
    *budget = Budget { messages: 0, ..*budget };
    Ok(())
}

/// Deletes a mailbox's messages after what is trimmed and up to `until`, as far as the budget goes, and
/// answers up to where.
fn trim(
    connection: &Connection,
    (mailbox, trimmed): (i64, Seq),
    recent: &Recent,
    until: Seq,
    budget: &mut Budget,
) -> rusqlite::Result<Seq> {
    let rows = index::rows_after(connection, mailbox, recent, trimmed, budget.messages)?;
    let mut delete = connection.prepare_cached(
        "DELETE FROM messages WHERE number = ?1 RETURNING octet_length(fields), id",
    )?;
    let (mut reached, mut last) = (until, None);
    for Row { seq, number } in rows {
        if seq > until {
            break;
        }
        let found = delete.query_row([number], |row| Ok((row.get(0)?, readable_id(row, 1))));
        let (bytes, id) = found.optional()?.unwrap_or_default();
        budget.spend(bytes);
        last = Some((seq, id));
        if budget.is_spent() {
            reached = seq;
            break;
        }
    }
    let id = last.filter(|(seq, _)| *seq == reached).and_then(|(_, id)| id);
    note_trimmed(connection, mailbox, reached, id.as_ref())?;
    Ok(reached)
}

#[cfg(test)]
pub(super) fn trim_for_test(
    connection: &Connection,
    mailbox: (i64, Seq),
    recent: &Recent,
    until: Seq,
) {
    let mut budget = Budget { messages: MESSAGES_MAX, bytes: MESSAGE_BYTES_MAX };
    trim(connection, mailbox, recent, until, &mut budget).unwrap();
}

/// Trims all messages up to a row, as far as the budget goes. Rows are in the order of their making, so
/// that what goes of a mailbox is always its beginning.
fn trim_by_age(
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
        old.insert(row.get(1)?, (statements::seq(row, 2)?, readable_id(row, 5)));
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

/// Gives a user's rows to be deleted, under the number that they have, and the user a new one: one
/// small change, however much there is.
///
/// Positions go on: what is still on its way (an acknowledgement, a message in memory) can then
/// never mean one of the new history, and a hub never has to count back. The epoch is drawn and not
/// counted: after a backup from before is restored, the next erasure must not come to the same one.
pub(super) fn erase(connection: &Connection, mailbox: Mailbox) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM devices WHERE user = ?1")?.execute([mailbox.user])?;
    connection.prepare_cached("INSERT INTO erased (user) VALUES (?1)")?.execute([mailbox.user])?;
    // No row of `users` is ever deleted, so the largest number only grows and none comes twice.
    connection
        .prepare_cached(
            "UPDATE users SET id = (SELECT max(id) + 1 FROM users), epoch = random() & ?3,
                 floor = ?2, trimmed = ?2, trimmed_id = NULL WHERE id = ?1",
        )?
        .execute([mailbox.user, statements::signed(mailbox.head), i64::MAX])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{presence, schema},
        *,
    };

    struct Table {
        connection: Connection,
        _folder: tempfile::TempDir,
    }

    /// One row per (user, seq, created at), in this order.
    fn table(rows: &[(i64, i64, i64)]) -> Table {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mailbox.db");
        presence::create(&path).unwrap();
        let mut connection = schema::connect(&path).unwrap();
        schema::migrate(&mut connection).unwrap();
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
        Table { connection, _folder: folder }
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
