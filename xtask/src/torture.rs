//! `cargo xtask torture`: everything around the real server goes wrong, behind real proxies.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{
    prepare,
    workspace::{binary, run},
};

/// Builds the server as people run it, and hands the arguments on; `--server` names another one.
pub(crate) fn run_for(root: &Path, arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    start(root, true, &arguments)
}

/// The short version.
pub(crate) fn run_briefly(root: &Path) -> Result<()> {
    start(root, false, &[])
}

fn start(root: &Path, release: bool, arguments: &[&str]) -> Result<()> {
    prepare::python(root)?;
    prepare::proxies(root)?;
    prepare::server_and(root, "tetherline-kill-test", release)?;
    let server = binary(root, "tetherline", release);
    let server = server.to_str().context("the path of this checkout is not UTF-8")?;
    let test = binary(root, "tetherline-kill-test", release);
    let mut all = vec!["--torture"];
    if !arguments.contains(&"--server") {
        all.extend(["--server", server]);
    }
    run(root, &test.to_string_lossy(), &[&all[..], arguments].concat())
}
