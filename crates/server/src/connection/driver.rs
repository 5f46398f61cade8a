use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use tetherline_protocol::{CloseCode, DeviceId, MessageId, Seq, UserId, limits};
use tokio::time::{Sleep, sleep_until};

use crate::{
    ConnectRequest, Incoming, Stop,
    connection::{
        bulletin::Announced,
        pump::{Action, Event, Pump},
        sends_room::SendShare,
        session::Errand,
        socket::{Goodbye, Read, Received, Socket, Written},
    },
    security::identify::Renewed,
    server::Shared,
    store::StreamRead,
    trouble::{SharedTrouble, Word},
};

/// The alarm when no timer is set.
const FAR: Duration = Duration::from_hours(24);

/// The loop around one pump: it moves bytes and futures, and holds no policy.
pub(crate) struct Driver {
    socket: Socket,
    pump: Pump,
    shared: Arc<Shared>,
    /// What the connect hook was asked, if it was: it is asked so again.
    asked: Option<Box<ConnectRequest>>,
    /// The application has heard of it.
    announced: Option<Box<Announced>>,
    is_writing: bool,
    jobs: [Option<Job>; JOBS],
}

/// Something that takes a while, and what happens then.
type Job = BoxFuture<'static, Event<'static>>;

/// Of each kind there is one job at most: another takes its place.
#[derive(Clone, Copy)]
enum Kind {
    Read,
    ReadStreams,
    Locate,
    Acknowledge,
    Receive,
    /// Checks a token, and then looks up its sign-in.
    Renew,
}

const JOBS: usize = Kind::Renew as usize + 1;

/// What the driver waits for.
enum Arrived {
    Read(Read),
    Happened(Event<'static>),
    Alarm,
}

impl Driver {
    /// It does not move any more: a future that takes it by value has room for it twice.
    pub(crate) fn new(
        socket: Socket,
        pump: Pump,
        shared: Arc<Shared>,
        asked: Option<Box<ConnectRequest>>,
    ) -> Box<Self> {
        let jobs = [const { None }; JOBS];
        let whose = (pump.user(), pump.device());
        let announced = shared.announce(pump.connection(), whose);
        Box::new(Self { socket, pump, shared, asked, announced, is_writing: false, jobs })
    }

    pub(crate) async fn run(mut self: Box<Self>) {
        tracing::debug!(device = self.pump.device().map(tracing::field::debug), "open");
        let Some(goodbye) = self.serve().await else {
            return tracing::debug!("the peer is gone without a word");
        };
        tracing::debug!(?goodbye, "closing a connection");
        // Nobody who is connected has to have room for it.
        Box::pin(self.socket.close(goodbye)).await;
    }

    /// Answers how to say goodbye, if there is anybody to hear it.
    async fn serve(&mut self) -> Option<Goodbye> {
        let mut alarm = pin!(sleep_until((Instant::now() + FAR).into()));
        loop {
            while let Some(action) = self.pump.poll(Instant::now()) {
                if let Action::Close(goodbye) = action {
                    self.has_ended(goodbye.as_ref());
                    return goodbye;
                }
                self.perform(action);
            }
            if let Some(deadline) = self.pump.timeout()
                && deadline < alarm.deadline().into_std()
            {
                alarm.as_mut().reset(deadline.into());
            }
            let arrived = poll_fn(|context| self.poll_arrived(context, alarm.as_mut())).await;
            let now = Instant::now();
            match arrived {
                Arrived::Read(read) => self.pump.handle(event(&read), now),
                Arrived::Happened(event) => self.pump.handle(event, now),
                Arrived::Alarm => {
                    alarm.as_mut().reset((now + FAR).into());
                    self.pump.handle(Event::Timeout, now);
                }
            }
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Write(batch) => {
                let _span = tracing::debug_span!("delivery", frames = batch.len()).entered();
                self.socket.write(batch);
                self.is_writing = true;
            }
            Action::Read { read_no, epoch, after, room } => {
                let (shared, user, _) = self.owners();
                self.start(Kind::Read, async move {
                    let page = shared.store.read(&user, &epoch, after, room).await;
                    Event::Page { read_no, page }
                });
            }
            Action::Resume { read_no, after, room } => {
                let (shared, user, _) = self.owners();
                self.start(Kind::Read, async move {
                    let resumed = shared.store.resume(&user, after, room).await;
                    Event::Resumed { read_no, resumed }
                });
            }
            Action::ReadStreams(places) => {
                let (user, room) = (self.pump.user(), limits::STREAM_PIECE_BYTES_MAX);
                match self.shared.store.read_streams(user, &places, room) {
                    StreamRead::Now(page) => {
                        self.pump.handle(Event::StreamPage(page), Instant::now());
                    }
                    StreamRead::Later(snapshot) => self.start(Kind::ReadStreams, async move {
                        Event::StreamSnapshot(snapshot.await)
                    }),
                }
            }
            Action::Locate => {
                let (shared, user, device) = self.owners();
                self.start(Kind::Locate, async move {
                    Event::Located(shared.store.locate(&user, device.as_ref()).await)
                });
            }
            Action::Acknowledge(seq) => self.acknowledge(seq),
            Action::SaveCursor => self.save_cursor(),
            Action::Receive { id, named, errand, share } => self.receive(id, named, errand, share),
            Action::Verify(token) => {
                let (user, device) = (self.pump.user(), self.pump.device());
                let asked = self.asked.as_deref();
                match self.shared.renew(token, asked, (user, device)) {
                    Renewed::Now(verified) => {
                        self.pump.handle(Event::Verified(verified), Instant::now());
                    }
                    Renewed::Later(verified) => {
                        self.start(Kind::Renew, async move { Event::Verified(verified.await) });
                    }
                }
            }
            Action::LookUp(identity) => {
                let shared = self.shared.clone();
                self.start(Kind::Renew, async move {
                    Event::LookedUp(shared.still_stands(*identity).await)
                });
            }
            Action::Report(error) => report(self.pump.connection(), &error),
            Action::Close(_) => {}
        }
    }

    /// The application hears of it now: nothing is delivered any more.
    fn has_ended(&mut self, goodbye: Option<&Goodbye>) {
        self.shared.meters.metrics.disconnected(goodbye);
        if let Some(mut announced) = self.announced.take() {
            announced.ends(goodbye);
        }
    }

    fn receive(&mut self, id: MessageId, named: bool, errand: Errand, share: SendShare) {
        let (shared, user, device) = self.owners();
        let handed = (self.pump.may(), share);
        let outcome = match errand {
            Errand::Message(message) => {
                shared.receive(Incoming { user, device, id, message }, named, handed)
            }
            Errand::Stop(target) => {
                shared.receive_stop(Stop { user, device, id, target }, named, handed)
            }
        };
        self.start(Kind::Receive, async move { Event::Settled(outcome.await) });
    }

    fn acknowledge(&mut self, seq: Seq) {
        let (shared, user, device) = self.owners();
        self.start(Kind::Acknowledge, async move {
            if let Err(error) = shared.store.acknowledge(&user, device.as_ref(), seq).await {
                // Repeating is preferred to losing: the next one covers it.
                // The store says it, and not once for each of them.
                tracing::debug!(%error, "an acknowledgement was not saved");
            }
            Event::Acknowledged
        });
    }

    fn save_cursor(&mut self) {
        let (shared, user, device) = self.owners();
        self.start(Kind::Acknowledge, async move {
            if let Err(error) = shared.store.save_cursor(&user, device.as_ref()).await {
                tracing::debug!(%error, "a cursor was not saved before its goodbye");
            }
            Event::Acknowledged
        });
    }

    fn owners(&self) -> (Arc<Shared>, UserId, Option<DeviceId>) {
        (self.shared.clone(), self.pump.user().clone(), self.pump.device().cloned())
    }

    fn start(&mut self, kind: Kind, job: impl Future<Output = Event<'static>> + Send + 'static) {
        self.jobs[kind as usize] = Some(Box::pin(job));
    }

    fn poll_arrived(&mut self, context: &mut Context<'_>, alarm: Pin<&mut Sleep>) -> Poll<Arrived> {
        if let Poll::Ready(event) = self.poll_write(context) {
            return Poll::Ready(Arrived::Happened(event));
        }
        self.pump.waker().register(context.waker());
        if self.pump.is_woken() {
            return Poll::Ready(Arrived::Happened(Event::Woken));
        }
        if let Poll::Ready(event) = self.poll_jobs(context) {
            return Poll::Ready(Arrived::Happened(event));
        }
        if alarm.poll(context).is_ready() {
            return Poll::Ready(Arrived::Alarm);
        }
        if !self.pump.wants_input() {
            return Poll::Pending;
        }
        self.socket.poll_read(context).map(Arrived::Read)
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Event<'static>> {
        if !self.is_writing || !self.pump.is_open() {
            return Poll::Pending;
        }
        self.socket.poll_write(context).map(|written| {
            self.is_writing = matches!(written, Ok(Written::Some));
            match written {
                Ok(Written::Some) => Event::Progress { left_bytes: self.socket.left_bytes() },
                Ok(Written::All) => Event::Written,
                Err(error) => {
                    tracing::debug!(%error, "a connection broke");
                    Event::Gone
                }
            }
        })
    }

    fn poll_jobs(&mut self, context: &mut Context<'_>) -> Poll<Event<'static>> {
        for job in &mut self.jobs {
            if let Some(running) = job
                && let Poll::Ready(event) = running.as_mut().poll(context)
            {
                *job = None;
                return Poll::Ready(event);
            }
        }
        Poll::Pending
    }
}

/// Now and then: what went wrong for one connection may go wrong for each of them.
fn report(connection: &MessageId, error: &str) {
    static FAULTS: SharedTrouble = SharedTrouble::new();
    if let Some(Word::Fails { times }) = FAULTS.failed_now() {
        tracing::error!(%connection, error, times, "this connection cannot go on");
    }
}

fn event(read: &Read) -> Event<'_> {
    match read {
        Read::Frame(Received::Text(text)) => Event::Text(text),
        Read::Frame(Received::Binary(_)) => Event::Unreadable(CloseCode::Unsupported),
        Read::Frame(Received::Ping(payload)) => Event::Ping(payload.clone()),
        Read::Frame(Received::Pong(payload)) => Event::Pong(payload),
        Read::Frame(Received::Close(code)) => Event::Closed(*code),
        Read::Some => Event::Heard,
        Read::Unreadable(code) => Event::Unreadable(*code),
        Read::Gone => Event::Gone,
    }
}
