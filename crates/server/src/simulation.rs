//! One connection's server half without its socket, for the simulator: the real session and the
//! real hub, driven as the driver drives them, on a clock that is handed in.
//!
//! Nothing here is for applications, and no promise is made about it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tetherline_protocol::{
    CloseCode, DeviceId, Limits, MessageId, Seq, StopTarget, StreamPosition, UserId, frame::Message,
};

use crate::{
    connection::{
        hub::{self, Ticket},
        session::{self, Errand, Input, Opening, Outgoing, Wire},
    },
    security::auth::{Identity, InvalidToken},
    store::{Delivery, Outcome, Place, Resumed, Room, StoreError, StreamPage},
};

/// Who is connected.
#[derive(Clone)]
pub struct Hub(Arc<hub::Hub>);

impl Hub {
    /// An empty one.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self(Arc::new(hub::Hub::new(limits)))
    }

    /// A message is durable.
    pub fn published(&self, user: &UserId, delivery: Delivery) {
        self.0.published(user, delivery.seq, || delivery);
    }

    /// A live-only message is for whoever is connected now; `text` is the whole frame.
    pub fn say(&self, user: &UserId, text: String) {
        self.0.say(user, || text.into());
    }

    /// An answer has begun or grown.
    pub fn streamed(&self, user: &UserId) {
        self.0.streamed(user);
    }

    /// The user's mailbox was erased: it counts in another epoch now.
    pub fn erased(&self, user: &UserId) {
        self.0.erased(user);
    }

    /// From here on nothing that is published passes unnoticed. `sign_in` is what
    /// [`Hub::sign_out`] knows the connection by.
    #[must_use]
    pub fn join(&self, user: &UserId, sign_in: &str) -> Option<Seat> {
        let ticket = self.0.join(user, Some(sign_in.into())).ok()?;
        Some(Seat { ticket, user: user.clone() })
    }

    /// Closes what a sign-in has open.
    pub fn sign_out(&self, user: &UserId, sign_in: &str) {
        self.0.sign_out(user, sign_in);
    }

    /// Admits nobody any more, and tells everybody to leave.
    pub fn start_draining(&self) {
        self.0.start_draining();
    }
}

/// A connection's place in the hub.
pub struct Seat {
    ticket: Ticket,
    user: UserId,
}

/// What happens to a connection.
#[derive(Debug)]
pub enum Event<'a> {
    /// A text frame came.
    Text(&'a str),
    /// The peer answered a WebSocket Ping.
    Pong,
    /// The peer took some of the last [`Action::Write`].
    Progress,
    /// It took everything of it.
    Written,
    /// The hub may have something to say.
    Woken,
    /// The answer to [`Action::Read`].
    Page(u32, Result<Vec<Delivery>, StoreError>),
    /// The answer to [`Action::Resume`].
    Resumed(u32, Result<Resumed, StoreError>),
    /// The answer to [`Action::Locate`].
    Located(Result<Place, StoreError>),
    /// The answer to [`Action::ReadStreams`].
    StreamPage(StreamPage),
    /// The answer to [`Action::Acknowledge`].
    Acknowledged,
    /// The answer to [`Action::Receive`].
    Settled(Outcome),
    /// The answer to [`Action::Verify`].
    Verified(Verdict),
    /// The time of [`Session::timeout`] has come.
    Timeout,
}

/// What becomes of a token.
#[derive(Debug)]
pub enum Verdict {
    /// It is good: whose it is and how long it lasts in ms.
    Good(UserId, u64),
    /// It is not.
    Bad,
    /// Its sign-in has ended.
    SignedOut,
    /// Whether its sign-in stands cannot be looked up.
    Undecided,
}

/// What a connection wants done.
#[derive(Debug)]
pub enum Action {
    /// Write these text frames; `None` stands for a WebSocket Ping.
    Write(Vec<Option<String>>),
    /// Read this page from the store. A second one replaces the first.
    Read(u32, Seq, Room),
    /// Read this page from the store, with what stands before it.
    Resume(u32, Seq, Room),
    /// Read what growing answers have after these places, and answer at once.
    ReadStreams(Vec<StreamPosition>),
    /// Look up where the device stands.
    Locate,
    /// Everything up to here is handled.
    Acknowledge(Seq),
    /// Hand this to the application.
    Receive(MessageId, Message),
    /// This answer shall grow no further; the application is to be told.
    Stop(MessageId, StopTarget),
    /// Check this token.
    Verify(Box<str>),
    /// Close; nothing follows.
    Close(CloseCode),
}

/// One connection.
pub struct Session {
    inner: session::Session,
    ticket: Ticket,
    device: DeviceId,
    user: UserId,
    start: Instant,
}

impl Session {
    /// The connection is open. Every `now_ms` counts from one moment of the caller's choice.
    #[must_use]
    pub fn open(
        seat: Seat,
        device: DeviceId,
        connection: MessageId,
        place: Place,
        token_expires_in_ms: u64,
        limits: Arc<Limits>,
        now_ms: u64,
    ) -> Self {
        let Seat { ticket, user } = seat;
        ticket.begins_after(place.trimmed);
        let start = Instant::now();
        let opening = Opening {
            connection,
            user: user.clone(),
            wire: Wire::V1,
            place,
            token_expires_in: Duration::from_millis(token_expires_in_ms),
            limits,
            time_ms: i64::try_from(now_ms).unwrap_or(i64::MAX),
        };
        let inner = session::Session::open(opening, start + Duration::from_millis(now_ms));
        Self { inner, ticket, device, user, start }
    }

    /// Whose connection it is.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// From which device.
    #[must_use]
    pub fn device(&self) -> &DeviceId {
        &self.device
    }

    /// Whether the next frame may be read from the socket.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.inner.wants_input()
    }

    /// Frames that wait for the socket, and sends that wait for the application.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        self.inner.waiting()
    }

    /// Whether a token's sign-in stands is being looked up: its end closes this connection, too.
    pub fn renew(&mut self, sign_in: &str) {
        self.ticket.renew(Some(sign_in.into()));
    }

    /// Tells the session what happened.
    pub fn handle(&mut self, event: Event<'_>, now_ms: u64) {
        let now = self.at(now_ms);
        let input = match event {
            Event::Text(text) => {
                self.inner.handle(Input::Head(self.ticket.head()), now);
                Input::Text(text)
            }
            Event::Woken => {
                if !self.ticket.has_news() {
                    return;
                }
                self.inner.handle(Input::Notice(self.ticket.notice()), now);
                if self.ticket.has_unheard() {
                    self.inner.handle(Input::Live, now);
                }
                if self.ticket.has_grown() {
                    self.inner.handle(Input::Grown, now);
                }
                Input::Head(self.ticket.head())
            }
            Event::Page(ticket, page) => {
                if let Some(last) = page.as_ref().ok().and_then(|page| page.last()) {
                    self.ticket.has_read(last.seq);
                }
                Input::Page { ticket, page }
            }
            Event::Resumed(ticket, resumed) => {
                let page = resumed.as_ref().ok().and_then(|resumed| resumed.messages.last());
                if let Some(last) = page {
                    self.ticket.has_read(last.seq);
                }
                Input::Resumed { ticket, resumed }
            }
            Event::Pong => Input::Pong(&[]),
            Event::Progress => Input::Progress,
            Event::Written => Input::Written,
            Event::Located(place) => Input::Located(place),
            Event::StreamPage(page) => Input::StreamPage(page),
            Event::Acknowledged => Input::Acknowledged,
            Event::Settled(outcome) => Input::Settled(outcome),
            Event::Verified(verdict) => {
                self.ticket.renewed(matches!(verdict, Verdict::Good(..)));
                Input::Verified(match verdict {
                    Verdict::Good(user, expires_in_ms) => {
                        let expires_in = Duration::from_millis(expires_in_ms);
                        Ok(Identity { user, session: None, expires_in })
                    }
                    Verdict::Bad => Err(InvalidToken::Expired),
                    Verdict::SignedOut => Err(InvalidToken::SignedOut),
                    Verdict::Undecided => Err(InvalidToken::Undecided),
                })
            }
            Event::Timeout => Input::Timeout,
        };
        self.inner.handle(input, now);
    }

    /// The next thing to do. What the hub has in memory is read in passing.
    pub fn poll(&mut self, now_ms: u64) -> Option<Action> {
        let now = self.at(now_ms);
        loop {
            return Some(match self.inner.poll_output(now)? {
                session::Output::Read { ticket, after, room } => {
                    if let Some(page) = self.ticket.read(after, room) {
                        self.inner.handle(Input::Page { ticket, page: Ok(page) }, now);
                        continue;
                    }
                    Action::Read(ticket, after, room)
                }
                session::Output::Resume { ticket, after, room } => {
                    Action::Resume(ticket, after, room)
                }
                session::Output::ReadLive(room) => {
                    let texts = self.ticket.hear(room);
                    let more = self.ticket.has_unheard();
                    self.inner.handle(Input::LivePage { texts, more }, now);
                    continue;
                }
                session::Output::Write(batch) => {
                    Action::Write(batch.into_iter().map(text).collect())
                }
                session::Output::Locate => Action::Locate,
                session::Output::Acknowledge(seq) => Action::Acknowledge(seq),
                session::Output::ReadStreams(places) => {
                    self.ticket.reads_growth();
                    Action::ReadStreams(places)
                }
                session::Output::Receive { id, errand, .. } => match errand {
                    Errand::Message(message) => Action::Receive(id, message),
                    Errand::Stop(target) => Action::Stop(id, target),
                },
                session::Output::Verify(token) => Action::Verify(token),
                session::Output::Close(code, _) => Action::Close(code),
            });
        }
    }

    /// When to say [`Event::Timeout`].
    #[must_use]
    pub fn timeout(&self) -> Option<u64> {
        let at = self.inner.poll_timeout()?;
        u64::try_from(at.saturating_duration_since(self.start).as_millis()).ok()
    }

    fn at(&self, now_ms: u64) -> Instant {
        self.start + Duration::from_millis(now_ms)
    }
}

fn text(outgoing: Outgoing) -> Option<String> {
    match outgoing {
        Outgoing::Text(text) => Some(text.to_string()),
        Outgoing::Ping(_) | Outgoing::Pong(_) => None,
    }
}
