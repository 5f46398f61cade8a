//! Who is let in while nobody has proved who they are. There is soon a place for one more: it is that of whoever has
//! waited longest, and first of whoever asks for nothing.

use std::{
    collections::BTreeMap,
    os::fd::AsRawFd as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, sync::Notify, time::timeout};

use crate::lock::lock;

/// HTTP connections on which nobody has shown a key yet and that are no WebSocket; an eighth of all file descriptors
/// if that is less. For one more the one is closed that has been without a request for longest, or else the one whose
/// request is the oldest.
pub const UNAUTHENTICATED_CONNECTIONS_MAX: usize = 1_024;
/// So long each of them may be without a request before it is closed for another one. Who comes back after a deploy,
/// with everybody else, has asked by then; until there is room, further ones wait to be accepted.
pub const UNAUTHENTICATED_IDLE_GRACE: Duration = Duration::from_millis(250);
/// The same for a request that is under way.
pub const UNAUTHENTICATED_REQUEST_GRACE: Duration = Duration::from_secs(10);
/// File descriptors that connections leave to the store, the webhook's requests and the log; half of all if that is
/// less. Who would take one of them is not let in.
pub const DESCRIPTORS_RESERVED: u64 = 512;
/// Has this process have as many file descriptors as the system lets it: a connection takes one. Says so if so many
/// connections would be too many.
pub fn raise_descriptors(connections_max: usize) {
    let wanted = connections_max as u64 + DESCRIPTORS_RESERVED;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(descriptors) if descriptors < wanted => tracing::warn!(
            descriptors,
            wanted,
            "there are fewer file descriptors for this process than for connections_max; let it have more \
             (`ulimit -n`, `LimitNOFILE`)"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the number of file descriptors could not be raised"),
    }
}

/// Connections that are not authenticated, of one listener.
pub(super) struct Admission {
    guests: Mutex<Guests>,
    guests_max: usize,
    /// There is one less.
    left: Notify,
    /// This file descriptor and all after it are reserved. The system gives the lowest that is free.
    reserved_from: u64,
}

struct Guests {
    /// The number of the next one that begins to wait.
    next: u64,
    /// Without a request.
    idle: Line,
    /// With a request that is read or carried out.
    busy: Line,
    /// They were told to end, and have not yet.
    ending: usize,
}

/// Whoever has waited longest is the first.
struct Line {
    waiting: BTreeMap<u64, Waiting>,
    grace: Duration,
}

struct Waiting {
    since: Instant,
    cut: Arc<Notify>,
}

/// One connection, as long as it speaks HTTP.
#[derive(Clone)]
pub(crate) struct Guest(Arc<Place>);

struct Place {
    admission: Arc<Admission>,
    cut: Arc<Notify>,
    stands: Mutex<Stands>,
}

#[derive(Clone, Copy)]
enum Stands {
    Idle(u64),
    Busy(u64),
    /// It has shown a key: nobody takes its place.
    Authenticated,
}

impl Admission {
    pub(super) fn new() -> Arc<Self> {
        // Unknown is none: the accept loop survives running out of them.
        let descriptors = rlimit::Resource::NOFILE.get_soft().unwrap_or(u64::MAX);
        let eighth = usize::try_from(descriptors / 8).unwrap_or(usize::MAX);
        Arc::new(Self {
            guests: Mutex::new(Guests::new()),
            guests_max: UNAUTHENTICATED_CONNECTIONS_MAX.min(eighth),
            left: Notify::new(),
            reserved_from: descriptors.saturating_sub(DESCRIPTORS_RESERVED).max(descriptors / 2),
        })
    }

    /// Waits until one more can be let in.
    pub(super) async fn room(&self) {
        loop {
            let left = self.left.notified();
            let Some(wait) = lock(&self.guests).wait(self.guests_max, Instant::now()) else {
                return;
            };
            // In vain: then somebody has waited long enough.
            let _ = timeout(wait, left).await;
        }
    }

    /// Lets a connection in, unless it has one of the descriptors that are reserved.
    pub(super) fn admit(self: &Arc<Self>, stream: &TcpStream) -> Option<Guest> {
        if u64::try_from(stream.as_raw_fd()).is_ok_and(|it| it >= self.reserved_from) {
            self.make_room();
            return None;
        }
        let cut = Arc::new(Notify::new());
        let mut guests = lock(&self.guests);
        let number = guests.number();
        guests.idle.join(number, &cut);
        let stands = Mutex::new(Stands::Idle(number));
        Some(Guest(Arc::new(Place { admission: self.clone(), cut, stands })))
    }

    /// Descriptors are short: whoever has waited longest gives back one.
    pub(super) fn make_room(&self) {
        lock(&self.guests).cut_one();
    }
}

impl Guests {
    fn new() -> Self {
        let line = |grace| Line { waiting: BTreeMap::new(), grace };
        Self {
            next: 0,
            idle: line(UNAUTHENTICATED_IDLE_GRACE),
            busy: line(UNAUTHENTICATED_REQUEST_GRACE),
            ending: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// How long it may take until there is room for one more; `None` if there is.
    fn wait(&mut self, guests_max: usize, now: Instant) -> Option<Duration> {
        if self.idle.waiting.len() + self.busy.waiting.len() + self.ending < guests_max {
            return None;
        }
        let wait = self.idle.wait(now).min(self.busy.wait(now));
        if wait.is_zero() && self.ending == 0 {
            let line = if self.idle.wait(now).is_zero() { &mut self.idle } else { &mut self.busy };
            self.ending += usize::from(line.cut_first());
        }
        // One that is told to end does so as soon as its task gets to run, and then this is asked again.
        Some(if wait.is_zero() { UNAUTHENTICATED_IDLE_GRACE } else { wait })
    }

    /// Has one end, if there is any.
    fn cut_one(&mut self) {
        let is_cut = self.idle.cut_first() || self.busy.cut_first();
        self.ending += usize::from(is_cut);
    }

    /// Answers whether it was still among them.
    fn leave(&mut self, stands: Stands) -> bool {
        match stands {
            Stands::Idle(number) => self.idle.waiting.remove(&number).is_some(),
            Stands::Busy(number) => self.busy.waiting.remove(&number).is_some(),
            Stands::Authenticated => false,
        }
    }
}

impl Line {
    fn join(&mut self, number: u64, cut: &Arc<Notify>) {
        self.waiting.insert(number, Waiting { since: Instant::now(), cut: cut.clone() });
    }

    /// How long the first may still wait.
    fn wait(&self, now: Instant) -> Duration {
        self.waiting.first_key_value().map_or(Duration::MAX, |(_, first)| {
            self.grace.saturating_sub(now.saturating_duration_since(first.since))
        })
    }

    fn cut_first(&mut self) -> bool {
        let first = self.waiting.pop_first();
        first.inspect(|(_, first)| first.cut.notify_one()).is_some()
    }
}

impl Guest {
    /// Resolves when this connection is to make room.
    pub(super) async fn cut(&self) {
        self.0.cut.notified().await;
    }

    /// A request has been read up to the end of its header.
    pub(super) fn asks(&self) {
        self.0.turn(|guests, stands, cut| match stands {
            Stands::Idle(_) if guests.leave(stands) => {
                let number = guests.number();
                guests.busy.join(number, cut);
                Stands::Busy(number)
            }
            stands => stands,
        });
    }

    /// The answer has begun. Whether it is read is not known, and no reason to wait longer than others.
    pub(super) fn is_answered(&self) {
        self.0.turn(|guests, stands, cut| match stands {
            Stands::Busy(_) if guests.leave(stands) => {
                let number = guests.number();
                guests.idle.join(number, cut);
                Stands::Idle(number)
            }
            stands => stands,
        });
    }

    /// Whoever is at the other end has shown a key.
    pub(crate) fn is_authenticated(&self) {
        self.0.turn(
            |guests, stands, _| {
                if guests.leave(stands) { Stands::Authenticated } else { stands }
            },
        );
        self.0.admission.left.notify_one();
    }
}

impl Place {
    fn turn(&self, next: impl FnOnce(&mut Guests, Stands, &Arc<Notify>) -> Stands) {
        let mut stands = lock(&self.stands);
        *stands = next(&mut lock(&self.admission.guests), *stands, &self.cut);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let stands = *lock(&self.stands);
        if matches!(stands, Stands::Authenticated) {
            return;
        }
        let mut guests = lock(&self.admission.guests);
        if !guests.leave(stands) {
            guests.ending -= 1;
        }
        drop(guests);
        self.admission.left.notify_one();
    }
}
