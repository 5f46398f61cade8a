//! What packages and people keep beside the binary, written from the one description of its command line: completions
//! for shells, and manual pages.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Args, Command};
use clap_complete::Shell;
use tetherline_process::{answer, outcome_of};

#[derive(Debug, Args)]
pub(crate) struct CompletionOptions {
    /// Which shell they are for.
    shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManOptions {
    /// Folder for the pages, tetherline.1 and one for each command; created if it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn completions(options: &CompletionOptions, mut command: Command) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, "tetherline", &mut script);
    let script = String::from_utf8(script).context("completions are text")?;
    Ok(outcome_of(answer(&script.trim_end()), "the completions were made"))
}

pub(crate) fn man(options: &ManOptions, command: Command) -> Result<ExitCode> {
    let folder = &options.out;
    let pages = || clap_mangen::generate_to(command.disable_help_subcommand(true), folder);
    let written = fs::create_dir_all(folder).and_then(|()| pages());
    written.with_context(|| format!("cannot write manual pages to {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
