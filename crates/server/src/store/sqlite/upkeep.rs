//! What is forgotten: never much at once, and after the commits, so that nobody waits for it.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tetherline_protocol::{Seq, UserId};

use super::{
    aging::{Aging, ROWS_MAX, Span},
    index,
    keys::{self, Keys},
    outcomes::Outcomes,
    recent::{Recent, Recents},
    rules::Rule,
    statements,
    trim::{Budget, trim, trim_by_age},
    view::{self, Mailbox},
    visitors::Visitors,
    writer::BATCH_MAX,
};

/// Mailboxes that are over their count wait so long for others, unless there are so many: trimmed together
/// they share pages of the file, trimmed one by one each of them writes its own.
pub(super) const TRIM_EVERY: Duration = Duration::from_secs(1);
const TRIM_TOGETHER: usize = 4_096;
const _: () = assert!(ROWS_MAX as usize > BATCH_MAX);
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
    pub(super) outcomes: Outcomes,
    visitors: Visitors,
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

/// What memory has to be told.
pub(super) struct Forgotten {
    /// Mailboxes that were trimmed by their count, and up to where.
    pub(super) trimmed: Vec<(UserId, Seq)>,
    /// Users of whom nothing is known any more.
    pub(super) gone: Vec<UserId>,
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
        self.is_behind || trims || self.due.len() >= TRIM_TOGETHER || self.outcomes.are_due()
    }

    /// Whether somebody has to see to it that the writer looks again: once for all that waits.
    pub(super) fn asks_to_be_looked_at(&mut self) -> bool {
        self.is_behind() && !std::mem::replace(&mut self.has_asked, true)
    }

    /// Whether there is work that should not wait for the next look.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind || !self.due.is_empty() || self.outcomes.are_due()
    }

    /// What was planned may have been undone.
    pub(super) fn failed(&mut self) {
        self.due.clear();
        self.survey = Survey::NotYet;
        self.outcomes = Outcomes::default();
        self.visitors = Visitors::default();
        self.aging = Aging::default();
        self.is_behind = false;
    }

    /// Forgets some of what is old, within a transaction of the caller's.
    pub(super) fn forget(
        &mut self,
        (connection, keys, recents): (&Connection, &mut Keys, &Recents),
        log: ErasedText,
        rule: &Rule,
        now: i64,
        is_misdated: bool,
    ) -> rusqlite::Result<Forgotten> {
        if self.aging.rule != rule.number {
            self.aging = Aging::by(rule.number);
        }
        let keys_are_left = keys.expire(connection, rule, now)?;
        let ids_are_left = self.aging.forget_ids(connection, rule, now)?;
        let mut budget = Budget::full();
        delete_erased(connection, log, &mut budget)?;
        let mut messages_are_left = false;
        // A date that is to be repaired says nothing about the messages around it.
        if let Some(age_ms) = rule.retention_age_ms.filter(|_| !is_misdated) {
            let span = Span::of(now, age_ms);
            messages_are_left = self.aging.messages.look(connection, "messages", span)?;
            trim_by_age(connection, self.aging.messages.old_until, span, &mut budget)?;
        }
        self.outcomes.trim(connection, rule, &mut budget)?;
        let gone = if is_misdated {
            Vec::new()
        } else {
            self.visitors.forget(connection, recents, rule, now)?
        };
        self.survey(connection, recents, rule)?;
        let trimmed = self.trim_by_count(connection, recents, rule, &mut budget)?;
        let surveying = matches!(self.survey, Survey::Running { .. });
        let are_left = keys_are_left || ids_are_left || messages_are_left;
        self.is_behind = budget.is_spent() || surveying || are_left || is_misdated;
        Ok(Forgotten { trimmed, gone })
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
            let known = view::known_mailbox(connection, &user, &recent)?;
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
            let head = index::newest(connection, mailbox, &recents.of_after(&user, Seq::MAX))?
                .max(trimmed);
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
    budget.messages = 0;
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
    // The row of a user who was erased is never deleted, so no number of one that was comes twice.
    connection
        .prepare_cached(
            "UPDATE users SET id = (SELECT max(id) + 1 FROM users), epoch = random() & ?3,
                 floor = ?2, trimmed = ?2, trimmed_id = NULL WHERE id = ?1",
        )?
        .execute([mailbox.user, statements::signed(mailbox.head), i64::MAX])?;
    Ok(())
}
