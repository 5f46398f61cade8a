use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::server;
use crate::{
    prepare,
    workspace::{binary, run as run_program},
};

const RECORD: &str = "docs/benchmarks/restart.json";
/// Unless the arguments say otherwise.
const CLIENTS: &str = "5000";

/// Restarts the server under many clients, writes down what came of it, and draws it.
pub(super) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let (mut clients, mut more) = (CLIENTS, Vec::new());
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(option) = rest.next() {
        let value = rest.next().with_context(|| format!("{option} has no value"))?;
        match option {
            "--clients" => clients = value,
            "--before" | "--drain-window" => more.extend([option, value]),
            _ => bail!("`cargo xtask bench restart` knows no {option}"),
        }
    }
    prepare::server_and(root, "tetherline-kill-test", true)?;
    let path = |name| binary(root, name, true).to_string_lossy().into_owned();
    let (server, record) = (path("tetherline"), root.join(RECORD));
    let record = record.to_str().context("the path of this checkout is not UTF-8")?;
    let own = ["--server", &server, "--restart", clients, "--write", record];
    run_program(root, &path("tetherline-kill-test"), &[&own[..], &more].concat())?;
    server::run(root, &["--render".to_owned()])
}
