//! The server, as a process of its own.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{cores::Cores, usage::Usage};

/// Ended when it is dropped.
pub(crate) struct Server {
    child: Child,
    binary: std::path::PathBuf,
    folder: TempDir,
    /// As `host:port`.
    pub(crate) address: String,
    pub(crate) api_key: String,
}

impl Server {
    pub(crate) async fn start(binary: &Path, cores: Cores) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut words = cores.of_the_server().iter();
        let mut command = match words.next() {
            Some(first) => {
                let mut command = Command::new(first);
                command.args(words).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path())
            .env("RUST_LOG", "warn")
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the server")?;
        let stdout = child.stdout.take().context("it has a stdout")?;
        let line = BufReader::new(stdout).lines().next_line().await?.unwrap_or_default();
        let address = line.strip_prefix("listening on http://").context("it did not start")?;
        let api_key = std::fs::read_to_string(folder.path().join("api.key"))?.trim().to_owned();
        Ok(Self { address: address.to_owned(), binary: binary.to_owned(), child, folder, api_key })
    }

    /// A token as the binary itself makes it.
    pub(crate) async fn token(&self, user: &str) -> Result<String> {
        let output = Command::new(&self.binary)
            .args(["token", "--user", user, "--ttl", "1h", "--jwt-secret-file"])
            .arg(self.folder.path().join("jwt.secret"))
            .output()
            .await?;
        ensure!(output.status.success(), "`tetherline token` failed");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    pub(crate) fn streams(&self, user: &str) -> String {
        format!("http://{}/v1/users/{user}/streams", self.address)
    }

    /// What it has used up to now.
    pub(crate) fn usage(&self) -> Option<Usage> {
        Usage::of(self.child.id()?, self.folder.path())
    }
}
