//! Mailboxes that were written lately, as the last commit left them: one writer, and whoever asks.

use std::{collections::HashMap, sync::Mutex};

use tetherline_protocol::{Seq, UserId};

use super::view::Mailbox;
use crate::lock::lock;

/// Users whose mailbox is kept in memory.
const MAILBOXES_MAX: usize = 262_144;

#[derive(Default)]
pub(super) struct Mailboxes {
    committed: Mutex<HashMap<UserId, Mailbox>>,
}

impl Mailboxes {
    /// `None`: the file knows.
    pub(super) fn get(&self, user: &UserId) -> Option<Mailbox> {
        lock(&self.committed).get(user).copied()
    }

    pub(super) fn head(&self, user: &UserId) -> Option<Seq> {
        self.get(user).map(|mailbox| mailbox.head)
    }

    /// In the order of their rows, so that what is written of them touches each page once.
    pub(super) fn sort_by_place(&self, users: &mut [UserId]) {
        let all = lock(&self.committed);
        users.sort_by_cached_key(|user| all.get(user).map(|mailbox| mailbox.user));
    }

    /// A commit has changed these; `None` is one that only the file knows now.
    pub(super) fn committed(&self, changed: &mut Changed) {
        if changed.is_empty() {
            return;
        }
        let mut all = lock(&self.committed);
        if all.len() + changed.len() > MAILBOXES_MAX {
            all.clear();
        }
        for (user, mailbox) in changed.drain() {
            match mailbox {
                Some(mailbox) => all.insert(user, mailbox),
                None => all.remove(&user),
            };
        }
    }

    /// Whether a commit was made is not known.
    pub(super) fn forget(&self) {
        lock(&self.committed).clear();
    }

    /// They were trimmed up to here.
    pub(super) fn trimmed(&self, users: Vec<(UserId, Seq)>) {
        let mut all = lock(&self.committed);
        for (user, trimmed) in users {
            if let Some(mailbox) = all.get_mut(&user) {
                mailbox.trimmed = trimmed.max(mailbox.trimmed);
            }
        }
    }
}

/// What a commit that is being made changes.
pub(super) type Changed = HashMap<UserId, Option<Mailbox>>;
