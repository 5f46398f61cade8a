//! `cargo xtask kill-test`: the real server is killed again and again, and its disk fills up.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{
    prepare,
    progress::step,
    workspace::{binary, build, run},
};

/// What `cargo xtask test` has time for.
const SHORT: [&str; 4] = ["--kills", "8", "--full-disks", "1"];
/// Unless the arguments say otherwise.
const FULL_DISKS: [&str; 2] = ["--full-disks", "5"];

/// Builds the server as people run it, and hands the arguments on.
pub(crate) fn run_for(root: &Path, arguments: &[String]) -> Result<()> {
    step("tetherline, optimised", || {
        build(root, "cargo", &["build", "--release", "--package", "tetherline-cli"])
    })?;
    let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if !all.contains(&FULL_DISKS[0]) {
        all.extend(FULL_DISKS);
    }
    start(root, &binary(root, "tetherline", true), &all)
}

/// The short version.
pub(crate) fn run_briefly(root: &Path) -> Result<()> {
    prepare::cli(root)?;
    start(root, &binary(root, "tetherline", false), &SHORT)
}

fn start(root: &Path, server: &Path, arguments: &[&str]) -> Result<()> {
    build(root, "cargo", &["build", "--package", "tetherline-kill-test"])?;
    let server = server.to_str().context("the path of this checkout is not UTF-8")?;
    let test = binary(root, "tetherline-kill-test", false);
    run(root, &test.to_string_lossy(), &[&["--server", server][..], arguments].concat())
}
