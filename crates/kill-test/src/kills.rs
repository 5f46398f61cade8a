//! SIGKILL at random moments, under full load.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use tokio::time::sleep;

use crate::{
    application::Application,
    ledger::count,
    report::{Progress, Verdict},
    scene::{Play, Scene},
    server::{Launch, Server},
    streams::Streams,
};

/// One life in so many is so long.
const LONG_LIFE_EVERY: u32 = 40;
const LONG_LIFE_MS: u64 = 7_000;

/// Kills the server so many times, and answers what came of it.
pub(crate) async fn run(binary: &Path, kills: u32, seed: u64) -> Result<Verdict> {
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir()?;
    let (application, webhook_url, serving) = Application::start(random.fork()).await?;
    let mut launch = Launch::new(binary, folder.path(), &mut random)?;
    launch.webhook_url = webhook_url;
    let server = launch.start_and_listen().await?;
    let play = Play::begin(&launch, application.clone(), &mut random).await?;
    let scene = play.scene.clone();
    let streams = Streams::begin(&launch, scene.clone(), &mut random).await?;
    let progress = Progress::start("kills", scene.clone());
    let ended = async {
        let server =
            kill_again_and_again((&launch, &scene, &streams), server, kills, &mut random).await?;
        play.end().await?;
        streams.end().await?;
        server.stop().await
    };
    let ended = ended.await;
    serving.abort();
    Ok(progress.finish(ended, &application, &launch.words))
}

async fn kill_again_and_again(
    (launch, scene, streams): (&Launch, &Arc<Scene>, &Streams),
    mut server: Server,
    kills: u32,
    random: &mut fastrand::Rng,
) -> Result<Server> {
    scene.is_up();
    for kill in 0..kills {
        // In one case of eight before it listens, perhaps: while it repairs what the last left.
        let lives = Duration::from_millis(match random.u8(..8) {
            // Now and then what was acknowledged has surely been written.
            _ if kill % LONG_LIFE_EVERY == LONG_LIFE_EVERY / 4 => LONG_LIFE_MS,
            0 => random.u64(0..40),
            1 => random.u64(1_000..2_000),
            _ => random.u64(100..900),
        });
        let listens = async {
            if server.listens().await {
                scene.is_up();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = listens => {}
            () = sleep(lives) => {}
        }
        scene.trouble();
        let are_open = streams.are_open();
        server.kill().await?;
        scene.trouble_is_over();
        count(&scene.ledger.counts.kills);
        if are_open {
            count(&scene.ledger.counts.kills_while_streaming);
        }
        server = launch.start()?;
    }
    ensure!(server.listens().await, "the server did not start: {:?}", launch.words.lines());
    scene.is_up();
    Ok(server)
}
