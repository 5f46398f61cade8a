//! What is read from the store, in which turn, and what becomes of the answers.

use std::time::Instant;

use super::{
    Outgoing, Output, Session,
    feed::{Progress, Verdict, Whereabouts},
};
use crate::store::{Delivery, Place, Resumed, StoreError, StreamPage};

impl Session {
    /// Messages or streams, and never both at once: a text that was read before its end must not follow it.
    /// Text comes first, since it keeps to its pace and messages do not, unless it had the last turn.
    pub(super) fn read_on(&mut self, now: Instant) {
        if self.streams.is_asked() {
            return;
        }
        if self.is_replaying() && !self.allowance.may_replay(&self.user, now) {
            return;
        }
        if let Some((read_no, after, room)) = self.feed.next_check() {
            self.requests.push_back(Output::Resume { read_no, after, room });
        }
        let has_turn = !std::mem::take(&mut self.text_came_last);
        if has_turn && self.ask_for_text(now) {
            return;
        }
        if let Some((read_no, after, room)) = self.feed.next_page() {
            self.requests.push_back(Output::Read { read_no, after, room });
        } else if !has_turn {
            self.ask_for_text(now);
        }
    }

    /// What is read is what the client asked for, and not what has come since.
    fn is_replaying(&self) -> bool {
        self.feed.owes_backlog() || self.streams.are_owed()
    }

    fn ask_for_text(&mut self, now: Instant) -> bool {
        if !self.may_look() {
            return false;
        }
        let Some(places) = self.streams.ask(now) else { return false };
        self.text_came_last = true;
        self.requests.push_back(Output::ReadStreams(places));
        true
    }

    /// What is durable comes first, as long as it is what the client asked for.
    pub(super) fn may_look(&self) -> bool {
        self.is_idle() && !self.feed.is_reading() && !self.feed.owes_backlog()
    }

    pub(super) fn acknowledged(&mut self) {
        let next = self.feed.acknowledged();
        self.requests.extend(next.map(Output::Acknowledge));
    }

    pub(super) fn page(
        &mut self,
        read_no: u32,
        page: Result<Vec<Delivery>, StoreError>,
        now: Instant,
    ) {
        let page = match page {
            Ok(page) => page,
            Err(error) => return self.store_failed(&error),
        };
        let is_replayed = self.feed.owes_backlog();
        let progress = self.feed.take_page(read_no, page);
        self.progress(progress, is_replayed.then_some(now));
    }

    /// `replayed_at`: the client asked for it.
    fn progress(&mut self, progress: Progress, replayed_at: Option<Instant>) {
        match progress {
            Progress::Stale => {}
            Progress::Missing => self.requests.push_back(Output::Locate),
            Progress::Deliver { texts, messages, ping } => {
                self.allowance.metrics().deliveries.inc_by(messages);
                if let Some(now) = replayed_at {
                    let bytes = texts.iter().map(|text| text.len() as u64).sum();
                    self.allowance.replayed(&self.user, bytes, now);
                }
                self.frames.extend(texts.into_iter().map(Outgoing::Text));
                let ping = ping.map(|position| Outgoing::Ping(position.to_string().into()));
                self.frames.extend(ping);
            }
        }
    }

    pub(super) fn stream_page(&mut self, page: StreamPage, now: Instant) {
        let is_replayed = self.streams.are_owed();
        let frames = self.streams.take(page, now);
        if is_replayed {
            let bytes = frames.iter().map(|frame| frame.len() as u64).sum();
            self.allowance.replayed(&self.user, bytes, now);
        }
        self.frames.extend(frames);
    }

    pub(super) fn resumed(
        &mut self,
        read_no: u32,
        resumed: Result<Resumed, StoreError>,
        now: Instant,
    ) {
        let resumed = match resumed {
            Ok(resumed) => resumed,
            Err(error) => return self.store_failed(&error),
        };
        match self.feed.resumed(read_no, resumed) {
            Verdict::Stale => {}
            Verdict::Known { checked, page } => {
                self.frames.push_back(Outgoing::Text(checked));
                if let Some(page) = page {
                    self.progress(page, Some(now));
                }
            }
            Verdict::Another => self.requests.push_back(Output::Locate),
            Verdict::Erased => self.erased(),
        }
    }

    pub(super) fn located(&mut self, place: &Place) {
        match self.feed.located(place) {
            Whereabouts::Known => {}
            Whereabouts::Another(checked) => {
                // Nor are the streams that it has seen.
                self.streams.forget();
                self.frames.push_back(Outgoing::Text(checked));
            }
            Whereabouts::Skipped(gap) => self.frames.extend(gap.map(Outgoing::Text)),
            Whereabouts::Nowhere => {
                self.fault(&"the store has nothing where it promised something");
            }
            Whereabouts::Erased => self.erased(),
        }
    }
}
