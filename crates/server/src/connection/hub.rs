mod census;
mod drain;
mod membership;
mod ring;
mod roster;
mod seat;
#[cfg(test)]
mod tests;
mod traces;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytestring::ByteString;
use tetherline_protocol::{Epoch, Limits, Seq, UserId};
use tokio::sync::Notify;

use crate::{
    lock::lock,
    store::{Delivery, Event, Head, Room},
};
use drain::Spread;
pub use drain::{DRAIN_RETURN_MIN, DRAIN_RETURNS_PER_S, Drain};
pub(crate) use membership::{Membership, News};
use ring::Ring;
pub(crate) use roster::{About, Backlog, Present, Stands, Waits};
use seat::Seat;
use traces::Traces;
pub(crate) use traces::{Ending, NoTrace, Told, Trace, TraceEvent};
pub use traces::{TRACE_EVENTS_MAX, TRACES_MAX};

/// Messages of one connected user that are kept in memory until all sessions have them.
const TAIL_MESSAGES_MAX: usize = 64;
/// The same in bytes. What does not fit is read from the store.
const TAIL_BYTES_MAX: usize = 64 * 1024;

/// Who is connected. It wakes sessions; what they read is their own business.
pub(crate) struct Hub {
    users: Mutex<HashMap<UserId, Arc<Channel>>>,
    connections: AtomicUsize,
    /// How many connections there ever were, or were refused during a drain.
    numbers: AtomicU64,
    draining: OnceLock<Spread>,
    /// Times that atomics hold count from here.
    started: Instant,
    empty: Notify,
    traces: Traces,
    connections_max: AtomicUsize,
    connections_per_user_max: AtomicUsize,
    live_messages_max: AtomicUsize,
    live_bytes_max: AtomicUsize,
}

/// Why a connection is refused before it is upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// This user has too many.
    User,
    /// This server has too many.
    Server,
    /// This server is going away.
    Draining { retry_after: Duration },
}

/// One connected user.
struct Channel {
    head: AtomicU64,
    /// When the last was told, in µs since the hub's start; 0: nobody knows.
    told_us: AtomicU64,
    /// How many live-only messages there ever were.
    said: AtomicU64,
    /// Somebody follows this user.
    is_traced: AtomicBool,
    live: Mutex<Live>,
}

#[derive(Default)]
struct Live {
    seats: Vec<Arc<Seat>>,
    tail: VecDeque<Delivery>,
    tail_bytes: usize,
    /// Up to here the mailbox keeps nothing any more, as far as a connection has seen: it may look the
    /// mailbox up before what was erased there has been told.
    gone: Seq,
    ring: Ring,
}

/// What a session is told, in rising order of urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    Nothing,
    Erased,
    /// Somebody who looks after the server closes it.
    Disconnected,
    Drain {
        retry_after_ms: u32,
    },
    SignedOut,
}

impl Notice {
    /// In one number, the more urgent the larger.
    fn packed(self) -> u64 {
        let (urgency, told) = match self {
            Self::Nothing => (0, 0),
            Self::Erased => (1, 0),
            Self::Disconnected => (2, 0),
            Self::Drain { retry_after_ms } => (3, retry_after_ms),
            Self::SignedOut => (4, 0),
        };
        urgency << 32 | u64::from(told)
    }

    fn urgency(packed: u64) -> u8 {
        (packed >> 32) as u8
    }

    fn unpacked(packed: u64) -> Self {
        match Self::urgency(packed) {
            0 => Self::Nothing,
            1 => Self::Erased,
            2 => Self::Disconnected,
            3 => Self::Drain { retry_after_ms: packed as u32 },
            _ => Self::SignedOut,
        }
    }
}

impl Hub {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            users: Mutex::default(),
            connections: AtomicUsize::new(0),
            numbers: AtomicU64::new(0),
            draining: OnceLock::new(),
            started: Instant::now(),
            empty: Notify::new(),
            traces: Traces::default(),
            connections_max: limits.connections_max.into(),
            connections_per_user_max: limits.connections_per_user_max.into(),
            live_messages_max: limits.live_messages_max.into(),
            live_bytes_max: limits.live_bytes_max.into(),
        }
    }

    /// Whoever comes next is counted by these. Who is there stays.
    pub(crate) fn limit(&self, limits: &Limits) {
        self.connections_max.store(limits.connections_max, Ordering::Relaxed);
        self.connections_per_user_max.store(limits.connections_per_user_max, Ordering::Relaxed);
        self.live_messages_max.store(limits.live_messages_max, Ordering::Relaxed);
        self.live_bytes_max.store(limits.live_bytes_max, Ordering::Relaxed);
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn connections_of(&self, user: &UserId) -> usize {
        self.channel(user).map_or(0, |channel| lock(&channel.live).seats.len())
    }

    /// Whether [`Hub::join`] would succeed now.
    pub(crate) fn admits(&self, user: &UserId) -> Result<(), Refused> {
        let users = lock(&self.users);
        self.check(users.get(user).map_or(0, |channel| lock(&channel.live).seats.len()))
    }

    /// From here on nothing that is published passes unnoticed, so read the head afterwards.
    pub(crate) fn join(
        self: &Arc<Self>,
        user: &UserId,
        session: Option<Box<str>>,
    ) -> Result<Membership, Refused> {
        let mut users = lock(&self.users);
        self.check(users.get(user).map_or(0, |channel| lock(&channel.live).seats.len()))?;
        let channel = users.entry(user.clone());
        let channel = channel.or_insert_with(|| Channel::new(self.traces.has(user))).clone();
        let mut live = lock(&channel.live);
        let seat = Arc::new(Seat::new(self.number(), session, live.ring.said()));
        live.seats.push(seat.clone());
        drop(live);
        self.connections.fetch_add(1, Ordering::SeqCst);
        let (hub, user) = (self.clone(), user.clone());
        Ok(Membership::new(hub, user, channel, seat))
    }

    fn check(&self, of_user: usize) -> Result<(), Refused> {
        if let Some(spread) = self.draining.get() {
            Err(Refused::Draining { retry_after: spread.refused_for(self.number()) })
        } else if of_user >= self.connections_per_user_max.load(Ordering::Relaxed) {
            Err(Refused::User)
        } else if self.connections() >= self.connections_max.load(Ordering::Relaxed) {
            Err(Refused::Server)
        } else {
            Ok(())
        }
    }

    /// Carries out what the store has committed, which it tells in that order. `now` is for those who measure.
    pub(crate) fn tell(&self, event: Event, now: Option<Instant>) {
        if self.traces.are_there() {
            self.trace(&event, now);
        }
        match event {
            Event::Appended { user, appended, message } => {
                let delivery = || message.map(|message| Delivery::new(&message, &appended));
                self.appended(&user, appended.seq, now, delivery);
            }
            Event::Streamed { user } => self.streamed(&user),
            Event::Erased { user, epoch, carried_out } => {
                self.erased(&user, epoch.as_ref());
                drop(carried_out);
            }
            Event::Missed => {}
        }
    }

    /// A message is durable: wake whoever is connected. The frame is built only if somebody is.
    pub(crate) fn appended(
        &self,
        user: &UserId,
        seq: Seq,
        now: Option<Instant>,
        delivery: impl FnOnce() -> Option<Delivery>,
    ) {
        let Some(channel) = self.channel(user) else { return };
        let told_us = now.map_or(0, |now| (now - self.started).as_micros() as u64);
        channel.told_us.store(told_us, Ordering::Relaxed);
        channel.appended(seq, delivery());
    }

    /// Who is connected.
    pub(crate) fn users(&self) -> Vec<UserId> {
        lock(&self.users).keys().cloned().collect()
    }

    /// The store was asked: what is newer than what was told is told now.
    pub(crate) fn compare(&self, user: &UserId, head: &Head) {
        let Some(channel) = self.channel(user) else { return };
        let mut live = lock(&channel.live);
        if live.leave(Some(&head.epoch)) {
            live.clear();
        }
        if channel.head.fetch_max(head.seq.get(), Ordering::SeqCst) < head.seq.get() {
            live.wake();
        }
    }

    /// A live-only message is for whoever is connected now. It is built only if somebody is.
    pub(crate) fn say(&self, user: &UserId, text: impl FnOnce() -> ByteString) {
        let Some(channel) = self.channel(user) else { return };
        self.say_in(&channel, text());
    }

    /// A live-only message is for everybody who is connected now.
    pub(crate) fn say_to_everybody(&self, text: &ByteString) {
        for channel in self.channels() {
            self.say_in(&channel, text.clone());
        }
    }

    fn say_in(&self, channel: &Channel, text: ByteString) {
        let mut live = lock(&channel.live);
        let messages_max = self.live_messages_max.load(Ordering::Relaxed);
        live.ring.push(text, messages_max, self.live_bytes_max.load(Ordering::Relaxed));
        channel.said.store(live.ring.said(), Ordering::SeqCst);
        live.wake();
    }

    /// A stream has begun, or has more text.
    pub(crate) fn streamed(&self, user: &UserId) {
        let Some(channel) = self.channel(user) else { return };
        for seat in &lock(&channel.live).seats {
            // Whoever was told and has not read since will find this, too.
            if !seat.streamed.swap(true, Ordering::SeqCst) {
                seat.waker.wake();
            }
        }
    }

    /// Any stream may have changed.
    pub(crate) fn all_streamed(&self) {
        for user in self.users() {
            self.streamed(&user);
        }
    }

    /// A mailbox was erased: nothing of it may be read from memory, or on a connection that knew it.
    /// Whoever has come meanwhile, and counts in the epoch that has begun, may stay.
    fn erased(&self, user: &UserId, epoch: Option<&Epoch>) {
        let Some(channel) = self.channel(user) else { return };
        let mut live = lock(&channel.live);
        live.clear();
        live.ring.clear();
        live.leave(epoch);
    }

    /// Closes what a user has open.
    pub(crate) fn disconnect(&self, user: &UserId) {
        let Some(channel) = self.channel(user) else { return };
        for seat in &lock(&channel.live).seats {
            seat.tell(Notice::Disconnected);
        }
    }

    /// Closes one of a user's connections, if there is one of that name.
    pub(crate) fn disconnect_one(&self, user: &UserId, connection: &str) -> bool {
        let Some(channel) = self.channel(user) else { return false };
        let live = lock(&channel.live);
        let is_it = |seat: &&Arc<Seat>| {
            seat.about.get().is_some_and(|about| about.connection.as_str() == connection)
        };
        live.seats.iter().find(is_it).inspect(|seat| seat.tell(Notice::Disconnected)).is_some()
    }

    /// Closes what a user has open, or what one session has.
    pub(crate) fn sign_out(&self, user: &UserId, session: Option<&str>) {
        let Some(channel) = self.channel(user) else { return };
        for seat in &lock(&channel.live).seats {
            match session {
                Some(session) => seat.sign_out(session),
                None => seat.tell(Notice::SignedOut),
            }
        }
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn channel(&self, user: &UserId) -> Option<Arc<Channel>> {
        lock(&self.users).get(user).cloned()
    }

    /// Those of everybody: nobody waits to connect while they are told.
    fn channels(&self) -> Vec<Arc<Channel>> {
        lock(&self.users).values().cloned().collect()
    }
}

impl Channel {
    fn new(is_traced: bool) -> Arc<Self> {
        let [head, told_us, said] = [const { AtomicU64::new(0) }; 3];
        let is_traced = AtomicBool::new(is_traced);
        Arc::new(Self { head, told_us, said, is_traced, live: Mutex::default() })
    }

    fn appended(&self, seq: Seq, delivery: Option<Delivery>) {
        let mut live = lock(&self.live);
        if let Some(delivery) = delivery {
            live.push(delivery);
        }
        self.head.fetch_max(seq.get(), Ordering::SeqCst);
        live.wake();
    }
}

impl Live {
    /// A message may be told without its text, or be missed: then the tail starts over, and what it
    /// does not have is read from the store.
    fn push(&mut self, delivery: Delivery) {
        if delivery.seq <= self.gone {
            return;
        }
        match self.tail.back() {
            Some(last) if delivery.seq <= last.seq => return,
            Some(last) if last.seq.next() != Some(delivery.seq) => self.clear(),
            _ => {}
        }
        self.tail_bytes += delivery.text.len();
        self.tail.push_back(delivery);
        while self.tail.len() > TAIL_MESSAGES_MAX || self.tail_bytes > TAIL_BYTES_MAX {
            let Some(oldest) = self.tail.pop_front() else { break };
            self.tail_bytes -= oldest.text.len();
        }
    }

    /// Tells whoever does not count in that epoch, and answers whether anybody was told.
    fn leave(&self, epoch: Option<&Epoch>) -> bool {
        let others = self.seats.iter().filter(|seat| !seat.counts_in(epoch));
        others.map(|seat| seat.tell(Notice::Erased)).count() > 0
    }

    fn wake(&self) {
        for seat in &self.seats {
            seat.waker.wake();
        }
    }

    fn clear(&mut self) {
        self.tail = VecDeque::new();
        self.tail_bytes = 0;
    }

    fn read(&self, after: Seq, room: Room) -> Option<Vec<Delivery>> {
        let first = self.tail.front()?.seq;
        let skipped = after.next()?.get().checked_sub(first.get())?;
        let rest = self.tail.iter().skip(usize::try_from(skipped).ok()?);
        let page = room.fill(rest, |delivery| delivery.text.len());
        (!page.is_empty()).then_some(page)
    }
}
