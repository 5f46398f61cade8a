//! Streams among everything else that a store commits.

use std::sync::Arc;

use tetherline_protocol::{
    Attempt, Limits, StreamPosition, StreamStatus,
    frame::{Message, StreamEnding},
};
use tetherline_server::store::{Delivery, StreamPage};

use super::{Answer, Operation, Store, delivery};
use crate::{
    Mutant,
    archive::Archive,
    streams::{Asker, Bounds, Order, Phase, Reply, Request, StreamNo},
    world::{PublishNo, UserNo},
};

/// An attempt that is over.
pub(super) struct HalfEnded {
    user: UserNo,
    stream: StreamNo,
    attempt: Attempt,
    status: StreamStatus,
    ending: Arc<StreamEnding>,
}

impl Store {
    /// From what is committed, at once.
    pub(crate) fn read_streams(
        &self,
        user: UserNo,
        places: &[StreamPosition],
        room: usize,
    ) -> StreamPage {
        let streams = &self.mailboxes[user].streams;
        if self.mutant == Some(Mutant::ShownBeforeCommit) {
            let mut ahead = streams.clone();
            for order in self.orders(user) {
                if let Request::Add { .. } = order.request {
                    ahead.apply(&order.request, 0, self.bounds(), None);
                }
            }
            return ahead.read(places, room, |_| false, None);
        }
        streams.read(places, room, |stream| self.is_hidden(user, stream), self.mutant)
    }

    /// Whether a store that takes an attempt out of sight before it ends has done so.
    pub(crate) fn is_hidden(&self, user: UserNo, stream: StreamNo) -> bool {
        let streams = &self.mailboxes[user].streams;
        let Some(newest) = streams.get(stream).filter(|_| self.hides_early) else { return false };
        let has_room = streams.unfinished().filter(|(other, _)| *other != stream).count()
            < self.limits.streams_per_user_max;
        let leaves = |order: &Order| match order.request {
            Request::Open { stream: left, .. } => left == stream && has_room,
            Request::End { stream: left, attempt, .. } => {
                left == stream && attempt == newest.attempt
            }
            Request::Add { .. } | Request::Stop(_) => false,
        };
        let history = self.history(user);
        let counts = |order: &&Order| order.history.is_none_or(|asked_in| asked_in == history);
        self.orders(user).filter(counts).any(leaves)
    }

    pub(crate) fn hides_early(&self) -> bool {
        self.hides_early
    }

    fn orders(&self, user: UserNo) -> impl Iterator<Item = &Order> {
        self.waiting.iter().filter_map(move |operation| match operation {
            Operation::Stream(order) if order.user == user => Some(order),
            _ => None,
        })
    }

    /// What nobody has ended in time.
    pub(crate) fn overdue(&self, now: u64, limits: &Limits) -> Vec<Order> {
        let mut orders = Vec::new();
        for user in 0..self.mailboxes.len() {
            for (stream, newest) in self.mailboxes[user].streams.unfinished() {
                let (since, patience, status) = match newest.phase {
                    Phase::Open { heard_at } => {
                        (heard_at, limits.stream_idle_ms, StreamStatus::Interrupted)
                    }
                    Phase::Stopped { at } => {
                        (at, limits.stream_stop_grace_ms, StreamStatus::Stopped)
                    }
                    Phase::Finished { .. } => continue,
                };
                if now >= since + patience {
                    let request = Request::End {
                        stream,
                        attempt: newest.attempt,
                        ending: Arc::new(StreamEnding::plain(status)),
                    };
                    orders.push(Order { user, history: None, asker: Asker::Server, request });
                }
            }
        }
        orders
    }

    pub(super) fn apply_order(&mut self, order: Order, now: u64) -> Answer {
        let user = order.user;
        let history = self.history(user);
        if order.history.is_some_and(|asked_in| asked_in != history) {
            return Answer::Stream { order, reply: Reply::Unknown, news: None };
        }
        let bounds = self.bounds();
        let streams = &mut self.mailboxes[user].streams;
        let meant = match order.request {
            Request::Stop(target) => streams.meant(target),
            _ => Vec::new(),
        };
        let reply = streams.apply(&order.request, now, bounds, self.mutant);
        let mut news = None;
        match (&order.request, &reply) {
            (
                Request::Open { stream, whole, reference, .. },
                Reply::Opened { attempt, is_stopped },
            ) => {
                let name = (history, *stream, *attempt);
                self.archive.opened(name, whole.clone(), *reference, *is_stopped);
            }
            (Request::Add { stream, .. }, Reply::Added { .. }) => {
                if let Some(newest) = streams.get(*stream) {
                    self.archive.added((history, *stream, newest.attempt), &newest.text);
                }
            }
            (Request::End { stream, ending, .. }, Reply::Ended(_)) => {
                news = self.end(user, *stream, ending);
            }
            (Request::Stop(target), _) => {
                let named = |(stream, attempt)| (history, stream, attempt);
                let meant: Vec<_> = meant.into_iter().map(named).collect();
                self.archive.stopped(history, *target, &meant);
            }
            _ => {}
        }
        Answer::Stream { order, reply, news }
    }

    /// It is over, and its message is there, in one commit. `None` if it was before.
    fn end(
        &mut self,
        user: UserNo,
        stream: StreamNo,
        ending: &Arc<StreamEnding>,
    ) -> Option<(Delivery, Arc<Message>)> {
        let newest =
            self.mailboxes[user].streams.get(stream).filter(|newest| newest.is_unfinished())?;
        let (attempt, status) = (newest.attempt, newest.ends_as(ending.status));
        let half_ended = HalfEnded { user, stream, attempt, status, ending: ending.clone() };
        self.mailboxes[user].streams.finish(stream, status);
        if self.mutant == Some(Mutant::EndInTwoCommits) {
            self.half_ended.push(half_ended);
            return None;
        }
        self.append_ended(&half_ended)
    }

    pub(super) fn append_ended(&mut self, ended: &HalfEnded) -> Option<(Delivery, Arc<Message>)> {
        let HalfEnded { user, stream, attempt, status, ref ending } = *ended;
        let history = self.history(user);
        let mailbox = &mut self.mailboxes[user];
        let newest = mailbox.streams.get(stream)?;
        let message = newest.message(status, ending);
        let publish = newest.publish;
        self.archive.ended((history, stream, attempt), status, &newest.text);
        let delivery = delivery(publish, mailbox.head() + 1, &message);
        mailbox.messages.push((publish, delivery.clone()));
        self.homes.entry(publish).or_insert(history);
        Some((delivery, Arc::new(message)))
    }

    fn bounds(&self) -> Bounds {
        let bytes: usize = self.mailboxes.iter().map(|mailbox| mailbox.streams.bytes()).sum();
        Bounds {
            streams_max: self.limits.streams_per_user_max,
            bytes_max: self.limits.stream_bytes_max,
            room_bytes: self.limits.streams_bytes_max.saturating_sub(bytes),
        }
    }

    /// What every reader may know of an attempt.
    pub(crate) fn archive(&self) -> &Archive {
        &self.archive
    }

    /// The first promise about streams that a commit broke.
    pub(crate) fn take_problem(&mut self) -> Option<String> {
        self.archive.take_problem()
    }

    /// Positions and streams count in another history now.
    pub(super) fn begin_history(&mut self, user: UserNo) {
        let history = self.history(user);
        self.archive.begin(history, &self.mailboxes[user].streams);
    }

    /// In the history that begins, writers have something else to say.
    pub(crate) fn rewrite(
        &mut self,
        user: UserNo,
        stream: StreamNo,
        publish: PublishNo,
        tail: Option<&str>,
    ) {
        let history = self.history(user);
        let Some(newest) = self.mailboxes[user].streams.rewrite(stream, publish, tail) else {
            return;
        };
        self.archive.rewritten((history, stream, newest.attempt), newest.whole.clone());
    }

    pub(super) fn forget_some_text(&mut self) {
        for mailbox in &mut self.mailboxes {
            mailbox.streams.cut_short();
        }
    }
}
