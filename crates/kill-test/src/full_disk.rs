//! The disk fills up under full load, and has room again after a while, without a restart.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::time::sleep;

use crate::{
    application::Application,
    ledger::{self, count},
    medium::{Kind, Medium},
    report::{Progress, Verdict},
    scene::{Play, Scene},
    server::{Launch, Server},
};

/// How long anything here may take that has to happen.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often is looked whether it did.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Published between two bad times.
const MESSAGES_BETWEEN: u64 = 200;
/// Refused while the disk is full, and everybody else goes on.
const REFUSALS: u64 = 200;
/// Refusals in a row, and none taken, after which the disk counts as full.
const REFUSED_IN_A_ROW: u64 = 40;

/// Fills the disk so many times, once more with a kill on top, and answers what came of it.
pub(crate) async fn run(binary: &Path, rounds: u32, kind: Kind, seed: u64) -> Result<Verdict> {
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir()?;
    let (application, webhook_url, serving) = Application::start(random.fork()).await?;
    let mut launch = Launch::new(binary, folder.path(), &mut random)?;
    std::fs::create_dir(&launch.data)?;
    let medium = Medium::open(kind, &launch.data).await?;
    launch.webhook_url = webhook_url;
    launch.prefix = medium.prefix();
    let server = launch.start_and_listen().await?;
    let play = Play::begin(&launch, application.clone(), &mut random).await?;
    let scene = play.scene.clone();
    let progress = Progress::start("full disk", scene.clone());
    let disk = Disk { launch: &launch, scene: scene.clone(), medium };
    let ended = async {
        for _ in 0..rounds {
            disk.fills_up_and_has_room_again(&server).await?;
        }
        let server = disk.fills_up_under_a_kill(server).await?;
        play.end().await?;
        server.stop().await
    };
    let ended = ended.await;
    serving.abort();
    let verdict = progress.finish(ended, &application, &launch.words);
    let times = (rounds + 1).to_string();
    Ok(verdict.with("filled up", times).with("medium", disk.medium.name().to_owned()))
}

/// A server's disk.
pub(crate) struct Disk<'a> {
    pub(crate) launch: &'a Launch,
    pub(crate) scene: Arc<Scene>,
    pub(crate) medium: Medium,
}

impl Disk<'_> {
    /// Meanwhile everything can be read, and publishes are refused.
    pub(crate) async fn fills_up_and_has_room_again(&self, server: &Server) -> Result<()> {
        let pid = server.pid().context("the server ended by itself")?;
        self.until_published().await?;
        let lost_before = self.disconnections();
        self.fill(server).await?;
        // Nothing can be written, and everything can be read.
        self.scene.look_around().await.context("on a full disk")?;
        self.until_refused().await?;
        let lost = self.disconnections() - lost_before;
        if lost > 0 {
            let words = format!("{lost} connections were lost while the disk was full");
            self.scene.ledger.problem(ledger::Kind::Broken, words);
        }
        self.medium.empty(pid)?;
        self.until_published().await.context("after the disk had room again")?;
        self.scene.trouble_is_over();
        Ok(())
    }

    /// What was answered has to be there after the server died on a full disk, too, and to be read
    /// by a server that starts on one.
    async fn fills_up_under_a_kill(&self, server: Server) -> Result<Server> {
        self.fill(&server).await?;
        server.kill().await?;
        count(&self.scene.ledger.counts.kills);
        let server = self.launch.start_and_listen().await.context("on a full disk")?;
        self.scene.is_up();
        self.scene.look_around().await.context("after a kill on a full disk")?;
        self.medium.empty(server.pid().context("the server ended by itself")?)?;
        self.until_published().await.context("after the disk had room again")?;
        self.scene.trouble_is_over();
        Ok(server)
    }

    /// Until every publish is refused.
    async fn fill(&self, server: &Server) -> Result<()> {
        let pid = server.pid().context("the server ended by itself")?;
        self.scene.trouble();
        let counts = &self.scene.ledger.counts;
        let started = Instant::now();
        let (mut published, mut refused) = (u64::MAX, 0);
        loop {
            // The server may give room back by tidying up.
            self.medium.fill(pid)?;
            let now = counts.published.load(Ordering::Relaxed);
            if now != published {
                published = now;
                refused = counts.publishes_refused.load(Ordering::Relaxed);
            } else if counts.publishes_refused.load(Ordering::Relaxed) >= refused + REFUSED_IN_A_ROW
            {
                return Ok(());
            }
            ensure!(started.elapsed() < PATIENCE, "publishes are not refused on a full disk");
            sleep(LOOK_EVERY).await;
        }
    }

    async fn until_refused(&self) -> Result<()> {
        let refused = || self.scene.ledger.counts.publishes_refused.load(Ordering::Relaxed);
        let (started, wanted) = (Instant::now(), refused() + REFUSALS);
        while refused() < wanted {
            ensure!(started.elapsed() < PATIENCE, "publishes are not answered on a full disk");
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn until_published(&self) -> Result<()> {
        let published = || self.scene.ledger.counts.published.load(Ordering::Relaxed);
        let (started, wanted) = (Instant::now(), published() + MESSAGES_BETWEEN);
        while published() < wanted {
            ensure!(started.elapsed() < PATIENCE, "publishes are not answered");
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    fn disconnections(&self) -> u64 {
        self.scene.ledger.counts.disconnections.load(Ordering::Relaxed)
    }
}
