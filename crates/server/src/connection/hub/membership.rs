use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytestring::ByteString;
use futures_util::task::AtomicWaker;
use tetherline_protocol::{Seq, UserId};

use super::{About, Channel, Hub, Notice, Stands, Told, TraceEvent, seat::Seat};
use crate::{
    Network,
    lock::lock,
    rates::Occupied,
    store::{Delivery, Place, Room},
};

/// A connection's place in the hub, given back when it is dropped.
pub(crate) struct Membership {
    hub: Arc<Hub>,
    pub(super) user: UserId,
    channel: Arc<Channel>,
    seat: Arc<Seat>,
    /// As of the last [`Membership::news`].
    seen: Seen,
    /// Its place among those from the same network.
    occupied: Option<Occupied>,
}

/// What changes when there is something to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    head: u64,
    said: u64,
    streamed: bool,
    urgency: u8,
}

/// What the hub has to say to a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) notice: Notice,
    /// The newest position, as far as somebody heard.
    pub(crate) head: Seq,
    /// When that was told, if somebody measures.
    pub(crate) told_at: Option<Instant>,
    /// There are live-only messages.
    pub(crate) has_live: bool,
    /// A stream has begun, or has more text.
    pub(crate) has_streamed: bool,
}

impl Membership {
    pub(super) fn new(hub: Arc<Hub>, user: UserId, channel: Arc<Channel>, seat: Arc<Seat>) -> Self {
        Self { hub, user, channel, seat, seen: Seen::default(), occupied: None }
    }

    /// Where it comes from.
    pub(crate) fn occupies(&mut self, occupied: Option<Occupied>) {
        self.occupied = occupied;
    }

    /// Where it comes from, if that is known.
    pub(crate) fn network(&self) -> Option<Network> {
        self.occupied.as_ref().map(Occupied::whose)
    }

    /// Whose connection it is, for whoever looks.
    pub(crate) fn is_about(&self, about: About) {
        self.seat.about.get_or_init(|| Box::new(about));
    }

    /// Register before asking [`Membership::has_news`].
    pub(crate) fn waker(&self) -> &AtomicWaker {
        &self.seat.waker
    }

    /// Whether [`Membership::news`] has any.
    pub(crate) fn has_news(&self) -> bool {
        self.seen != self.now()
    }

    /// What there is to say, if anything has changed since this was asked.
    pub(crate) fn news(&mut self) -> Option<News> {
        let now = self.now();
        if std::mem::replace(&mut self.seen, now) == now {
            return None;
        }
        Some(News {
            notice: Notice::unpacked(self.seat.notice.load(Ordering::SeqCst)),
            head: Seq::new(now.head).unwrap_or(Seq::MAX),
            told_at: self.told_at(),
            has_live: self.has_unheard(),
            has_streamed: now.streamed,
        })
    }

    fn told_at(&self) -> Option<Instant> {
        let us = self.channel.told_us.load(Ordering::Relaxed);
        (us > 0).then(|| self.hub.started + Duration::from_micros(us))
    }

    /// Where the connection is, for whoever watches.
    pub(crate) fn stands(&self, stands: &Stands, now: Instant) {
        self.seat.stands_at(stands, self.hub.started, now);
    }

    /// Where it was when that was said last.
    pub(crate) fn stood(&self) -> Stands {
        self.seat.stands(self.hub.started)
    }

    /// Whether anybody follows this user, and is to be told what happens.
    pub(crate) fn is_traced(&self) -> bool {
        self.channel.is_traced.load(Ordering::Relaxed)
    }

    /// Tells whoever follows.
    pub(crate) fn trace(&self, what: Told, at: Instant) {
        let connection = self.seat.about.get().map(|about| about.connection.clone());
        self.hub.traces.tell(&self.user, &TraceEvent { at, connection, what });
    }

    fn now(&self) -> Seen {
        Seen {
            head: self.channel.head.load(Ordering::SeqCst),
            said: self.channel.said.load(Ordering::SeqCst),
            streamed: self.seat.streamed.load(Ordering::SeqCst),
            urgency: Notice::urgency(self.seat.notice.load(Ordering::SeqCst)),
        }
    }

    /// What streams have is about to be read: from here on more is news.
    pub(crate) fn reads_streams(&mut self) {
        self.seat.streamed.store(false, Ordering::SeqCst);
        self.seen.streamed = false;
    }

    /// This connection has looked the mailbox up: it counts in that epoch, and nothing that was trimmed
    /// is read from memory.
    pub(crate) fn begins_at(&self, place: &Place) {
        self.seat.begins_in(&place.head.epoch);
        let trimmed = place.trimmed;
        let mut live = lock(&self.channel.live);
        live.gone = live.gone.max(trimmed);
        if live.tail.front().is_some_and(|first| first.seq <= trimmed) {
            live.clear();
        }
    }

    /// A token is to be renewed in place, perhaps by another sign-in, which is looked up from here on.
    pub(crate) fn renew(&self, session: Option<Box<str>>) {
        self.seat.renew(session);
    }

    /// The look-up is over. The connection changes its sign-in only if the new one stands.
    pub(crate) fn renewed(&self, stands: bool) {
        self.seat.renewed(stands);
    }

    /// What was read from the store need not be kept in memory for this session.
    pub(crate) fn has_read(&self, seq: Seq) {
        self.seat.sent.fetch_max(seq.get(), Ordering::SeqCst);
    }

    /// Reads on from memory; `None` means that only the store knows.
    pub(crate) fn read(&self, after: Seq, room: Room) -> Option<Vec<Delivery>> {
        let mut live = lock(&self.channel.live);
        let page = live.read(after, room)?;
        if let Some(last) = page.last() {
            self.has_read(last.seq);
        }
        let newest = live.tail.back().map_or(0, |last| last.seq.get());
        if live.seats.iter().all(|seat| seat.sent.load(Ordering::SeqCst) >= newest) {
            live.clear();
        }
        Some(page)
    }

    /// Whether there are live-only messages that this connection has not taken.
    pub(crate) fn has_unheard(&self) -> bool {
        self.channel.said.load(Ordering::SeqCst) > self.seat.heard.load(Ordering::SeqCst)
    }

    /// Takes some of them; those that were overwritten meanwhile are missed.
    pub(crate) fn hear(&self, room: Room) -> Vec<ByteString> {
        let mut live = lock(&self.channel.live);
        let (page, heard) = live.ring.read(self.seat.heard.load(Ordering::SeqCst), room);
        self.seat.heard.store(heard, Ordering::SeqCst);
        if live.seats.iter().all(|seat| seat.heard.load(Ordering::SeqCst) >= live.ring.said()) {
            live.ring.clear();
        }
        page
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut users = lock(&self.hub.users);
        let mut live = lock(&self.channel.live);
        live.seats.retain(|seat| !Arc::ptr_eq(seat, &self.seat));
        if live.seats.is_empty() {
            users.remove(&self.user);
        }
        drop(live);
        drop(users);
        if self.hub.connections.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.hub.empty.notify_waiters();
        }
    }
}
