//! When each message is published, and by whom.

use std::{
    io::Result,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

use hdrhistogram::Histogram;
use tokio::{
    sync::{Mutex, Semaphore},
    task::JoinSet,
    time::sleep,
};

use super::{
    clock::{now_ns, seconds_since},
    connection::Subscribing,
    ledger::{Mark, new_histogram},
    publisher::{Publisher, Told},
};

/// How fine the pacing is.
const PACE_TICK: Duration = Duration::from_micros(20);
/// How long is waited for messages while none comes.
const QUIET: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// What all publishers share.
pub(super) struct Desk {
    pub(super) subscribing: Arc<Subscribing>,
    pub(super) users: u32,
    /// The users below this one are, or will be, connected: what others are sent is not waited for.
    pub(super) listening: u32,
    pub(super) message_bytes: usize,
    /// So many messages in a request.
    pub(super) together: usize,
    pub(super) told: Told,
}

/// When a stretch of publishing is over, and how fast it goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// Each publisher sends its next message when the one before is answered.
    Saturated {
        seconds: f64,
    },
    /// Each message is due at its own moment, and so old from then on, whoever is free to send it: a
    /// server cannot hide what waits for it (no coordinated omission).
    Even {
        per_s: f64,
        seconds: f64,
    },
    Rounds(Rounds),
}

/// So many messages to each user, one round after the other, so many in a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounds {
    pub(super) to_each: u32,
    pub(super) users: u32,
    pub(super) together: usize,
}

/// What a stretch came to.
pub(super) struct Stretch {
    pub(super) took_s: f64,
    pub(super) acknowledged: u64,
    /// From the moment when a request was due to its answer.
    pub(super) answers: Histogram<u64>,
}

/// The publishers, between two stretches.
pub(super) struct Publishers {
    desk: Arc<Desk>,
    idle: Vec<Publisher>,
}

impl Rounds {
    /// Whom the request of this number goes to; nobody when all are made.
    fn users_of(self, request: u64) -> Vec<u32> {
        let users = u64::from(self.users);
        let first = request * self.together as u64;
        let end = (users * u64::from(self.to_each)).min(first + self.together as u64);
        (first..end).map(|message| (message % users) as u32).collect()
    }

    /// What so many publishers send in these rounds, as the first that they send.
    pub(super) fn marks(self, publishers: u16) -> impl Iterator<Item = Mark> {
        let mut next = vec![0; usize::from(publishers)];
        let requests = (0..).map(move |request| (request, self.users_of(request)));
        requests.take_while(|(_, users)| !users.is_empty()).flat_map(move |(request, users)| {
            let publisher = (request % u64::from(publishers)) as u16;
            let number = &mut next[usize::from(publisher)];
            let first = *number;
            *number += users.len() as u32;
            let mark = move |(number, user)| Mark { publisher, number, user, due_ns: 0 };
            (first..).zip(users).map(mark)
        })
    }
}

impl Desk {
    pub(super) fn listens(&self, user: u32) -> bool {
        user < self.listening
    }

    /// Waits for everything that was taken, unless nothing more comes.
    pub(super) async fn settle(&self) {
        self.settle_at(self.subscribing.ledger.acknowledged_count()).await;
    }

    /// The same for so many messages since the beginning.
    pub(super) async fn settle_at(&self, expected: u64) {
        let ledger = &self.subscribing.ledger;
        let (mut arrived, mut since) = (ledger.arrived(), now_ns());
        while ledger.arrived() < expected && seconds_since(since) < QUIET.as_secs_f64() {
            sleep(LOOK_EVERY).await;
            if ledger.arrived() != arrived {
                (arrived, since) = (ledger.arrived(), now_ns());
            }
        }
    }
}

impl Publishers {
    pub(super) async fn open(desk: &Arc<Desk>, count: u16) -> Result<Self> {
        let mut idle = Vec::new();
        for id in 0..count {
            idle.push(Publisher::open(desk, id).await?);
        }
        Ok(Self { desk: desk.clone(), idle })
    }

    /// Publishes for a stretch, each message to a user at random, unless it goes in rounds.
    pub(super) async fn publish(&mut self, pace: Pace) -> Result<Stretch> {
        let before = self.desk.told.acknowledged.load(Relaxed);
        let answers = Arc::new(Mutex::new(new_histogram()));
        let work = Work {
            pace,
            started_ns: now_ns(),
            publishers: self.idle.len() as u64,
            due: self.idle.iter().map(|_| Semaphore::new(0)).collect(),
            desk: self.desk.clone(),
        };
        let work = Arc::new(work);
        if let Pace::Even { per_s, seconds } = pace {
            let work = work.clone();
            thread::spawn(move || work.call_out((per_s * seconds) as u64));
        }
        let mut busy = JoinSet::new();
        for publisher in self.idle.drain(..) {
            busy.spawn(work.clone().by(publisher, answers.clone()));
        }
        while let Some(done) = busy.join_next().await {
            self.idle.push(done??);
        }
        let took_s = seconds_since(work.started_ns);
        let acknowledged = self.desk.told.acknowledged.load(Relaxed) - before;
        let answers = answers.lock().await.clone();
        Ok(Stretch { took_s, acknowledged, answers })
    }
}

/// One stretch, as all publishers see it.
struct Work {
    desk: Arc<Desk>,
    pace: Pace,
    started_ns: u64,
    publishers: u64,
    /// Of each publisher: how many messages are due that it has not begun to send.
    due: Vec<Semaphore>,
}

impl Work {
    async fn by(
        self: Arc<Self>,
        mut publisher: Publisher,
        answers: Arc<Mutex<Histogram<u64>>>,
    ) -> Result<Publisher> {
        let mut own = new_histogram();
        // The requests of all publishers have one order: publisher 0's first, publisher 1's first, …
        let mut number = u64::from(publisher.id);
        while let Some((users, due_ns)) = self.next(number, &mut publisher).await {
            publisher.publish(&users, due_ns).await?;
            own.saturating_record(now_ns().saturating_sub(due_ns));
            number += self.publishers;
        }
        answers.lock().await.add(own).map_err(std::io::Error::other)?;
        Ok(publisher)
    }

    /// Whom the request of this number goes to, and when it was due; `None` when it is over.
    async fn next(&self, number: u64, publisher: &mut Publisher) -> Option<(Vec<u32>, u64)> {
        let Desk { users, together, .. } = *self.desk;
        let due_ns = match self.pace {
            Pace::Saturated { seconds } => {
                (seconds_since(self.started_ns) < seconds).then(now_ns)?
            }
            Pace::Even { per_s, seconds } => {
                if number >= (per_s * seconds) as u64 {
                    return None;
                }
                self.due[usize::from(publisher.id)].acquire().await.ok()?.forget();
                self.due_ns(per_s, number)
            }
            Pace::Rounds(rounds) => {
                let users = rounds.users_of(number);
                return (!users.is_empty()).then(|| (users, now_ns()));
            }
        };
        let users = (0..together).map(|_| publisher.random.u32(..users)).collect();
        Some((users, due_ns))
    }

    fn due_ns(&self, per_s: f64, number: u64) -> u64 {
        self.started_ns + (number as f64 * 1e9 / per_s) as u64
    }

    /// Tells each publisher when its next message is due. On a thread of its own: the timers of an
    /// asynchronous runtime are good to a millisecond.
    fn call_out(&self, messages: u64) {
        let Pace::Even { per_s, .. } = self.pace else { return };
        for number in 0..messages {
            let mut wait = self.due_ns(per_s, number).saturating_sub(now_ns());
            while wait > 0 {
                thread::sleep(Duration::from_nanos(wait).max(PACE_TICK));
                wait = self.due_ns(per_s, number).saturating_sub(now_ns());
            }
            self.due[(number % self.publishers) as usize].add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::load::{
        dialect::{self, Kind, Manners},
        ledger::Ledger,
    };

    const SLOW: Duration = Duration::from_millis(20);

    /// Answers one request after the other, each after a while.
    async fn slow_server(listener: TcpListener) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4_096];
        while stream.read(&mut request).await.unwrap() > 0 {
            sleep(SLOW).await;
            stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        }
    }

    async fn desk() -> Arc<Desk> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        tokio::spawn(slow_server(listener));
        let manners = Manners {
            dialect: Kind::Path,
            secrets: None,
            ack_every: 64,
            keyed: false,
            live_only: false,
        };
        let dialect = dialect::of(&manners, 1).unwrap();
        let subscribing = Subscribing { server, dialect, ledger: Arc::new(Ledger::new(1, 1)) };
        Arc::new(Desk {
            subscribing: Arc::new(subscribing),
            users: 1,
            listening: 1,
            message_bytes: 64,
            together: 1,
            told: Told::default(),
        })
    }

    #[test]
    fn in_rounds_everybody_gets_as_many_and_no_mark_comes_twice() {
        let rounds = Rounds { to_each: 3, users: 5, together: 4 };
        let mut marks: Vec<Mark> = rounds.marks(2).collect();
        for user in 0..5 {
            assert_eq!(marks.iter().filter(|mark| mark.user == user).count(), 3);
        }
        marks.sort_by_key(|mark| (mark.publisher, mark.number));
        marks.dedup_by_key(|mark| (mark.publisher, mark.number));
        assert_eq!(marks.len(), 15);
    }

    #[tokio::test]
    async fn at_an_even_pace_what_waits_for_a_slow_server_is_as_old_as_it_is() {
        let mut publishers = Publishers::open(&desk().await, 1).await.unwrap();
        // Forty are due within 40 ms, and the last of them is answered after 800.
        let stretch =
            publishers.publish(Pace::Even { per_s: 1_000.0, seconds: 0.04 }).await.unwrap();
        assert_eq!(stretch.acknowledged, 40);
        assert!(stretch.answers.max() > 30 * SLOW.as_nanos() as u64);
    }

    #[tokio::test]
    async fn saturated_a_publisher_sends_when_the_one_before_is_answered() {
        let mut publishers = Publishers::open(&desk().await, 1).await.unwrap();
        let stretch = publishers.publish(Pace::Saturated { seconds: 0.1 }).await.unwrap();
        assert!((1..=5).contains(&stretch.acknowledged), "{}", stretch.acknowledged);
        assert!(stretch.answers.min() > SLOW.as_nanos() as u64 * 9 / 10);
    }
}
