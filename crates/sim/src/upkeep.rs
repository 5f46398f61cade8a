//! What a server does to mailboxes beside delivering: it trims them, erases them, and passes on what
//! nobody keeps.

use tetherline_engine::ConnectionNo;

use crate::{
    store::Operation,
    world::{LinkNo, PageNo, UserNo, World},
};

impl World {
    /// Retention takes the oldest messages, read or not.
    pub(crate) fn trim(&mut self, user: UserNo) {
        let (low, head) = (self.store.mailbox(user).trimmed(), self.store.mailbox(user).head());
        let high = if self.random.percent(50) { head } else { head.min(low + 5) };
        let until = self.random.within(low, high);
        self.note(&format!("u{user} is trimmed up to {until}"));
        self.store.trim(user, until);
    }

    /// Somebody asks for a user to be forgotten.
    pub(crate) fn erase(&mut self, user: UserNo) {
        if let Some(life) = self.server.as_ref().map(|life| life.number) {
            self.submit(Operation::Erase { user }, life);
        }
    }

    /// A message for whoever is connected just now.
    pub(crate) fn say(&mut self, user: UserNo) {
        let Some(life) = &self.server else { return };
        self.said += 1;
        let (said, padding) = (self.said, "x".repeat(self.random.below(80)));
        let text = format!(r#"{{"type":"blip","id":"u{user}.{said}","text":"{padding}"}}"#);
        life.hub.say(&self.users[user], text);
        self.wake(user);
    }

    /// A live-only message has come: it may be missed, and never comes twice or late by the same
    /// link, nor to others.
    pub(crate) fn hears(
        &mut self,
        page: PageNo,
        (link, connection): (LinkNo, ConnectionNo),
        id: &str,
        size: usize,
    ) {
        let target = &mut self.pages[page];
        let delivery = target.engine.handle_message(connection, None, 1, size);
        if delivery == tetherline_engine::Delivery::Drop {
            return;
        }
        let mut parts = id.trim_start_matches('u').split('.').map(str::parse::<u64>);
        let mut next = || parts.next().and_then(Result::ok).unwrap_or_default();
        let (user, said) = (next() as UserNo, next());
        let (by, number) = std::mem::replace(&mut target.heard, (link, said));
        let last = if by == link { number } else { 0 };
        let is_mine = user == target.user && target.is_signed_in();
        self.note(&format!("page {page} hears {id}"));
        if !is_mine {
            self.fail(format!("page {page} hears {id}, which is not for it"));
        } else if said <= last {
            self.fail(format!("page {page} hears {id} after number {last}"));
        }
    }

    /// Every hole is one that retention left.
    pub(crate) fn check_hole(&mut self, page: PageNo, hole: Option<(u64, u64)>) {
        let Some((from, to)) = hole else { return };
        let user = self.pages[page].user;
        let trimmed = self.store.mailbox(user).trimmed();
        let is_current = self.pages[page].reading.reads(self.store.history(user));
        if is_current && to > trimmed {
            self.fail(format!("page {page} got {} before {from}", to + 1));
        }
    }
}
