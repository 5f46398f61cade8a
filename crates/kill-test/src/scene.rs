//! Everybody around one server: publishers, pages that send, an application.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tetherline::{Acknowledge, Client, DeviceId, Event, Seq};
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::{
    application::{Application, SenderName},
    ledger::{Kind, Ledger},
    page::{self, Outbox},
    publisher,
    server::Launch,
};

pub(crate) const USERS: usize = 4;
const PUBLISHERS_PER_USER: u16 = 2;
/// The last of them restarts its page all the time; the others live through everything.
pub(crate) const DEVICES_PER_USER: usize = 3;
/// How long everything may take to arrive, once nothing more goes wrong.
pub(crate) const CALM: Duration = Duration::from_secs(90);
/// The newest messages of a mailbox that are read once more at the end: fewer than a server keeps.
const AUDITED_MAX: u64 = 9_000;

/// What is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// What was begun is finished, and nothing new begun.
    Finishing,
    /// Everything is published: a page that has read up to its user's head ends.
    Ending(Arc<[u64]>),
}

/// What all of them share.
#[derive(Debug)]
pub(crate) struct Scene {
    /// The server, and what stands before it: ways that all lead there.
    urls: Vec<String>,
    pub(crate) api_key: String,
    pub(crate) tokens: Vec<String>,
    pub(crate) http: reqwest::Client,
    pub(crate) ledger: Ledger,
    /// How far each living page has read, by user.
    pub(crate) positions: Vec<[AtomicU64; DEVICES_PER_USER - 1]>,
    phase: watch::Sender<Phase>,
    /// Even while all is well: it counts up when trouble begins, and when it is over.
    troubles: AtomicU64,
    /// When each trouble began.
    began: Mutex<Vec<Instant>>,
    /// When each was over.
    over: Mutex<Vec<Instant>>,
    /// How often the server began to listen.
    ups: watch::Sender<u64>,
}

/// A scene with its people in it.
pub(crate) struct Play {
    pub(crate) scene: Arc<Scene>,
    application: Arc<Application>,
    publishers: JoinSet<(usize, u16, u32)>,
    pages: JoinSet<()>,
    outboxes: Vec<(SenderName, Arc<Outbox>)>,
}

pub(crate) fn user_name(user: usize) -> String {
    format!("user-{user}")
}

impl Scene {
    async fn new(launch: &Launch) -> Result<Self> {
        let mut tokens = Vec::new();
        for user in 0..USERS {
            tokens.push(launch.token(&user_name(user)).await?);
        }
        let http =
            reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        Ok(Self {
            urls: launch.ways(),
            api_key: launch.api_key()?,
            tokens,
            http,
            ledger: Ledger::new(USERS),
            positions: (0..USERS).map(|_| Default::default()).collect(),
            phase: watch::Sender::new(Phase::Running),
            troubles: AtomicU64::new(0),
            began: Mutex::default(),
            over: Mutex::default(),
            ups: watch::Sender::new(0),
        })
    }

    pub(crate) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(crate) fn ups(&self) -> watch::Receiver<u64> {
        self.ups.subscribe()
    }

    /// The server listens again.
    pub(crate) fn is_up(&self) {
        self.ups.send_modify(|ups| *ups += 1);
    }

    /// One of the ways to the server; the same for the same number.
    pub(crate) fn url(&self, number: usize) -> &str {
        &self.urls[number % self.urls.len()]
    }

    pub(crate) fn builder(&self, user: usize) -> tetherline::Builder {
        Client::builder(self.url(user))
            .user(user_name(user).parse().expect("a short word"))
            .only_token(&*self.tokens[user])
    }

    /// Something is about to go wrong, or went wrong just now.
    pub(crate) fn trouble(&self) {
        self.began.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        self.troubles.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn trouble_is_over(&self) {
        self.over.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        self.troubles.fetch_add(1, Ordering::SeqCst);
    }

    /// Then itself, if there was trouble: whatever the server says on a full disk is in its memory alone.
    pub(crate) fn first_trouble_after(&self, at: Instant) -> Option<Instant> {
        let began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let before = began.partition_point(|trouble| *trouble < at);
        let is_in_trouble = before > over.partition_point(|end| *end < at);
        if is_in_trouble { Some(at) } else { began.get(before).copied() }
    }

    /// All is well; as long as this answers the same, it has been all the time.
    pub(crate) fn calm(&self) -> Option<u64> {
        Some(self.troubles.load(Ordering::SeqCst)).filter(|troubles| troubles % 2 == 0)
    }

    /// Somebody else opens a page on every device, and reads what waits there.
    pub(crate) async fn look_around(&self) -> Result<()> {
        for user in 0..USERS {
            for device in 0..DEVICES_PER_USER {
                introduce(self, user, device).await?;
            }
        }
        Ok(())
    }

    /// Whether everybody who lives has read up to here.
    pub(crate) fn have_read(&self, heads: &[u64]) -> bool {
        let reached = |user: usize, head: u64| {
            self.positions[user].iter().all(|at| at.load(Ordering::Relaxed) >= head)
        };
        heads.iter().enumerate().all(|(user, &head)| reached(user, head))
    }

    /// How many messages the slowest living page of a user lacks.
    pub(crate) fn lag(&self, user: usize) -> u64 {
        let slowest = self.positions[user].iter().map(|at| at.load(Ordering::Relaxed)).min();
        self.ledger.head(user).saturating_sub(slowest.unwrap_or(0))
    }
}

impl Play {
    /// Everybody in place and at work. The server has to be there, with the application's URL.
    pub(crate) async fn begin(
        launch: &Launch,
        application: Arc<Application>,
        random: &mut fastrand::Rng,
    ) -> Result<Self> {
        let scene = Arc::new(Scene::new(launch).await?);
        let (mut pages, mut outboxes) = (JoinSet::new(), Vec::new());
        // A device that the server has not met would begin where others have read to.
        scene.look_around().await?;
        for user in 0..USERS {
            for device in 0..DEVICES_PER_USER {
                let outbox = Arc::new(Outbox::default());
                outboxes.push((SenderName { user, device }, outbox.clone()));
                let (scene, random) = (scene.clone(), random.fork());
                if device + 1 < DEVICES_PER_USER {
                    pages.spawn(page::living(scene, user, device, outbox, random));
                } else {
                    pages.spawn(page::restarting(scene, user, device, outbox, random));
                }
            }
        }
        let mut publishers = JoinSet::new();
        for user in 0..USERS {
            for publisher in 0..PUBLISHERS_PER_USER {
                let publishing = publisher::publish(scene.clone(), user, publisher, random.fork());
                publishers.spawn(async move { (user, publisher, publishing.await) });
            }
        }
        Ok(Self { scene, application, publishers, pages, outboxes })
    }

    /// Nothing goes wrong any more: lets everything arrive, and says what did not.
    pub(crate) async fn end(mut self) -> Result<()> {
        let scene = self.scene.clone();
        scene.phase.send_replace(Phase::Finishing);
        let mut totals = vec![Vec::new(); USERS];
        let finishing = async {
            while let Some(done) = self.publishers.join_next().await {
                let (user, publisher, messages) = done?;
                totals[user].push((publisher, messages));
            }
            anyhow::Ok(())
        };
        match timeout(CALM, finishing).await {
            Ok(finished) => finished?,
            Err(_) => bail!("publishes were not answered within {CALM:?}"),
        }
        let heads: Arc<[u64]> = totals
            .iter()
            .map(|counts| counts.iter().map(|&(_, messages)| u64::from(messages)).sum())
            .collect();
        scene.phase.send_replace(Phase::Ending(heads.clone()));
        scene.is_up();
        let ending = async { while self.pages.join_next().await.is_some() {} };
        if timeout(CALM, ending).await.is_err() {
            self.pages.abort_all();
            for (user, head) in heads.iter().enumerate() {
                let words = format!(
                    "user {user}: {} messages of {head} did not reach every page within {CALM:?}, \
                     or sends were not settled",
                    scene.lag(user)
                );
                scene.ledger.problem(Kind::Lost, words);
            }
            return Ok(());
        }
        for (user, counts) in totals.iter().enumerate() {
            audit(&scene, user, heads[user]).await?;
            scene.ledger.close(user, counts);
            for device in 0..DEVICES_PER_USER {
                nothing_waits(&scene, user, device).await?;
            }
        }
        for (name, outbox) in &self.outboxes {
            let (effects, sent) = (self.application.effects(*name), outbox.begun());
            if effects != sent || outbox.accepted() != sent {
                let words = format!(
                    "{name}: {sent} sends, {} accepted, {effects} took effect",
                    outbox.accepted()
                );
                scene.ledger.problem(Kind::Lost, words);
            }
        }
        Ok(())
    }
}

fn device_id(device: usize) -> DeviceId {
    page::device_name(device).parse().expect("a short word")
}

async fn introduce(scene: &Scene, user: usize, device: usize) -> Result<()> {
    let builder = scene.builder(user).device(device_id(device));
    let mut client = builder.acknowledge(Acknowledge::Never).connect()?;
    read_to_now(&mut client, |_| {}).await?;
    client.close().await;
    Ok(())
}

/// Reads the end of a mailbox once more, as the file has it.
async fn audit(scene: &Scene, user: usize, head: u64) -> Result<()> {
    let after = head.saturating_sub(AUDITED_MAX);
    let from = Seq::new(after).context("a position")?;
    let mut client =
        scene.builder(user).start_after(from).acknowledge(Acknowledge::Never).connect()?;
    let mut last = after;
    read_to_now(&mut client, |message| {
        let Some((seq, note)) = page::note(&scene.ledger, user, message) else { return };
        if seq != last + 1 {
            let words = format!("user {user}: the file has {seq} after {last}");
            scene.ledger.problem(Kind::Lost, words);
        }
        last = seq;
        scene.ledger.read(user, note, seq);
    })
    .await?;
    if last != head {
        let words = format!("user {user}: the file ends at {last} instead of {head}");
        scene.ledger.problem(if last < head { Kind::Lost } else { Kind::Doubled }, words);
    }
    Ok(())
}

/// Every page has handled everything and said goodbye, whether it was answered or not: soon its
/// device has nothing to read.
async fn nothing_waits(scene: &Scene, user: usize, device: usize) -> Result<()> {
    let started = Instant::now();
    loop {
        let builder = scene.builder(user).device(device_id(device));
        let mut client = builder.acknowledge(Acknowledge::Never).connect()?;
        let mut waiting = 0;
        read_to_now(&mut client, |_| waiting += 1).await?;
        if waiting == 0 {
            return Ok(());
        }
        if started.elapsed() > CALM {
            let words = format!("user {user}, device {device}: {waiting} messages wait once more");
            scene.ledger.problem(Kind::Doubled, words);
            return Ok(());
        }
    }
}

async fn read_to_now(
    client: &mut Client,
    mut take: impl FnMut(&tetherline::Message),
) -> Result<()> {
    let started = Instant::now();
    loop {
        match timeout(CALM.saturating_sub(started.elapsed()), client.next()).await {
            Ok(Some(Event::Message(message))) => take(&message),
            Ok(Some(Event::CaughtUp { .. })) => return Ok(()),
            Ok(Some(_)) => {}
            Ok(None) => bail!("a client ended by itself"),
            Err(_) => bail!("a client did not catch up within {CALM:?}"),
        }
    }
}
