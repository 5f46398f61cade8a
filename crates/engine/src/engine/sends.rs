//! The way out: the outbox and how its messages settle.

use tetherline_protocol::limits::{BACKOFF_BASE_MS, OUTBOX_TTL_MS};

use super::{Engine, State};
use crate::{
    ConnectionNo, Instant, Output, SendNo, SendOutcome, SendRefused,
    outbox::{Place, Requeued},
    timer::Timer,
};

/// Sends.
impl<P> Engine<P> {
    /// Takes a message into the outbox; it goes out now, or when there is a connection. `size` is
    /// its length in bytes (in the browser: UTF-16 units). It expires after [`OUTBOX_TTL_MS`].
    pub fn send(&mut self, payload: P, size: usize, now: Instant) -> Result<SendNo, SendRefused> {
        self.send_within(payload, size, OUTBOX_TTL_MS, now)
    }

    /// As [`Engine::send`], with a time to live of its own: at most
    /// [`OUTBOX_TTL_MS_MAX`](tetherline_protocol::limits::OUTBOX_TTL_MS_MAX).
    pub fn send_within(
        &mut self,
        payload: P,
        size: usize,
        ttl_ms: u64,
        now: Instant,
    ) -> Result<SendNo, SendRefused> {
        self.enqueue(payload, size, ttl_ms, Place::Last, now)
    }

    /// What an earlier page of this user could not send is being read, and goes out before anything
    /// of this one: until [`Engine::release_sends`] or signing out, nothing does. Call it before
    /// the first send.
    pub fn hold_sends(&mut self) {
        self.outbox.hold();
    }

    /// As [`Engine::send_within`], for a message of an earlier page: while sends are held, it takes
    /// its place before all of this one. `ttl_ms` is what is left of its time.
    pub fn restore(
        &mut self,
        payload: P,
        size: usize,
        ttl_ms: u64,
        now: Instant,
    ) -> Result<SendNo, SendRefused> {
        self.enqueue(payload, size, ttl_ms, Place::Restored, now)
    }

    /// Everything is restored: sends go out.
    pub fn release_sends(&mut self, now: Instant) {
        self.now = now;
        self.outbox.release();
        self.transmit();
    }

    /// Another tab sends by way of this one's connection. It goes out in its turn, again and again
    /// until it settles or the connection ends, and its [`Output::Settled`] is of no interest. `None`
    /// if there is no connection, in which case that tab sends it again when there is one.
    pub fn pass_on(&mut self, payload: P, now: Instant) -> Option<SendNo> {
        self.now = now;
        if !self.has_socket() {
            return None;
        }
        let send = self.outbox.pass_on(payload);
        self.transmit();
        Some(send)
    }

    /// `accepted` has come for this send.
    pub fn handle_accepted(&mut self, connection: ConnectionNo, send: SendNo, now: Instant) {
        self.now = now;
        if self.is_connected_by(connection) {
            self.heard = true;
            self.settle(send, SendOutcome::Accepted);
        }
    }

    /// `error` has come for this send. If it is `retryable`, this send and the later ones go out
    /// again, in order, after `retry_after_ms`: by the tab that leads, which has them all. If nobody has
    /// this one any more, a new connection follows.
    pub fn handle_refused(
        &mut self,
        connection: ConnectionNo,
        send: SendNo,
        retryable: bool,
        retry_after_ms: Option<u64>,
        now: Instant,
    ) {
        self.now = now;
        if !self.is_connected_by(connection) {
            return;
        }
        self.heard = true;
        if !retryable {
            self.settle(send, SendOutcome::Refused);
        } else if self.has_socket() {
            match self.outbox.requeue_from(send) {
                Requeued::Now => {
                    let told = retry_after_ms.unwrap_or(BACKOFF_BASE_MS);
                    let delay = told.saturating_add(self.backoff.spread_ms());
                    self.timers.set(Timer::Retry, now + delay);
                }
                Requeued::Before => {}
                // It settled, and what is refused is a repeat that somebody on the way has made. The
                // server holds later sends back until it returns; a new connection knows nothing of it.
                Requeued::Gone => self.reconnect(),
            }
        }
        self.report();
    }
}

impl<P> Engine<P> {
    fn enqueue(
        &mut self,
        payload: P,
        size: usize,
        ttl_ms: u64,
        place: Place,
        now: Instant,
    ) -> Result<SendNo, SendRefused> {
        self.now = now;
        if matches!(self.state, State::SignedOut | State::Refused) {
            return Err(SendRefused::SignedOut);
        }
        let send = self.outbox.push(payload, size, ttl_ms, place, now)?;
        self.schedule_expiry();
        self.transmit();
        Ok(send)
    }

    /// Sends everything that has not gone out, in order, unless a refusal asks for patience.
    pub(super) fn transmit(&mut self) {
        if !matches!(self.state, State::Connected { .. }) || self.timers.is_running(Timer::Retry) {
            return;
        }
        while let Some(send) = self.outbox.transmit_next() {
            self.outputs.push_back(Output::Transmit(send));
        }
    }

    pub(super) fn expire_sends(&mut self) {
        let waiting = self.outbox.len();
        while let Some(send) = self.outbox.pop_expired(self.now) {
            self.outputs.push_back(Output::Settled(send, SendOutcome::Expired));
        }
        self.schedule_expiry();
        if self.outbox.len() < waiting && self.has_socket() {
            // The server may hold later sends back until one of these returns. On a new connection
            // it does not know of them.
            self.reconnect();
        }
    }

    fn settle(&mut self, send: SendNo, outcome: SendOutcome) {
        if self.outbox.remove(send).is_some() {
            self.outputs.push_back(Output::Settled(send, outcome));
            self.schedule_expiry();
        }
    }

    fn schedule_expiry(&mut self) {
        match self.outbox.next_expiry() {
            Some(at) => self.timers.set(Timer::Expiry, at),
            None => self.timers.stop(Timer::Expiry),
        }
    }
}
