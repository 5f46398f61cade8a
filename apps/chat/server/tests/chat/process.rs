//! The binary under test.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running chat; killed when dropped.
pub(crate) struct Chat {
    pub(crate) url: String,
    child: Child,
    /// Kept open: a closed pipe would be a different story.
    _stdout: Lines<BufReader<ChildStdout>>,
}

/// How to start one.
pub(crate) struct Start {
    data: PathBuf,
    arguments: Vec<String>,
    provider: Option<String>,
}

impl Start {
    pub(crate) fn on(data: &Path) -> Self {
        Self { data: data.into(), arguments: Vec::new(), provider: None }
    }

    pub(crate) fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self
    }

    pub(crate) fn provider(mut self, base_url: &str) -> Self {
        self.provider = Some(base_url.into());
        self
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tetherline-chat"));
        command
            .args(["--listen", "127.0.0.1:0", "--built-in-delay-ms", "0"])
            .args(["--built-in-pause-ms", "0", "--data"])
            .arg(&self.data)
            .args(&self.arguments)
            .env_remove("OPENAI_BASE_URL")
            .env_remove("OPENAI_API_KEY")
            .env_remove("CHAT_MODEL")
            // People read what a test says that fails.
            .env("CHAT_LOG_FORMAT", "text")
            // Where nobody is: a proxy of the environment got the key, and its refusal was the answer.
            .env("HTTP_PROXY", "http://127.0.0.1:1")
            .env("http_proxy", "http://127.0.0.1:1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if let Some(provider) = &self.provider {
            command
                .env("OPENAI_BASE_URL", provider)
                .env("OPENAI_API_KEY", "test-key")
                .env("CHAT_MODEL", "test-model");
        }
        command
    }

    pub(crate) async fn run(self) -> Chat {
        let command = self.command();
        self.run_as(command).await
    }

    pub(crate) async fn run_as(self, mut command: Command) -> Chat {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE, stdout.next_line()).await.unwrap().unwrap().unwrap();
        let url = line.strip_prefix("Tetherline chat is ready: ").unwrap().to_owned();
        Chat { url, child, _stdout: stdout }
    }

    /// For starts that fail.
    pub(crate) async fn fail(self) -> (i32, String) {
        let mut command = self.command();
        command.stderr(Stdio::piped());
        let output: Output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        assert!(output.stdout.is_empty());
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

impl Chat {
    /// The built-in responder on a folder that goes with the guard.
    pub(crate) async fn fresh() -> (TempDir, Self) {
        let folder = tempfile::tempdir().unwrap();
        let chat = Start::on(folder.path()).run().await;
        (folder, chat)
    }

    /// As the power supply does it.
    pub(crate) async fn kill(mut self) {
        self.kill_now().await;
    }

    /// The same for a story that goes on with what is left.
    pub(crate) async fn kill_now(&mut self) {
        self.child.kill().await.unwrap();
    }

    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().await.unwrap().success());
    }

    /// As the service manager does it; the exit code.
    pub(crate) async fn terminate(mut self) -> i32 {
        self.terminate_now().await
    }

    /// The same for a story that goes on with what is left.
    pub(crate) async fn terminate_now(&mut self) -> i32 {
        let pid = self.child.id().unwrap().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap().code().unwrap()
    }
}
