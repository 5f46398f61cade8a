//! `tetherline-kill-test`: the real `tetherline serve`, under full load from publishers, pages that
//! send, and an application behind its webhook. It is killed at random moments, and its disk
//! fills up; then everybody compares what they have seen.
//!
//! Real processes on a real clock cannot be replayed exactly: a seed decides when the server is
//! killed and what everybody does, and not how far they get.
#![allow(clippy::doc_markdown, reason = "the comments on options are the help that people read")]

mod application;
mod full_disk;
mod kills;
mod ledger;
mod life;
mod medium;
mod page;
mod publisher;
mod reader;
mod report;
mod restart;
mod scene;
mod server;
mod streams;
mod torture;
mod writer;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tetherline_process::{arguments, note, say};

/// Kill a server again and again, fill its disk, and count what is lost or doubled.
#[derive(Debug, Parser)]
#[command(name = "kill-test")]
struct Options {
    /// The binary `tetherline`.
    #[arg(long, value_name = "FILE")]
    server: PathBuf,
    /// How often the server is killed.
    #[arg(long, default_value_t = 0)]
    kills: u32,
    /// How often its disk fills up, at most 30 times: what was published stays on it.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=30))]
    full_disks: u32,
    /// What that disk is.
    #[arg(long, value_enum, default_value_t = medium::Kind::Auto)]
    medium: medium::Kind,
    /// Restart it once under so many clients.
    #[arg(long, value_name = "CLIENTS")]
    restart: Option<usize>,
    /// Over how many seconds they come back.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, requires = "restart")]
    drain_window: u64,
    /// A server of before, to compare with: it is restarted first.
    #[arg(long, value_name = "FILE", requires = "restart")]
    before: Option<PathBuf>,
    /// Where what was counted goes, as JSON.
    #[arg(long, value_name = "FILE", requires = "restart")]
    write: Option<PathBuf>,
    /// Whether everything around it goes wrong, too: each fault once.
    #[arg(long)]
    torture: bool,
    /// Any of these faults, again and again, for so many minutes.
    #[arg(long, requires = "torture")]
    minutes: Option<u64>,
    /// One of these faults alone.
    #[arg(long, value_enum, requires = "torture", conflicts_with = "minutes")]
    only: Option<torture::Fault>,
    /// Decides when, and what everybody does; a random one without it.
    #[arg(long)]
    seed: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = match arguments::<Options>() {
        Ok(options) => options,
        Err(code) => return code,
    };
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    match run(&options, seed).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            note!("a promise was broken; the seed was {seed}");
            ExitCode::FAILURE
        }
        Err(error) => {
            note!("the test could not run: {error:#}; the seed was {seed}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options, seed: u64) -> Result<bool> {
    note!("seed {seed}");
    // Absolute, since it is started from elsewhere, too.
    let server = options
        .server
        .canonicalize()
        .with_context(|| format!("there is no server at {}", options.server.display()))?;
    let mut good = true;
    if options.kills > 0 {
        let verdict = kills::run(&server, options.kills, seed).await?;
        say!("{verdict}");
        good &= verdict.is_good();
    }
    if options.full_disks > 0 && cfg!(not(target_os = "linux")) {
        note!("the disk is filled on Linux only; this is left out");
    } else if options.full_disks > 0 {
        let verdict = full_disk::run(&server, options.full_disks, options.medium, seed).await?;
        say!("{verdict}");
        good &= verdict.is_good();
    }
    if let Some(clients) = options.restart {
        allow_many_files()?;
        let plan = restart::Plan { clients, window: Duration::from_secs(options.drain_window) };
        let verdict = restart::run(&server, options.before.as_deref(), &plan, seed).await?;
        say!("{verdict}");
        if let Some(file) = &options.write {
            std::fs::write(file, serde_json::to_string_pretty(&verdict)? + "\n")?;
        }
        good &= verdict.is_good();
    }
    if options.torture && cfg!(not(target_os = "linux")) {
        note!("the torture is done on Linux only; this is left out");
    } else if options.torture {
        let wish = match (options.only, options.minutes) {
            (Some(fault), _) => torture::Wish::Only(fault),
            (None, Some(minutes)) => torture::Wish::Long(Duration::from_mins(minutes)),
            (None, None) => torture::Wish::Short,
        };
        let verdict = torture::run(&server, &wish, seed).await?;
        say!("{verdict}");
        good &= verdict.is_good();
    }
    Ok(good)
}

/// Each client is one.
fn allow_many_files() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
