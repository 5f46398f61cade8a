use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use tetherline_protocol::{CloseCode, DeviceId, Seq, UserId, limits};
use tokio::time::{Sleep, sleep_until, timeout};

use crate::{
    Incoming, Stop,
    connection::{
        hub::Ticket,
        session::{Errand, Input, Output, Session},
        socket::{CLOSE_TIMEOUT, Goodbye, Read, Received, Socket, Written},
    },
    security::auth::{Identity, InvalidToken},
    server::Shared,
    store::{Delivery, Outcome, Place, Resumed, StoreError},
};

/// The alarm when no timer is set.
const FAR: Duration = Duration::from_hours(24);

/// The loop around one session: it moves bytes and holds no policy.
pub(crate) struct Driver {
    socket: Socket,
    session: Session,
    ticket: Ticket,
    shared: Arc<Shared>,
    user: UserId,
    device: Option<DeviceId>,
    writing: bool,
    page: Option<Job<(u32, Page)>>,
    resumed: Option<Job<(u32, Result<Resumed, StoreError>)>>,
    place: Option<Job<Result<Place, StoreError>>>,
    saving: Option<Job<()>>,
    receiving: Option<Job<Outcome>>,
    verifying: Option<Job<Verified>>,
}

type Page = Result<Vec<Delivery>, StoreError>;
type Verified = Result<Identity, InvalidToken>;
type Job<T> = BoxFuture<'static, T>;

enum Event {
    Read(Read),
    Written(io::Result<Written>),
    Woken,
    Page(u32, Page),
    Resumed(u32, Result<Resumed, StoreError>),
    Located(Result<Place, StoreError>),
    Saved,
    Settled(Outcome),
    Verified(Verified),
    Alarm,
}

enum Ending {
    Ours(CloseCode, &'static str),
    /// The peer has closed, with this code.
    Theirs(Option<u16>),
    Unannounced,
}

impl Driver {
    pub(crate) fn new(
        socket: Socket,
        session: Session,
        ticket: Ticket,
        shared: Arc<Shared>,
        user: UserId,
        device: Option<DeviceId>,
    ) -> Self {
        Self {
            socket,
            session,
            ticket,
            shared,
            user,
            device,
            writing: false,
            page: None,
            resumed: None,
            place: None,
            saving: None,
            receiving: None,
            verifying: None,
        }
    }

    pub(crate) async fn run(mut self) {
        tracing::debug!(device = self.device.as_ref().map(tracing::field::debug), "open");
        let mut unreadable = false;
        let ending = self.serve(&mut unreadable).await;
        // Before the goodbye: whoever has seen it finds the cursor where it was left.
        if timeout(CLOSE_TIMEOUT, self.save_acknowledgements()).await.is_err() {
            tracing::debug!("the store took no acknowledgement in time");
        }
        let goodbye = match ending {
            Ending::Ours(code, reason) if unreadable => Goodbye::Breach(code, reason),
            Ending::Ours(code, reason) => Goodbye::Ours(code, reason),
            Ending::Theirs(code) => Goodbye::Answer(code),
            Ending::Unannounced => return tracing::debug!("the peer is gone without a word"),
        };
        tracing::debug!(?goodbye, "closing a connection");
        self.socket.close(goodbye).await;
    }

    async fn serve(&mut self, unreadable: &mut bool) -> Ending {
        let mut alarm = pin!(sleep_until((Instant::now() + FAR).into()));
        loop {
            if let Some(ending) = self.perform() {
                return ending;
            }
            if let Some(deadline) = self.session.poll_timeout()
                && deadline < alarm.deadline().into_std()
            {
                alarm.as_mut().reset(deadline.into());
            }
            let event = poll_fn(|context| self.poll_event(context, alarm.as_mut())).await;
            let now = Instant::now();
            match event {
                Event::Read(Read::Gone) => return Ending::Unannounced,
                Event::Read(Read::Frame(Received::Close(code))) => return Ending::Theirs(code),
                Event::Read(Read::Frame(received)) => {
                    // What was published before the frame came counts as known to it.
                    self.session.handle(Input::Head(self.ticket.head()), now);
                    self.frame(received, now);
                }
                Event::Read(Read::Some) => self.session.handle(Input::Heard, now),
                Event::Read(Read::Unreadable(code)) => {
                    *unreadable = true;
                    self.session.handle(Input::Unreadable(code), now);
                }
                Event::Written(Ok(Written::Some)) => self.session.handle(Input::Progress, now),
                Event::Written(Ok(Written::All)) => self.session.handle(Input::Written, now),
                Event::Written(Err(error)) => {
                    tracing::debug!(%error, "a connection broke");
                    return Ending::Unannounced;
                }
                Event::Woken => {
                    self.session.handle(Input::Notice(self.ticket.notice()), now);
                    self.session.handle(Input::Head(self.ticket.head()), now);
                    if self.ticket.has_unheard() {
                        self.session.handle(Input::Live, now);
                    }
                    if self.ticket.has_grown() {
                        self.session.handle(Input::Grown, now);
                    }
                }
                Event::Page(ticket, page) => {
                    if let Some(last) = page.as_ref().ok().and_then(|page| page.last()) {
                        self.ticket.has_read(last.seq);
                    }
                    self.session.handle(Input::Page { ticket, page }, now);
                }
                Event::Resumed(ticket, resumed) => {
                    let page = resumed.as_ref().ok().and_then(|resumed| resumed.messages.last());
                    if let Some(last) = page {
                        self.ticket.has_read(last.seq);
                    }
                    self.session.handle(Input::Resumed { ticket, resumed }, now);
                }
                Event::Located(place) => self.session.handle(Input::Located(place), now),
                Event::Saved => self.session.handle(Input::Acknowledged, now),
                Event::Settled(outcome) => self.session.handle(Input::Settled(outcome), now),
                Event::Verified(verified) => {
                    self.ticket.renewed(verified.is_ok());
                    self.session.handle(Input::Verified(verified), now);
                }
                Event::Alarm => {
                    alarm.as_mut().reset((now + FAR).into());
                    self.session.handle(Input::Timeout, now);
                }
            }
        }
    }

    fn frame(&mut self, received: Received, now: Instant) {
        match received {
            Received::Text(text) => self.session.handle(Input::Text(&text), now),
            Received::Ping(payload) => self.session.handle(Input::Ping(payload), now),
            Received::Pong(payload) => self.session.handle(Input::Pong(&payload), now),
            Received::Close(_) => {}
        }
    }

    /// Does what the session wants; answers how the connection ends, if it does.
    fn perform(&mut self) -> Option<Ending> {
        while let Some(output) = self.session.poll_output(Instant::now()) {
            match output {
                Output::Write(batch) => {
                    self.socket.write(batch);
                    self.writing = true;
                }
                Output::Read { ticket, after, room } => {
                    if let Some(page) = self.ticket.read(after, room) {
                        let input = Input::Page { ticket, page: Ok(page) };
                        self.session.handle(input, Instant::now());
                    } else {
                        let (shared, user) = (self.shared.clone(), self.user.clone());
                        self.page = Some(Box::pin(async move {
                            (ticket, shared.store.read(&user, after, room).await)
                        }));
                    }
                }
                Output::Resume { ticket, after, room } => {
                    let (shared, user) = (self.shared.clone(), self.user.clone());
                    self.resumed = Some(Box::pin(async move {
                        (ticket, shared.store.resume(&user, after, room).await)
                    }));
                }
                Output::ReadLive(room) => {
                    let texts = self.ticket.hear(room);
                    let input = Input::LivePage { texts, more: self.ticket.has_unheard() };
                    self.session.handle(input, Instant::now());
                }
                Output::ReadStreams(places) => {
                    self.ticket.reads_growth();
                    let page = self.shared.store.read_streams(
                        &self.user,
                        &places,
                        limits::STREAM_PIECE_BYTES_MAX,
                    );
                    self.session.handle(Input::StreamPage(page), Instant::now());
                }
                Output::Locate => {
                    let (shared, user, device) = self.owners();
                    self.place =
                        Some(Box::pin(
                            async move { shared.store.locate(&user, device.as_ref()).await },
                        ));
                }
                Output::Acknowledge(seq) => self.acknowledge(seq),
                Output::Receive { id, named, errand } => {
                    let (shared, user, device) = self.owners();
                    self.receiving = Some(match errand {
                        Errand::Message(message) => {
                            shared.receive(Incoming { user, device, id, message }, named)
                        }
                        Errand::Stop(target) => {
                            shared.receive_stop(Stop { user, device, id, target }, named)
                        }
                    });
                }
                Output::Verify(token) => self.verify(&token),
                Output::Close(code, reason) => return Some(Ending::Ours(code, reason)),
            }
        }
        None
    }

    fn verify(&mut self, token: &str) {
        match self.shared.config.jwt.verify(token) {
            Ok(identity) if identity.user == self.user => {
                // First: a sign-in that ends while it is looked up closes this connection.
                self.ticket.renew(identity.session.clone());
                let shared = self.shared.clone();
                self.verifying = Some(Box::pin(async move { shared.still_stands(identity).await }));
            }
            verified => self.session.handle(Input::Verified(verified), Instant::now()),
        }
    }

    fn acknowledge(&mut self, seq: Seq) {
        let (shared, user, device) = self.owners();
        self.saving = Some(Box::pin(async move {
            if let Err(error) = shared.store.acknowledge(&user, device.as_ref(), seq).await {
                // Repeating is preferred to losing: the next one covers it.
                // The store says it, and not once for each of them.
                tracing::debug!(%error, "an acknowledgement was not saved");
            }
        }));
    }

    /// Saves what the client acknowledged before it went; whatever else the session still wants is
    /// of no use any more.
    async fn save_acknowledgements(&mut self) {
        loop {
            while let Some(output) = self.session.poll_output(Instant::now()) {
                if let Output::Acknowledge(seq) = output {
                    self.acknowledge(seq);
                }
            }
            let Some(saving) = self.saving.take() else { return };
            saving.await;
            self.session.handle(Input::Acknowledged, Instant::now());
        }
    }

    fn owners(&self) -> (Arc<Shared>, UserId, Option<DeviceId>) {
        (self.shared.clone(), self.user.clone(), self.device.clone())
    }

    fn poll_event(&mut self, context: &mut Context<'_>, alarm: Pin<&mut Sleep>) -> Poll<Event> {
        if self.writing
            && let Poll::Ready(written) = self.socket.poll_write(context)
        {
            self.writing = matches!(written, Ok(Written::Some));
            return Poll::Ready(Event::Written(written));
        }
        self.ticket.waker().register(context.waker());
        if self.ticket.has_news() {
            return Poll::Ready(Event::Woken);
        }
        if let Poll::Ready((ticket, page)) = poll_job(&mut self.page, context) {
            return Poll::Ready(Event::Page(ticket, page));
        }
        if let Poll::Ready((ticket, resumed)) = poll_job(&mut self.resumed, context) {
            return Poll::Ready(Event::Resumed(ticket, resumed));
        }
        if let Poll::Ready(place) = poll_job(&mut self.place, context) {
            return Poll::Ready(Event::Located(place));
        }
        if let Poll::Ready(()) = poll_job(&mut self.saving, context) {
            return Poll::Ready(Event::Saved);
        }
        if let Poll::Ready(outcome) = poll_job(&mut self.receiving, context) {
            return Poll::Ready(Event::Settled(outcome));
        }
        if let Poll::Ready(verified) = poll_job(&mut self.verifying, context) {
            return Poll::Ready(Event::Verified(verified));
        }
        if alarm.poll(context).is_ready() {
            return Poll::Ready(Event::Alarm);
        }
        if !self.session.wants_input() {
            return Poll::Pending;
        }
        self.socket.poll_read(context).map(Event::Read)
    }
}

fn poll_job<T>(job: &mut Option<Job<T>>, context: &mut Context<'_>) -> Poll<T> {
    let Some(running) = job else { return Poll::Pending };
    let done = running.as_mut().poll(context);
    if done.is_ready() {
        *job = None;
    }
    done
}
