//! The promise, looked at from outside: what pages, publishers and the application saw.

mod histories;

use std::collections::{BTreeMap, BTreeSet};

use tetherline_engine::IdNo;
use tetherline_protocol::limits::UNHANDLED_GRACE_MS;

use histories::Connection;

use crate::{
    page::Page,
    world::{Earlier, LinkNo, PageNo, PublishNo, World},
};

/// What one page saw of one mailbox, from its sign-in to its end, within one epoch.
#[derive(Default)]
pub(crate) struct Reading {
    epoch: Option<u32>,
    /// What the mailbox had when the page read it last, which nobody has to announce.
    pub(crate) history: u32,
    /// Up to where that was the same as the one before. What it had further on it may have still.
    common: Option<u64>,
    /// Where the page started; `None` until it has asked.
    start: Option<u64>,
    /// From here on everything has to come: the start, or the oldest history that it shows.
    lowest: u64,
    next: u64,
    /// History that was read since the page started, or before it did.
    as_of: Option<u64>,
    truth: u64,
    seen: BTreeSet<u64>,
    /// What was dropped out of turn because nobody wants it, or because it was on its way to another
    /// tab: it need not come again, and may.
    passed: BTreeSet<u64>,
    /// What is not handled yet, and by which call of its handlers; 0 while it is parked.
    open: BTreeMap<u64, u64>,
    /// The last position that each type's handlers saw.
    called: [u64; 2],
    is_another_epoch: bool,
    connection: Connection,
    /// The last position that the page has acknowledged.
    pub(crate) acknowledged: u64,
    owes_gap: bool,
    /// Which message stands at the page's position. It may have heard of a position alone, from an
    /// application that read its history, and then has nothing to show.
    pub(crate) can_prove: bool,
    /// The server says that what the page has is not in its mailbox, and where it reads on.
    refuted: Option<u64>,
    /// A message revealed a hole, which is said in the same moment or never.
    owes_hole: Option<u64>,
    /// The page was told that it has not got everything up to here.
    told_up_to: u64,
    /// The same in a history before this one, of which a backup may have what was trimmed, or
    /// everything up to where a page with no history would begin.
    told_before: u64,
}

impl Reading {
    pub(crate) fn history_as_of(&mut self, seq: u64) {
        match self.start {
            Some(_) => {
                self.lowest = self.lowest.min(seq);
                self.as_of = Some(seq);
            }
            None => self.as_of = Some(self.as_of.map_or(seq, |known| known.min(seq))),
        }
    }

    /// A message is with its handlers, or waits for one: it is not handled yet.
    pub(crate) fn open(&mut self, seq: u64, call: u64) {
        self.open.insert(seq, call);
    }

    /// That call has settled.
    pub(crate) fn close(&mut self, seq: u64, call: u64) {
        if self.open.get(&seq) == Some(&call) {
            self.open.remove(&seq);
        }
    }

    /// It counts as handled, whatever its handlers do.
    pub(crate) fn give_up(&mut self, seq: u64) {
        self.open.remove(&seq);
    }

    /// Nobody on this page wants the message: it counts as handled. Answers whether it is news.
    fn ignore(&mut self, seq: u64) -> bool {
        let follows = seq == self.next
            || seq == self.lowest + 1
            || self.seen.contains(&(seq - 1))
            || seq <= self.told_up_to + 1;
        if seq <= self.lowest || !follows {
            // Another tab had asked for it.
            return false;
        }
        self.seen.insert(seq)
    }

    fn has(&self, seq: u64) -> bool {
        self.seen.contains(&seq) || self.passed.contains(&seq)
    }

    /// A message came that is news. Answers which positions before it are a hole.
    fn reach(&mut self, seq: u64) -> Option<(u64, u64)> {
        let hole = (self.next < seq).then_some((self.next, seq - 1));
        if hole.is_some() {
            self.owes_hole = Some(seq);
        }
        self.next = self.next.max(seq + 1);
        hole
    }
}

impl World {
    pub(crate) fn asks(&mut self, page: PageNo, after: u64) {
        self.note(&format!("page {page} asks for what comes after {after}"));
        let history = self.link_of(page).map(|link| self.links[link].history);
        let Page { engine, reading, .. } = &mut self.pages[page];
        let is_fresh = std::mem::take(&mut reading.connection) == Connection::Fresh;
        if let Some(start) = reading.start {
            let is_there = engine.position().is_some_and(|position| position.get() == after);
            let is_anew = is_fresh && is_there;
            let has_no_more = reading.seen.range(after + 1..).next().is_none();
            if after < start && is_anew && !reading.can_prove && reading.seen.is_empty() {
                (reading.start, reading.lowest, reading.next) = (Some(after), after, after + 1);
                // It begins like a fresh page, and has nothing of another history.
                reading.history = history.unwrap_or(reading.history);
            } else if is_anew && has_no_more {
                // What it was told by numbers alone comes, or is told, once more, here and to others.
                reading.next = after + 1;
                reading.acknowledged = reading.acknowledged.min(after);
            }
            return;
        }
        let truth = reading.truth;
        let expected = reading.as_of.take().map_or(truth, |as_of| as_of.min(truth));
        let fits = after == expected || (reading.is_another_epoch && after <= truth);
        reading.start = Some(after);
        reading.lowest = after;
        reading.next = after + 1;
        if reading.owes_gap {
            self.fail(format!("page {page} lost its position and was not told"));
        } else if !fits {
            self.fail(format!("page {page} starts after {after}, but should after {expected}"));
        }
    }

    pub(crate) fn gap(&mut self, page: PageNo, after: u64, next: u64) {
        self.note(&format!("page {page} has a gap from {after} to {next}"));
        let user = self.pages[page].user;
        let head = self.store.mailbox(user).head();
        self.pages[page].texts.history_lost(self.now);
        if let Some(from) = self.pages[page].reading.refuted.take() {
            return self.begins_anew(page, from);
        }
        if let Some(link) = self.link_of(page) {
            self.goes_on(page, link);
        }
        // Of the history that it reads, which may have been replaced while this was on its way.
        let trimmed = self.store.mailbox_in(user, self.pages[page].reading.history).trimmed();
        let is_current = self.pages[page].reading.reads(self.store.history(user));
        let reading = &mut self.pages[page].reading;
        if std::mem::take(&mut reading.owes_gap) {
            return;
        }
        reading.told_up_to = reading.told_up_to.max(trimmed);
        if reading.owes_hole.take().is_some() {
            return;
        }
        // Said where the messages would have come: there was something, and it is no more.
        let missing = (reading.lowest + 1..=trimmed).any(|seq| !reading.seen.contains(&seq));
        if is_current && (!missing || next > head + 1) {
            return self
                .fail(format!("page {page} has a gap from {after} to {next} for no reason"));
        }
        let next = next.max(reading.next);
        let passed = reading.next..next;
        reading.next = next;
        if let Some(kept) = passed.into_iter().find(|seq| is_current && *seq > trimmed) {
            self.fail(format!("page {page} has a gap from {after} to {next} over {kept}"));
        }
    }

    /// Whatever a call has led to is done.
    pub(crate) fn check_said(&mut self, page: PageNo) {
        let target = &mut self.pages[page];
        target.reading.refuted = None;
        target.reading.can_prove = target.engine.position_id() != IdNo::NONE;
        if let Some(seq) = self.pages[page].reading.owes_hole.take() {
            self.fail(format!("page {page} got {seq} after a hole and was not told"));
        }
    }

    pub(crate) fn arrives(
        &mut self,
        page: PageNo,
        link: LinkNo,
        seq: u64,
        publish: PublishNo,
        replayed: bool,
    ) {
        self.goes_on(page, link);
        let target = &mut self.pages[page];
        let (user, device) = (target.user, target.device);
        let reading = &mut target.reading;
        if self.publishes[publish].user != user {
            return self.fail(format!("page {page} of u{user} got m{publish} of somebody else"));
        }
        if !reading.seen.insert(seq) {
            return self.fail(format!("page {page} got {seq} twice"));
        }
        let hole = reading.reach(seq);
        let signed_in_at = target.signed_in_at;
        let comes_again = self.earlier.iter().any(|earlier| {
            (earlier.user, earlier.device) == (user, device)
                && earlier.history == reading.history
                && earlier.ended_at < signed_in_at
                && earlier.handled.contains(&seq)
        });
        if comes_again && !replayed {
            return self.fail(format!("page {page} got {seq} again as if it were news"));
        }
        let history = reading.history;
        self.check_hole(page, hole);
        if Some(history) < self.store.home(publish) {
            return self.fail(format!("page {page} got m{publish} of a later history"));
        }
        let stored = self.store.mailbox_in(user, history).message(seq);
        if stored.is_none_or(|(stored, _)| *stored != publish) {
            self.fail(format!("link {link} brought m{publish} as {seq}, which is not committed"));
        }
    }

    /// A message without a handler is dropped, which the first seconds of a page are too early for.
    /// `is_taken`: it counts as handled.
    pub(crate) fn nobody_wants(&mut self, page: PageNo, link: LinkNo, seq: u64, is_taken: bool) {
        let reading = &self.pages[page].reading;
        if !is_taken && seq < reading.next && reading.reads_another(self.links[link].history) {
            // It is for another tab: this one has yet to prove that it reads the same.
            return;
        }
        self.goes_on(page, link);
        let now = self.instant(page).as_millis();
        let target = &mut self.pages[page];
        if seq < target.reading.next {
            target.reading.passed.insert(seq);
            return;
        }
        let is_news = target.reading.ignore(seq);
        let hole = if is_news { target.reading.reach(seq) } else { None };
        let is_early = target.connected_at.is_some_and(|at| now < at + UNHANDLED_GRACE_MS);
        if is_news && is_early {
            self.fail(format!("page {page} drops {seq} before its handler could register"));
        }
        self.check_hole(page, hole);
    }

    /// The page is told that it has everything up to `head`.
    pub(crate) fn has_come(&mut self, page: PageNo, link: LinkNo, head: u64) {
        self.goes_on(page, link);
        let reading = &self.pages[page].reading;
        let next = reading.next;
        if reading.start.is_some() && next <= head {
            self.fail(format!("page {page} is told that it has all up to {head} before {next}"));
        }
    }

    pub(crate) fn handler_is_called(
        &mut self,
        page: PageNo,
        seq: u64,
        publish: PublishNo,
        replayed: bool,
    ) {
        let again = if replayed { " (replayed)" } else { "" };
        self.note(&format!("page {page} handles {seq}, m{publish}{again}"));
        if !self.pages[page].is_signed_in() {
            return self.fail(format!("page {page} handles {seq} after it signed out"));
        }
        let kind = self.publishes[publish].kind;
        let reading = &mut self.pages[page].reading;
        // What an older history asks for comes out of turn, once.
        let is_backfill = reading.start.is_some_and(|start| seq <= start);
        if !is_backfill && seq <= std::mem::replace(&mut reading.called[kind], seq) {
            self.fail(format!("page {page} handles {seq} out of order"));
        }
    }

    pub(crate) fn acknowledges(&mut self, page: PageNo, seq: u64) {
        self.note(&format!("page {page} acknowledges {seq}"));
        if let Some(link) = self.pages[page].link {
            self.goes_on(page, link);
        }
        let acknowledged = &mut self.pages[page].reading.acknowledged;
        *acknowledged = seq.max(*acknowledged);
        let reading = &self.pages[page].reading;
        // Where it began, its device had handled everything before: what it asked for once more is not
        // acknowledged now.
        let start = reading.start.unwrap_or_default();
        let unhandled = reading.open.keys().copied().find(|open| (start + 1..=seq).contains(open));
        if let Some(open) = unhandled {
            self.fail(format!("page {page} acknowledges {seq}, but {open} is not handled"));
        } else if seq >= reading.next {
            self.fail(format!("page {page} acknowledges {seq}, which it never got"));
        }
    }

    pub(crate) fn remember_what_was_handled(&mut self, page: PageNo) {
        let target = &mut self.pages[page];
        if target.reading.epoch.is_none() {
            return;
        }
        let history = target.reading.history;
        let open = std::mem::take(&mut target.reading.open);
        let mut handled = std::mem::take(&mut target.reading.seen);
        handled.retain(|seq| !open.contains_key(seq));
        let (user, device, ended_at) = (target.user, target.device, self.now);
        self.earlier.push(Earlier { user, device, history, ended_at, handled });
    }

    /// What is still to come once the faults are over.
    pub(crate) fn what_is_missing(&self) -> Option<String> {
        let publishes = (0..self.publishes.len()).find_map(|no| self.problem_with_publish(no));
        publishes
            .or_else(|| (0..self.pages.len()).find_map(|no| self.problem_with_page(no)))
            .or_else(|| self.problem_with_streams())
            .or_else(|| self.problem_with_sharing())
            .or_else(|| {
                self.outlived_sign_in().map(|link| format!("link {link} outlived its sign-in"))
            })
    }

    fn problem_with_publish(&self, publish: PublishNo) -> Option<String> {
        let known = &self.publishes[publish];
        if known.lost {
            return None;
        }
        if !known.answered {
            return Some(format!("m{publish} was never answered"));
        }
        match self.store.mailbox(known.user).count(publish) {
            1 => None,
            count => Some(format!("m{publish} was answered 2xx and is there {count} times")),
        }
    }

    /// The store failed when a live connection acknowledged: the next acknowledgement covers it.
    fn was_not_saved(&self, page: PageNo, head: u64) -> bool {
        let (user, device) = (self.pages[page].user, self.pages[page].device);
        self.links.iter().any(|link| {
            (link.user, link.device) == (user, device)
                && link.upstream.is_some()
                && link.unsaved == head
        })
    }

    fn problem_with_page(&self, page: PageNo) -> Option<String> {
        self.problem_with_messages(page).or_else(|| {
            let target = &self.pages[page];
            let is_there = target.is_open() && target.is_signed_in();
            is_there.then(|| self.problem_with_texts(page)).flatten()
        })
    }

    pub(crate) fn problem_with_messages(&self, page: PageNo) -> Option<String> {
        let target = &self.pages[page];
        if !target.is_open() || !target.is_signed_in() {
            return None;
        }
        if !self.is_connected(page) {
            return Some(format!("page {page} is {:?} in the end", target.engine.status()));
        }
        let head = self.store.mailbox(target.user).head();
        let reading = &target.reading;
        let trimmed = self.store.mailbox(target.user).trimmed();
        let told_before = reading.told_before(self.store.history(target.user));
        let is_said =
            |seq: u64| (seq <= trimmed && seq <= reading.told_up_to) || seq <= told_before;
        let missing = (reading.lowest + 1..=head).find(|seq| !reading.has(*seq) && !is_said(*seq));
        if let Some(seq) = missing {
            return Some(format!("page {page} never got {seq} of {head}, trimmed up to {trimmed}"));
        }
        if let Some(seq) = reading.open.keys().next() {
            return Some(format!("page {page} still handles {seq}"));
        }
        let cursor = self.store.mailbox(target.user).cursor(target.device);
        if cursor != head && !self.was_not_saved(page, head) {
            return Some(format!("page {page} has everything, but the cursor stays at {cursor}"));
        }
        match target.engine.outbox_len() {
            0 => None,
            length => Some(format!("page {page} still has {length} sends")),
        }
    }
}
