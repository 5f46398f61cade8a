//! Pages: native clients that read and send. Some live through everything, some start anew.

use std::{
    future::{Future, pending},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream::FuturesOrdered};
use serde::Deserialize;
use tetherline::{Client, Connection, Event, Message, SendError, Sender, Status};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use crate::{
    ledger::{Kind, Ledger, Note, count},
    life::{Device, End, Life},
    scene::{Phase, Scene, user_name},
};

/// Sends of one page that wait for their answers.
const SENDS_AT_A_TIME: usize = 4;
/// How long a page lives that starts anew all the time, in ms.
const LIFETIMES_MS: std::ops::Range<u64> = 30..900;
/// A goodbye that took longer was not answered: the client waits for one second.
const ANSWERED_WITHIN: Duration = Duration::from_millis(900);

/// The sends of a device, over all its pages: numbered from 0, and repeated under their ids until
/// they are accepted.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    begun: AtomicU32,
    accepted: AtomicU32,
}

impl Outbox {
    pub(crate) fn begun(&self) -> u32 {
        self.begun.load(Ordering::Relaxed)
    }

    pub(crate) fn accepted(&self) -> u32 {
        self.accepted.load(Ordering::Relaxed)
    }
}

pub(crate) fn device_name(device: usize) -> String {
    format!("device-{device}")
}

/// One page from the first kill to the last.
pub(crate) async fn living(
    scene: Arc<Scene>,
    user: usize,
    device: usize,
    outbox: Arc<Outbox>,
    mut random: fastrand::Rng,
) {
    let mut page = Page::open(&scene, user, device, Device::default(), outbox);
    loop {
        page.read_until(pending(), &mut random).await;
        if page.is_done() {
            break;
        }
    }
    page.close().await;
}

/// Page after page of one device, each from its cursor.
pub(crate) async fn restarting(
    scene: Arc<Scene>,
    user: usize,
    device: usize,
    outbox: Arc<Outbox>,
    mut random: fastrand::Rng,
) {
    let mut known = Device::default();
    loop {
        let mut page = Page::open(&scene, user, device, known, outbox.clone());
        let lifetime = Duration::from_millis(random.u64(LIFETIMES_MS));
        page.read_until(sleep(lifetime), &mut random).await;
        let is_done = page.is_done();
        known = if is_done || random.bool() { page.close().await } else { page.abandon() };
        if is_done {
            return;
        }
    }
}

/// What a message of a publisher says.
#[derive(Deserialize)]
struct Text {
    user: String,
    publisher: u16,
    n: u32,
}

/// Reads a message, and says if it is none of this user's.
pub(crate) fn note(ledger: &Ledger, user: usize, message: &Message) -> Option<(u64, Note)> {
    let text = serde_json::from_str::<Text>(&message.text).ok();
    match (message.seq, text) {
        (Some(seq), Some(Text { user: owner, publisher, n })) if owner == user_name(user) => {
            Some((seq.get(), Note { publisher, n }))
        }
        _ => {
            let words = format!("user {user} got what is none of theirs: {}", message.text);
            ledger.problem(Kind::Broken, words);
            None
        }
    }
}

/// One page, with a task beside it that sends.
struct Page {
    scene: Arc<Scene>,
    user: usize,
    device: usize,
    client: Client,
    life: Life,
    sending: Option<JoinHandle<()>>,
    /// Whether all was well when this page began.
    calm: Option<u64>,
    was_connected: bool,
    connection: watch::Receiver<Connection>,
    phase: watch::Receiver<Phase>,
    ups: watch::Receiver<u64>,
}

enum Happened {
    Event(Option<Event>),
    Connection,
    Up,
    Phase,
    Sent,
    Over,
}

impl Page {
    fn open(
        scene: &Arc<Scene>,
        user: usize,
        device: usize,
        known: Device,
        outbox: Arc<Outbox>,
    ) -> Self {
        count(&scene.ledger.counts.pages);
        let calm = scene.calm();
        let name = device_name(device).parse().expect("a short word");
        let client = scene.builder(user).device(name).connect().expect("everything is said");
        let sending = send(scene.clone(), client.sender(), user, device, outbox);
        Self {
            user,
            device,
            life: known.begin(),
            sending: Some(tokio::spawn(sending)),
            calm,
            was_connected: false,
            connection: client.connection(),
            phase: scene.phase(),
            ups: scene.ups(),
            client,
            scene: scene.clone(),
        }
    }

    /// Everything has come and everything is sent.
    fn is_done(&self) -> bool {
        match &*self.phase.borrow() {
            Phase::Ending(heads) => {
                self.sending.is_none() && self.life.position() >= heads[self.user]
            }
            Phase::Running | Phase::Finishing => false,
        }
    }

    async fn read_until(&mut self, end: impl Future<Output = ()>, random: &mut fastrand::Rng) {
        let mut end = pin!(end);
        while !self.is_done() {
            let happened = tokio::select! {
                event = self.client.next() => Happened::Event(event),
                _ = self.connection.changed() => Happened::Connection,
                _ = self.ups.changed() => Happened::Up,
                _ = self.phase.changed() => Happened::Phase,
                () = done(&mut self.sending) => Happened::Sent,
                () = &mut end => Happened::Over,
            };
            match happened {
                Happened::Event(Some(event)) => self.take(event),
                Happened::Event(None) => {
                    self.problem(Kind::Broken, "the client ended by itself");
                    return end.await;
                }
                Happened::Connection => self.look_at_connection(),
                // Waits grow with every failure; a person would press "try now", mostly.
                Happened::Up if random.u8(..4) > 0 || !self.is_running() => {
                    self.client.reconnect().await;
                }
                Happened::Up | Happened::Phase => {}
                Happened::Sent => self.sending = None,
                Happened::Over => return,
            }
        }
    }

    fn is_running(&self) -> bool {
        *self.phase.borrow() == Phase::Running
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Message(message) => self.read(&message),
            Event::CaughtUp { .. } => {}
            other => self.problem(Kind::Lost, &format!("{other:?}")),
        }
    }

    fn read(&mut self, message: &Message) {
        let ledger = &self.scene.ledger;
        let Some((seq, note)) = note(ledger, self.user, message) else { return };
        count(&ledger.counts.received);
        if message.replayed {
            count(&ledger.counts.replayed);
        }
        ledger.read(self.user, note, seq);
        if let Some(said_at) = self.life.said_at() {
            self.life.survived(self.scene.first_trouble_after(said_at));
        }
        if let Err(wrong) = self.life.take(seq, message.replayed, Instant::now()) {
            self.problem(wrong.kind(), &wrong.to_string());
        }
        if let Some(position) = self.scene.positions[self.user].get(self.device) {
            position.store(seq, Ordering::Relaxed);
        }
    }

    fn look_at_connection(&mut self) {
        let is_connected = self.connection.borrow_and_update().status == Status::Connected;
        match (self.was_connected, is_connected) {
            (false, true) => count(&self.scene.ledger.counts.connections),
            (true, false) => count(&self.scene.ledger.counts.disconnections),
            _ => {}
        }
        self.was_connected = is_connected;
    }

    fn problem(&self, kind: Kind, words: &str) {
        let words = format!("user {}, device {}: {words}", self.user, self.device);
        self.scene.ledger.problem(kind, words);
    }

    /// Ends like a page that is closed.
    async fn close(self) -> Device {
        if let Some(sending) = &self.sending {
            sending.abort();
        }
        let is_connected = self.connection.borrow().status == Status::Connected;
        let started = Instant::now();
        self.client.close().await;
        let answered = is_connected
            && started.elapsed() < ANSWERED_WITHIN
            && self.calm.is_some()
            && self.calm == self.scene.calm();
        if !answered {
            return self.life.end(End::Abrupt);
        }
        count(&self.scene.ledger.counts.pages_closed);
        self.life.end(End::InOrder)
    }

    /// Ends like a page whose browser crashed.
    fn abandon(self) -> Device {
        if let Some(sending) = &self.sending {
            sending.abort();
        }
        self.life.end(End::Abrupt)
    }
}

async fn done(task: &mut Option<JoinHandle<()>>) {
    match task {
        // It does not panic, and is aborted only with its page.
        Some(task) => drop(task.await),
        None => pending().await,
    }
}

/// Sends one message after the other, a few at a time; ends when the phase does, or with its page.
async fn send(scene: Arc<Scene>, sender: Sender, user: usize, device: usize, outbox: Arc<Outbox>) {
    let phase = scene.phase();
    let mut next = outbox.accepted();
    let mut under_way = FuturesOrdered::new();
    loop {
        while under_way.len() < SENDS_AT_A_TIME
            && (next < outbox.begun() || *phase.borrow() == Phase::Running)
        {
            let (sender, order) = (sender.clone(), order(user, device, next));
            under_way.push_back(async move { sender.send(&order).await });
            next += 1;
            outbox.begun.fetch_max(next, Ordering::Relaxed);
        }
        match under_way.next().await {
            Some(Ok(_)) => {
                outbox.accepted.fetch_add(1, Ordering::Relaxed);
                count(&scene.ledger.counts.sent);
            }
            Some(Err(SendError::Closed | SendError::SignedOut)) | None => return,
            Some(Err(error)) => {
                let words = format!("user {user}, device {device}: a send failed: {error}");
                return scene.ledger.problem(Kind::Broken, words);
            }
        }
    }
}

fn order(user: usize, device: usize, n: u32) -> String {
    format!(
        r#"{{"type":"order","id":"{user}-{device}-{n}","user":{user},"device":{device},"n":{n}}}"#
    )
}
