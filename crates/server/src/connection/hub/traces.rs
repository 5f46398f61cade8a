//! Who follows a user live, and what they are told. Of a user whom nobody follows a connection looks at one flag, and a
//! publish at one number.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use tetherline_protocol::{CloseCode, DeviceId, MessageId, Seq, UserId};
use tokio::sync::Notify;

use super::{Hub, Present, Waits};
use crate::{Network, connection::session::Reason, lock::lock, store::Event};

/// Who may follow users of one server at once.
pub const TRACES_MAX: usize = 16;
/// Events that wait for one of them; what is more is lost to it, and counted.
pub const TRACE_EVENTS_MAX: usize = 4_096;

/// Something that happened to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceEvent {
    pub(crate) at: Instant,
    /// On which connection, if on one.
    pub(crate) connection: Option<MessageId>,
    pub(crate) what: Told,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// A message stands in the mailbox.
    Published {
        seq: Seq,
        id: MessageId,
    },
    Erased,
    Connected {
        device: Option<DeviceId>,
        network: Option<Network>,
    },
    /// The client asked for what follows a position, or for what its device has not acknowledged, which follows `cursor`.
    Asked {
        after: Option<Seq>,
        cursor: Seq,
    },
    /// Everything up to there was handed to its socket.
    Sent {
        up_to: Seq,
        waiting: u64,
    },
    Acknowledged {
        up_to: Seq,
        unhandled: u64,
    },
    /// No more is sent before that.
    Waits {
        waits: Waits,
    },
    /// Its socket has taken nothing since then.
    Stuck {
        since: Instant,
        unsent_bytes: usize,
        waiting: u64,
    },
    /// It said too much, and is not listened to for a while.
    Held,
    /// The client sent something for the application, or stops an answer.
    Send {
        id: MessageId,
    },
    /// What became of it: the code of a refusal, if it was one.
    Settled {
        refused: Option<Box<str>>,
    },
    Closed {
        how: Ending,
    },
    /// So many events had no room.
    Lost {
        events: u64,
    },
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    ByServer(CloseCode, Reason),
    ByClient(Option<u16>),
    /// The peer is gone without a word.
    Gone,
}

/// Why nobody more may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoTrace {
    Full,
    Draining,
}

#[derive(Default)]
pub(super) struct Traces {
    count: AtomicUsize,
    followers: Mutex<Followers>,
}

#[derive(Default)]
struct Followers {
    have_ended: bool,
    of: HashMap<UserId, Vec<Arc<Queue>>>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<TraceEvent>,
    lost: u64,
    is_over: bool,
}

/// One that follows a user, for as long as this is there.
pub(crate) struct Trace {
    hub: Arc<Hub>,
    user: UserId,
    queue: Arc<Queue>,
}

impl Hub {
    /// Everything that happens to a user from here on, and who is connected now. Whoever connects meanwhile may be in both.
    pub(crate) fn follow(
        self: &Arc<Self>,
        user: &UserId,
    ) -> Result<(Trace, Vec<Present>), NoTrace> {
        let queue = Arc::<Queue>::default();
        // Whoever joins looks for followers under the same lock.
        let users = lock(&self.users);
        self.traces.add(user, &queue)?;
        if let Some(channel) = users.get(user) {
            channel.is_traced.store(true, Ordering::Relaxed);
        }
        drop(users);
        Ok((Trace { hub: self.clone(), user: user.clone(), queue }, self.present(user)))
    }

    /// Before anybody is sent it.
    pub(super) fn trace(&self, event: &Event, now: Option<Instant>) {
        let (user, what) = match event {
            Event::Appended { user, appended, .. } => {
                let (seq, id) = (appended.seq, appended.id.clone());
                (user, Told::Published { seq, id })
            }
            Event::Erased { user, .. } => (user, Told::Erased),
            Event::Streamed { .. } | Event::Missed => return,
        };
        let at = now.unwrap_or(self.started);
        self.traces.tell(user, &TraceEvent { at, connection: None, what });
    }

    /// Nobody follows anybody any more.
    pub(crate) fn end_traces(&self) {
        self.traces.end();
    }
}

impl Trace {
    /// What happened since this was asked last, at least one event; `None` when nothing will be told any more.
    pub(crate) async fn next(&self) -> Option<Vec<TraceEvent>> {
        loop {
            let news = self.queue.news.notified();
            let (events, is_over) = self.queue.take();
            if !events.is_empty() {
                return Some(events);
            }
            if is_over {
                return None;
            }
            news.await;
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let users = lock(&self.hub.users);
        let is_traced = self.hub.traces.remove(&self.user, &self.queue);
        if let Some(channel) = users.get(&self.user) {
            channel.is_traced.store(is_traced, Ordering::Relaxed);
        }
    }
}

impl Traces {
    /// Whether anybody is followed.
    pub(super) fn are_there(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    pub(super) fn has(&self, user: &UserId) -> bool {
        self.are_there() && lock(&self.followers).of.contains_key(user)
    }

    /// Tells whoever follows that user, if anybody does.
    pub(super) fn tell(&self, user: &UserId, event: &TraceEvent) {
        for queue in lock(&self.followers).of.get(user).into_iter().flatten() {
            queue.push(event.clone());
        }
    }

    fn add(&self, user: &UserId, queue: &Arc<Queue>) -> Result<(), NoTrace> {
        let mut followers = lock(&self.followers);
        if followers.have_ended {
            return Err(NoTrace::Draining);
        }
        if self.count.load(Ordering::Relaxed) >= TRACES_MAX {
            return Err(NoTrace::Full);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        followers.of.entry(user.clone()).or_default().push(queue.clone());
        Ok(())
    }

    /// Answers whether others follow the same user.
    fn remove(&self, user: &UserId, queue: &Arc<Queue>) -> bool {
        let mut followers = lock(&self.followers);
        self.count.fetch_sub(1, Ordering::Relaxed);
        let Some(queues) = followers.of.get_mut(user) else { return false };
        queues.retain(|other| !Arc::ptr_eq(other, queue));
        let has_others = !queues.is_empty();
        if !has_others {
            followers.of.remove(user);
        }
        has_others
    }

    fn end(&self) {
        let mut followers = lock(&self.followers);
        followers.have_ended = true;
        for queue in followers.of.values().flatten() {
            lock(&queue.waiting).is_over = true;
            queue.news.notify_one();
        }
    }
}

impl Queue {
    /// What comes after one that had no room is lost, too, until somebody takes what waits: so the order stays.
    fn push(&self, event: TraceEvent) {
        let mut waiting = lock(&self.waiting);
        if waiting.events.len() >= TRACE_EVENTS_MAX {
            waiting.lost += 1;
            return;
        }
        waiting.events.push_back(event);
        drop(waiting);
        self.news.notify_one();
    }

    /// What waits, and whether nothing follows.
    fn take(&self) -> (Vec<TraceEvent>, bool) {
        let mut waiting = lock(&self.waiting);
        let mut events: Vec<_> = std::mem::take(&mut waiting.events).into();
        let lost = std::mem::take(&mut waiting.lost);
        if let Some(last) = events.last().filter(|_| lost > 0) {
            let (at, what) = (last.at, Told::Lost { events: lost });
            events.push(TraceEvent { at, connection: None, what });
        }
        (events, waiting.is_over)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tetherline_protocol::Limits;

    use super::*;

    fn hub() -> Arc<Hub> {
        Arc::new(Hub::new(&Limits::default()))
    }

    fn user(name: &str) -> UserId {
        name.parse().unwrap()
    }

    fn tell(hub: &Hub, name: &str, seq: u64) {
        let (seq, id) = (Seq::new(seq).unwrap(), "m".parse().unwrap());
        let what = Told::Published { seq, id };
        let event = TraceEvent { at: Instant::now(), connection: None, what };
        hub.traces.tell(&user(name), &event);
    }

    fn told(trace: &Trace) -> Vec<Told> {
        let events = trace.next().now_or_never().flatten().unwrap_or_default();
        events.into_iter().map(|event| event.what).collect()
    }

    #[test]
    fn who_follows_hears_of_that_user_alone_and_only_while_it_does() {
        let hub = hub();
        assert!(!hub.traces.are_there());
        let (ada, _) = hub.follow(&user("ada")).ok().unwrap();
        let (again, _) = hub.follow(&user("ada")).ok().unwrap();
        let member = hub.join(&user("ada"), None).ok().unwrap();
        let other = hub.join(&user("bob"), None).ok().unwrap();
        assert!(member.is_traced() && !other.is_traced());
        tell(&hub, "ada", 1);
        tell(&hub, "bob", 2);
        assert_eq!((told(&ada).len(), told(&again).len(), told(&ada).len()), (1, 1, 0));
        drop(again);
        assert!(member.is_traced(), "somebody still follows");
        drop(ada);
        assert!(!member.is_traced() && !hub.traces.are_there());
        let (bob, present) = hub.follow(&user("bob")).ok().unwrap();
        assert!(other.is_traced(), "one that was connected before, too");
        assert!(present.is_empty(), "who is still being opened is told when it is");
        drop(bob);
    }

    #[test]
    fn so_many_may_follow_and_one_more_may_not_until_one_leaves() {
        let hub = hub();
        let mut all: Vec<_> = (0..TRACES_MAX).map(|_| hub.follow(&user("ada")).ok()).collect();
        assert!(all.iter().all(Option::is_some));
        assert_eq!(hub.follow(&user("bob")).err(), Some(NoTrace::Full));
        all.pop();
        assert!(hub.follow(&user("bob")).is_ok());
        hub.end_traces();
        let (first, _) = all[0].as_ref().unwrap();
        assert_eq!(first.next().now_or_never(), Some(None), "nothing follows");
        drop(all);
        assert_eq!(hub.follow(&user("bob")).err(), Some(NoTrace::Draining));
    }

    #[test]
    fn so_many_events_wait_and_who_is_slower_hears_how_many_it_lost() {
        let hub = hub();
        let (ada, _) = hub.follow(&user("ada")).ok().unwrap();
        let all = TRACE_EVENTS_MAX as u64;
        (1..=all).for_each(|seq| tell(&hub, "ada", seq));
        assert_eq!(told(&ada).len(), TRACE_EVENTS_MAX, "all of them fit");
        (1..=all + 2).for_each(|seq| tell(&hub, "ada", seq));
        let events = told(&ada);
        assert_eq!(events.len(), TRACE_EVENTS_MAX + 1);
        assert_eq!(events.last(), Some(&Told::Lost { events: 2 }));
        tell(&hub, "ada", 9);
        assert_eq!(told(&ada).len(), 1, "there is room again");
    }
}
