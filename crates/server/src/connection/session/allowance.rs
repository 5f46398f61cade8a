use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tetherline_protocol::{UserId, limits::REPLAY_PIECE_BYTES_MAX};

use super::sends::NotAdmitted;
use crate::{
    connection::sends_room::SendShare,
    metrics::Metrics,
    rates::{
        Bucket, ConnectionRates, HOLDS_MAX, HOLDS_PER_MINUTE, Meters, REFUSALS_MAX,
        REFUSALS_PER_SECOND, Rate, SEND_RETRY_MIN,
    },
};

/// So often a connection may say too much before it is closed.
const HOLDS: Rate = Rate::per_minute(HOLDS_PER_MINUTE).at_once(HOLDS_MAX);

/// So many sends are refused without ado: whoever is refused one sends all behind it once more.
const REFUSALS: Rate = Rate::per_second(REFUSALS_PER_SECOND).at_once(REFUSALS_MAX);

/// What a connection may still say and ask for.
pub(super) struct Allowance {
    meters: Arc<Meters>,
    /// What the buckets count by.
    rates: Arc<ConnectionRates>,
    sends: Bucket,
    send_bytes: Bucket,
    controls: Bucket,
    refusals: Bucket,
    holds: Bucket,
    replay_bytes: Bucket,
    /// It said too much, and is not listened to until then.
    held_until: Option<Instant>,
    turn: Turn,
    /// What it got in its last turn, in bytes. So much is taken for the next one before it comes: more, and everybody
    /// behind it would wait for what it does not get; less is made up for by whoever comes later.
    turn_bytes: u64,
}

/// When a connection gets more of what its client asked for. What that may be is taken before: so connections of one
/// user, which share a bucket, have their turns in the order in which they came for them.
enum Turn {
    Free,
    Awaited(Instant),
    Come,
}

/// A client says too much.
#[derive(Clone, Copy)]
pub(super) enum Excess {
    /// It is not listened to for so long.
    ForNow(Duration),
    /// It may come back in so long.
    AgainAndAgain(Duration),
}

impl Allowance {
    pub(super) fn new(meters: Arc<Meters>, now: Instant) -> Self {
        let full = Bucket::full(now);
        Self {
            rates: meters.connection_rates(),
            meters,
            sends: full,
            send_bytes: full,
            controls: full,
            refusals: full,
            holds: full,
            replay_bytes: full,
            held_until: None,
            turn: Turn::Free,
            turn_bytes: REPLAY_PIECE_BYTES_MAX as u64,
        }
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.meters.metrics
    }

    /// Something happened at this time.
    pub(super) fn look(&mut self, now: Instant) {
        self.count_by_current_rates(now);
        self.held_until = self.held_until.filter(|until| *until > now);
        if matches!(self.turn, Turn::Awaited(at) if at <= now) {
            self.turn = Turn::Come;
        }
    }

    /// What was taken of a rate that has changed says nothing of the new one.
    fn count_by_current_rates(&mut self, now: Instant) {
        if self.meters.are_current(&self.rates) {
            return;
        }
        let before = std::mem::replace(&mut self.rates, self.meters.connection_rates());
        let full = Bucket::full(now);
        if before.sends != self.rates.sends {
            self.sends = full;
        }
        if before.send_bytes != self.rates.send_bytes {
            self.send_bytes = full;
        }
        if before.controls != self.rates.controls {
            self.controls = full;
        }
        if before.replay_bytes != self.rates.replay_bytes {
            self.replay_bytes = full;
            self.turn = Turn::Free;
        }
    }

    pub(super) fn is_listened_to(&self) -> bool {
        self.held_until.is_none()
    }

    /// Whether what its client asked for waits for its rate, or its user's.
    pub(super) fn awaits_turn(&self) -> bool {
        matches!(self.turn, Turn::Awaited(_))
    }

    /// When the connection may be listened to, or may get more of what it asked for.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let turn = match self.turn {
            Turn::Awaited(at) => Some(at),
            Turn::Free | Turn::Come => None,
        };
        self.held_until.into_iter().chain(turn).min()
    }

    /// Room for a send of so many bytes that does not come too fast.
    pub(super) fn send(
        &mut self,
        user: &UserId,
        bytes: usize,
        now: Instant,
    ) -> Result<SendShare, NotAdmitted> {
        let share = self.meters.room.take(user, bytes).ok_or(NotAdmitted::NoRoom)?;
        self.take_send(user, bytes as u64, now)
            .map_err(|wait| NotAdmitted::TooFast(wait.max(SEND_RETRY_MIN)))?;
        Ok(share)
    }

    /// Whether a send of so many bytes would have no room.
    pub(super) fn is_crowded(&self, user: &UserId, bytes: usize) -> bool {
        self.meters.room.is_short(user, bytes)
    }

    fn take_send(&mut self, user: &UserId, bytes: u64, now: Instant) -> Result<(), Duration> {
        let (rates, metrics) = (&*self.rates, &self.meters.metrics);
        let (mut sends, mut send_bytes) = (self.sends, self.send_bytes);
        rates
            .sends
            .map_or(Ok(()), |rate| take(&mut sends, rate, 1, now))
            .inspect_err(|_| metrics.too_fast("sends_per_connection"))?;
        rates
            .send_bytes
            .map_or(Ok(()), |rate| take(&mut send_bytes, rate, bytes, now))
            .inspect_err(|_| metrics.too_fast("send_bytes_per_connection"))?;
        self.meters.send(user, bytes, now)?;
        (self.sends, self.send_bytes) = (sends, send_bytes);
        Ok(())
    }

    /// A send was refused for now.
    pub(super) fn refused(&mut self, now: Instant) -> Result<(), Excess> {
        let wait = self.refusals.count(REFUSALS, now);
        self.hold(wait, now)
    }

    /// Anything else that a client says. It counts also if it is too much.
    pub(super) fn control(&mut self, user: &UserId, now: Instant) -> Result<(), Excess> {
        let rate = self.rates.controls;
        let own = rate.and_then(|rate| self.controls.count(rate, now));
        if own.is_some() {
            self.metrics().too_fast("controls_per_connection");
        }
        let shared = self.meters.control(user, now);
        self.hold(own.max(shared), now)
    }

    fn hold(&mut self, wait: Option<Duration>, now: Instant) -> Result<(), Excess> {
        let Some(wait) = wait else { return Ok(()) };
        self.holds.take(HOLDS, 1, now).map_err(Excess::AgainAndAgain)?;
        self.held_until = Some(now + wait);
        Err(Excess::ForNow(wait))
    }

    /// Whether more of what the client asked for may be read now.
    pub(super) fn may_replay(&mut self, user: &UserId, now: Instant) -> bool {
        if matches!(self.turn, Turn::Free) {
            let rate = self.rates.replay_bytes;
            let bucket = &mut self.replay_bytes;
            let bytes = self.turn_bytes;
            let own = rate.map(|rate| bucket.reserve(rate, bytes, now)).unwrap_or_default();
            if !own.is_zero() {
                self.meters.metrics.too_fast("replay_bytes_per_connection");
            }
            let wait = own.max(self.meters.reserve_replay(user, bytes, now));
            self.turn = if wait.is_zero() { Turn::Come } else { Turn::Awaited(now + wait) };
        }
        matches!(self.turn, Turn::Come)
    }

    /// So many bytes of it go out.
    pub(super) fn replayed(&mut self, user: &UserId, bytes: u64, now: Instant) {
        let turn = std::mem::replace(&mut self.turn, Turn::Free);
        let reserved = if matches!(turn, Turn::Free) { 0 } else { self.turn_bytes };
        self.turn_bytes = bytes.max(1);
        if let Some(rate) = self.rates.replay_bytes {
            self.replay_bytes.settle(rate, reserved, bytes, now);
        }
        self.meters.replayed(user, reserved, bytes, now);
    }
}

/// Takes so many, or says how long to wait until there are some more than that.
fn take(bucket: &mut Bucket, rate: Rate, cost: u64, now: Instant) -> Result<(), Duration> {
    bucket.take(rate, cost, now).map_err(|_| bucket.wait(rate, cost.max(rate.worthwhile()), now))
}
