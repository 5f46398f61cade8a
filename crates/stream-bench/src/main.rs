//! `tetherline-stream-bench`: how much later a person reads a model's words by way of a real
//! `tetherline serve` than straight from the model, and what a thousand answers at once cost.
//!
//! Every word is the moment at which it was said, so that whoever reads it knows how old it is. What
//! arrived is compared with what was said: a run in which text differs fails instead of printing a
//! figure.
#![allow(clippy::doc_markdown, reason = "the comments on options are the help that people read")]

mod answer;
mod cores;
mod delays;
mod latency;
mod load;
mod model;
mod reader;
mod server;
mod usage;
mod words;
mod writer;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};

use server::Server;
use tetherline_process::{arguments, note, say};

/// Measure what streams cost.
#[derive(Debug, Parser)]
#[command(name = "stream-bench")]
struct Options {
    /// The binary `tetherline`.
    #[arg(long, value_name = "FILE")]
    server: PathBuf,
    /// So short that the figures mean nothing; text is compared all the same.
    #[arg(long)]
    brief: bool,
    /// How many answers are written at once under load, each at 50 words/s.
    #[arg(long, default_value_t = 1_000)]
    answers: usize,
    /// Print the figures of the load as one line of JSON, and nothing else.
    #[arg(long)]
    json: bool,
    /// What to measure; all of it if nothing is named.
    #[arg(value_enum)]
    what: Vec<What>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// How much later each word comes than straight from the model.
    Latency,
    /// What a thousand answers at once cost.
    Load,
}

fn main() -> ExitCode {
    let options = match arguments::<Options>() {
        Ok(options) => options,
        Err(code) => return code,
    };
    match measure(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            note!("Error: {problem:?}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<()> {
    let cores = cores::split()?;
    // One thread: the server has a core of its own, and everybody else shares the other.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(options, cores))
}

async fn run(options: &Options, cores: cores::Cores) -> Result<()> {
    let binary = options
        .server
        .canonicalize()
        .with_context(|| format!("there is no server at {}", options.server.display()))?;
    if options.json {
        let server = Server::start(&binary, cores).await?;
        let cost = load::run(&server, options.answers, options.brief).await?;
        say!("{}", serde_json::to_string(&cost.figures())?);
        return Ok(());
    }
    say!("{cores}; {}", usage::busy());
    let wanted = |what| options.what.is_empty() || options.what.contains(&what);
    if wanted(What::Latency) {
        latency::run(&Server::start(&binary, cores).await?, options.brief).await?;
    }
    if wanted(What::Load) {
        let server = Server::start(&binary, cores).await?;
        load::run(&server, options.answers, options.brief).await?.say();
    }
    say!("afterwards {}", usage::busy());
    Ok(())
}
