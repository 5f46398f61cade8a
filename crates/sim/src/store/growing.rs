//! Growing answers among everything else that a store commits.

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
    streams::{AnswerNo, Asker, Bounds, Order, Phase, Reply, Request},
    world::{PublishNo, UserNo},
};

/// An attempt that is over.
pub(super) struct HalfEnded {
    user: UserNo,
    answer: AnswerNo,
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
        let answers = &self.mailboxes[user].answers;
        if self.mutant == Some(Mutant::ShownBeforeCommit) {
            let mut ahead = answers.clone();
            for order in self.orders(user) {
                if let Request::Add { .. } = order.request {
                    ahead.apply(&order.request, 0, self.bounds(), None);
                }
            }
            return ahead.read(places, room, |_| false, None);
        }
        answers.read(places, room, |answer| self.is_hidden(user, answer), self.mutant)
    }

    /// Whether a store that takes an attempt out of sight before it ends has done so.
    pub(crate) fn is_hidden(&self, user: UserNo, answer: AnswerNo) -> bool {
        let answers = &self.mailboxes[user].answers;
        let Some(newest) = answers.get(answer).filter(|_| self.hides_early) else { return false };
        let has_room = answers.growing().filter(|(other, _)| *other != answer).count()
            < self.limits.streams_per_user_max;
        let leaves = |order: &Order| match order.request {
            Request::Open { answer: left, .. } => left == answer && has_room,
            Request::End { answer: left, attempt, .. } => {
                left == answer && attempt == newest.attempt
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
            for (answer, newest) in self.mailboxes[user].answers.growing() {
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
                        answer,
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
        let answers = &mut self.mailboxes[user].answers;
        let meant = match order.request {
            Request::Stop(target) => answers.meant(target),
            _ => Vec::new(),
        };
        let reply = answers.apply(&order.request, now, bounds, self.mutant);
        let mut news = None;
        match (&order.request, &reply) {
            (
                Request::Open { answer, whole, reference, .. },
                Reply::Opened { attempt, is_stopped },
            ) => {
                let name = (history, *answer, *attempt);
                self.archive.opened(name, whole.clone(), *reference, *is_stopped);
            }
            (Request::Add { answer, .. }, Reply::Added { .. }) => {
                if let Some(newest) = answers.get(*answer) {
                    self.archive.grew((history, *answer, newest.attempt), &newest.text);
                }
            }
            (Request::End { answer, ending, .. }, Reply::Ended(_)) => {
                news = self.end(user, *answer, ending);
            }
            (Request::Stop(target), _) => {
                let named = |(answer, attempt)| (history, answer, attempt);
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
        answer: AnswerNo,
        ending: &Arc<StreamEnding>,
    ) -> Option<(Delivery, Arc<Message>)> {
        let newest = self.mailboxes[user].answers.get(answer).filter(|newest| newest.grows())?;
        let (attempt, status) = (newest.attempt, newest.ends_as(ending.status));
        let half_ended = HalfEnded { user, answer, attempt, status, ending: ending.clone() };
        self.mailboxes[user].answers.finish(answer, status);
        if self.mutant == Some(Mutant::EndInTwoCommits) {
            self.half_ended.push(half_ended);
            return None;
        }
        self.append_ended(&half_ended)
    }

    pub(super) fn append_ended(&mut self, ended: &HalfEnded) -> Option<(Delivery, Arc<Message>)> {
        let HalfEnded { user, answer, attempt, status, ref ending } = *ended;
        let history = self.history(user);
        let mailbox = &mut self.mailboxes[user];
        let newest = mailbox.answers.get(answer)?;
        let message = newest.message(status, ending);
        let publish = newest.publish;
        self.archive.ended((history, answer, attempt), status, &newest.text);
        let delivery = delivery(publish, mailbox.head() + 1, &message);
        mailbox.messages.push((publish, delivery.clone()));
        self.homes.entry(publish).or_insert(history);
        Some((delivery, Arc::new(message)))
    }

    fn bounds(&self) -> Bounds {
        let bytes: usize = self.mailboxes.iter().map(|mailbox| mailbox.answers.bytes()).sum();
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

    /// The first promise about answers that a commit broke.
    pub(crate) fn take_problem(&mut self) -> Option<String> {
        self.archive.take_problem()
    }

    /// Positions and answers count in another history now.
    pub(super) fn begin_history(&mut self, user: UserNo) {
        let history = self.history(user);
        self.archive.begin(history, &self.mailboxes[user].answers);
    }

    /// In the history that begins, writers have something else to say.
    pub(crate) fn rewrite(
        &mut self,
        user: UserNo,
        answer: AnswerNo,
        publish: PublishNo,
        tail: Option<&str>,
    ) {
        let history = self.history(user);
        let Some(newest) = self.mailboxes[user].answers.rewrite(answer, publish, tail) else {
            return;
        };
        self.archive.rewritten((history, answer, newest.attempt), newest.whole.clone());
    }

    pub(super) fn forget_some_text(&mut self) {
        for mailbox in &mut self.mailboxes {
            mailbox.answers.cut_short();
        }
    }
}
