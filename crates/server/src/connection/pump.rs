//! One session and what moves it: every decision about a connection is made here or in the session,
//! and none where bytes are moved. No socket, no clock, no store: what happens comes in, and what is
//! to be done comes out. The server's driver and the simulator drive the same pump.

mod renewal;
#[cfg(test)]
mod tests;
mod traced;

use std::time::Instant;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use tetherline_protocol::{CloseCode, DeviceId, Epoch, MessageId, Seq, StreamPosition, UserId};

use crate::{
    May,
    connection::{
        hub::{Membership, News},
        sends_room::SendShare,
        session::{Errand, Input, Opening, Outgoing, Output, Session},
        socket::{CLOSE_TIMEOUT, Goodbye},
    },
    security::auth::{Identity, InvalidToken},
    store::{Delivery, Outcome, Place, Resumed, Room, StoreError, StreamPage, StreamSnapshot},
};
use renewal::Renewal;

pub(crate) struct Pump {
    session: Session,
    membership: Membership,
    device: Option<DeviceId>,
    renewal: Option<Box<Renewal>>,
    saving: Saving,
    state: State,
}

/// What the store is asked to do about acknowledgements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saving {
    /// Nothing was acknowledged that it need not keep.
    Done,
    /// It has them, and need not have written them yet.
    Owed,
    /// It is being told, or writes them.
    Busy { then: After },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Owed,
    Done,
}

enum State {
    Open {
        is_readable: bool,
    },
    /// Nothing more is seen to but what the client acknowledged before it went: whoever has seen the
    /// goodbye finds the cursor where it was left.
    Leaving {
        goodbye: Option<Goodbye>,
        until: Instant,
    },
    Left,
}

/// What happens to a connection.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// The hub has something to say. It is heard before anything else that happens, too.
    Woken,
    /// A text frame came.
    Text(&'a str),
    /// Some bytes came, and no whole frame.
    Heard,
    /// A WebSocket Ping came.
    Ping(Bytes),
    /// A WebSocket Pong came.
    Pong(&'a [u8]),
    /// The peer broke the protocol: nothing more can be read.
    Unreadable(CloseCode),
    /// The peer has closed, with this code.
    Closed(Option<u16>),
    /// The peer is gone without a word.
    Gone,
    /// The peer took some of the last [`Action::Write`], and not so many bytes of it.
    Progress { left_bytes: usize },
    /// It took everything of it.
    Written,
    /// The answer to [`Action::Read`].
    Page { read_no: u32, page: Result<Vec<Delivery>, StoreError> },
    /// The answer to [`Action::Resume`].
    Resumed { read_no: u32, resumed: Result<Resumed, StoreError> },
    /// The answer to [`Action::ReadStreams`], as of this moment.
    StreamPage(StreamPage),
    /// The same, as of a moment that may have passed.
    StreamSnapshot(Result<StreamSnapshot, StoreError>),
    /// The answer to [`Action::Locate`].
    Located(Result<Place, StoreError>),
    /// The answer to [`Action::Acknowledge`], and to [`Action::SaveCursor`].
    Acknowledged,
    /// The answer to [`Action::Receive`].
    Settled(Outcome),
    /// The answer to [`Action::Verify`].
    Verified(Result<Identity, InvalidToken>),
    /// The answer to [`Action::LookUp`].
    LookedUp(Result<Identity, InvalidToken>),
    /// The time of [`Pump::timeout`] has come, perhaps.
    Timeout,
}

/// What a connection wants done. A second action of a kind replaces the first.
#[derive(Debug)]
pub(crate) enum Action {
    /// Write these, and flush once.
    Write(Vec<Outgoing>),
    /// Read this page from the store.
    Read { read_no: u32, epoch: Epoch, after: Seq, room: Room },
    /// Read this page, with what stands before it. It replaces what was to be read.
    Resume { read_no: u32, after: Seq, room: Room },
    /// Read what streams have after these places.
    ReadStreams(Vec<StreamPosition>),
    /// Look up where the device stands.
    Locate,
    /// Keep that everything up to here is handled.
    Acknowledge(Seq),
    /// Have what was acknowledged outlive a crash.
    SaveCursor,
    /// See to this. `named`: the id is the client's. `share`: to be held until it is settled.
    Receive { id: MessageId, named: bool, errand: Errand, share: SendShare },
    /// Check this token. There is no other until [`Event::Verified`].
    Verify(Box<str>),
    /// Find out whether the sign-in of a good token stands.
    LookUp(Box<Identity>),
    /// Say in the log what has gone wrong here.
    Report(Box<str>),
    /// Close, without a word if there is nobody to hear it. Nothing follows.
    Close(Option<Goodbye>),
}

impl Pump {
    /// The connection is open, and what was found at its opening is true since it joined the hub.
    pub(crate) fn open(
        opening: Opening,
        membership: Membership,
        device: Option<DeviceId>,
        now: Instant,
    ) -> Self {
        membership.begins_at(&opening.place);
        traced::connected(&membership, device.as_ref(), now);
        Self {
            session: Session::open(opening, now),
            membership,
            device,
            renewal: None,
            saving: Saving::Done,
            state: State::Open { is_readable: true },
        }
    }

    pub(crate) fn user(&self) -> &UserId {
        self.session.user()
    }

    pub(crate) fn connection(&self) -> &MessageId {
        self.session.connection()
    }

    /// What its client may do from now on.
    pub(crate) fn may(&self) -> May {
        self.session.may()
    }

    pub(crate) fn device(&self) -> Option<&DeviceId> {
        self.device.as_ref()
    }

    /// Says what happened. What the hub has said by then counts as known to it.
    pub(crate) fn handle(&mut self, event: Event<'_>, now: Instant) {
        if self.is_open() {
            self.hear(now);
            self.trace_said(&event, now);
            self.take(event, now);
            return;
        }
        match event {
            Event::Acknowledged => self.acknowledged(now),
            Event::Timeout => self.give_up_saving(now),
            _ => {}
        }
    }

    /// The next thing to do. What the hub has in memory is read in passing.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Action> {
        if let Some(action) = self.renewal.as_mut().and_then(|renewal| renewal.step()) {
            return Some(action);
        }
        while let Some(output) = self.session.poll_output(now) {
            if let Some(action) = self.perform(output, now) {
                return Some(action);
            }
        }
        self.stands(now);
        self.say_goodbye(now)
    }

    /// When to say [`Event::Timeout`].
    pub(crate) fn timeout(&self) -> Option<Instant> {
        match self.state {
            State::Open { .. } => self.session.poll_timeout(),
            State::Leaving { until, .. } => Some(until),
            State::Left => None,
        }
    }

    /// Whether the socket is still written to.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// Whether the next frame may be read from the socket.
    pub(crate) fn wants_input(&self) -> bool {
        self.is_open() && self.session.wants_input()
    }

    /// Register before asking [`Pump::is_woken`].
    pub(crate) fn waker(&self) -> &AtomicWaker {
        self.membership.waker()
    }

    /// Whether to say [`Event::Woken`].
    pub(crate) fn is_woken(&self) -> bool {
        self.is_open() && self.membership.has_news()
    }

    /// Frames that wait for the socket, and sends that wait for the application.
    #[cfg(feature = "simulation")]
    pub(crate) fn waiting(&self) -> (usize, usize) {
        self.session.waiting()
    }

    /// What the hub says, always in this order.
    fn hear(&mut self, now: Instant) {
        let Some(News { notice, head, told_at, has_live, has_streamed }) = self.membership.news()
        else {
            return;
        };
        self.session.handle(Input::Notice(notice), now);
        self.session.handle(Input::Head(head, told_at), now);
        if has_live {
            self.session.handle(Input::Live, now);
        }
        if has_streamed {
            self.session.handle(Input::Streamed, now);
        }
    }

    fn take(&mut self, event: Event<'_>, now: Instant) {
        let input = match event {
            Event::Woken => return,
            Event::Text(text) => Input::Text(text),
            Event::Heard => Input::Heard,
            Event::Ping(payload) => Input::Ping(payload),
            Event::Pong(payload) => Input::Pong(payload),
            Event::Unreadable(code) => {
                self.state = State::Open { is_readable: false };
                Input::Unreadable(code)
            }
            Event::Closed(code) => return self.leave(Some(Goodbye::Answer(code)), now),
            Event::Gone => return self.leave(None, now),
            Event::Progress { left_bytes } => Input::Progress { left_bytes },
            Event::Written => Input::Written,
            Event::Page { read_no, page } => {
                self.has_read(page.as_deref().ok());
                Input::Page { read_no, page }
            }
            Event::Resumed { read_no, resumed } => {
                self.has_read(resumed.as_ref().ok().map(|resumed| &*resumed.messages));
                Input::Resumed { read_no, resumed }
            }
            Event::StreamPage(page) => Input::StreamPage(page),
            Event::StreamSnapshot(snapshot) => Input::StreamSnapshot(snapshot),
            Event::Located(place) => Input::Located(place),
            Event::Acknowledged => return self.acknowledged(now),
            Event::Settled(outcome) => Input::Settled(outcome),
            Event::Verified(verified) => return self.verified(verified, now),
            Event::LookedUp(verified) => {
                self.membership.renewed(verified.is_ok());
                return self.renewed(verified, now);
            }
            Event::Timeout => Input::Timeout,
        };
        self.session.handle(input, now);
    }

    /// Does what can be done at once; answers what cannot.
    fn perform(&mut self, output: Output, now: Instant) -> Option<Action> {
        match output {
            Output::Acknowledge(seq) => {
                self.saving = Saving::Busy { then: After::Owed };
                return Some(Action::Acknowledge(seq));
            }
            _ if !self.is_open() => return None,
            Output::Write(batch) => return Some(Action::Write(batch)),
            Output::Read { read_no, after, room } => {
                let Some(page) = self.membership.read(after, room) else {
                    let epoch = self.session.epoch().clone();
                    return Some(Action::Read { read_no, epoch, after, room });
                };
                self.session.handle(Input::Page { read_no, page: Ok(page) }, now);
            }
            Output::Resume { read_no, after, room } => {
                return Some(Action::Resume { read_no, after, room });
            }
            Output::ReadLive(room) => {
                let texts = self.membership.hear(room);
                let more = self.membership.has_unheard();
                self.session.handle(Input::LivePage { texts, more }, now);
            }
            Output::ReadStreams(places) => {
                self.membership.reads_streams();
                return Some(Action::ReadStreams(places));
            }
            Output::Locate => return Some(Action::Locate),
            Output::Receive { id, named, errand, share } => {
                self.trace_send(&id, now);
                return Some(Action::Receive { id, named, errand, share });
            }
            Output::Verify(token) => {
                if let Some(renewal) = &mut self.renewal {
                    renewal.then(token);
                    return None;
                }
                return self.renewal.insert(Box::new(Renewal::of(token))).step();
            }
            Output::Report(error) => return Some(Action::Report(error)),
            Output::Close(code, reason) => {
                let goodbye = match self.state {
                    State::Open { is_readable: false } => Goodbye::Breach(code, reason),
                    _ => Goodbye::Ours(code, reason),
                };
                self.leave(Some(goodbye), now);
            }
        }
        None
    }

    fn verified(&mut self, verified: Result<Identity, InvalidToken>, now: Instant) {
        match (verified, &mut self.renewal) {
            (Ok(identity), Some(renewal)) if identity.user == *self.session.user() => {
                // First: a sign-in that ends while it is looked up closes this connection.
                self.membership.renew(identity.session.clone());
                renewal.is_good(identity);
            }
            (verified, _) => self.renewed(verified, now),
        }
    }

    /// The client hears of each before the next is looked at.
    fn renewed(&mut self, verified: Result<Identity, InvalidToken>, now: Instant) {
        self.renewal = self.renewal.take().and_then(|renewal| renewal.over()).map(Box::new);
        self.session.handle(Input::Verified(verified), now);
    }

    fn leave(&mut self, goodbye: Option<Goodbye>, now: Instant) {
        self.renewal = None;
        self.state = State::Leaving { goodbye, until: now + CLOSE_TIMEOUT };
    }

    fn say_goodbye(&mut self, now: Instant) -> Option<Action> {
        if !self.is_open() && self.saving == Saving::Owed {
            self.saving = Saving::Busy { then: After::Done };
            return Some(Action::SaveCursor);
        }
        if matches!(self.saving, Saving::Busy { .. }) {
            return None;
        }
        match std::mem::replace(&mut self.state, State::Left) {
            State::Leaving { goodbye, .. } => {
                self.trace_end(goodbye.as_ref(), now);
                Some(Action::Close(goodbye))
            }
            state => {
                self.state = state;
                None
            }
        }
    }

    fn acknowledged(&mut self, now: Instant) {
        if let Saving::Busy { then } = self.saving {
            self.saving = match then {
                After::Owed => Saving::Owed,
                After::Done => Saving::Done,
            };
        }
        self.session.handle(Input::Acknowledged, now);
    }

    fn give_up_saving(&mut self, now: Instant) {
        if let State::Leaving { until, .. } = self.state
            && now >= until
        {
            tracing::debug!("the store took no acknowledgement in time");
            self.saving = Saving::Done;
        }
    }

    /// What came from the store need not be kept in memory for this connection.
    fn has_read(&self, page: Option<&[Delivery]>) {
        if let Some(last) = page.and_then(|page| page.last()) {
            self.membership.has_read(last.seq);
        }
    }
}
