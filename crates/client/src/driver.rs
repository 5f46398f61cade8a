//! The task behind a [`crate::Client`]. It holds no policy: the engine says what to do, this does
//! it.

mod command;
mod frames;
mod held_back;
mod ids;
mod in_hand;
mod streams;
mod waiting;

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use tetherline_engine::{ConnectionNo, Engine, Instant, NoToken, Output, ProbeAnswer, Status};
use tetherline_protocol::limits::TOKEN_TIMEOUT_MS;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{self, timeout},
};

use crate::{
    Acknowledge, Connection, Event, Receipt,
    builder::Setup,
    link::{ABNORMAL, Goodbye, Incoming, Link},
    probe::probe,
    sends::Sends,
    trouble::Trouble,
};
pub(crate) use command::Command;
use frames::Epochs;
use held_back::HeldBack;
use ids::Ids;
use in_hand::InHand;
use streams::Streams;
use waiting::{read, sleep_until};

/// Events that the engine caused and nobody has asked for: from here on the socket is not read.
const EVENTS_MAX: usize = 16;

/// What was started and has come to an end.
enum Done {
    Token(Result<String, NoToken>),
    Opened(ConnectionNo, Result<Box<Link>, Trouble>),
    Probed(ConnectionNo, ProbeAnswer, Option<Trouble>),
    /// A goodbye; nobody waits for it.
    Closed,
}

/// What happened next.
enum Happened {
    Command(Option<Command>),
    ClientGone,
    Read(Incoming),
    Done(Done),
    TimeOut,
}

pub(crate) struct Driver {
    setup: Setup,
    engine: Engine<Box<str>>,
    commands: mpsc::Receiver<Command>,
    /// Ends with the client.
    reader: oneshot::Receiver<Infallible>,
    reporter: watch::Sender<Connection>,
    started: time::Instant,
    token: String,
    epochs: Epochs,
    history: History,
    ids: Ids,
    sends: Sends,
    link: Option<Link>,
    /// Tokens, openings, probes and goodbyes under way. Each has its own deadline, and the engine
    /// starts one at a time.
    work: JoinSet<Done>,
    /// The application waits in `next`.
    asking: Option<oneshot::Sender<Event>>,
    /// Events that the application has not asked for yet, at most a few over [`EVENTS_MAX`].
    events: VecDeque<Event>,
    /// Frames that wait until the application asks.
    held_back: HeldBack,
    in_hand: InHand,
    streams: Streams,
    /// What the last attempt met.
    trouble: Option<Trouble>,
    life: Life,
}

/// Whether positions mean what they meant when the application started, as far as messages show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum History {
    First,
    Another,
}

/// How far the driver is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    /// There are no more tokens; the last events are to be fetched.
    Refused,
    /// Say goodbye and end.
    Closing,
}

impl Driver {
    pub(crate) fn new(
        setup: Setup,
        commands: mpsc::Receiver<Command>,
        reader: oneshot::Receiver<Infallible>,
        reporter: watch::Sender<Connection>,
    ) -> Self {
        // Without randomness only the jitter is lost.
        let seed = getrandom::u64().unwrap_or_default();
        Self {
            setup,
            engine: Engine::new(seed),
            commands,
            reader,
            reporter,
            started: time::Instant::now(),
            token: String::new(),
            epochs: Epochs::default(),
            history: History::First,
            ids: Ids::default(),
            sends: Sends::default(),
            link: None,
            work: JoinSet::new(),
            asking: None,
            events: VecDeque::new(),
            held_back: HeldBack::default(),
            in_hand: InHand::default(),
            streams: Streams::default(),
            trouble: None,
            life: Life::Running,
        }
    }

    pub(crate) async fn run(mut self) {
        let now = self.now();
        self.engine.sign_in(now);
        if let Some(seq) = self.setup.start_after {
            self.engine.history_as_of(seq, now);
        }
        while self.life != Life::Closing {
            self.do_outputs().await;
            self.answer();
            if self.life == Life::Refused && self.events.is_empty() && self.asking.is_some() {
                return;
            }
            match self.wait().await {
                Happened::Command(Some(command)) => self.command(command),
                Happened::Command(None) => self.life = Life::Closing,
                // What it asked for before is still done.
                Happened::ClientGone => self.commands.close(),
                Happened::Read(incoming) => self.incoming(incoming),
                Happened::Done(done) => self.done(done),
                Happened::TimeOut => self.time_out(),
            }
        }
        self.goodbye().await;
    }

    async fn wait(&mut self) -> Happened {
        let due = self
            .engine
            .poll_timeout()
            .map(|at| self.started + Duration::from_millis(at.as_millis()));
        let reads = self.reads();
        tokio::select! {
            command = self.commands.recv() => Happened::Command(command),
            _ = &mut self.reader, if !self.commands.is_closed() => Happened::ClientGone,
            Some(Ok(done)) = self.work.join_next() => Happened::Done(done),
            () = sleep_until(due) => Happened::TimeOut,
            incoming = read(self.link.as_mut()), if reads => Happened::Read(incoming),
        }
    }

    /// Whether there is room for what the socket may bring.
    fn reads(&self) -> bool {
        self.link.is_some() && self.held_back.has_room() && self.events.len() < EVENTS_MAX
    }

    fn command(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Next { handled, answer } => {
                self.handled(handled);
                self.asking = Some(answer);
                self.answer();
                self.release_held_back();
            }
            Command::Handled(receipt) => self.handled(Some(receipt)),
            Command::Send(outgoing) => {
                let text = outgoing.text.clone();
                let size = text.len();
                match self.engine.send_within(text, size, outgoing.ttl_ms, now) {
                    Ok(no) => {
                        let (id, answer) = outgoing.into_parts();
                        self.sends.insert(no, id, answer);
                    }
                    Err(refused) => outgoing.refuse(refused),
                }
            }
            Command::Reconnect => self.engine.wake(now),
            Command::Close { handled } => {
                self.handled(handled);
                self.life = Life::Closing;
            }
        }
    }

    fn handled(&mut self, receipt: Option<Receipt>) {
        if let Some(seq) = receipt.and_then(|receipt| self.in_hand.settle(receipt)) {
            self.engine.handled(seq, self.now());
        }
    }

    fn incoming(&mut self, incoming: Incoming) {
        let Some(connection) = self.link.as_ref().map(|link| link.connection) else { return };
        match incoming {
            Incoming::Text(text) => self.frame(connection, text),
            Incoming::Sign => self.engine.handle_received(connection),
            Incoming::Closed(goodbye) => self.lost(connection, goodbye),
        }
    }

    fn lost(&mut self, connection: ConnectionNo, Goodbye { code, retry_after_ms }: Goodbye) {
        self.link = None;
        // The engine has not seen it, so it will be asked for again.
        self.held_back.clear();
        self.engine.handle_closed(connection, code, retry_after_ms, self.now());
    }

    fn done(&mut self, done: Done) {
        let now = self.now();
        match done {
            Done::Token(Ok(token)) => {
                self.token = token;
                self.engine.handle_token(now);
            }
            Done::Token(Err(reason)) => {
                // Whoever is signed out now is told what the server said.
                self.trouble.take_if(|_| reason != NoToken::SignedOut);
                self.engine.handle_no_token(reason, now);
            }
            Done::Opened(connection, Ok(link)) => {
                self.link = Some(*link);
                self.engine.handle_opened(connection, now);
            }
            Done::Opened(connection, Err(trouble)) => {
                self.trouble = Some(trouble);
                self.lost(connection, ABNORMAL);
            }
            Done::Probed(connection, answer, trouble) => {
                // A server that is willing says nothing about why the socket did not open.
                self.trouble = trouble.or(self.trouble.take());
                self.engine.handle_probe(connection, answer, now);
            }
            Done::Closed => {}
        }
    }

    fn time_out(&mut self) {
        if let Some(link) = self.link.as_ref().filter(|_| !self.reads()) {
            // Not listening, for want of room, is no silence of the peer.
            self.engine.handle_received(link.connection);
        }
        self.engine.handle_timeout(self.now());
    }

    async fn do_outputs(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::ResolveToken { fresh } => self.resolve_token(fresh),
                Output::Open(connection) => {
                    let Setup { endpoint, trust, .. } = &self.setup;
                    let (endpoint, trust) = (endpoint.clone(), trust.clone());
                    let opening = Link::open(connection, endpoint, trust, self.token.clone());
                    self.work.spawn(async move {
                        Done::Opened(connection, opening.await.map(Box::new))
                    });
                }
                Output::Probe(connection) => {
                    let Setup { endpoint, trust, .. } = &self.setup;
                    let probing = probe(endpoint.clone(), trust.clone(), self.token.clone());
                    self.work.spawn(async move {
                        let (answer, trouble) = probing.await;
                        Done::Probed(connection, answer, trouble)
                    });
                }
                Output::Detach(connection, code) => self.detach(connection, code),
                Output::Ping => self.write(frames::ping(self.now())).await,
                Output::GetPending { after, proves, epoch } => {
                    let have = self.setup.follow_streams.then(|| self.streams.have());
                    let after_id = proves.then(|| self.ids.json(after.id));
                    let epoch = self.epochs.text(epoch);
                    let text = frames::get_pending(after.seq, after_id, epoch, have);
                    self.write(text).await;
                }
                Output::Ack(_) if self.setup.acknowledge == Acknowledge::Never => {}
                Output::Ack(seq) => self.write(frames::ack(seq)).await,
                Output::Authenticate => self.write(frames::authenticate(&self.token)).await,
                Output::Transmit(send) => {
                    if let Some(text) =
                        self.engine.payload(send).map(|text| text.clone().into_string())
                    {
                        self.write(text).await;
                    }
                }
                Output::Settled(send, outcome) => self.sends.settle(send, outcome),
                Output::StatusChanged => self.report(),
                Output::Gap { after, next } => self.events.push_back(Event::Gap { after, next }),
                Output::StreamsDropped => self.streams.forget_all(),
                Output::StreamDropped(stream) => self.streams.forget(stream),
                Output::HandlerTimedOut(seq) => {
                    self.in_hand.give_up(seq);
                    self.events.push_back(Event::HandlerTimedOut(seq));
                }
                Output::IdentityRefused { is_final } => {
                    self.events.push_back(Event::IdentityRefused { is_final });
                    if is_final {
                        self.sends.refuse_all();
                        self.life = Life::Refused;
                    }
                }
                // Nothing is ever parked: the application is the one handler, and always there.
                _ => {}
            }
        }
    }

    fn resolve_token(&mut self, fresh: bool) {
        let asking = (self.setup.token)(fresh);
        let patience = Duration::from_millis(TOKEN_TIMEOUT_MS);
        self.work.spawn(async move {
            Done::Token(timeout(patience, asking).await.unwrap_or(Err(NoToken::Failed)))
        });
    }

    fn detach(&mut self, connection: ConnectionNo, code: u16) {
        if let Some(link) = self.link.take_if(|link| link.connection == connection) {
            self.held_back.clear();
            self.work.spawn(async move {
                link.close(code).await;
                Done::Closed
            });
        }
    }

    async fn write(&mut self, text: String) {
        let Some(link) = &mut self.link else { return };
        if !link.write(text).await {
            let connection = link.connection;
            self.lost(connection, ABNORMAL);
        }
    }

    fn report(&mut self) {
        let now = self.now();
        let status = self.engine.status();
        if status == Status::Connected {
            self.trouble = None;
        }
        self.reporter.send_replace(Connection {
            status,
            reason: self.engine.wait_reason(),
            trouble: self.trouble.clone(),
            attempts: self.engine.attempts(),
            retry_in: self.engine.retry_at().map(|at| Duration::from_millis(at.millis_since(now))),
        });
    }

    /// Hands out the oldest event if the application waits for one.
    fn answer(&mut self) {
        while let Some(event) = self.events.pop_front() {
            let Some(asking) = self.asking.take() else {
                self.events.push_front(event);
                return;
            };
            if let Err(event) = asking.send(event) {
                self.events.push_front(event);
            }
        }
    }

    async fn goodbye(&mut self) {
        let connected = self.link.is_some();
        self.engine.sign_out(self.now());
        self.do_outputs().await;
        while connected && !matches!(self.work.join_next().await, Some(Ok(Done::Closed)) | None) {}
    }

    fn now(&self) -> Instant {
        Instant::from_millis(self.started.elapsed().as_millis() as u64)
    }
}
