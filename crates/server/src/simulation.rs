//! One connection's server half without its socket, for the simulator: the real hub and the real
//! pump, which the server's driver drives, too, in words that are public and on a clock that is handed in.
//!
//! Nothing here is for applications, and no promise is made about it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tetherline_protocol::{
    CloseCode, DeviceId, Epoch, Limits, MessageId, Seq, StopTarget, StreamPosition, UserId,
    frame::Message,
};

use crate::{
    May, Rates,
    connection::{
        hub::{self, Membership},
        pump::{self, Pump},
        session::{Errand, Opening, Outgoing, Reason, Wire, WrittenLimits},
        socket::Goodbye,
    },
    rates::Meters,
    security::auth::{Identity, InvalidToken},
    store::{
        self, Delivery, Head, Outcome, Place, Resumed, Room, StoreError, StreamPage, StreamSnapshot,
    },
};

pub use crate::{
    application::reception::{SEND_CLAIM, SEND_CLAIM_RENEWAL},
    store::claims::{Claims, Taken},
    store::tickets::Tickets,
};

/// Who is connected, and what they have had of what is theirs.
#[derive(Clone)]
pub struct Hub {
    who: Arc<hub::Hub>,
    meters: Arc<Meters>,
    start: Instant,
}

impl Hub {
    /// An empty one.
    #[must_use]
    pub fn new(limits: &Limits, rates: &Rates) -> Self {
        let (hub, meters) = (hub::Hub::new(limits), Meters::without_addresses(rates));
        Self { who: Arc::new(hub), meters: Arc::new(meters), start: Instant::now() }
    }

    /// The store has committed something.
    pub fn tell(&self, event: store::Event) {
        self.who.tell(event, None);
    }

    /// The store may have told too little: it was asked for the head.
    pub fn compare(&self, user: &UserId, head: &Head) {
        self.who.all_streamed();
        self.who.compare(user, head);
    }

    /// A live-only message is for whoever is connected now; `text` is the whole frame.
    pub fn say(&self, user: &UserId, text: String) {
        self.who.say(user, || text.into());
    }

    /// From here on nothing that is published passes unnoticed. `sign_in` is what
    /// [`Hub::sign_out`] knows the connection by.
    #[must_use]
    pub fn join(&self, user: &UserId, sign_in: &str) -> Option<Seat> {
        let membership = self.who.join(user, Some(sign_in.into())).ok()?;
        let (meters, start) = (self.meters.clone(), self.start);
        Some(Seat { membership, user: user.clone(), meters, start })
    }

    /// Closes what a sign-in has open.
    pub fn sign_out(&self, user: &UserId, sign_in: &str) {
        self.who.sign_out(user, Some(sign_in));
    }

    /// Admits nobody any more, and tells everybody to leave.
    pub fn start_draining(&self, window_max: Duration) {
        self.who.send_all_away(window_max);
    }
}

/// A connection's place in the hub.
pub struct Seat {
    membership: Membership,
    user: UserId,
    meters: Arc<Meters>,
    start: Instant,
}

/// What happens to a connection.
#[derive(Debug)]
pub enum Event<'a> {
    /// The hub may have something to say.
    Woken,
    /// A text frame came.
    Text(&'a str),
    /// The peer answered a WebSocket Ping.
    Pong,
    /// The peer has closed.
    Closed,
    /// The peer is gone without a word.
    Gone,
    /// The peer took some of the last [`Action::Write`].
    Progress,
    /// It took everything of it.
    Written,
    /// The answer to [`Action::Read`].
    Page(u32, Result<Vec<Delivery>, StoreError>),
    /// The answer to [`Action::Resume`].
    Resumed(u32, Result<Resumed, StoreError>),
    /// The answer to [`Action::ReadStreams`], as of this moment.
    StreamPage(StreamPage),
    /// The same, as of a moment that may have passed.
    StreamSnapshot(Result<StreamSnapshot, StoreError>),
    /// The answer to [`Action::Locate`].
    Located(Result<Place, StoreError>),
    /// The answer to [`Action::Acknowledge`] and [`Action::SaveCursor`].
    Acknowledged,
    /// The answer to [`Action::Receive`] and [`Action::Stop`].
    Settled(Outcome),
    /// The answer to [`Action::Verify`].
    Verified(Verdict),
    /// The answer to [`Action::LookUp`].
    LookedUp(Verdict),
    /// The time of [`Session::timeout`] has come.
    Timeout,
}

/// What becomes of a token.
#[derive(Debug)]
pub enum Verdict {
    /// It is good: whose it is, by which sign-in, and how long it lasts in ms.
    Good(UserId, String, u64),
    /// It is not.
    Bad,
    /// Its sign-in has ended.
    SignedOut,
    /// Whether its sign-in stands cannot be looked up.
    Undecided,
}

/// What a connection wants done. A second action of a kind replaces the first.
#[derive(Debug)]
pub enum Action {
    /// Write these text frames; `None` stands for a WebSocket Ping.
    Write(Vec<Option<String>>),
    /// Read this page from the store.
    Read(u32, Epoch, Seq, Room),
    /// Read this page from the store, with what stands before it. It replaces what was to be read.
    Resume(u32, Seq, Room),
    /// Read what streams have after these places.
    ReadStreams(Vec<StreamPosition>),
    /// Look up where the device stands.
    Locate,
    /// Everything up to here is handled.
    Acknowledge(Seq),
    /// Something has gone wrong here.
    Report(Box<str>),
    /// What was acknowledged is to outlive a crash.
    SaveCursor,
    /// Hand this to the application.
    Receive(MessageId, Message),
    /// This stream shall take no text any more; the application is to be told.
    Stop(MessageId, StopTarget),
    /// Check this token.
    Verify(Box<str>),
    /// Find out whether the sign-in of the token that was checked last stands.
    LookUp,
    /// Close, with this code if there is anybody to hear it, and with when to come back, in ms; nothing
    /// follows.
    Close(Option<CloseCode>, Option<u64>),
}

/// One connection.
pub struct Session {
    pump: Pump,
    device: DeviceId,
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
        let Seat { membership, user, meters, start } = seat;
        let opening = Opening {
            connection,
            user,
            wire: Wire::V1,
            place,
            token_expires_in: Duration::from_millis(token_expires_in_ms),
            may: May::EVERYTHING,
            written_limits: WrittenLimits::new(&limits),
            limits,
            meters,
            time_ms: i64::try_from(now_ms).unwrap_or(i64::MAX),
        };
        let now = start + Duration::from_millis(now_ms);
        let pump = Pump::open(opening, membership, Some(device.clone()), now);
        Self { pump, device, start }
    }

    /// Whose connection it is.
    #[must_use]
    pub fn user(&self) -> &UserId {
        self.pump.user()
    }

    /// From which device.
    #[must_use]
    pub fn device(&self) -> &DeviceId {
        &self.device
    }

    /// Whether the next frame may be read from the socket.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.pump.wants_input()
    }

    /// Frames that wait for the socket, and sends that wait for the application.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        self.pump.waiting()
    }

    /// Tells the connection what happened.
    pub fn handle(&mut self, event: Event<'_>, now_ms: u64) {
        let event = match event {
            Event::Woken => pump::Event::Woken,
            Event::Text(text) => pump::Event::Text(text),
            Event::Pong => pump::Event::Pong(&[]),
            Event::Closed => pump::Event::Closed(None),
            Event::Gone => pump::Event::Gone,
            // Nobody looks at how much is left.
            Event::Progress => pump::Event::Progress { left_bytes: 0 },
            Event::Written => pump::Event::Written,
            Event::Page(read_no, page) => pump::Event::Page { read_no, page },
            Event::Resumed(read_no, resumed) => pump::Event::Resumed { read_no, resumed },
            Event::StreamPage(page) => pump::Event::StreamPage(page),
            Event::StreamSnapshot(snapshot) => pump::Event::StreamSnapshot(snapshot),
            Event::Located(place) => pump::Event::Located(place),
            Event::Acknowledged => pump::Event::Acknowledged,
            Event::Settled(outcome) => pump::Event::Settled(outcome),
            Event::Verified(verdict) => pump::Event::Verified(verdict.into_identity()),
            Event::LookedUp(verdict) => pump::Event::LookedUp(verdict.into_identity()),
            Event::Timeout => pump::Event::Timeout,
        };
        self.pump.handle(event, self.at(now_ms));
    }

    /// The next thing to do.
    pub fn poll(&mut self, now_ms: u64) -> Option<Action> {
        Some(match self.pump.poll(self.at(now_ms))? {
            pump::Action::Write(batch) => Action::Write(batch.into_iter().map(text).collect()),
            pump::Action::Read { read_no, epoch, after, room } => {
                Action::Read(read_no, epoch, after, room)
            }
            pump::Action::Resume { read_no, after, room } => Action::Resume(read_no, after, room),
            pump::Action::ReadStreams(places) => Action::ReadStreams(places),
            pump::Action::Locate => Action::Locate,
            pump::Action::Acknowledge(seq) => Action::Acknowledge(seq),
            pump::Action::SaveCursor => Action::SaveCursor,
            pump::Action::Receive { id, errand, .. } => match errand {
                Errand::Message(message) => Action::Receive(id, message),
                Errand::Stop(target) => Action::Stop(id, target),
            },
            pump::Action::Verify(token) => Action::Verify(token),
            pump::Action::LookUp(_) => Action::LookUp,
            pump::Action::Report(error) => Action::Report(error),
            pump::Action::Close(Some(
                Goodbye::Ours(code, reason) | Goodbye::Breach(code, reason),
            )) => Action::Close(Some(code), told(reason)),
            pump::Action::Close(_) => Action::Close(None, None),
        })
    }

    /// When to say [`Event::Timeout`].
    #[must_use]
    pub fn timeout(&self) -> Option<u64> {
        let in_nanos = self.pump.timeout()?.saturating_duration_since(self.start).as_nanos();
        // An alarm that rings before its time rings for ever.
        u64::try_from(in_nanos.div_ceil(1_000_000)).ok()
    }

    fn at(&self, now_ms: u64) -> Instant {
        self.start + Duration::from_millis(now_ms)
    }
}

impl Verdict {
    fn into_identity(self) -> Result<Identity, InvalidToken> {
        match self {
            Self::Good(user, sign_in, expires_in_ms) => {
                let expires_in = Duration::from_millis(expires_in_ms);
                let (session, may) = (Some(sign_in.into()), May::EVERYTHING);
                Ok(Identity { user, session, made_ms: None, expires_in, may })
            }
            Self::Bad => Err(InvalidToken::Expired),
            Self::SignedOut => Err(InvalidToken::SignedOut),
            Self::Undecided => Err(InvalidToken::Undecided),
        }
    }
}

fn text(outgoing: Outgoing) -> Option<String> {
    match outgoing {
        Outgoing::Text(text) => Some(text.to_string()),
        Outgoing::Ping(_) | Outgoing::Pong(_) => None,
    }
}

fn told(reason: Reason) -> Option<u64> {
    match reason {
        Reason::Restart { retry_after_ms } | Reason::TooFast { retry_after_ms } => {
            Some(retry_after_ms.into())
        }
        Reason::Words(_) => None,
    }
}
