mod draining;
mod publishing;
mod readiness;
mod reload;
mod serving;
mod sign_outs;
mod tickets;

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, select},
};
use http::HeaderMap;
use tetherline_protocol::{DeviceId, ErrorCode, IdempotencyKey, MessageId, UserId, frame::Message};
use tokio::runtime::Handle;

use crate::{
    ApiKeys, Application, Config, ConnectHook, ConnectHookOptions, Incoming, May, Refusal, Stop,
    alarm::Alarm,
    application::reception::{HandingOver, Reception, unavailable},
    connection::{
        bulletin::{Announced, Attached, Bulletin},
        events::follow,
        hub::Hub,
        sends_room::SendShare,
    },
    http::{Bodies, BodyError, message_request_bytes},
    rates::Meters,
    security::hook::Asker,
    store::{Head, Outcome, Publish, StoppedStream, Store, StoreError},
    trouble::{SharedTrouble, Word},
};

pub use draining::{DRAIN_TIMEOUT, DRAIN_WINDOW};
pub use publishing::{PublishError, Published};
use readiness::Looks;
pub use readiness::{Readiness, SPACE_BYTES_MIN, STORE_ANSWER_TIMEOUT};
use reload::Current;
pub use reload::ReloadError;
pub(crate) use reload::Replaceable;
pub(crate) use tickets::vouched_for;
pub use tickets::{TICKET_CONNECTION_TIMEOUT, TICKET_TIMEOUT};

/// The delivery server: a handle, cheap to clone.
#[derive(Clone)]
pub struct Server {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    /// They follow their file.
    pub(crate) api_keys: ApiKeys,
    pub(crate) request_bodies_bytes_max: usize,
    current: Replaceable<Arc<Current>>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) reception: Reception,
    pub(crate) bodies: Bodies,
    application: Arc<Attached>,
    connect_hook: Replaceable<Option<Arc<Asker>>>,
    bulletin: Arc<Bulletin>,
    sign_ins: SharedTrouble,
    stops: SharedTrouble,
    looks: Looks,
    room: SharedTrouble,
    background: OnceLock<()>,
    alarm: Alarm,
}

impl Server {
    /// Puts a server on top of a store.
    pub fn open(mut config: Config, store: impl Store) -> Self {
        if let Err(contradiction) = config.check() {
            tracing::warn!(%contradiction, "limits contradict each other");
        }
        let hub = Arc::new(Hub::new(&config.limits));
        let reception = Reception::new(config.limits.connections_per_user_max);
        let bodies_max = config.request_bodies_bytes_max;
        let bodies = Bodies::new(bodies_max, message_request_bytes(&config.limits));
        // One source of truth: what is announced to clients is what is kept.
        store.work_by(&config.limits);
        store.keep_sign_outs_for(config.jwt.tokens_count_at_most_for());
        let meters = Arc::new(Meters::of(&config));
        let current = Current::taken_from(&mut config);
        let (outcomes_max, outcome_bytes_max) = current.outcomes_max();
        store.keep_outcomes(outcomes_max, outcome_bytes_max);
        let store: Arc<dyn Store> = Arc::new(store);
        let application = Arc::new(Attached::new(None));
        let shared = Shared {
            api_keys: config.api_keys,
            request_bodies_bytes_max: bodies_max,
            current: Replaceable::new(Arc::new(current)),
            meters,
            store,
            hub,
            reception,
            bodies,
            bulletin: Bulletin::new(application.clone()),
            application,
            connect_hook: Replaceable::new(None),
            sign_ins: SharedTrouble::default(),
            stops: SharedTrouble::default(),
            looks: Looks::default(),
            room: SharedTrouble::default(),
            background: OnceLock::new(),
            alarm: Alarm::new(),
        };
        let shared = Arc::new(shared);
        // What was going on when the last server ended may have lost its writer, too. Outside of a
        // runtime it has to wait for whoever connects, opens a stream, or stops one.
        if Handle::try_current().is_ok() {
            shared.begin();
        }
        Self { shared }
    }

    /// Names the application that takes clients' sends. Do it once, before serving.
    ///
    /// # Panics
    ///
    /// When an application is attached already: sends would have gone to two places.
    pub fn attach(&self, application: Arc<dyn Application>) {
        let before = self.shared.application.set(Some(application));
        assert!(before.is_none(), "an application is attached already");
    }

    /// Names who says who connects where no token of the server's own keys does. Do it once, before serving.
    ///
    /// # Panics
    ///
    /// When one is attached already: which of them counts would be anybody's guess.
    pub fn attach_connect_hook(&self, hook: Arc<dyn ConnectHook>, options: ConnectHookOptions) {
        let asker = Asker::new(hook, options, self.shared.meters.clone());
        let before = self.shared.connect_hook.set(Some(Arc::new(asker)));
        assert!(before.is_none(), "a connect hook is attached already");
    }

    /// Appends durably, then wakes the user's connections. A call that is given up half-way may
    /// have published all the same; repeat it under the same key.
    pub async fn publish(
        &self,
        user: &UserId,
        key: Option<&IdempotencyKey>,
        message: Message,
    ) -> Result<Published, PublishError> {
        self.shared.publish(user, key, message).await
    }

    /// Publishes all of them, in this order and as [`Server::publish`] does each: with one commit for what
    /// fits into one, which costs a fraction of as many commits. Who cannot be served fails alone; there
    /// is an answer for each, in the same order.
    ///
    /// All of it waits in memory until it is written: hand over a few thousand at a time.
    ///
    /// ```
    /// # use tetherline_server::{Config, JwtKeys, Server, store::SqliteStore};
    /// use tetherline_protocol::frame::Message;
    /// use tetherline_server::Publish;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = std::env::temp_dir().join(format!("tetherline-{}", std::process::id()));
    /// # let config = Config::new(JwtKeys::from_secret(&[7; 32])?);
    /// # let server = Server::open(config, SqliteStore::open(&folder.join("mailbox.db"))?);
    /// let greeting = Message::parse(r#"{"type":"notification_new","title":"We are back"}"#)?;
    /// let for_ada = Publish::new("ada".parse()?, greeting.clone()).with_key("back-1".parse()?);
    /// let for_bob = Publish::new("bob".parse()?, greeting).with_key("back-1".parse()?);
    /// for published in server.publish_many(vec![for_ada, for_bob]).await {
    ///     println!("at {}", published?.seq);
    /// }
    /// # drop(server);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn publish_many(
        &self,
        publishes: Vec<Publish>,
    ) -> Vec<Result<Published, PublishError>> {
        self.shared.publish_many(publishes).await
    }

    /// Tells whoever is connected now, and nobody later: the message gets an id, but no position. A
    /// connection that is too slow misses the oldest of them. With nobody connected nothing happens.
    pub fn publish_live(
        &self,
        user: &UserId,
        message: &Message,
    ) -> Result<MessageId, PublishError> {
        self.shared.publish_live(user, message)
    }

    /// The same for everybody who is connected: a notice that only counts now. One message, one id.
    pub fn publish_live_to_everybody(&self, message: &Message) -> Result<MessageId, PublishError> {
        self.shared.publish_live_to_everybody(message)
    }

    /// Forgets everything about a user, durably, and closes their connections with 4410. Clients that
    /// connect anew are told that their history is gone (`recovered: false`); what is published after
    /// this has answered is kept. Erasing twice is erasing once.
    pub async fn erase(&self, user: &UserId) -> Result<(), StoreError> {
        self.shared.store.erase(user).await
    }

    /// The newest position of a user's mailbox: read it before the rows of a history, and return
    /// it with them as `as_of_seq`.
    pub async fn head(&self, user: &UserId) -> Result<Head, StoreError> {
        self.shared.store.head(user).await
    }

    /// Reads the body of a request to a route of the application's own by the rules of this server's:
    /// within the room that all requests share, not compressed, and not slower than
    /// [`BODY_PROGRESS_BYTES_MIN`](crate::BODY_PROGRESS_BYTES_MIN).
    pub async fn read_body(
        &self,
        headers: &HeaderMap,
        body: Body,
        bytes_max: usize,
    ) -> Result<Bytes, BodyError> {
        self.shared.bodies.read(headers, body, bytes_max).await
    }

    /// Resolves when what a start needs from elsewhere is here, or could not be had: keys at a URL. Who comes
    /// before is told to come again. It takes a few seconds at most, see `JWKS_TIMEOUT`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn ready(&self) {
        self.shared.begin();
        self.shared.current().jwt.tried().await;
    }

    /// How many WebSocket connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.hub.connections()
    }

    /// Which life of the server this is, as the application is told with [`crate::ConnectionEvents`].
    #[must_use]
    pub fn id(&self) -> &MessageId {
        self.shared.server_id()
    }

    /// Resolves, with the reason, when the store will never keep anything again, or nobody will hear of it:
    /// a thread of it has died, its file was replaced under it, or the task that tells who is connected has
    /// died. So end the process, with an exit code that is none of success; whatever supervises it can
    /// then start it anew.
    pub fn failed(&self) -> impl Future<Output = StoreError> + Send + use<> {
        let failed = select(self.shared.store.failed(), self.shared.alarm.raised());
        failed.map(|failed| failed.factor_first().0)
    }
}

impl Shared {
    /// Hands a send to the application, and keeps at it even if nobody waits any more.
    /// Whoever may not send is refused under the same rules, so that what was accepted before stays accepted.
    pub(crate) fn receive(
        &self,
        incoming: Incoming,
        named: bool,
        (may, share): (May, SendShare),
    ) -> BoxFuture<'static, Outcome> {
        let name = (incoming.user.clone(), incoming.id.clone());
        let handing_over = if may.send {
            self.application.get().map(|application| -> HandingOver {
                let meters = self.meters.clone();
                Arc::new(move || {
                    let (application, incoming) = (application.clone(), incoming.clone());
                    let meters = meters.clone();
                    Box::pin(async move {
                        let asked_at = Instant::now();
                        let answer = application.receive(incoming).await;
                        meters.metrics.application_answered(&answer, asked_at.elapsed());
                        answer
                    })
                })
            })
        } else {
            Some(withheld("You may read here, and not send."))
        };
        self.reception.receive(self.store.clone(), name, named, (handing_over, share))
    }

    /// The same for somebody's wish that a stream takes no text any more.
    pub(crate) fn receive_stop(
        self: &Arc<Self>,
        stop: Stop,
        named: bool,
        (may, share): (May, SendShare),
    ) -> BoxFuture<'static, Outcome> {
        let name = (stop.user.clone(), stop.id.clone());
        let shared = self.clone();
        let stopping: HandingOver = if may.stop {
            Arc::new(move || {
                let (shared, stop) = (shared.clone(), stop.clone());
                Box::pin(async move { shared.stop(stop).await })
            })
        } else {
            withheld("You may read here, and not stop answers.")
        };
        self.reception.receive(self.store.clone(), name, named, (Some(stopping), share))
    }

    async fn stop(self: &Arc<Self>, stop: Stop) -> Outcome {
        match self.stop_stream(&stop.user, &stop.target).await {
            Ok(StoppedStream::Unknown) => {
                let nothing = "There is no such answer that could be stopped.";
                return Err(Refusal::new(ErrorCode::NotFound, nothing));
            }
            Ok(_) => {}
            Err(error) => return Err(unavailable(&error)),
        }
        let Some(application) = self.application.get() else { return Ok(None) };
        let asked_at = Instant::now();
        let told = application.stop(stop).await;
        self.meters.metrics.application_answered(&told, asked_at.elapsed());
        match told {
            Err(refusal) if !refusal.is_retryable() => {
                // It is stopped all the same, and the person shall not be told otherwise.
                if let Some(Word::Fails { times }) = self.stops.failed_now() {
                    let what = "the application refuses to hear of a stop";
                    tracing::warn!(code = refusal.code(), times, "{what}");
                }
                Ok(None)
            }
            told => {
                if let (Ok(()), Some(Word::Works { times })) = (&told, self.stops.worked_now()) {
                    tracing::info!(refused_again = times, "the application hears of stops again");
                }
                told.map(|()| None)
            }
        }
    }

    /// Tells the application of a connection, if it wants to hear of it.
    pub(crate) fn announce(
        &self,
        connection: &MessageId,
        whose: (&UserId, Option<&DeviceId>),
    ) -> Option<Box<Announced>> {
        self.bulletin.announce(connection, whose)
    }

    /// Which life of the server this is.
    pub(crate) fn server_id(&self) -> &MessageId {
        self.bulletin.server()
    }

    /// The connect hook, if there is one.
    pub(crate) fn connect_hook(&self) -> Option<Arc<Asker>> {
        self.connect_hook.get()
    }

    /// Has the hub follow the store, and ends what writers of streams do not, from now on.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(crate) fn begin(self: &Arc<Self>) {
        self.background.get_or_init(|| {
            let commits = self.store.events();
            let following = follow(commits, self.hub.clone(), Arc::downgrade(&self.store));
            let watched = self.alarm.watch("the task that tells who is connected");
            tokio::spawn(async move {
                following.await;
                drop(watched);
            });
            self.watch_streams();
            self.current().jwt.begin(&self.alarm);
            self.api_keys.begin(&self.alarm);
        });
    }
}

/// What becomes of what somebody may not do.
fn withheld(sentence: &'static str) -> HandingOver {
    Arc::new(move || {
        let refused = Err(Refusal::new(ErrorCode::Forbidden, sentence));
        Box::pin(std::future::ready(refused))
    })
}
