//! The newest rows of mailboxes, which the file's index does not have yet: one writer, and whoever reads.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use tetherline_protocol::{Seq, UserId};

use crate::lock::lock;

/// A message's position in its mailbox, and its row's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MessageRow {
    pub(super) seq: Seq,
    pub(super) number: i64,
}

impl MessageRow {
    /// The position of another row of its run.
    pub(super) fn seq_of(self, number: i64) -> Seq {
        let ahead = u64::try_from(number - self.number).unwrap_or(0);
        Seq::new(self.seq.get() + ahead).unwrap_or(Seq::MAX)
    }

    /// The first and the last row of the run that these begin with, and the rows after it. In a run one message
    /// follows the other in the table as in the mailbox, as where one user gets what nobody else gets: all of
    /// it is found, put or deleted by one statement.
    pub(super) fn first_run(rows: &[Self]) -> Option<(Self, Self, &[Self])> {
        let follows = |pair: &&[Self]| {
            pair[1].number == pair[0].number + 1 && Some(pair[1].seq) == pair[0].seq.next()
        };
        let count = 1 + rows.windows(2).take_while(follows).count();
        let (run, later) = rows.split_at_checked(count)?;
        Some((*run.first()?, *run.last()?, later))
    }
}

/// Of one mailbox, oldest first. It is asked for before the file is read: what is folded in meanwhile is in
/// the one or the other, and what is appended meanwhile in neither. Some may be trimmed meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Recent {
    /// Its number; it is another one once its user is erased.
    pub(super) mailbox: i64,
    pub(super) rows: Vec<MessageRow>,
}

impl Recent {
    /// Nothing, if the mailbox that the file shows is another one.
    pub(super) fn of_mailbox(&self, mailbox: i64) -> &[MessageRow] {
        if self.mailbox == mailbox { &self.rows } else { &[] }
    }

    pub(super) fn add(&mut self, mailbox: i64, row: MessageRow) {
        self.turn_to(mailbox);
        self.rows.push(row);
    }

    pub(super) fn add_all(&mut self, later: &Self) {
        if !later.rows.is_empty() {
            self.turn_to(later.mailbox);
            self.rows.extend_from_slice(&later.rows);
        }
    }

    /// What was under another number is in the file.
    fn turn_to(&mut self, mailbox: i64) {
        if self.mailbox != mailbox {
            *self = Self { mailbox, rows: Vec::new() };
        }
    }

    /// What stands at a position and after it, or else the last one.
    fn from(&self, seq: Seq) -> Self {
        let first = self.rows.partition_point(|row| row.seq < seq);
        let first = first.min(self.rows.len().saturating_sub(1));
        Self { mailbox: self.mailbox, rows: self.rows[first..].to_vec() }
    }
}

#[derive(Default)]
pub(super) struct Recents {
    users: Mutex<HashMap<UserId, Recent>>,
    rows: AtomicUsize,
}

impl Recents {
    pub(super) fn of(&self, user: &UserId) -> Recent {
        lock(&self.users).get(user).cloned().unwrap_or_default()
    }

    /// As much of it as somebody needs who stands at `seq`.
    pub(super) fn of_after(&self, user: &UserId, seq: Seq) -> Recent {
        lock(&self.users).get(user).map(|recent| recent.from(seq)).unwrap_or_default()
    }

    /// The first ones of a user's, so many at most, and whether these are all.
    pub(super) fn first_of(&self, user: &UserId, rows_max: usize) -> (Recent, bool) {
        let users = lock(&self.users);
        let Some(recent) = users.get(user) else { return (Recent::default(), true) };
        let count = recent.rows.len().min(rows_max);
        let first = Recent { mailbox: recent.mailbox, rows: recent.rows[..count].to_vec() };
        (first, count == recent.rows.len())
    }

    /// How many there are of all users.
    pub(super) fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }

    /// Everybody who has some, in the order of the file's index, the last one first.
    pub(super) fn users_from_last(&self) -> Vec<UserId> {
        let users = lock(&self.users);
        let mut all: Vec<(i64, UserId)> =
            users.iter().map(|(user, recent)| (recent.mailbox, user.clone())).collect();
        all.sort_unstable_by_key(|(mailbox, _)| std::cmp::Reverse(*mailbox));
        all.into_iter().map(|(_, user)| user).collect()
    }

    /// The file was looked into. For the writer alone.
    pub(super) fn replace(&self, users: HashMap<UserId, Recent>) {
        let rows = users.values().map(|recent| recent.rows.len()).sum();
        *lock(&self.users) = users;
        self.rows.store(rows, Ordering::Relaxed);
    }

    /// For the writer alone.
    pub(super) fn change(&self) -> Changing<'_> {
        Changing { users: lock(&self.users), rows: &self.rows }
    }
}

/// Nobody reads meanwhile.
pub(super) struct Changing<'a> {
    users: MutexGuard<'a, HashMap<UserId, Recent>>,
    rows: &'a AtomicUsize,
}

impl Changing<'_> {
    /// Answers how many the mailbox had, and has now.
    pub(super) fn add(&mut self, user: &UserId, later: &Recent) -> (usize, usize) {
        if later.rows.is_empty() {
            return (0, 0);
        }
        let recent = match self.users.get_mut(user) {
            Some(recent) => recent,
            None => self.users.entry(user.clone()).or_default(),
        };
        let before = recent.rows.len();
        recent.add_all(later);
        self.rows.fetch_add(recent.rows.len(), Ordering::Relaxed);
        self.rows.fetch_sub(before, Ordering::Relaxed);
        (before, recent.rows.len())
    }

    /// The writer has put these into the file's index: from now on whoever reads finds them there.
    pub(super) fn folded(&mut self, user: &UserId, folded: &Recent) {
        let Some(recent) = self.users.get_mut(user) else { return };
        let (Some(last), true) = (folded.rows.last(), recent.mailbox == folded.mailbox) else {
            return;
        };
        let before = recent.rows.len();
        recent.rows.retain(|row| row.number > last.number);
        self.rows.fetch_sub(before - recent.rows.len(), Ordering::Relaxed);
        if recent.rows.is_empty() {
            self.users.remove(user);
        }
    }

    pub(super) fn remove(&mut self, user: &UserId) {
        if let Some(recent) = self.users.remove(user) {
            self.rows.fetch_sub(recent.rows.len(), Ordering::Relaxed);
        }
    }
}
