//! Clients as applications have them, each with a mailbox to follow, and those who publish to them.

use std::{
    future::ready,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use anyhow::Result;
use tetherline::{Client, Event, Status};
use tokio::time::{Instant, sleep};

use crate::server::Launch;

/// The wait before publishing again what a server did not take.
const AGAIN: Duration = Duration::from_millis(50);

/// What all of them share, and what they have seen.
pub(super) struct Crowd {
    url: String,
    api_key: String,
    http: reqwest::Client,
    users: Vec<User>,
    connected: AtomicUsize,
    lost_once: AtomicUsize,
    clients: AtomicUsize,
    is_over: AtomicBool,
    pub(super) delivered: AtomicU64,
    pub(super) doubled: AtomicU64,
    /// They came after a later one, or a client was told that they never will.
    pub(super) lost: AtomicU64,
    /// What clients have still to see. Each is owed what its user was published.
    behind: Mutex<Vec<Arc<Seen>>>,
    /// When somebody tried to connect.
    pub(super) attempts: Mutex<Vec<Instant>>,
    /// How long somebody was away.
    pub(super) away: Mutex<Vec<Duration>>,
}

struct User {
    token: String,
    published: AtomicU64,
}

/// How far one client is.
struct Seen {
    user: usize,
    last: AtomicU64,
}

/// One client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub(super) user: usize,
    pub(super) device: usize,
}

impl Crowd {
    pub(super) async fn of(launch: &Launch, users: usize) -> Result<Self> {
        let mut all = Vec::new();
        for user in 0..users {
            let token = launch.token(&name(user)).await?;
            all.push(User { token, published: AtomicU64::new(0) });
        }
        Ok(Self {
            url: launch.url(),
            api_key: launch.api_key()?,
            http: reqwest::Client::builder().no_proxy().build()?,
            users: all,
            connected: AtomicUsize::new(0),
            lost_once: AtomicUsize::new(0),
            clients: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            delivered: AtomicU64::new(0),
            doubled: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            behind: Mutex::default(),
            attempts: Mutex::default(),
            away: Mutex::default(),
        })
    }

    pub(super) fn connected(&self) -> usize {
        self.connected.load(SeqCst)
    }

    pub(super) fn has_lost_all_once(&self) -> bool {
        self.lost_once.load(SeqCst) >= self.clients.load(SeqCst)
    }

    pub(super) fn published(&self) -> u64 {
        self.users.iter().map(|user| user.published.load(SeqCst)).sum()
    }

    pub(super) fn publish_no_more(&self) {
        self.is_over.store(true, SeqCst);
    }

    /// What was published, and has not come to somebody yet.
    pub(super) fn missing(&self) -> u64 {
        let behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |seen: &Arc<Seen>| {
            self.users[seen.user].published.load(SeqCst) - seen.last.load(SeqCst)
        };
        behind.iter().map(missing).sum()
    }

    fn tries(&self) {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
    }

    async fn publish(&self, user: usize, n: u64) -> bool {
        let answer = self
            .http
            .post(format!("{}/v1/users/{}/messages", self.url, name(user)))
            .bearer_auth(&self.api_key)
            .header("idempotency-key", n.to_string())
            .body(format!(r#"{{"type":"note","n":{n}}}"#))
            .send();
        answer.await.is_ok_and(|answer| answer.status().is_success())
    }
}

/// Publishes to a user until it is enough, each message until it is taken.
pub(super) async fn publish(crowd: Arc<Crowd>, user: usize, every: Duration) {
    // Not all at the same moment.
    sleep(every.mul_f64(user as f64 / crowd.users.len() as f64)).await;
    let mut n = 0;
    while !crowd.is_over.load(SeqCst) {
        n += 1;
        while !crowd.publish(user, n).await {
            sleep(AGAIN).await;
        }
        crowd.users[user].published.store(n, SeqCst);
        sleep(every).await;
    }
}

impl Member {
    /// Follows the mailbox until it is dropped.
    pub(super) async fn live(self, crowd: Arc<Crowd>) {
        let seen = Arc::new(Seen { user: self.user, last: AtomicU64::new(0) });
        crowd.behind.lock().unwrap_or_else(PoisonError::into_inner).push(seen.clone());
        crowd.clients.fetch_add(1, SeqCst);
        let token = crowd.users[self.user].token.clone();
        let trying = crowd.clone();
        let builder = Client::builder(&crowd.url)
            .user(name(self.user).parse().expect("a name is a user id"))
            .device(format!("d{}", self.device).parse().expect("a name is a device id"))
            .token(move |_| {
                trying.tries();
                ready(Ok(token.clone()))
            });
        let mut client = builder.connect().expect("nothing is missing");
        let mut connection = client.connection();
        let (mut is_connected, mut lost_at) = (false, None::<Instant>);
        loop {
            tokio::select! {
                event = client.next() => match event {
                    Some(event) => take(&crowd, &seen, &event),
                    None => return,
                },
                changed = connection.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let is = connection.borrow_and_update().status == Status::Connected;
                    if is == is_connected {
                        continue;
                    }
                    is_connected = is;
                    if is {
                        crowd.connected.fetch_add(1, SeqCst);
                        let away = lost_at.take().map(|at| at.elapsed());
                        crowd.away.lock().unwrap_or_else(PoisonError::into_inner).extend(away);
                    } else {
                        crowd.connected.fetch_sub(1, SeqCst);
                        crowd.lost_once.fetch_add(1, SeqCst);
                        lost_at = Some(Instant::now());
                    }
                }
            }
        }
    }
}

fn take(crowd: &Crowd, seen: &Seen, event: &Event) {
    match event {
        Event::Message(message) => {
            let fields: serde_json::Value = serde_json::from_str(&message.text).unwrap_or_default();
            let n = fields["n"].as_u64().unwrap_or(0);
            let last = seen.last.fetch_max(n, SeqCst);
            crowd.delivered.fetch_add(1, SeqCst);
            if n <= last {
                crowd.doubled.fetch_add(1, SeqCst);
            } else {
                crowd.lost.fetch_add(n - last - 1, SeqCst);
            }
        }
        Event::Gap { .. } => {
            crowd.lost.fetch_add(1, SeqCst);
        }
        _ => {}
    }
}

fn name(user: usize) -> String {
    format!("user-{user}")
}
