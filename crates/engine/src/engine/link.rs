//! The connection's life: token, attempt, probe, heartbeat, loss.

use tetherline_protocol::{
    CloseCode, Reaction,
    limits::{
        BACKOFF_BASE_MS, CONNECT_TIMEOUT_MS, PONG_TIMEOUT_MS, RETRY_AFTER_MS_MAX, STABLE_AFTER_MS,
        SUSPECT_TIMEOUT_MS, TOKEN_TIMEOUT_MS,
    },
};

use super::{Engine, Established, Socket, State, Trust, Via, Wait};
use crate::{
    ConnectionNo, Instant, NoToken, Output, ProbeAnswer, TabMessage, WaitReason,
    reader::Standpoint, timer::Timer,
};

/// A timer this much behind its time was held up (a throttled tab, a sleeping machine); the peer
/// had no fair chance to answer.
pub(super) const LATE_MS: u64 = 2_000;

/// What happened to the connection.
impl<P> Engine<P> {
    /// The application gave a token; the driver keeps it.
    pub fn handle_token(&mut self, now: Instant) {
        self.now = now;
        match self.state {
            State::Resolving { attempt } => {
                self.timers.stop(Timer::Token);
                let connection = self.next_connection();
                self.state = State::Connecting { attempt, connection, socket: Socket::Opening };
                self.timers.set(Timer::Connect, now + CONNECT_TIMEOUT_MS);
                self.report();
                self.outputs.push_back(Output::Open(connection));
            }
            State::Connected { renew_every_ms, .. } => {
                self.outputs.push_back(Output::Authenticate);
                self.timers.set(Timer::Renewal, now + renew_every_ms);
            }
            _ => {}
        }
    }

    /// The application gave no token.
    pub fn handle_no_token(&mut self, reason: NoToken, now: Instant) {
        self.now = now;
        match (self.state, reason) {
            (State::Resolving { .. }, NoToken::SignedOut) => self.nobody_is_signed_in(),
            (State::Resolving { attempt }, NoToken::Failed) => {
                self.wait(attempt, WaitReason::NoToken, None);
            }
            // The connection lives on its old token as long as that lasts.
            (State::Connected { renew_every_ms, .. }, _) => {
                let soon = (renew_every_ms / 10).max(BACKOFF_BASE_MS);
                self.timers.set(Timer::Renewal, now + soon);
            }
            _ => {}
        }
        self.report();
    }

    /// The socket is open; `connection_established` is still to come.
    pub fn handle_opened(&mut self, connection: ConnectionNo, now: Instant) {
        self.now = now;
        if let State::Connecting { attempt, connection: current, .. } = self.state
            && current == connection
        {
            self.state = State::Connecting { attempt, connection, socket: Socket::Open };
        }
    }

    /// `connection_established` has come.
    pub fn handle_established(
        &mut self,
        connection: ConnectionNo,
        established: Established,
        now: Instant,
    ) {
        self.now = now;
        if !matches!(self.state, State::Connecting { connection: current, .. } if current == connection)
        {
            return;
        }
        self.timers.stop(Timer::Connect);
        self.connected(connection, established, Standpoint::Server, Via::Socket);
    }

    /// A frame that needs nothing else has come: the peer lives.
    pub fn handle_received(&mut self, connection: ConnectionNo) {
        if self.is_connected_by(connection) {
            self.heard = true;
        }
    }

    /// The socket is closed, or could not be opened. `code` is the close code, 1006 if there was
    /// none; `retry_after_ms` is when the server wants this client back, if it said so.
    pub fn handle_closed(
        &mut self,
        connection: ConnectionNo,
        code: u16,
        retry_after_ms: Option<u64>,
        now: Instant,
    ) {
        self.now = now;
        match self.state {
            State::Connecting { connection: current, attempt, socket } if current == connection => {
                match (socket, CloseCode::reaction(code)) {
                    (Socket::Open, Reaction::Reconnect) => {
                        self.wait(attempt, WaitReason::Lost, retry_after_ms);
                    }
                    // Before `connection_established` a code may be anybody's.
                    _ => self.probe(attempt, connection),
                }
            }
            State::Connected { connection: current, .. } if current == connection => {
                self.react(CloseCode::reaction(code), 0, retry_after_ms);
            }
            _ => {}
        }
        self.report();
    }

    /// The URL answered, without an upgrade, why the socket did not open.
    pub fn handle_probe(&mut self, connection: ConnectionNo, answer: ProbeAnswer, now: Instant) {
        self.now = now;
        let State::Probing { attempt, connection: current } = self.state else { return };
        if current != connection {
            return;
        }
        match answer {
            ProbeAnswer::Unauthorized | ProbeAnswer::Forbidden => {
                self.react(Reaction::FreshToken, attempt, None);
            }
            ProbeAnswer::TokenNotYetValid { retry_after_ms } => {
                self.wait(attempt, WaitReason::TokenNotYetValid, retry_after_ms);
            }
            ProbeAnswer::Busy { retry_after_ms } => {
                self.wait(attempt, WaitReason::Busy, retry_after_ms);
            }
            ProbeAnswer::Acceptable => self.wait(attempt, WaitReason::NoUpgrade, None),
            ProbeAnswer::Unreachable => self.wait(attempt, WaitReason::Unreachable, None),
        }
        self.report();
    }
}

impl<P> Engine<P> {
    pub(super) fn connected(
        &mut self,
        connection: ConnectionNo,
        established: Established,
        standpoint: Standpoint,
        via: Via,
    ) {
        // At four fifths of its life there is still time to try again when a renewal fails.
        let renew_every_ms = (established.token_expires_in_ms / 5 * 4).max(BACKOFF_BASE_MS);
        let heartbeat_ms = established.heartbeat_interval_ms.max(BACKOFF_BASE_MS);
        self.state = State::Connected { connection, via, heartbeat_ms, renew_every_ms };
        self.heard = true;
        self.timers.set(Timer::Heartbeat, self.now + heartbeat_ms);
        self.timers.set(Timer::Stability, self.now + STABLE_AFTER_MS);
        self.timers.set(Timer::Renewal, self.now + renew_every_ms);
        self.timers.stop(Timer::Handover);
        self.report();
        self.start_reading(established, standpoint);
        // A tab that has not shown that its history is this mailbox's vouches for nothing.
        if via == Via::Socket && self.tabs.is_some() && self.reader.is_proved() {
            self.welcome(None);
        }
        self.outbox.requeue_all();
        self.transmit();
    }

    pub(super) fn next_connection(&mut self) -> ConnectionNo {
        self.last_connection = self.last_connection.wrapping_add(1);
        ConnectionNo(self.last_connection)
    }

    /// Asks for a token; the attempt follows when it is there. While the identity is in doubt it
    /// has to be a fresh one: nobody is signed out because an old one was refused twice.
    pub(super) fn resolve(&mut self, attempt: u32) {
        self.end_connection();
        self.state = State::Resolving { attempt };
        self.timers.set(Timer::Token, self.now + TOKEN_TIMEOUT_MS);
        self.outputs.push_back(Output::ResolveToken { fresh: self.trust != Trust::Good });
    }

    /// The network may be gone: an answer is due quickly.
    pub(super) fn suspect(&mut self) {
        self.heard = false;
        self.outputs.push_back(Output::Ping);
        self.timers.set(Timer::Liveness, self.now + SUSPECT_TIMEOUT_MS);
    }

    pub(super) fn heartbeat(&mut self) {
        let State::Connected { heartbeat_ms, .. } = self.state else {
            self.check_leader();
            return;
        };
        if self.heard {
            // What was to be heard before was; this ping has its own time.
            self.timers.stop(Timer::Liveness);
        }
        self.heard = false;
        if !self.reader.is_proved()
            && let Some(resume) = self.reader.ask_again()
        {
            // The question was lost with the tab that was to pass it on, or was one too many for it.
            self.ask(&resume);
        }
        self.outputs.push_back(Output::Ping);
        self.timers.set(Timer::Heartbeat, self.now + heartbeat_ms);
        self.timers.start(Timer::Liveness, self.now + PONG_TIMEOUT_MS);
    }

    pub(super) fn liveness_over(&mut self, due: Instant) {
        if self.heard {
            return;
        }
        if self.now.millis_since(due) > LATE_MS {
            self.suspect();
            return;
        }
        if self.is_joined() {
            self.leader_silent();
        } else {
            self.drop_connection(CloseCode::Silent);
            self.react(Reaction::Reconnect, 0, None);
        }
    }

    pub(super) fn reconnect(&mut self) {
        self.drop_connection(CloseCode::Normal);
        self.react(Reaction::Reconnect, 0, None);
    }

    pub(super) fn token_late(&mut self) {
        if let State::Resolving { attempt } = self.state {
            self.wait(attempt, WaitReason::NoToken, None);
        }
    }

    pub(super) fn attempt_late(&mut self) {
        if let State::Connecting { attempt, .. } | State::Probing { attempt, .. } = self.state {
            self.drop_connection(CloseCode::Silent);
            self.wait(attempt, WaitReason::Unreachable, None);
        }
    }

    pub(super) fn backoff_over(&mut self) {
        if let State::Waiting { attempt, .. } = self.state {
            self.resolve(attempt);
        }
    }

    /// Hangs up without waiting for the peer: on a dead link its goodbye can take minutes.
    pub(super) fn drop_connection(&mut self, code: CloseCode) {
        if let State::Connecting { connection, .. }
        | State::Probing { connection, .. }
        | State::Connected { connection, .. } = self.state
        {
            self.outputs.push_back(Output::Detach(connection, code.code()));
        }
    }

    pub(super) fn react(&mut self, reaction: Reaction, attempt: u32, retry_after_ms: Option<u64>) {
        match (reaction, self.trust) {
            (Reaction::Reconnect, _) => self.wait(attempt, WaitReason::Lost, retry_after_ms),
            (Reaction::FreshToken, Trust::Good) => {
                self.trust = Trust::RefusedOnce;
                self.resolve(attempt + 1);
            }
            (Reaction::FreshToken, Trust::RefusedOnce) => {
                self.outputs.push_back(Output::IdentityRefused { is_final: false });
                self.refused(attempt, 0);
            }
            (Reaction::FreshToken, Trust::Refused { times }) => self.refused(attempt, times),
        }
    }

    fn probe(&mut self, attempt: u32, connection: ConnectionNo) {
        self.state = State::Probing { attempt, connection };
        self.timers.set(Timer::Connect, self.now + CONNECT_TIMEOUT_MS);
        self.outputs.push_back(Output::Probe(connection));
    }

    fn wait(&mut self, attempt: u32, reason: WaitReason, retry_after_ms: Option<u64>) {
        let delay = self.backoff.next_delay_ms();
        let told = retry_after_ms
            .map_or(0, |told| told.min(RETRY_AFTER_MS_MAX) + self.backoff.spread_ms());
        self.wait_for(attempt, reason, delay.max(told));
    }

    /// The application is the authority on who is signed in. As long as it gives tokens, they are
    /// tried: the secret that they are signed with may be newer than the server's.
    fn refused(&mut self, attempt: u32, times: u32) {
        self.trust = Trust::Refused { times: times.saturating_add(1) };
        let delay = self.backoff.refused_delay_ms(times);
        self.wait_for(attempt, WaitReason::Refused, delay);
    }

    fn wait_for(&mut self, attempt: u32, reason: WaitReason, delay_ms: u64) {
        self.end_connection();
        let until = self.now + delay_ms;
        self.state = State::Waiting { attempt: attempt + 1, wait: Wait { until, reason } };
        self.timers.set(Timer::Backoff, until);
    }

    pub(super) fn nobody_is_signed_in(&mut self) {
        if self.leads() {
            self.outputs.push_back(Output::Post(None, TabMessage::Refused));
        }
        self.give_up(State::Refused);
        self.outputs.push_back(Output::IdentityRefused { is_final: true });
    }

    /// Gives back connection, lock and channel, and waits in `state` for somebody to sign in.
    pub(super) fn give_up(&mut self, state: State) {
        self.drop_connection(CloseCode::Normal);
        self.end_connection();
        self.stop_tab_timers();
        self.timers.stop(Timer::Handover);
        self.state = state;
        if self.tabs.take().is_some() {
            self.outputs.push_back(Output::Unlock);
        }
    }

    /// What belongs to one connection or attempt ends with it.
    pub(super) fn end_connection(&mut self) {
        self.outbox.forget_passed_on();
        for timer in Timer::OF_A_CONNECTION {
            self.timers.stop(timer);
        }
    }

    pub(super) fn is_connected_by(&self, connection: ConnectionNo) -> bool {
        matches!(self.state, State::Connected { connection: current, .. } if current == connection)
    }
}
