//! The way in: messages, positions, acknowledgements.

use tetherline_protocol::{
    Seq,
    limits::{ACK_DELAY_MS, UNHANDLED_GRACE_MS},
};

use super::{Engine, Established, State, Via};
use crate::{
    ConnectionNo, Delivery, IdNo, Instant, Mark, Output, Status,
    reader::{Audience, Resume, Standpoint},
    timer::Timer,
};

/// Messages and their handlers.
impl<P> Engine<P> {
    /// A message for the application has come. `mark` is `None` for a live-only one, `handlers`
    /// counts those registered for its type, `size` is its length in bytes (in the browser: UTF-16
    /// units).
    ///
    /// This is the call that is made per message: it takes no time and reads no clock.
    pub fn handle_message(
        &mut self,
        connection: ConnectionNo,
        mark: Option<Mark>,
        handlers: u32,
        size: usize,
    ) -> Delivery {
        let audience = if handlers > 0 { Audience::Here } else { Audience::Nobody };
        self.take_message(connection, mark, audience, size)
    }

    /// The same for a message without a handler whose type is held: it waits, unacknowledged, for as
    /// long as it takes. Beyond [`HELD_MESSAGES_MAX`] or [`HELD_BYTES_MAX`] this page reads no further,
    /// until [`Engine::unpark`] makes room.
    ///
    /// [`HELD_MESSAGES_MAX`]: tetherline_protocol::limits::HELD_MESSAGES_MAX
    /// [`HELD_BYTES_MAX`]: tetherline_protocol::limits::HELD_BYTES_MAX
    pub fn handle_held_message(
        &mut self,
        connection: ConnectionNo,
        mark: Mark,
        size: usize,
    ) -> Delivery {
        self.take_message(connection, Some(mark), Audience::Expected, size)
    }

    fn take_message(
        &mut self,
        connection: ConnectionNo,
        mark: Option<Mark>,
        audience: Audience,
        size: usize,
    ) -> Delivery {
        if !self.is_connected_by(connection) {
            return Delivery::Drop;
        }
        self.heard = true;
        let Some(mark) = mark else {
            return match audience {
                Audience::Here => Delivery::Deliver { replayed: false },
                _ => Delivery::Drop,
            };
        };
        // Before it arrives, so that what is acknowledged was handled: this message is not, yet.
        self.push_ack(false);
        let arrival = self.reader.arrive(mark, audience, size);
        if let Some(after) = arrival.gap_after {
            self.outputs.push_back(Output::Gap { after, next: mark.seq });
            self.doubt_streams();
        }
        while let Some(dropped) = self.reader.pop_parked_over_limit() {
            self.outputs.push_back(Output::ParkedGivenUp(dropped));
        }
        if let Some(resume) = self.reader.next_backfill() {
            self.ask(&resume);
        }
        self.schedule_ack();
        arrival.delivery
    }

    /// How many messages are foreseen: as long as each is the next of the mailbox and has a handler, and
    /// nothing else is told in between, [`Engine::handle_message`] would say of each what it said of the
    /// last, and have nothing done. A driver for which a call is dear may deliver so many by itself, and
    /// tell the last of them with [`Engine::handle_foreseen`] before it calls anything else.
    #[must_use]
    pub fn foreseen(&self) -> u32 {
        let acks = match self.state {
            State::Connected { via: Via::Socket, .. } if self.timers.is_running(Timer::Ack) => true,
            State::Connected { via: Via::Socket, .. } => return 0,
            State::Connected { .. } => false,
            _ => return 0,
        };
        self.reader.foreseen(acks)
    }

    /// The messages up to this one came and were delivered, as was [`Engine::foreseen`].
    pub fn handle_foreseen(&mut self, connection: ConnectionNo, last: Mark) {
        if self.is_connected_by(connection) {
            self.heard = true;
            self.reader.pass(last);
        }
    }

    /// A handler of the message just delivered goes on asynchronously: it is not handled yet.
    pub fn hold(&mut self, seq: Seq, now: Instant) {
        self.now = now;
        if let Some(until) = self.reader.hold(seq, now) {
            self.timers.start(Timer::Handlers, until);
        }
    }

    /// Every handler of a held message has settled.
    pub fn handled(&mut self, seq: Seq, now: Instant) {
        self.now = now;
        self.reader.settle(seq);
        self.push_ack(false);
        self.schedule_ack();
    }

    /// A parked message is being delivered, because a handler for it has registered. As with
    /// [`Delivery::Deliver`], it counts as handled unless [`Engine::hold`] follows.
    pub fn unpark(&mut self, seq: Seq, now: Instant) {
        self.now = now;
        self.reader.release(seq);
        self.schedule_ack();
        if let Some(resume) = self.reader.read_on()
            && matches!(self.state, State::Connected { .. })
        {
            self.ask(&resume);
        }
    }

    /// The type of a parked message is held from now on: it outlives the grace window.
    pub fn keep(&mut self, seq: Seq) {
        self.reader.keep(seq);
    }

    /// `mailbox_gap` has come: between these positions the mailbox has nothing any more. `passed` is
    /// the message that stood before `next`.
    pub fn handle_gap(
        &mut self,
        connection: ConnectionNo,
        after: Seq,
        next: Seq,
        passed: IdNo,
        now: Instant,
    ) {
        self.now = now;
        if !self.is_connected_by(connection) {
            return;
        }
        self.heard = true;
        if let Some(after) = self.reader.pass_gap(after, next, passed) {
            self.outputs.push_back(Output::Gap { after, next });
        }
        // It may be another tab's gap, which has shown this one what it had.
        if self.reader.is_proved() {
            self.doubt_streams();
        }
        self.schedule_ack();
    }

    /// `position_checked` has come: what was asked from `after` is answered from `from`. These are the
    /// same, or what was asked from is no position of this mailbox.
    pub fn handle_checked(
        &mut self,
        connection: ConnectionNo,
        after: Mark,
        from: Mark,
        now: Instant,
    ) {
        self.now = now;
        if !self.is_connected_by(connection) {
            return;
        }
        self.heard = true;
        let was_proved = self.reader.is_proved();
        if self.reader.is_refuted(after, from) {
            self.drop_parked();
            if let Some(after) = self.reader.begin_anew(from) {
                self.outputs.push_back(Output::Gap { after, next: from.seq });
            }
            self.forget_streams();
        }
        let resume = self.reader.checked(after, from);
        let is_news = !was_proved && self.reader.is_proved();
        if is_news && self.leads() {
            self.welcome(None);
        }
        // What the leading tab has shown of streams was not looked at until now.
        let again = if is_news && self.is_joined() { self.reader.ask_again() } else { None };
        if let Some(resume) = again.or(resume) {
            self.ask(&resume);
        }
        self.schedule_ack();
        if self.reader.is_behind(from) {
            // What follows there is not this tab's next: it acknowledges none of it, and for that the
            // server may wait before it has answered. This tab's own question takes the place.
            self.handle_complete(connection, now);
        }
    }

    /// `pending_check_complete` has come.
    pub fn handle_complete(&mut self, connection: ConnectionNo, now: Instant) {
        self.now = now;
        if !self.is_connected_by(connection) {
            return;
        }
        self.heard = true;
        if self.has_socket() {
            self.streams.answered();
        }
        if self.leads()
            && let Some(resume) = self.reader.answered()
        {
            self.ask(&resume);
        }
    }

    /// Whether this page is connected, and has everything that was in the mailbox when it came to be.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.status() == Status::Connected && self.reader.is_caught_up()
    }

    /// Asks the server for what waits; it does so by itself on every connection.
    pub fn request_pending(&mut self, now: Instant) {
        self.now = now;
        if matches!(self.state, State::Connected { .. }) {
            self.push_ack(true);
            if let Some(resume) = self.reader.ask_again() {
                self.ask(&resume);
            }
        }
    }

    /// The history that the application shows is true as of this position: everything after it has
    /// to come as messages. Say so whenever history was read.
    pub fn history_as_of(&mut self, seq: Seq, now: Instant) {
        self.now = now;
        if let Some(resume) = self.reader.history_as_of(seq)
            && matches!(self.state, State::Connected { .. })
        {
            self.ask(&resume);
        }
    }
}

impl<P> Engine<P> {
    pub(super) fn start_reading(&mut self, established: Established, standpoint: Standpoint) {
        let Established { epoch, head, cursor, checks_positions, .. } = established;
        if self.reader.would_lose(epoch, head) {
            self.drop_parked();
        }
        if let (Standpoint::Tab(Some(_)), None) = (standpoint, self.reader.known()) {
            // What it shows may be of another history than what the leading tab is about to pass on.
            self.forget_streams();
        }
        let (lost, resume) = match standpoint {
            Standpoint::Server => self.reader.connect(epoch, head, cursor, checks_positions),
            Standpoint::Tab(position) => {
                self.reader.join(epoch, head, cursor.seq, position, self.streams.has_unfinished())
            }
        };
        if let Some(after) = lost {
            self.outputs.push_back(Output::Gap { after, next: cursor.seq });
            self.forget_streams();
        }
        self.streams.connect();
        if self.reader.open_grace() {
            self.timers.set(Timer::Grace, self.now + UNHANDLED_GRACE_MS);
        }
        let resume = self.reader.next_backfill().unwrap_or(resume);
        self.ask(&resume);
        self.schedule_ack();
    }

    fn drop_parked(&mut self) {
        while let Some(parked) = self.reader.pop_parked() {
            self.outputs.push_back(Output::ParkedDropped(parked));
        }
    }

    pub(super) fn push_ack(&mut self, any: bool) {
        if !self.has_socket() {
            return;
        }
        if let Some(seq) = self.reader.take_ack(any) {
            self.outputs.push_back(Output::Ack(seq));
            self.timers.stop(Timer::Ack);
        }
    }

    pub(super) fn handlers_late(&mut self) {
        while let Some(seq) = self.reader.pop_timed_out(self.now) {
            self.outputs.push_back(Output::HandlerTimedOut(seq));
        }
        if let Some(until) = self.reader.next_handler_timeout() {
            self.timers.set(Timer::Handlers, until);
        }
        self.schedule_ack();
    }

    pub(super) fn grace_over(&mut self) {
        self.reader.close_grace();
        self.outputs.push_back(Output::GraceOver);
        self.schedule_ack();
    }

    pub(super) fn ask(&mut self, resume: &Resume) {
        if self.leads() && !self.reader.may_ask(resume) {
            return;
        }
        let Resume { after, proves, epoch } = *resume;
        self.streams.ask(self.has_socket());
        self.outputs.push_back(Output::GetPending { after, proves, epoch });
    }

    fn schedule_ack(&mut self) {
        if self.has_socket() && self.reader.has_ack() {
            self.timers.start(Timer::Ack, self.now + ACK_DELAY_MS);
        }
    }

    /// Acknowledging is for the one that has the socket: the others' positions are their own.
    pub(super) fn has_socket(&self) -> bool {
        matches!(self.state, State::Connected { via: Via::Socket, .. })
    }
}
