//! `cargo xtask kill-test`: the real server is killed again and again, and its disk fills up.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{
    prepare,
    workspace::{binary, run},
};

/// What `cargo xtask test` has time for.
const SHORT: [&str; 8] =
    ["--kills", "8", "--full-disks", "1", "--restart", "200", "--drain-window", "2"];
/// Unless the arguments say otherwise.
const FULL_DISKS: [&str; 2] = ["--full-disks", "5"];

/// Builds the server as people run it, and hands the arguments on.
pub(crate) fn run_for(root: &Path, arguments: &[String]) -> Result<()> {
    let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if !all.contains(&FULL_DISKS[0]) {
        all.extend(FULL_DISKS);
    }
    start(root, true, &all)
}

/// The short version.
pub(crate) fn run_briefly(root: &Path) -> Result<()> {
    start(root, false, &SHORT)
}

fn start(root: &Path, release: bool, arguments: &[&str]) -> Result<()> {
    prepare::server_and(root, "tetherline-kill-test", release)?;
    let server = binary(root, "tetherline", release);
    let server = server.to_str().context("the path of this checkout is not UTF-8")?;
    let test = binary(root, "tetherline-kill-test", release);
    run(root, &test.to_string_lossy(), &[&["--server", server][..], arguments].concat())
}
