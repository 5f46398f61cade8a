//! Puts one load on one server that runs already, and prints what came of it as one line of JSON.

mod clock;
mod connection;
mod dialect;
mod fleet;
mod ledger;
mod publisher;
mod publishing;
mod scenario;
mod wire;

use std::net::SocketAddr;

use anyhow::Result;
use clap::{Args, ValueEnum};
use tetherline_process::say;

use crate::usage::cpu_ns;
use dialect::Manners;

/// What is done to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Everybody connects, stays for a while, and connects once more.
    Connect,
    /// Messages are published to random users.
    Publish,
    /// Everybody misses messages, and then connects at once.
    Replay,
    /// Messages are published that everybody misses.
    Fill,
    /// Everybody reads what another generator had them miss: what of it stays in memory.
    Stays,
}

/// One measurement.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub(crate) struct Options {
    #[arg(value_enum)]
    scenario: Scenario,
    #[arg(long)]
    server: SocketAddr,
    /// The server's process, whose time and memory are counted.
    #[arg(long)]
    pid: u32,
    #[command(flatten)]
    manners: Manners,
    #[arg(long, default_value_t = 1_000)]
    users: u32,
    /// How many of them connect; all if it is left out.
    #[arg(long)]
    connections: Option<u32>,
    #[arg(long, default_value_t = 48)]
    publishers: u16,
    #[arg(long, default_value_t = 2.5)]
    seconds: f64,
    #[arg(long, default_value_t = 0.8)]
    warm_up_s: f64,
    /// Messages per second; as many as can be if it is left out.
    #[arg(long)]
    per_s: Option<f64>,
    #[arg(long, default_value_t = 256)]
    message_bytes: usize,
    /// So many messages in a request.
    #[arg(long, default_value_t = 1)]
    together: usize,
    /// So many messages in a request, where nothing is measured but what comes of them.
    #[arg(long, default_value_t = 1)]
    fill_together: usize,
    /// So many messages to every user, before anything is measured.
    #[arg(long, default_value_t = 0)]
    history: u32,
    /// How many messages everybody misses.
    #[arg(long, default_value_t = 50)]
    missed: u32,
    /// How long everything is left alone before memory is read, and after connections are gone.
    #[arg(long, default_value_t = 1.5)]
    settle_s: f64,
    /// How many connect at a time.
    #[arg(long, default_value_t = 64)]
    at_a_time: usize,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    // One thread: the server has a core of its own, and everybody else shares the other.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut measured = runtime.block_on(scenario::run(options))?;
    measured.set("generator_cpu_s", cpu_ns(std::process::id()) as f64 / 1e9);
    say!("{}", serde_json::to_string(&measured)?);
    Ok(())
}
