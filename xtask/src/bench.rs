//! `cargo xtask bench browser`: dispatch, render counts, a burst and streams in a
//! real Chromium.
//! `cargo xtask bench streams`: what streams cost, against the real server.
//! `cargo xtask bench server`: what the delivery server costs beside others.
//! `cargo xtask bench restart`: who comes back when the server is restarted under thousands of clients.

mod restart;
mod server;

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::{browser, prepare, progress::step, runner, workspace};

const WORKSPACE: &str = "@tetherline/bench";

/// Runs the benchmarks that the arguments name; `--brief` has them say only that they work.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((what, rest)) if what == "browser" => in_browser(root, rest),
        Some((what, rest)) if what == "streams" => of_streams(root, true, rest),
        Some((what, rest)) if what == "server" => server::run(root, rest),
        Some((what, rest)) if what == "restart" => restart::run(root, rest),
        _ => bail!(
            "use `cargo xtask bench browser [--brief] [dispatch|renders|burst|stream …]`, \
             `cargo xtask bench streams [--brief] [--answers N] [latency|load …]`, \
             `cargo xtask bench restart [--before FILE] [--clients N] [--drain-window SECONDS]` or \
             `cargo xtask bench server [--brief | --render] [--only SCENARIO,…] [--peers NAME,…] \
             [--runs N]`"
        ),
    }
}

/// So short that the figures mean nothing; what is counted is counted all the same.
pub(crate) fn run_briefly(root: &Path) -> Result<()> {
    let brief = ["--brief".to_owned()];
    of_streams(root, false, &brief)?;
    server::run_briefly(root)?;
    in_browser(root, &brief)
}

fn of_streams(root: &Path, release: bool, arguments: &[String]) -> Result<()> {
    let packages = ["build", "--package", "tetherline-cli", "--package", "tetherline-stream-bench"];
    let optimised: &[&str] = if release { &["--release"] } else { &[] };
    step("the server, and who measures it", || {
        workspace::build(root, "cargo", &[&packages[..], optimised].concat())
    })?;
    let server = workspace::binary(root, "tetherline", release);
    let server = server.to_str().context("the path of this checkout is not UTF-8")?;
    let bench = workspace::binary(root, "tetherline-stream-bench", release);
    let arguments = arguments.iter().map(String::as_str);
    let all: Vec<&str> = ["--server", server].into_iter().chain(arguments).collect();
    workspace::run(root, &bench.to_string_lossy(), &all)
}

fn in_browser(root: &Path, arguments: &[String]) -> Result<()> {
    let browser = browser::chromium(root)?;
    prepare::tools(root)?;
    prepare::package(root)?;
    step("benchmarks", || {
        workspace::build(root, "npm", &["run", "--silent", "build", "-w", WORKSPACE])
    })?;
    let mut node = workspace::command(root, "node");
    node.arg("bench/dist/main.mjs").args(arguments).env("CHROMIUM", browser);
    runner::run(node)
}
