//! Which histories a mailbox has had. Only who checks knows them all: a restore that nobody announces
//! begins another one in the same epoch.

use std::collections::BTreeMap;

use super::{Mailbox, Store};
use crate::{
    archive::Name,
    world::{PublishNo, UserNo},
};

#[derive(Default)]
pub(super) struct Histories {
    current: Vec<u32>,
    begun: u32,
    /// What there was when it ended.
    ended: BTreeMap<(UserNo, u32), Mailbox>,
}

impl Histories {
    pub(super) fn new(users: usize) -> Self {
        Self { current: vec![0; users], ..Self::default() }
    }

    pub(super) fn end(&mut self, user: UserNo, mailbox: &Mailbox) {
        self.ended.insert((user, self.current[user]), mailbox.clone());
        self.begun += 1;
        self.current[user] = self.begun;
    }
}

impl Store {
    /// The history that a user's mailbox has now, announced or not.
    pub(crate) fn history(&self, user: UserNo) -> u32 {
        self.histories.current[user]
    }

    /// The mailbox as it is, or as it was when that history ended.
    pub(crate) fn mailbox_in(&self, user: UserNo, history: u32) -> &Mailbox {
        self.histories.ended.get(&(user, history)).unwrap_or(&self.mailboxes[user])
    }

    /// Whether an attempt had this text at its beginning, in that history or in one before that was
    /// replaced and not announced. A page shows what it has until it is told, to other tabs too.
    pub(crate) fn has_had(
        &self,
        user: UserNo,
        (history, stream, attempt): Name,
        units: &[u16],
    ) -> bool {
        let epoch = self.mailbox_in(user, history).epoch;
        let before = self.histories.ended.range((user, 0)..(user, history));
        let before = before.filter(|(_, mailbox)| mailbox.epoch == epoch);
        let mut histories = before.map(|((_, history), _)| *history).chain([history]);
        histories.any(|history| {
            let text = self.archive.text((history, stream, attempt));
            text.is_some_and(|text| text.starts_with(units))
        })
    }

    /// Whether the current history took another one's place, and nobody announced it.
    pub(crate) fn was_replaced(&self, user: UserNo) -> bool {
        let epoch = self.epoch(user);
        let mut before = self.histories.ended.range((user, 0)..(user, self.history(user)));
        before.any(|(_, mailbox)| mailbox.epoch == epoch)
    }

    /// Up to where two histories of a user are the same.
    pub(crate) fn common(&self, user: UserNo, one: u32, other: u32) -> u64 {
        let (one, other) = (self.mailbox_in(user, one), self.mailbox_in(user, other));
        let at = |mailbox: &Mailbox, seq| -> Option<PublishNo> {
            mailbox.message(seq).map(|(publish, _)| *publish)
        };
        let end = one.head().min(other.head());
        (1..=end).take_while(|seq| at(one, *seq) == at(other, *seq)).last().unwrap_or(0)
    }
}
