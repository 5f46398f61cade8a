//! What goes wrong.

use std::{fmt, time::Duration};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use reqwest::StatusCode;
use rustix::process::{Signal, kill_process};
use tokio::time::sleep;

use super::{Manner, Stage, file, readers, restore, restore::How};
use crate::{application::Mood, full_disk::Disk, ledger::count, medium::Medium, server::Log};

/// How long a person needs who restarts something.
const RESTART: Duration = Duration::from_millis(300);

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// Connections that take nothing, requests that are never finished.
    StuckReaders,
    /// Another process reads the file for long, while much is published.
    FileReader,
    /// Another process writes to the file.
    FileLocked,
    /// Another process copies the file, as SQLite's own backup does.
    FileCopied,
    /// Nothing can be written.
    FullDisk,
    /// Whoever read the log is gone, and then the disk is full.
    LostLog,
    /// The log's volume is full, and the disk too.
    FullLog,
    /// The webhook does not answer.
    SilentWebhook,
    /// The webhook answers what means nothing: a proxy's page, and what never ends or breaks off.
    LyingWebhook,
    /// The proxies refuse everybody, 401 or 403.
    ProxiesRefuse,
    /// The proxies are restarted.
    ProxiesRestart,
    /// The process stands still.
    Frozen,
    /// The server is stopped in order, and started.
    Restarted,
    /// The server is killed, and started.
    Killed,
    /// A backup is restored, under load, on a server of its own.
    Restored,
    /// The same by hand, and nobody says so.
    CopiedBack,
}

impl Fault {
    pub(crate) const ALL: [Self; 16] = [
        Self::StuckReaders,
        Self::FileReader,
        Self::FileLocked,
        Self::FileCopied,
        Self::FullDisk,
        Self::LostLog,
        Self::FullLog,
        Self::SilentWebhook,
        Self::LyingWebhook,
        Self::ProxiesRefuse,
        Self::ProxiesRestart,
        Self::Frozen,
        Self::Restarted,
        Self::Killed,
        Self::Restored,
        Self::CopiedBack,
    ];

    /// Each once, in an order in which one makes the next one worse. The full disk comes with the logs.
    pub(super) const SHORT: [Self; 14] = [
        Self::StuckReaders,
        Self::FileCopied,
        Self::FileReader,
        Self::FileLocked,
        Self::LostLog,
        Self::LyingWebhook,
        Self::SilentWebhook,
        Self::ProxiesRefuse,
        Self::ProxiesRestart,
        Self::Frozen,
        Self::Restarted,
        Self::FullLog,
        Self::Killed,
        Self::Restored,
    ];

    /// Lets it happen and be over.
    pub(super) async fn happens(self, stage: &mut Stage<'_>) -> Result<()> {
        match self {
            Self::StuckReaders => {
                stage.trouble(async |stage| readers::get_stuck(stage).await).await
            }
            Self::FileReader => stage.trouble(async |stage| file::is_read(stage).await).await,
            Self::FileLocked => stage.trouble(async |stage| file::is_locked(stage).await).await,
            Self::FileCopied => stage.trouble(async |stage| file::is_copied(stage).await).await,
            // It says itself when there is trouble.
            Self::FullDisk => disk(stage).await,
            Self::LostLog => {
                stage.server.lose_log();
                disk(stage).await
            }
            Self::FullLog => {
                stage.launch.log = Log::Full;
                restart(stage).await?;
                stage.launch.log = Log::Read;
                stage.everybody_is_served().await?;
                disk(stage).await
            }
            Self::SilentWebhook => {
                stage
                    .trouble(async |stage| {
                        stage.application.is(Mood::Hangs);
                        let heard = readers::ask_much(stage).await;
                        stage.application.is(Mood::Well);
                        heard
                    })
                    .await?;
                webhook(stage, &[Mood::Hangs]).await
            }
            Self::LyingWebhook => {
                let pages = [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN, StatusCode::BAD_GATEWAY];
                let [one, two, three] = pages.map(Mood::Page);
                webhook(stage, &[one, two, three, Mood::Endless, Mood::Breaks]).await
            }
            Self::ProxiesRefuse => {
                let refusals = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
                let status = refusals[stage.random.usize(..refusals.len())];
                proxies(stage, Some(Manner::Refuse(status.as_u16()))).await
            }
            Self::ProxiesRestart => proxies(stage, None).await,
            Self::Frozen => {
                let pid = stage.server.pid().context("the server ended by itself")?;
                stage
                    .trouble(async |stage| {
                        kill_process(pid, Signal::STOP)?;
                        stage.a_while().await;
                        Ok(kill_process(pid, Signal::CONT)?)
                    })
                    .await
            }
            Self::Restarted => restart(stage).await,
            Self::Killed => {
                stage
                    .trouble(async |stage| {
                        stage.server.end(Signal::KILL).await?;
                        stage.server = stage.launch.start_and_listen().await?;
                        count(&stage.scene.ledger.counts.kills);
                        Ok(())
                    })
                    .await
            }
            Self::Restored => restore::happens(stage, How::ByCommand).await,
            Self::CopiedBack => restore::happens(stage, How::ByHand).await,
        }
    }
}

async fn disk(stage: &mut Stage<'_>) -> Result<()> {
    let (scene, launch) = (stage.scene.clone(), &*stage.launch);
    let disk = Disk { launch, scene, medium: Medium::Limit };
    disk.fills_up_and_has_room_again(&stage.server).await
}

async fn webhook(stage: &mut Stage<'_>, moods: &[Mood]) -> Result<()> {
    for mood in moods {
        stage
            .trouble(async |stage| {
                stage.application.is(*mood);
                stage.a_while().await;
                // Whoever publishes does not notice.
                let served = stage.publishers_are_served().await;
                stage.application.is(Mood::Well);
                served
            })
            .await?;
    }
    Ok(())
}

async fn proxies(stage: &mut Stage<'_>, meanwhile: Option<Manner>) -> Result<()> {
    stage
        .trouble(async |stage| {
            stage.proxies.stop().await?;
            sleep(RESTART).await;
            if let Some(manner) = meanwhile {
                stage.proxies.run(manner).await?;
                stage.a_while().await;
                stage.proxies.stop().await?;
            }
            stage.proxies.run(Manner::Serve).await
        })
        .await
}

async fn restart(stage: &mut Stage<'_>) -> Result<()> {
    stage
        .trouble(async |stage| {
            stage.server.end(Signal::TERM).await?;
            stage.server = stage.launch.start_and_listen().await?;
            Ok(())
        })
        .await
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        formatter.write_str(value.as_ref().map_or("a fault", |value| value.get_name()))
    }
}
