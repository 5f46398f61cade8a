//! What happens to connections, on its way to the application: in order, in batches, and never in anybody's way.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, Weak},
    time::Duration,
};

use tetherline_protocol::{DeviceId, MessageId, UserId};
use tokio::{sync::Notify, time::sleep};

use super::socket::Goodbye;
use crate::{
    Application, ConnectionChange, ConnectionEnd, ConnectionEvent, ConnectionEvents, clock,
    lock::lock,
    server::Replaceable,
    store::fresh_id,
    trouble::{SharedTrouble, Word},
};

/// Events that wait for the application; for one more the oldest is lost.
pub const CONNECTION_EVENTS_MAX: usize = 16_384;
/// Events that are told at once.
pub const CONNECTION_EVENTS_AT_ONCE_MAX: usize = 256;
/// The wait before events are told again that were not taken. It doubles.
const RETRY_BASE: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The application, which may be another one later.
pub(crate) type Attached = Replaceable<Option<Arc<dyn Application>>>;

/// The events of one life of a server.
pub(crate) struct Bulletin {
    application: Arc<Attached>,
    server: MessageId,
    waiting: Mutex<Waiting>,
    news: Arc<Notify>,
    idle: Notify,
    telling: OnceLock<()>,
    trouble: SharedTrouble,
    losses: SharedTrouble,
}

#[derive(Default)]
struct Waiting {
    /// The number of the last one.
    number: u64,
    events: VecDeque<ConnectionEvent>,
    /// Some are with the application.
    is_telling: bool,
}

/// A connection that the application has heard of: it hears of its end, too, however that comes.
pub(crate) struct Announced {
    bulletin: Arc<Bulletin>,
    connection: MessageId,
    user: UserId,
    device: Option<DeviceId>,
    end: ConnectionEnd,
}

impl Bulletin {
    pub(crate) fn new(application: Arc<Attached>) -> Arc<Self> {
        Arc::new(Self {
            application,
            server: fresh_id(),
            waiting: Mutex::default(),
            news: Arc::default(),
            idle: Notify::new(),
            telling: OnceLock::new(),
            trouble: SharedTrouble::default(),
            losses: SharedTrouble::default(),
        })
    }

    /// Which life of the server this is.
    pub(crate) fn server(&self) -> &MessageId {
        &self.server
    }

    /// Tells the application, if it wants to hear it, of a connection, and of its end when what comes back is
    /// dropped.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(crate) fn announce(
        self: &Arc<Self>,
        connection: &MessageId,
        (user, device): (&UserId, Option<&DeviceId>),
    ) -> Option<Box<Announced>> {
        self.listener()?;
        self.telling.get_or_init(|| {
            tokio::spawn(tell(Arc::downgrade(self), self.news.clone()));
        });
        let announced = Announced {
            bulletin: self.clone(),
            connection: connection.clone(),
            user: user.clone(),
            device: device.cloned(),
            // If its task dies.
            end: ConnectionEnd::Gone,
        };
        announced.says(ConnectionChange::Connected);
        Some(Box::new(announced))
    }

    /// The application, if it wants to hear of connections.
    fn listener(&self) -> Option<Arc<dyn Application>> {
        self.application.get().filter(|application| application.hears_of_connections())
    }

    /// Waits until the application has heard everything.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if lock(&self.waiting).is_idle() {
                return;
            }
            idle.await;
        }
    }

    fn add(&self, event: impl FnOnce(u64) -> ConnectionEvent) {
        let mut waiting = lock(&self.waiting);
        waiting.number += 1;
        let number = waiting.number;
        waiting.events.push_back(event(number));
        if waiting.events.len() > CONNECTION_EVENTS_MAX {
            waiting.events.pop_front();
            if let Some(Word::Fails { times }) = self.losses.failed_now() {
                let what =
                    "the application does not keep up with who connects, and will not hear of some";
                tracing::warn!(times, "{what}");
            }
        }
        drop(waiting);
        self.news.notify_one();
    }

    /// The next ones to tell, if there are any.
    fn take(&self) -> Option<ConnectionEvents> {
        let mut waiting = lock(&self.waiting);
        let count = waiting.events.len().min(CONNECTION_EVENTS_AT_ONCE_MAX);
        let events: Vec<_> = waiting.events.drain(..count).collect();
        waiting.is_telling = !events.is_empty();
        if waiting.is_idle() {
            self.idle.notify_waiters();
            return None;
        }
        Some(ConnectionEvents { server: self.server.clone(), events })
    }
}

impl Waiting {
    fn is_idle(&self) -> bool {
        self.events.is_empty() && !self.is_telling
    }
}

impl Announced {
    pub(crate) fn ends(&mut self, goodbye: Option<&Goodbye>) {
        self.end = match goodbye {
            None => ConnectionEnd::Gone,
            Some(Goodbye::Answer(code)) => ConnectionEnd::Client(*code),
            Some(Goodbye::Ours(code, _) | Goodbye::Breach(code, _)) => ConnectionEnd::Server(*code),
        };
    }

    fn says(&self, change: ConnectionChange) {
        self.bulletin.add(|number| ConnectionEvent {
            number,
            at_ms: clock::now_ms(),
            connection: self.connection.clone(),
            user: self.user.clone(),
            device: self.device.clone(),
            change,
        });
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.says(ConnectionChange::Disconnected(self.end));
    }
}

impl Drop for Bulletin {
    fn drop(&mut self) {
        self.news.notify_one();
    }
}

/// Tells what there is, one batch after the other, for as long as the server is there. The same comes again until it
/// is taken: what is behind it would say less without it.
async fn tell(bulletin: Weak<Bulletin>, news: Arc<Notify>) {
    let (mut untold, mut wait) = (None, RETRY_BASE);
    while let Some(bulletin) = bulletin.upgrade() {
        let Some(events) = untold.take().or_else(|| bulletin.take()) else {
            drop(bulletin);
            news.notified().await;
            continue;
        };
        if bulletin.tell(&events).await {
            wait = RETRY_BASE;
        } else {
            drop(bulletin);
            untold = Some(events);
            sleep(wait).await;
            wait = (2 * wait).min(RETRY_MAX);
        }
    }
}

impl Bulletin {
    /// Whether that is settled: the application has heard it, or does not want to.
    async fn tell(&self, events: &ConnectionEvents) -> bool {
        // One that took the place of another may not want to.
        let Some(told) = self.listener() else { return true };
        let events = events.clone();
        // In a task of its own: a bug in the application ends neither this one nor the process.
        let told = tokio::spawn(async move { told.connections_changed(events).await });
        let (why, is_settled) = match told.await {
            Ok(Ok(())) => {
                if let Some(Word::Works { times }) = self.trouble.worked_now() {
                    let what = "the application hears again who connects";
                    tracing::info!(failed_again = times, "{what}");
                }
                return true;
            }
            Ok(Err(refusal)) if refusal.is_retryable() => (refusal.message().to_owned(), false),
            Ok(Err(refusal)) => (format!("it refuses: {}", refusal.code()), true),
            Err(_) => ("it panicked".to_owned(), true),
        };
        if let Some(Word::Fails { times }) = self.trouble.failed_now() {
            tracing::warn!(reason = why, times, "the application could not be told who connects");
        }
        is_settled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::future::BoxFuture;

    use super::*;
    use crate::{Incoming, Refusal, SendAnswer};

    /// Takes what comes when somebody asks for it.
    struct Slow(Mutex<mpsc::Sender<Vec<u64>>>, Notify);

    impl Application for Slow {
        fn receive(&self, _: Incoming) -> BoxFuture<'_, Result<Option<SendAnswer>, Refusal>> {
            Box::pin(std::future::ready(Ok(None)))
        }

        fn hears_of_connections(&self) -> bool {
            true
        }

        fn connections_changed(
            &self,
            told: ConnectionEvents,
        ) -> BoxFuture<'_, Result<(), Refusal>> {
            Box::pin(async move {
                self.1.notified().await;
                let numbers = told.events.iter().map(|event| event.number).collect();
                lock(&self.0).send(numbers).unwrap();
                Ok(())
            })
        }
    }

    #[tokio::test]
    async fn so_many_events_wait_and_for_one_more_the_oldest_is_lost() {
        let (sender, told) = mpsc::channel();
        let slow = Arc::new(Slow(Mutex::new(sender), Notify::new()));
        let application: Arc<dyn Application> = slow.clone();
        let bulletin = Bulletin::new(Arc::new(Attached::new(Some(application))));
        let user = "ada".parse().unwrap();
        let announce = || bulletin.announce(&fresh_id(), (&user, None)).unwrap();
        let first = announce();
        while !bulletin.take_is_under_way() {
            tokio::task::yield_now().await;
        }
        let mut rest: Vec<_> = (0..CONNECTION_EVENTS_MAX).map(|_| announce()).collect();
        assert_eq!(bulletin.oldest(), Some(2), "all of them fit");
        rest.push(announce());
        assert_eq!(bulletin.oldest(), Some(3), "and one more does not");
        slow.1.notify_one();
        while told.try_recv().map_or(true, |numbers| numbers != [1]) {
            tokio::task::yield_now().await;
        }
        slow.1.notify_one();
        let second = loop {
            if let Ok(numbers) = told.try_recv() {
                break numbers;
            }
            tokio::task::yield_now().await;
        };
        let (from, count) = (3, CONNECTION_EVENTS_AT_ONCE_MAX as u64);
        assert_eq!(second, (from..from + count).collect::<Vec<_>>());
        drop((first, rest));
    }

    impl Bulletin {
        fn take_is_under_way(&self) -> bool {
            lock(&self.waiting).is_telling
        }

        fn oldest(&self) -> Option<u64> {
            lock(&self.waiting).events.front().map(|event| event.number)
        }
    }
}
