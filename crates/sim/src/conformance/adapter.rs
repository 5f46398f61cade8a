mod credentials;
mod inbox;
mod streams;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::BoxFuture;
use tetherline_protocol::{
    DeviceId, Epoch, IdempotencyKey, Limits, MessageId, Seq, StopTarget, UserId, frame::Message,
};
use tetherline_server::simulation::Tickets;
use tetherline_server::store::{
    AppendError, Appended, CarriedOut, Delivery, Event, EventQueue, Head, Mailbox, Place, Publish,
    Resumed, Room, StoreError, Upkeep,
};
use tetherline_store_conformance::Restored;

use self::credentials::SignOuts;
use crate::{
    store::{Answer, Operation, Store},
    streams::{Asker, Newest, Order, Reply, Request, StreamNo, Target},
    told::told,
    world::{PublishNo, UserNo},
};

/// The model has as many users as it was made with.
const USERS_MAX: usize = 64;

/// What the model takes for a device that is none: it never has a cursor.
const NO_DEVICE: usize = usize::MAX;
/// A mailbox may be over its count by a sixteenth or so many messages, as in SQLite.
const SLACK_MAX: u64 = 256;

/// A model, and what its numbers stand for outside.
pub(super) struct Machine {
    pub(super) store: Store,
    users: Names<UserId>,
    devices: Names<(UserNo, DeviceId)>,
    keys: Names<(UserNo, IdempotencyKey)>,
    sends: Names<(UserNo, MessageId)>,
    streams: Names<(UserNo, MessageId)>,
    contents: Vec<(UserId, Message)>,
    /// Where each user's head was when: retention takes what a run's chance takes otherwise.
    ages: Vec<VecDeque<(u64, u64)>>,
    limits: Limits,
    now: u64,
    /// Whose operations wait for the next commit, in order, and what the last ones were answered.
    waiting: Vec<OperationNo>,
    answered: BTreeMap<OperationNo, Answer>,
    operations: OperationNo,
    events: EventQueue,
    /// Erasures that are committed, until the subscriber has carried them out.
    erasures: BTreeMap<UserNo, BoxFuture<'static, ()>>,
    sign_outs: SignOuts,
    tickets: Tickets,
}

type OperationNo = u64;

/// A number for each name.
struct Names<T>(Vec<T>);

impl<T: PartialEq> Names<T> {
    fn number(&mut self, name: T) -> usize {
        self.0.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.0.push(name);
            self.0.len() - 1
        })
    }
}

impl Machine {
    pub(super) fn new(hides_early: bool) -> Self {
        let limits = Limits::default();
        Self {
            store: Store::new(USERS_MAX, &limits, hides_early, None),
            users: Names(Vec::new()),
            devices: Names(Vec::new()),
            keys: Names(Vec::new()),
            sends: Names(Vec::new()),
            streams: Names(Vec::new()),
            contents: Vec::new(),
            ages: vec![VecDeque::new(); USERS_MAX],
            limits,
            now: 1_000,
            waiting: Vec::new(),
            answered: BTreeMap::new(),
            operations: 0,
            events: EventQueue::default(),
            erasures: BTreeMap::new(),
            sign_outs: SignOuts::default(),
            tickets: Tickets::default(),
        }
    }

    /// Nothing is trimmed by a rule that nobody has named.
    pub(super) fn open(&mut self) {
        // Whoever had it open has closed it in order, or has crashed, which took what was not written.
        self.store.save_cursors();
        let mut limits = Limits::default();
        (limits.retention_age_ms, limits.retention_messages_max) = (0, 0);
        self.work_by(limits);
    }

    pub(super) fn crash(&mut self) {
        self.store.crash();
        self.waiting.clear();
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now += ms;
    }

    pub(super) fn restore(&mut self, how: Restored) {
        assert!(self.store.restore(how == Restored::Announced), "there is a backup");
        // It can be restored again.
        self.store.back_up();
    }

    fn work_by(&mut self, limits: Limits) {
        self.store.work_by(&limits);
        self.limits = limits;
        self.trim();
    }

    fn submit(&mut self, operation: Operation) -> OperationNo {
        self.operations += 1;
        self.store.submit(operation);
        self.waiting.push(self.operations);
        self.operations
    }

    fn publish(&mut self, Publish { user, key, message }: Publish) -> OperationNo {
        let number = self.users.number(user.clone());
        let key = key.map(|key| self.keys.number((number, key)));
        let publish = self.content(&user, Message::clone(&message));
        self.submit(Operation::Append { publish, user: number, key })
    }

    fn appended(&mut self, operation_no: OperationNo) -> Result<Appended, AppendError> {
        match self.answered(operation_no)? {
            Answer::Appended { repeated, delivery, .. } => {
                let (id, seq) = (id_of(&delivery), delivery.seq);
                Ok(Appended { id, seq, repeated, created_at_ms: 0 })
            }
            Answer::Conflict { .. } => Err(AppendError::Conflict),
            other => unreachable!("an append is answered by {other:?}"),
        }
    }

    fn answered(&mut self, operation_no: OperationNo) -> Result<Answer, StoreError> {
        self.answered.remove(&operation_no).ok_or_else(|| StoreError::new("the machine stopped"))
    }

    fn commit(&mut self) {
        let answers = self.store.commit(&self.contents, self.now);
        let name = |user: UserNo| self.users.0[user].clone();
        let events: Vec<Event> = answers
            .iter()
            .filter_map(|answer| {
                told(answer, name, &self.contents, |user| {
                    let (carried_out, erasure) = CarriedOut::new();
                    self.erasures.insert(user, erasure);
                    carried_out
                })
            })
            .collect();
        self.events.tell(events);
        self.answered.extend(std::mem::take(&mut self.waiting).into_iter().zip(answers));
        for user in 0..self.users.0.len() {
            let head = self.store.mailbox(user).head();
            if self.ages[user].back().is_none_or(|(_, before)| *before < head) {
                self.ages[user].push_back((self.now, head));
            }
        }
        self.trim();
    }

    fn trim(&mut self) {
        let (age_ms, count) = (self.limits.retention_age_ms, self.limits.retention_messages_max);
        for user in 0..self.users.0.len() {
            let (head, trimmed) =
                (self.store.mailbox(user).head(), self.store.mailbox(user).trimmed());
            if count > 0 && head - trimmed > count + (count / 16).min(SLACK_MAX) {
                self.store.trim(user, head - count);
            }
            let is_old = |at: u64| age_ms > 0 && self.now > at + age_ms;
            while let Some((_, until)) = self.ages[user].pop_front_if(|(at, _)| is_old(*at)) {
                self.store.trim(user, until.min(head));
            }
        }
    }

    fn content(&mut self, user: &UserId, message: Message) -> PublishNo {
        self.contents.push((user.clone(), message));
        self.contents.len() - 1
    }

    fn newest(&self, user: UserNo, stream: StreamNo) -> Option<&Newest> {
        self.store.mailbox(user).streams.get(stream)
    }
}

/// The model as a server has it. It is asked and commits as the writer of a real one: together with
/// whoever asks at the same time.
pub(super) struct Adapter(pub(super) Arc<Mutex<Machine>>);

impl Adapter {
    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn user(&self, user: &UserId) -> UserNo {
        self.machine().users.number(user.clone())
    }

    async fn ask(&self, operation: Operation) -> Result<Answer, StoreError> {
        let operation_no = self.machine().submit(operation);
        tokio::task::yield_now().await;
        let mut machine = self.machine();
        machine.commit();
        machine.answered(operation_no)
    }

    /// What became of an order, and whether it made a message.
    async fn order(&self, user: UserNo, request: Request) -> Result<(Reply, bool), StoreError> {
        let order = Order { user, history: None, asker: Asker::Server, request };
        match self.ask(Operation::Stream(order)).await? {
            Answer::Stream { reply, news, .. } => Ok((reply, news.is_some())),
            other => unreachable!("an order is answered by {other:?}"),
        }
    }

    fn target(&self, user: UserNo, target: &StopTarget) -> Target {
        let mut machine = self.machine();
        match target {
            StopTarget::Message(name) => {
                Target::Stream(machine.streams.number((user, name.clone())))
            }
            StopTarget::Send(id) => Target::Send(machine.sends.number((user, id.clone()))),
        }
    }
}

impl Mailbox for Adapter {
    fn append(
        &self,
        user: &UserId,
        key: Option<&IdempotencyKey>,
        message: Arc<Message>,
    ) -> BoxFuture<'_, Result<Appended, AppendError>> {
        let publish = Publish { user: user.clone(), key: key.cloned(), message };
        Box::pin(async move {
            let mut appended = self.append_many(vec![publish]).await;
            appended.pop().expect("one is answered by one")
        })
    }

    fn append_many(
        &self,
        publishes: Vec<Publish>,
    ) -> BoxFuture<'_, Vec<Result<Appended, AppendError>>> {
        Box::pin(async move {
            let operations: Vec<OperationNo> = {
                let mut machine = self.machine();
                publishes.into_iter().map(|publish| machine.publish(publish)).collect()
            };
            tokio::task::yield_now().await;
            let mut machine = self.machine();
            machine.commit();
            operations.iter().map(|operation_no| machine.appended(*operation_no)).collect()
        })
    }

    fn read(
        &self,
        user: &UserId,
        epoch: &Epoch,
        after: Seq,
        room: Room,
    ) -> BoxFuture<'_, Result<Vec<Delivery>, StoreError>> {
        let (user, epoch) = (self.user(user), epoch.clone());
        Box::pin(async move { Ok(self.machine().store.read(user, &epoch, after, room)) })
    }

    fn resume(
        &self,
        user: &UserId,
        after: Seq,
        room: Room,
    ) -> BoxFuture<'_, Result<Resumed, StoreError>> {
        let user = self.user(user);
        Box::pin(async move { Ok(self.machine().store.resume(user, after, room)) })
    }

    fn heads(&self, users: &[UserId]) -> BoxFuture<'_, Result<Vec<Head>, StoreError>> {
        let heads = users.iter().map(|user| {
            let user = self.user(user);
            self.machine().store.head(user)
        });
        let heads = Ok(heads.collect());
        Box::pin(async { heads })
    }

    fn locate(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
    ) -> BoxFuture<'_, Result<Place, StoreError>> {
        let user = self.user(user);
        let device = device.cloned();
        Box::pin(async move {
            let Some(device) = device else {
                return Ok(self.machine().store.place(user, NO_DEVICE));
            };
            let (device, forgets) = {
                let mut machine = self.machine();
                let forgets = machine.limits.device_retention_ms == 0;
                (machine.devices.number((user, device)), forgets)
            };
            self.ask(Operation::Greet { link: 0, user, device, forgets }).await?;
            Ok(self.machine().store.place(user, device))
        })
    }

    fn acknowledge(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        seq: Seq,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        let user = self.user(user);
        let number = |device: &DeviceId| self.machine().devices.number((user, device.clone()));
        let device = device.map_or(NO_DEVICE, number);
        Box::pin(async move {
            let seq = seq.get();
            self.ask(Operation::Acknowledge { link: 0, user, device, seq }).await?;
            Ok(())
        })
    }

    fn save_cursor(
        &self,
        user: &UserId,
        _: Option<&DeviceId>,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        let user = self.user(user);
        Box::pin(async move {
            self.ask(Operation::SaveCursor { link: 0, user }).await?;
            Ok(())
        })
    }
}

impl Upkeep for Adapter {
    fn work_by(&self, limits: &Limits) {
        self.machine().work_by(limits.clone());
    }

    fn erase(&self, user: &UserId) -> BoxFuture<'_, Result<(), StoreError>> {
        let user = self.user(user);
        Box::pin(async move {
            self.ask(Operation::Erase { user }).await?;
            let erasure = self.machine().erasures.remove(&user);
            if let Some(erasure) = erasure {
                erasure.await;
            }
            Ok(())
        })
    }
}

fn id_of(delivery: &Delivery) -> MessageId {
    let frame: serde_json::Value =
        serde_json::from_str(&delivery.text).expect("what is delivered is JSON");
    frame["id"].as_str().and_then(|id| id.parse().ok()).expect("a message has an id")
}
