//! `cargo xtask bench browser`: dispatch, render counts, a burst and growing answers in a
//! real Chromium.

use std::path::Path;

use anyhow::{Result, bail};

use crate::{browser, prepare, progress::step, runner, workspace};

const WORKSPACE: &str = "@tetherline/bench";

/// Runs the benchmarks that the arguments name; `--brief` has them say only that they work.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((what, rest)) if what == "browser" => in_browser(root, rest),
        _ => bail!("use `cargo xtask bench browser [--brief] [dispatch|renders|burst|stream …]`"),
    }
}

/// So short that the figures mean nothing; what is counted is counted all the same.
pub(crate) fn run_briefly(root: &Path) -> Result<()> {
    in_browser(root, &["--brief".to_owned()])
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
