//! The HTTP API held to its own description, by a program that tries out what that promises and what it rules out.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::{
    prepare, runner,
    workspace::{binary, target},
};

const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// The server is ended with it.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Needs the binary that the check `servers` builds.
pub(crate) fn run(root: &Path) -> Result<()> {
    let programs = prepare::pypi(root, "schemathesis", &[SCHEMATHESIS])?;
    let data = target(root).join("api-data");
    if data.exists() {
        fs::remove_dir_all(&data).context("cannot clear the data folder of before")?;
    }
    let mut server = Command::new(binary(root, "tetherline", false));
    server.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
    server.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut serving = Serving(server.spawn().context("the server does not start")?);
    let stdout = serving.0.stdout.take().context("it was asked for")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).context("the server says nothing")?;
    let url = line.trim().strip_prefix("listening on ").context("the server does not serve")?;
    let key = fs::read_to_string(data.join("api.key")).context("there is no key")?;
    let mut tried = Command::new(programs.join("schemathesis"));
    tried.current_dir(&data).arg("--config-file").arg(root.join("crates/server/schemathesis.toml"));
    tried.args(["run", &format!("{url}/v1/openapi.json"), "--no-color"]);
    tried.args(["--header", &format!("Authorization: Bearer {}", key.trim())]);
    runner::run(tried)
}
