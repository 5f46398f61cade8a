//! In which history each page reads: a restore that nobody announces replaces it in the same epoch.

use super::Reading;
use crate::{
    page::Page,
    world::{LinkNo, PageNo, World},
};

#[derive(Default, PartialEq, Eq)]
pub(super) enum Connection {
    /// The page has not asked by it.
    Fresh,
    #[default]
    Used,
}

impl Reading {
    pub(crate) fn reads(&self, history: u32) -> bool {
        self.epoch.is_some() && self.history == history
    }

    pub(crate) fn reads_another(&self, history: u32) -> bool {
        self.epoch.is_some() && self.history != history
    }

    /// The last position that it got, or that it was told to have missed.
    pub(crate) fn position(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// The mailbox has another history now, the same up to there.
    fn goes_on_in(&mut self, history: u32, common: u64) {
        self.history = history;
        self.common = Some(common);
        self.told_before = self.told_up_to;
        self.seen.retain(|seq| *seq <= common);
        self.passed.retain(|seq| *seq <= common);
    }

    /// Up to where it was told of holes before the mailbox came to have this history: nothing may have come
    /// since.
    pub(super) fn told_before(&self, history: u32) -> u64 {
        if self.reads_another(history) {
            self.told_before.max(self.told_up_to)
        } else {
            self.told_before
        }
    }

    /// Whether what stands at its position for this page is of a history before the one that it reads: nothing
    /// that retention had left there said otherwise, and nothing has come since.
    fn is_of_before(&self) -> bool {
        let is_beyond = |common: u64| {
            let news = common + 1..;
            common < self.position()
                && self.seen.range(news.clone()).chain(self.passed.range(news)).next().is_none()
        };
        self.common.is_some_and(is_beyond)
    }

    /// The page has to begin anew.
    pub(crate) fn refute(&mut self, from: u64) {
        self.refuted = Some(from);
    }
}

impl World {
    /// `head`: unless it is said by another tab, which may have got to see less.
    pub(crate) fn established(
        &mut self,
        page: PageNo,
        link: LinkNo,
        epoch: u32,
        head: Option<u64>,
        truth: u64,
    ) {
        let history = self.links[link].history;
        let reading = &mut self.pages[page].reading;
        let is_replaced = reading.history != history;
        let is_beyond = is_replaced && head.is_some_and(|head| head < reading.position());
        if reading.epoch != Some(epoch) || is_beyond {
            let owes_gap = reading.start.is_some();
            // In another epoch what was asked for in the old one may or may not still count.
            let as_of = reading.as_of;
            *reading = Reading {
                epoch: Some(epoch),
                history,
                owes_gap,
                is_another_epoch: owes_gap,
                as_of,
                ..Reading::default()
            };
        } else if reading.start.is_none() {
            reading.history = history;
        }
        if is_replaced {
            reading.acknowledged = 0;
        }
        reading.truth = truth;
        reading.connection = Connection::Fresh;
        self.note(&format!("page {page} is connected by link {link}, cursor {truth}"));
    }

    /// The page takes what this link brings for what comes after all that it has.
    pub(crate) fn goes_on(&mut self, page: PageNo, link: LinkNo) {
        let (user, history) = (self.pages[page].user, self.links[link].history);
        let reading = &self.pages[page].reading;
        if reading.start.is_none() || !reading.reads_another(history) {
            return;
        }
        let (before, had) = (reading.history, reading.position());
        let common = self.store.common(user, before, history);
        let mailbox = self.store.mailbox_in(user, history);
        let cursor = mailbox.furthest_cursor(self.pages[page].device);
        let trimmed = mailbox.trimmed();
        self.note(&format!("page {page} goes on in history {history}, the same up to {common}"));
        self.pages[page].reading.goes_on_in(history, common);
        let reading = &mut self.pages[page].reading;
        if !reading.can_prove && had <= cursor.max(reading.truth) {
            // Where a fresh page would begin. The leading tab knows how far that is before the server does.
            reading.told_before = reading.told_before.max(had);
        } else if had > common && had > trimmed {
            self.fail(format!(
                "page {page} goes on after {had}, where another history was since {common}"
            ));
        }
    }

    /// By which link the page hears of its mailbox.
    pub(crate) fn link_of(&self, page: PageNo) -> Option<LinkNo> {
        let Page { link, tab, .. } = &self.pages[page];
        link.or(tab.joined.and(tab.welcomed).map(|(link, _)| link))
    }

    /// The page was told that what it has is of another history, and reads on from there.
    pub(super) fn begins_anew(&mut self, page: PageNo, from: u64) {
        let Some(link) = self.link_of(page) else { return };
        let (user, device) = (self.pages[page].user, self.pages[page].device);
        let history = self.links[link].history;
        let Reading { epoch, history: before, .. } = self.pages[page].reading;
        let had = self.pages[page].reading.position();
        let is_of_before = self.pages[page].reading.is_of_before();
        let common = self.store.common(user, before, history);
        let is_current = history == self.store.history(user);
        let cursor = self.store.mailbox(user).furthest_cursor(device);
        self.pages[page].reading = Reading {
            epoch,
            history,
            is_another_epoch: true,
            truth: from,
            start: Some(from),
            lowest: from,
            next: from + 1,
            ..Reading::default()
        };
        if before == history || (had <= common && !is_of_before) {
            self.fail(format!("page {page} is told that it lost {had}, and that is there"));
        } else if is_current && from > cursor {
            self.fail(format!("page {page} begins anew after {from}, its device is at {cursor}"));
        }
    }
}
