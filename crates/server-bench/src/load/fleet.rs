//! Many subscribers at once.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use tetherline_process::note;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};

use super::{
    clock::{now_ns, seconds_since},
    connection::{Connection, Subscribing},
    ledger::new_histogram,
};

/// Who is not connected after this is not waited for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// One connection for each of some users. Dropping it ends them all.
pub(super) struct Fleet {
    pub(super) took_s: f64,
    /// From the first packet to a live subscription.
    pub(super) handshakes: Histogram<u64>,
    closed: Arc<AtomicU64>,
    _connections: JoinSet<()>,
}

impl Fleet {
    /// Connects them, at most so many at a time.
    pub(super) async fn connect(
        shared: &Arc<Subscribing>,
        users: Range<u32>,
        at_a_time: usize,
    ) -> Self {
        let (started, turns) = (now_ns(), Arc::new(Semaphore::new(at_a_time)));
        let closed = Arc::new(AtomicU64::new(0));
        let (opened, mut openings) = mpsc::unbounded_channel();
        let mut connections = JoinSet::new();
        for user in users {
            let one = One { user, closed: closed.clone(), opened: opened.clone() };
            connections.spawn(one.live(shared.clone(), turns.clone()));
        }
        drop(opened);
        let mut handshakes = new_histogram();
        while let Some(took_ns) = openings.recv().await {
            handshakes.saturating_record(took_ns);
        }
        let took_s = seconds_since(started);
        Self { took_s, handshakes, closed, _connections: connections }
    }

    pub(super) fn connected(&self) -> u64 {
        self.handshakes.len()
    }

    /// How many did not come about, or ended by themselves.
    pub(super) fn closed(&self) -> u64 {
        self.closed.load(Relaxed)
    }
}

/// One of them. What it says about itself when it is open ends with its opening.
struct One {
    user: u32,
    closed: Arc<AtomicU64>,
    opened: mpsc::UnboundedSender<u64>,
}

impl One {
    async fn live(self, shared: Arc<Subscribing>, turns: Arc<Semaphore>) {
        let Self { user, closed, opened } = self;
        let turn = turns.acquire().await;
        let started = now_ns();
        let end = match timeout(CONNECT_TIMEOUT, Connection::open(&shared, user)).await {
            Ok(Ok(connection)) => {
                // Whoever waits for it is there until all have said so.
                let _ = opened.send(now_ns() - started);
                drop((turn, opened));
                connection.pump(&shared).await.to_string()
            }
            Ok(Err(error)) => error.to_string(),
            Err(late) => late.to_string(),
        };
        if closed.fetch_add(1, Relaxed) == 0 {
            note!("the connection of user {user} ended: {end}");
        }
    }
}
