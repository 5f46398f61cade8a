//! What a store tells about its commits: in their order, to one subscriber, who never keeps it waiting.

use std::{
    future::poll_fn,
    mem,
    sync::{Arc, Mutex},
    task::Poll,
};

use futures_util::{FutureExt as _, future::BoxFuture, task::AtomicWaker};
use tetherline_protocol::{Epoch, UserId, frame::Message};
use tokio::sync::oneshot;

use super::Appended;
use crate::lock::lock;

/// Messages that wait for the subscriber, in bytes. What is more is told without its message, which is
/// read from the store then.
pub const EVENTS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Events that wait for the subscriber. What is more is told as one [`Event::Missed`].
pub const EVENTS_MAX: usize = 65_536;

/// Who hears what was committed.
pub trait Events: Send + Sync + 'static {
    /// Everything that is committed from here on. There is one subscriber: a second one takes the place
    /// of the first, which hears nothing any more.
    fn events(&self) -> Subscription;
}

/// Something is durable.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message stands in a mailbox.
    Appended {
        /// Whose mailbox.
        user: UserId,
        /// Under which name and where.
        appended: Appended,
        /// The message, shared with whoever published it; `None` if there was no room for it.
        message: Option<Arc<Message>>,
    },
    /// A stream was opened, has more text or ends otherwise than it looked.
    Streamed {
        /// Whose stream.
        user: UserId,
    },
    /// A mailbox counts in another epoch: nothing of it may be read from memory.
    Erased {
        /// Whose mailbox.
        user: UserId,
        /// The epoch that has begun; `None` if nothing was known of the user.
        epoch: Option<Epoch>,
        /// To be dropped once it is carried out.
        carried_out: CarriedOut,
    },
    /// Something may have happened of which nothing is told, to anybody: compare the heads of everybody
    /// connected, and look at their streams.
    Missed,
}

/// Whoever asked for an erasure waits until this is dropped.
#[derive(Debug)]
pub struct CarriedOut {
    _answer: oneshot::Sender<()>,
}

impl CarriedOut {
    /// For one erasure, and what resolves when it was carried out, or nobody is left who could do it.
    #[must_use]
    pub fn new() -> (Self, BoxFuture<'static, ()>) {
        let (answer, dropped) = oneshot::channel();
        (Self { _answer: answer }, Box::pin(dropped.map(drop)))
    }
}

impl Event {
    fn bytes(&self) -> usize {
        match self {
            Self::Appended { message: Some(message), .. } => message.fields().len(),
            _ => 0,
        }
    }
}

/// What was committed and is not told yet; the store's end. Clones are one queue.
#[derive(Clone, Default)]
pub struct EventQueue(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    waker: AtomicWaker,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Event>,
    bytes: usize,
    /// Counts subscribers, so that one of before knows that it is none any more.
    subscriber: u64,
    is_closed: bool,
}

impl EventQueue {
    /// Tells the events of one commit. Never waits; with no subscriber they are gone.
    pub fn tell(&self, commit: impl IntoIterator<Item = Event>) {
        let mut queue = lock(&self.0.queue);
        if queue.subscriber == 0 {
            return;
        }
        let was_empty = queue.waiting.is_empty();
        for event in commit {
            queue.push(event);
        }
        if was_empty && !queue.waiting.is_empty() {
            drop(queue);
            self.0.waker.wake();
        }
    }

    /// What [`Events::events`] answers.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        let mut queue = lock(&self.0.queue);
        queue.subscriber += 1;
        Subscription { shared: self.0.clone(), number: queue.subscriber }
    }

    /// The store is closed: the subscriber hears what waits, and then the end.
    pub fn close(&self) {
        lock(&self.0.queue).is_closed = true;
        self.0.waker.wake();
    }
}

impl Queue {
    fn push(&mut self, mut event: Event) {
        if self.waiting.len() >= EVENTS_MAX && !matches!(event, Event::Erased { .. }) {
            return self.miss();
        }
        let bytes = event.bytes();
        if self.bytes + bytes > EVENTS_BYTES_MAX
            && let Event::Appended { message, .. } = &mut event
        {
            *message = None;
        } else {
            self.bytes += bytes;
        }
        self.waiting.push(event);
    }

    /// Erasures stay: somebody waits for each of them, so they are as few as requests are.
    fn miss(&mut self) {
        self.waiting.retain(|event| matches!(event, Event::Erased { .. }));
        self.waiting.push(Event::Missed);
        self.bytes = 0;
    }
}

/// The subscriber's end of the events.
pub struct Subscription {
    shared: Arc<Shared>,
    number: u64,
}

impl Subscription {
    /// All that was committed since this was asked last, in order and at least one event; `None` when
    /// nothing will ever come any more.
    pub async fn next(&mut self) -> Option<Vec<Event>> {
        poll_fn(|context| {
            self.shared.waker.register(context.waker());
            match self.take() {
                Ok(events) if events.is_empty() => Poll::Pending,
                events => Poll::Ready(events.ok()),
            }
        })
        .await
    }

    /// The same without waiting: there may be none.
    pub fn try_next(&mut self) -> Vec<Event> {
        self.take().unwrap_or_default()
    }

    fn take(&self) -> Result<Vec<Event>, Over> {
        let mut queue = lock(&self.shared.queue);
        if queue.subscriber != self.number || (queue.is_closed && queue.waiting.is_empty()) {
            return Err(Over);
        }
        queue.bytes = 0;
        Ok(mem::take(&mut queue.waiting))
    }
}

struct Over;

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut queue = lock(&self.shared.queue);
        if queue.subscriber == self.number {
            // Whoever waits for an erasure to be carried out has nobody to wait for.
            *queue = Queue { is_closed: queue.is_closed, ..Queue::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tetherline_protocol::Seq;

    use super::*;

    fn user() -> UserId {
        "ada".parse().unwrap()
    }

    fn appended(seq: u64, bytes: usize) -> Event {
        let text = format!(r#"{{"type":"t","text":"{}"}}"#, "x".repeat(bytes));
        let appended = Appended {
            id: format!("m{seq}").parse().unwrap(),
            seq: Seq::new(seq).unwrap(),
            repeated: false,
            created_at_ms: 0,
        };
        let message = Some(Arc::new(Message::parse(&text).unwrap()));
        Event::Appended { user: user(), appended, message }
    }

    fn erased() -> (Event, BoxFuture<'static, ()>) {
        let (carried_out, answered) = CarriedOut::new();
        (Event::Erased { user: user(), epoch: None, carried_out }, answered)
    }

    #[test]
    fn nobody_is_told_before_somebody_subscribes_and_then_in_order() {
        let queue = EventQueue::default();
        queue.tell([appended(1, 1)]);
        let mut heard = queue.subscribe();
        queue.tell([appended(2, 1), Event::Streamed { user: user() }]);
        queue.tell([appended(3, 1)]);
        let told = heard.next().now_or_never().unwrap().unwrap();
        let seqs = told.iter().map(|event| match event {
            Event::Appended { appended, .. } => appended.seq.get(),
            _ => 0,
        });
        assert_eq!(seqs.collect::<Vec<_>>(), [2, 0, 3]);
        assert!(heard.next().now_or_never().is_none());
        queue.close();
        assert!(heard.next().now_or_never().unwrap().is_none());
    }

    #[test]
    fn what_is_over_the_bytes_is_told_without_its_message() {
        let queue = EventQueue::default();
        let mut heard = queue.subscribe();
        queue.tell((1..=17).map(|seq| appended(seq, 1024 * 1024)));
        let told = heard.try_next();
        let carried = told.iter().filter(|event| event.bytes() > 0).count();
        assert_eq!((told.len(), carried), (17, 15));
        queue.tell([appended(18, 1024 * 1024)]);
        assert!(heard.try_next()[0].bytes() > 0, "there is room again");
    }

    #[test]
    fn what_is_over_the_count_is_missed_but_for_erasures() {
        let queue = EventQueue::default();
        let mut heard = queue.subscribe();
        let (erasure, _answered) = erased();
        queue.tell([erasure]);
        queue.tell((1..EVENTS_MAX as u64).map(|seq| appended(seq, 0)));
        assert_eq!(lock(&queue.0.queue).waiting.len(), EVENTS_MAX);
        queue.tell([Event::Streamed { user: user() }]);
        let told = heard.try_next();
        assert!(matches!(told[..], [Event::Erased { .. }, Event::Missed]));
    }

    #[test]
    fn an_erasure_is_answered_though_nobody_hears_of_it() {
        let queue = EventQueue::default();
        let (erasure, answered) = erased();
        queue.tell([erasure]);
        assert!(answered.now_or_never().is_some(), "with no subscriber");
        let heard = queue.subscribe();
        let (erasure, mut answered) = erased();
        queue.tell([erasure]);
        assert!((&mut answered).now_or_never().is_none());
        drop(heard);
        assert!(answered.now_or_never().is_some(), "with one that left");
    }
}
