//! A deploy under everybody who is connected: the old process drains, a new one starts, and it is counted who
//! comes back when, and what of what is published all the while is lost or doubled.

mod crowd;
mod record;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use tetherline_process::note;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::server::Launch;
use crowd::{Crowd, Member};
pub(crate) use record::{Run, Verdict};

/// Connections of each user: fewer than a server allows.
const CLIENTS_PER_USER: usize = 50;
/// How often something is published to each user.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// Before and after the restart, to see that all is quiet.
const QUIET: Duration = Duration::from_secs(2);
/// How long all may take to connect, and to have everything once the window is over.
const PATIENCE: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is restarted, and under whom.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) clients: usize,
    pub(crate) window: Duration,
}

/// Restarts the server once, and before it one of before, if there is one to compare with.
pub(crate) async fn run(
    server: &Path,
    before: Option<&Path>,
    plan: &Plan,
    seed: u64,
) -> Result<Verdict> {
    let before = match before {
        Some(binary) => Some(restart(binary, plan, None, seed).await?),
        None => None,
    };
    let after = restart(server, plan, Some(plan.window), seed).await?;
    Ok(Verdict { clients: plan.clients, window_s: plan.window.as_secs_f64(), before, after })
}

async fn restart(binary: &Path, plan: &Plan, window: Option<Duration>, seed: u64) -> Result<Run> {
    let folder = tempfile::tempdir()?;
    let mut launch = Launch::new(binary, folder.path(), &mut fastrand::Rng::with_seed(seed))?;
    launch.webhook_url = "http://127.0.0.1:9/".into();
    launch.more = match window {
        Some(window) => vec!["--drain-window".into(), window.as_secs().to_string().into()],
        None => Vec::new(),
    };
    let load = record::load();
    let server = launch.start_and_listen().await?;
    let users = plan.clients.div_ceil(CLIENTS_PER_USER);
    let crowd = Arc::new(Crowd::of(&launch, users).await?);
    let mut members = JoinSet::new();
    for number in 0..plan.clients {
        let member = Member { user: number % users, device: number / users };
        members.spawn(member.live(crowd.clone()));
        if number % 100 == 99 {
            until(|| crowd.connected() + 100 > number).await?;
        }
    }
    until(|| crowd.connected() == plan.clients).await?;
    let publishing: JoinSet<()> =
        (0..users).map(|user| crowd::publish(crowd.clone(), user, PUBLISH_EVERY)).collect();
    sleep(QUIET).await;

    let began = Instant::now();
    server.stop().await?;
    let ended = began.elapsed();
    let _server = launch.start_and_listen().await?;
    let listened = began.elapsed();
    note!("the server ended after {ended:?}, and the next one listened after {listened:?}");
    until(|| crowd.has_lost_all_once() && crowd.connected() == plan.clients).await?;
    let back = began.elapsed();
    sleep(QUIET).await;
    crowd.publish_no_more();
    publishing.join_all().await;
    // Only what is missing now can be lost.
    let missing = until(|| crowd.missing() == 0).await.is_err().then(|| crowd.missing());
    let times = record::Times { began, ended, listened, back };
    let run = Run::of(&crowd, &times, missing.unwrap_or(0), load);
    members.shutdown().await;
    Ok(run)
}

async fn until(happens: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !happens() {
        ensure!(
            Instant::now() < deadline,
            "clients did not connect, or come back, in {PATIENCE:?}"
        );
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
