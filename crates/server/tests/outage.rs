//! A store that fails for a while: nothing is promised meanwhile, and everything goes on after.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::{BoxFuture, ready};
use reqwest::StatusCode;
use support::{API_KEY, Client, config, token, user};
use tetherline_protocol::{
    Attempt, DeviceId, Epoch, IdempotencyKey, Limits, MessageId, Seq, StopTarget, StreamPosition,
    StreamStatus, UserId,
    frame::{Message, StreamEnding, StreamOpening},
};
use tetherline_server::{
    Application, Incoming, Readiness, Refusal, STORE_ANSWER_TIMEOUT, SendAnswer, Server, listen,
    serve,
    store::{
        AppendError, AppendTextError, Appended, Begun, Claim, ClaimError, Credentials, Delivery,
        EVENTS_BYTES_MAX, Event, EventQueue, Events, FinishStreamError, FinishedStream, Head,
        Inbox, KeepTicketError, Mailbox, OpenStreamError, OpenedStream, Outcome, OverdueStream,
        Place, Publish, Resumed, Room, SignOut, SignOutError, SignOuts, SqliteStore, StoppedStream,
        StoreError, StreamPage, StreamRead, StreamState, Streams, Subscription, Ticket,
        TicketDigest, Upkeep,
    },
};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// A real store behind a switch.
struct Switched {
    store: SqliteStore,
    off: Arc<AtomicBool>,
    /// Streams are out of sight, as they are while a commit that ends them is being made.
    hides: Arc<AtomicBool>,
    told: EventQueue,
    /// What is committed is told when this is notified.
    late: Option<Arc<Notify>>,
    /// Whoever asks for heads dies of it.
    kills: Arc<AtomicBool>,
    /// Whoever asks whether it is there hears nothing.
    hangs: Arc<AtomicBool>,
    /// Sends are claimed for so long and no longer, as if whoever has them stood still.
    claims_for: Option<Duration>,
}

impl Switched {
    fn new(store: SqliteStore) -> Self {
        Self {
            store,
            off: Arc::default(),
            hides: Arc::default(),
            told: EventQueue::default(),
            late: None,
            kills: Arc::default(),
            hangs: Arc::default(),
            claims_for: None,
        }
    }

    fn when_on<'a, T: Send + 'a, E: From<StoreError> + Send + 'a>(
        &self,
        answer: BoxFuture<'a, Result<T, E>>,
    ) -> BoxFuture<'a, Result<T, E>> {
        if self.off.load(Ordering::SeqCst) {
            return Box::pin(ready(Err(StoreError::new("switched off").into())));
        }
        answer
    }
}

impl Mailbox for Switched {
    fn append(
        &self,
        user: &UserId,
        key: Option<&IdempotencyKey>,
        message: Arc<Message>,
    ) -> BoxFuture<'_, Result<Appended, AppendError>> {
        self.when_on(self.store.append(user, key, message))
    }

    fn append_many(
        &self,
        publishes: Vec<Publish>,
    ) -> BoxFuture<'_, Vec<Result<Appended, AppendError>>> {
        if self.off.load(Ordering::SeqCst) {
            let off = || Err(StoreError::new("switched off").into());
            return Box::pin(ready(publishes.iter().map(|_| off()).collect()));
        }
        self.store.append_many(publishes)
    }

    fn read(
        &self,
        user: &UserId,
        epoch: &Epoch,
        after: Seq,
        room: Room,
    ) -> BoxFuture<'_, Result<Vec<Delivery>, StoreError>> {
        self.when_on(self.store.read(user, epoch, after, room))
    }

    fn resume(
        &self,
        user: &UserId,
        after: Seq,
        room: Room,
    ) -> BoxFuture<'_, Result<Resumed, StoreError>> {
        self.when_on(self.store.resume(user, after, room))
    }

    fn heads(&self, users: &[UserId]) -> BoxFuture<'_, Result<Vec<Head>, StoreError>> {
        assert!(!self.kills.load(Ordering::SeqCst), "as the test wants it");
        self.when_on(self.store.heads(users))
    }

    fn locate(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
    ) -> BoxFuture<'_, Result<Place, StoreError>> {
        self.when_on(self.store.locate(user, device))
    }

    fn acknowledge(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        seq: Seq,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.when_on(self.store.acknowledge(user, device, seq))
    }

    fn save_cursor(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        self.when_on(self.store.save_cursor(user, device))
    }
}

impl Events for Switched {
    fn events(&self) -> Subscription {
        let (mut commits, told, late) = (self.store.events(), self.told.clone(), self.late.clone());
        tokio::spawn(async move {
            if let Some(late) = late {
                late.notified().await;
            }
            while let Some(events) = commits.next().await {
                told.tell(events);
            }
            told.close();
        });
        self.told.subscribe()
    }
}

impl Inbox for Switched {
    fn begin(
        &self,
        user: &UserId,
        id: &MessageId,
        claimed_for: Duration,
    ) -> BoxFuture<'_, Result<Begun, StoreError>> {
        self.when_on(self.store.begin(user, id, self.claims_for.unwrap_or(claimed_for)))
    }

    fn renew(&self, claim: &Claim, claimed_for: Duration) -> BoxFuture<'_, Result<(), ClaimError>> {
        if self.claims_for.is_some() {
            return Box::pin(ready(Ok(())));
        }
        self.when_on(self.store.renew(claim, claimed_for))
    }

    fn record(&self, claim: &Claim, outcome: &Outcome) -> BoxFuture<'_, Result<(), ClaimError>> {
        self.when_on(self.store.record(claim, outcome))
    }

    fn release(&self, claim: &Claim) {
        self.store.release(claim);
    }
}

impl Credentials for Switched {
    fn sign_out(&self, user: &UserId, ended: SignOut) -> BoxFuture<'_, Result<(), SignOutError>> {
        self.when_on(self.store.sign_out(user, ended))
    }

    fn sign_outs(
        &self,
        user: &UserId,
        session: Option<&str>,
    ) -> BoxFuture<'_, Result<SignOuts, StoreError>> {
        self.when_on(self.store.sign_outs(user, session))
    }

    fn keep_sign_outs_for(&self, time: Duration) {
        self.store.keep_sign_outs_for(time);
    }

    fn keep_ticket(
        &self,
        digest: TicketDigest,
        ticket: Ticket,
        kept_for: Duration,
    ) -> BoxFuture<'_, Result<(), KeepTicketError>> {
        self.when_on(self.store.keep_ticket(digest, ticket, kept_for))
    }

    fn take_ticket(
        &self,
        digest: TicketDigest,
        user: Option<&UserId>,
    ) -> BoxFuture<'_, Result<Option<Ticket>, StoreError>> {
        self.when_on(self.store.take_ticket(digest, user))
    }
}

impl Streams for Switched {
    fn open_stream(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
        opening: Arc<StreamOpening>,
    ) -> BoxFuture<'_, Result<OpenedStream, OpenStreamError>> {
        self.when_on(self.store.open_stream(user, message_uuid, opening))
    }

    fn append_text(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
        attempt: Attempt,
        offset: Option<u64>,
        text: Box<str>,
    ) -> BoxFuture<'_, Result<u64, AppendTextError>> {
        self.when_on(self.store.append_text(user, message_uuid, attempt, offset, text))
    }

    fn finish_stream(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
        attempt: Attempt,
        ending: Arc<StreamEnding>,
    ) -> BoxFuture<'_, Result<FinishedStream, FinishStreamError>> {
        if self.off.load(Ordering::SeqCst) {
            self.told.tell([Event::Missed]);
        }
        self.when_on(self.store.finish_stream(user, message_uuid, attempt, ending))
    }

    fn stop_stream(
        &self,
        user: &UserId,
        target: &StopTarget,
    ) -> BoxFuture<'_, Result<StoppedStream, StoreError>> {
        self.when_on(self.store.stop_stream(user, target))
    }

    fn stream(
        &self,
        user: &UserId,
        message_uuid: &MessageId,
    ) -> BoxFuture<'_, Result<Option<StreamState>, StoreError>> {
        self.when_on(self.store.stream(user, message_uuid))
    }

    fn overdue_streams(&self) -> BoxFuture<'_, Result<Vec<OverdueStream>, StoreError>> {
        self.when_on(self.store.overdue_streams())
    }

    fn read_streams(
        &self,
        user: &UserId,
        places: &[StreamPosition],
        room_bytes: usize,
    ) -> StreamRead {
        if self.hides.load(Ordering::SeqCst) {
            return StreamRead::Now(StreamPage::default());
        }
        self.store.read_streams(user, places, room_bytes)
    }
}

impl Upkeep for Switched {
    fn work_by(&self, limits: &Limits) {
        self.store.work_by(limits);
    }

    fn erase(&self, user: &UserId) -> BoxFuture<'_, Result<(), StoreError>> {
        self.when_on(self.store.erase(user))
    }

    fn answers(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        if self.hangs.load(Ordering::SeqCst) {
            return Box::pin(std::future::pending());
        }
        self.when_on(self.store.answers())
    }
}

/// A server of which the store can be switched, until it is dropped.
struct Running {
    server: Server,
    address: SocketAddr,
    serving: JoinHandle<io::Result<()>>,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start(switch: impl FnOnce(Switched) -> Switched) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("mailbox.db")).unwrap();
        let server = Server::open(config(), switch(Switched::new(store)));
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener, server.router(), std::future::pending()));
        Self { server, address, serving, _folder: folder }
    }

    /// A device of ada's.
    async fn connect(&self, device: &str) -> Client {
        let url = format!("ws://{}/ws/user/ada?device={device}", self.address);
        let mut request = url.into_client_request().unwrap();
        let offer = format!("tetherline.v1, bearer.{}", token("ada"));
        request.headers_mut().insert("sec-websocket-protocol", offer.parse().unwrap());
        Client::open(request).await.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tokio::test]
async fn while_the_store_is_gone_nothing_is_promised_and_it_recovers_by_itself() {
    let off = Arc::new(AtomicBool::new(true));
    let running = Running::start(|store| Switched { off: off.clone(), ..store });
    let address = running.address;

    let http = reqwest::Client::new();
    let publish = || {
        http.post(format!("http://{address}/v1/users/ada/messages"))
            .bearer_auth(API_KEY)
            .body(r#"{"type":"t"}"#)
            .send()
    };
    let probe =
        || http.get(format!("http://{address}/ws/user/ada")).bearer_auth(token("ada")).send();
    for answer in [publish().await.unwrap(), probe().await.unwrap()] {
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key("retry-after"));
    }
    // A load balancer is told to send nobody here, and a stranger not why.
    let ready = || http.get(format!("http://{address}/readyz")).send();
    let answer = ready().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        answer.json::<serde_json::Value>().await.unwrap()["error"]["reason"],
        "store_unavailable"
    );
    let alive = http.get(format!("http://{address}/healthz")).send().await.unwrap();
    assert_eq!(alive.status(), StatusCode::OK);
    // Of many each is told so, and when to come again.
    let item = r#"{"user":"ada","message":{"type":"t"}}"#;
    let many = http.post(format!("http://{address}/v1/messages")).bearer_auth(API_KEY);
    let answer = many.body(format!("[{item},{item}]")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::MULTI_STATUS);
    for answer in answer.json::<Vec<serde_json::Value>>().await.unwrap() {
        assert_eq!(
            (&answer["status"], &answer["error"]["code"]),
            (&503.into(), &"unavailable".into())
        );
        assert_eq!(answer["error"]["retry_after_ms"], 1_000);
    }
    off.store(false, Ordering::SeqCst);
    let answer = publish().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["seq"], 1);
    assert_eq!(probe().await.unwrap().status(), StatusCode::UPGRADE_REQUIRED);
    support::eventually(|| async { ready().await.unwrap().status() == StatusCode::OK }).await;
}

#[tokio::test]
async fn a_store_that_says_nothing_is_told_from_one_that_says_no() {
    // What supervises the process starts it anew for the one, and not for the other.
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("mailbox.db")).unwrap();
    let (off, hangs) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let switched = Switched { off: off.clone(), hangs: hangs.clone(), ..Switched::new(store) };
    let server = Server::open(config(), switched);
    assert!(matches!(server.readiness().await, Readiness::NoStore(_)));
    hangs.store(true, Ordering::SeqCst);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    let asked = tokio::time::Instant::now();
    assert_eq!(server.readiness().await, Readiness::StoreSilent);
    assert!(asked.elapsed() >= STORE_ANSWER_TIMEOUT);
}

#[tokio::test]
async fn a_stream_that_could_not_be_ended_is_shown_again() {
    // A store takes an attempt out of sight before the commit that ends it, and whoever looked just
    // then was not told when that commit failed.
    let (off, hides) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let running =
        Running::start(|store| Switched { off: off.clone(), hides: hides.clone(), ..store });
    let server = &running.server;
    let opening = StreamOpening::parse(r#"{"message_uuid":"a1"}"#).unwrap();
    let mut writer = server.open_stream(&user("ada"), opening).await.unwrap();
    writer.append("text").await.unwrap();

    let mut client = running.connect("laptop").await;
    hides.store(true, Ordering::SeqCst);
    client.send(r#"{"type":"get_pending","have":[]}"#).await;
    let complete = client.next_of("pending_check_complete").await;
    assert_eq!(complete["data"]["streams"], 0, "it is about to end");
    off.store(true, Ordering::SeqCst);
    hides.store(false, Ordering::SeqCst);
    writer.finish(StreamEnding::plain(StreamStatus::Complete)).await.unwrap_err();
    client.next_of("message_start").await;
    assert_eq!(client.next_of("message_delta").await["text"], "text");
}

#[tokio::test]
async fn an_erased_message_does_not_come_back_when_it_is_told_late() {
    // It was put into the memory from which whoever is connected reads.
    let late = Arc::new(Notify::new());
    let running = Running::start(|store| Switched { late: Some(late.clone()), ..store });
    let server = &running.server;
    let message = Message::parse(r#"{"type":"number","n":1}"#).unwrap();
    server.publish(&user("ada"), None, message).await.unwrap();
    let before = server.head(&user("ada")).await.unwrap().epoch;
    let erasing = tokio::spawn({
        let server = server.clone();
        async move { server.erase(&user("ada")).await }
    });
    support::eventually(|| async { server.head(&user("ada")).await.unwrap().epoch != before })
        .await;

    let mut client = running.connect("laptop").await;
    assert!(!erasing.is_finished(), "nobody was told of it");
    late.notify_one();
    erasing.await.unwrap().unwrap();
    let (numbers, summary) = client.pending(r#"{"type":"get_pending","after":0}"#).await;
    assert_eq!((numbers, &summary["recovered"]), (vec![], &false.into()));
}

#[tokio::test]
async fn what_is_told_without_its_message_is_read_from_the_file() {
    // More waits to be told than may wait in memory, while nobody gets to it.
    let late = Arc::new(Notify::new());
    let running = Running::start(|store| Switched { late: Some(late.clone()), ..store });
    let server = &running.server;
    let mut client = running.connect("laptop").await;
    client.pending(r#"{"type":"get_pending","after":0}"#).await;

    let bytes = config().limits.publish_bytes_max - 100;
    let count = EVENTS_BYTES_MAX / bytes + 3;
    let text = "x".repeat(bytes);
    for n in 1..=count {
        let message = format!(r#"{{"type":"number","n":{n},"text":"{text}"}}"#);
        let message = Message::parse(&message).unwrap();
        server.publish(&user("ada"), None, message).await.unwrap();
    }
    late.notify_one();
    for n in 1..=count {
        assert_eq!(client.next_of("number").await["n"], n);
        client.send(&format!(r#"{{"type":"ack","seq":{n}}}"#)).await;
    }
}

#[tokio::test]
async fn a_server_that_can_tell_nobody_any_more_says_so() {
    // Everything would be stored, and whoever is connected would wait for ever.
    let (kills, told) = (Arc::new(AtomicBool::new(false)), EventQueue::default());
    let running =
        Running::start(|store| Switched { kills: kills.clone(), told: told.clone(), ..store });
    let server = &running.server;
    let _client = running.connect("laptop").await;
    let failed = tokio::spawn(server.failed());
    kills.store(true, Ordering::SeqCst);
    told.tell([Event::Missed]);
    let reason = failed.await.unwrap().to_string();
    assert!(reason.contains("the task that tells who is connected has panicked"), "{reason}");
}

/// Answers with how often it was asked, the first time only once it may.
#[derive(Default)]
struct Counting {
    asked: AtomicU64,
    may: Notify,
}

impl Application for Counting {
    fn receive(&self, _: Incoming) -> BoxFuture<'_, Result<Option<SendAnswer>, Refusal>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        Box::pin(async move {
            if asked == 1 {
                self.may.notified().await;
            }
            Ok(SendAnswer::of(&asked).ok())
        })
    }
}

#[tokio::test]
async fn who_has_lost_a_send_to_another_tells_what_became_of_it_there() {
    let claims_for = Some(Duration::from_millis(20));
    let running = Running::start(|store| Switched { claims_for, ..store });
    let application = Arc::new(Counting::default());
    running.server.attach(application.clone());
    let (mut laptop, mut phone) = (running.connect("laptop").await, running.connect("phone").await);
    laptop.send(r#"{"type":"ask","id":"m1"}"#).await;
    support::eventually(async || application.asked.load(Ordering::SeqCst) == 1).await;
    // It waits for as long as the send is claimed, and then has it.
    phone.send(r#"{"type":"ask","id":"m1"}"#).await;
    assert_eq!(phone.next_of("accepted").await["answer"], 2);
    application.may.notify_one();
    assert_eq!(laptop.next_of("accepted").await["answer"], 2, "there is one outcome");
    assert_eq!(application.asked.load(Ordering::SeqCst), 2);
}
