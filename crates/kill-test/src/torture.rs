//! Everything around the server goes wrong, one thing after the other, under full load and behind real
//! proxies. After each the server has to serve everybody again, and in the end nothing is lost or doubled.

mod fault;
mod file;
mod proxies;
mod readers;
mod restore;

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tokio::time::sleep;

use tetherline_process::note;

use crate::{
    application::Application,
    medium::Medium,
    report::{Progress, Verdict},
    scene::{Play, Scene, USERS},
    server::{Launch, Server},
    streams::Streams,
};
pub(crate) use fault::Fault;
use proxies::{Manner, Proxies};

/// How long everybody may take to be served again.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What has to happen after each fault, of each kind, before the next one.
const MESSAGES_AFTER: u64 = 100;
const SENDS_AFTER: u64 = 20;
const PIECES_AFTER: u64 = 20;

/// What goes wrong.
#[derive(Debug)]
pub(crate) enum Wish {
    /// What the test command has time for.
    Short,
    /// One thing, once.
    Only(Fault),
    /// Anything, again and again, for so long.
    Long(Duration),
}

/// The server, and everything around it that can go wrong.
struct Stage<'a> {
    launch: &'a mut Launch,
    scene: Arc<Scene>,
    application: Arc<Application>,
    proxies: Proxies,
    server: Server,
    random: fastrand::Rng,
    /// How long a fault lasts that ends by itself, in ms.
    lasts_ms: std::ops::Range<u64>,
    /// Whether there is time for what takes long.
    is_thorough: bool,
}

/// Lets everything that is wished for go wrong, and answers what came of it.
pub(crate) async fn run(binary: &Path, wish: &Wish, seed: u64) -> Result<Verdict> {
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir()?;
    let (application, webhook_url, serving) = Application::start(random.fork()).await?;
    let mut launch = Launch::new(binary, folder.path(), &mut random)?;
    launch.webhook_url = webhook_url;
    // Starts it so that a write which may not be is an error, and not its end.
    launch.prefix = Medium::Limit.prefix();
    let proxies = Proxies::start(folder.path(), &launch.address()).await?;
    launch.proxies = proxies.urls();
    let server = launch.start_and_listen().await?;
    let play = Play::begin(&launch, application.clone(), &mut random).await?;
    let scene = play.scene.clone();
    let streams = Streams::begin(&launch, scene.clone(), &mut random).await?;
    let progress = Progress::start("torture", scene.clone());
    let lasts_ms = if matches!(wish, Wish::Long(_)) { 500..8_000 } else { 1_000..1_500 };
    let (words, people) = (launch.words.clone(), application.clone());
    let random = random.fork();
    let mut stage = Stage {
        launch: &mut launch,
        scene,
        application,
        proxies,
        server,
        random,
        lasts_ms,
        is_thorough: !matches!(wish, Wish::Short),
    };
    let mut told = 0;
    let ended = async {
        match wish {
            Wish::Short => stage.all_of(&Fault::SHORT, &mut told).await?,
            Wish::Only(fault) => stage.all_of(&[*fault], &mut told).await?,
            Wish::Long(time) => {
                let started = Instant::now();
                while started.elapsed() < *time {
                    let fault = Fault::ALL[stage.random.usize(..Fault::ALL.len())];
                    stage.all_of(&[fault], &mut told).await?;
                }
            }
        }
        play.end().await?;
        streams.end().await?;
        stage.server.stop().await
    };
    let ended = ended.await;
    serving.abort();
    Ok(progress.finish(ended, &people, &words).with("faults", told.to_string()))
}

impl Stage<'_> {
    async fn all_of(&mut self, faults: &[Fault], told: &mut u32) -> Result<()> {
        for fault in faults {
            let started = Instant::now();
            let gone_through = async {
                fault.happens(self).await?;
                self.everybody_is_served().await
            };
            gone_through.await.with_context(|| format!("{fault}"))?;
            *told += 1;
            note!("  {fault}: {:.1} s", started.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// Something is wrong while `work` is under way, and nothing any more after it.
    async fn trouble<T>(&mut self, work: impl AsyncFnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.scene.trouble();
        let done = work(self).await;
        self.scene.trouble_is_over();
        // People press "try now", mostly.
        self.scene.is_up();
        done
    }

    async fn a_while(&mut self) {
        let lasts = self.random.u64(self.lasts_ms.clone());
        sleep(Duration::from_millis(lasts)).await;
    }

    /// The process lives, and it serves: publishers, pages, senders, and those who write and read streams.
    async fn everybody_is_served(&mut self) -> Result<()> {
        let scene = self.scene.clone();
        let counts = &scene.ledger.counts;
        let read = || {
            [&counts.published, &counts.sent, &counts.pieces]
                .map(|counter| counter.load(Ordering::Relaxed))
        };
        let before = read();
        let heads: Vec<u64> = (0..USERS).map(|user| scene.ledger.head(user)).collect();
        let started = Instant::now();
        loop {
            self.server.lives()?;
            let now = read();
            let [published, sent, pieces] = [0, 1, 2].map(|kind| now[kind] - before[kind]);
            let is_served =
                published >= MESSAGES_AFTER && sent >= SENDS_AFTER && pieces >= PIECES_AFTER;
            if is_served && scene.have_read(&heads) {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                bail!(
                    "{PATIENCE:?} later {published} messages are published, {sent} sends taken and \
                     {pieces} pieces of streams shown; pages lack {:?} messages",
                    (0..USERS).map(|user| scene.lag(user)).collect::<Vec<_>>()
                );
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// While something is wrong that is nobody's business but its own, publishers are served.
    async fn publishers_are_served(&mut self) -> Result<()> {
        let scene = self.scene.clone();
        let published = || scene.ledger.counts.published.load(Ordering::Relaxed);
        let (started, wanted) = (Instant::now(), published() + MESSAGES_AFTER);
        while published() < wanted {
            self.server.lives()?;
            if started.elapsed() > PATIENCE {
                bail!("publishes are not answered meanwhile");
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}
