//! `tetherline-server-bench`: what the delivery server costs beside what one would use or write
//! instead. `run` starts one server after the other, has `load` measure it, and writes down what came
//! of it; `bare` and `plain` are what one writes in an evening.
#![allow(clippy::doc_markdown, reason = "the comments on options are the help that people read")]

mod campaign;
mod load;
mod peer;
mod record;
mod report;
mod servers;
mod usage;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tetherline_process::{arguments, note};

/// Measure the delivery server beside others.
#[derive(Debug, Parser)]
#[command(name = "server-bench")]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Measure everybody, and write down what came of it.
    Run(campaign::Options),
    /// Put one load on one server that runs already.
    Load(load::Options),
    /// Serve with nothing kept and nobody checked.
    Bare(servers::BareOptions),
    /// Serve with each message in SQLite before it is answered and delivered.
    Plain(servers::PlainOptions),
}

fn main() -> ExitCode {
    let options = match arguments::<Options>() {
        Ok(options) => options,
        Err(code) => return code,
    };
    match perform(options.task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            note!("Error: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<()> {
    match task {
        Task::Run(options) => campaign::run(&options),
        Task::Load(options) => load::run(&options),
        Task::Bare(options) => servers::bare(&options),
        Task::Plain(options) => servers::plain(options),
    }
}
