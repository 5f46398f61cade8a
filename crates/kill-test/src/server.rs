//! The server as the operating system knows it: a process that can be started and killed.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

/// How long a start may take, and an end in good order.
const PATIENCE: Duration = Duration::from_mins(1);
/// What the server said last is kept as evidence, in lines.
const WORDS_MAX: usize = 40;
/// Below the ports that systems give to outgoing connections: while the server is away, one of
/// those could sit on its port, even on both ends of itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How to start the server, again and again in the same place.
#[derive(Debug)]
pub(crate) struct Launch {
    binary: PathBuf,
    /// Files with the secrets.
    secrets: PathBuf,
    port: u16,
    /// What goes before the command, to start it on another medium.
    pub(crate) prefix: Vec<OsString>,
    pub(crate) data: PathBuf,
    pub(crate) webhook_url: String,
    /// Options of its own.
    pub(crate) more: Vec<OsString>,
    /// Proxies that lead to it. Without any, clients go there themselves.
    pub(crate) proxies: Vec<String>,
    pub(crate) log: Log,
    pub(crate) words: Words,
}

/// Where the server's log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Log {
    /// Somebody reads it.
    Read,
    /// To a volume that has no room.
    Full,
}

/// The last lines that any life of the server wrote to stderr.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words(Arc<Mutex<VecDeque<String>>>);

impl Words {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == WORDS_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Launch {
    /// With its secrets in `folder`, and its data there too.
    pub(crate) fn new(binary: &Path, folder: &Path, random: &mut fastrand::Rng) -> Result<Self> {
        let secrets = folder.join("secrets");
        std::fs::create_dir_all(&secrets)?;
        for name in ["jwt", "api", "webhook"] {
            let secret: String =
                std::iter::repeat_with(|| random.alphanumeric()).take(40).collect();
            std::fs::write(secrets.join(name), secret)?;
        }
        Ok(Self {
            binary: binary.to_owned(),
            secrets,
            port: free_port()?,
            prefix: Vec::new(),
            data: folder.join("data"),
            webhook_url: String::new(),
            more: Vec::new(),
            proxies: Vec::new(),
            log: Log::Read,
            words: Words::default(),
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    /// All ways that lead to it.
    pub(crate) fn ways(&self) -> Vec<String> {
        if self.proxies.is_empty() { vec![self.url()] } else { self.proxies.clone() }
    }

    pub(crate) fn api_key(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.secrets.join("api"))?)
    }

    /// A token as the binary itself makes it.
    pub(crate) async fn token(&self, user: &str) -> Result<String> {
        let output = Command::new(&self.binary)
            .args(["token", "--user", user, "--ttl", "1d", "--jwt-secret-file"])
            .arg(self.secrets.join("jwt"))
            .output()
            .await?;
        ensure!(output.status.success(), "`tetherline token` failed");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Another command of the binary's, to its end.
    pub(crate) async fn run(&self, command: &str, arguments: &[&Path]) -> Result<()> {
        let output = Command::new(&self.binary).arg(command).args(arguments).output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`tetherline {command}` failed: {said}");
        Ok(())
    }

    /// Starts a life of the server, which may take a moment to listen.
    pub(crate) fn start(&self) -> Result<Server> {
        let mut words = self.prefix.iter().cloned();
        let mut command = match words.next() {
            Some(first) => {
                let mut command = Command::new(first);
                command.args(words).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        let mut child = command
            .arg("serve")
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .args(["--webhook-url", &self.webhook_url])
            .arg("--data")
            .arg(&self.data)
            .arg("--jwt-secret-file")
            .arg(self.secrets.join("jwt"))
            .arg("--api-key-file")
            .arg(self.secrets.join("api"))
            .arg("--webhook-secret-file")
            .arg(self.secrets.join("webhook"))
            .args(&self.more)
            // A few users send as much as the machine can take.
            .env("TETHERLINE_SENDS_PER_CONNECTION", "off")
            .env("TETHERLINE_SEND_BYTES_PER_CONNECTION", "off")
            .env("TETHERLINE_SENDS_PER_USER", "off")
            .env("TETHERLINE_SEND_BYTES_PER_USER", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(match self.log {
                Log::Read => Stdio::piped(),
                Log::Full => File::options().write(true).open("/dev/full")?.into(),
            })
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        let (listening, is_listening) = watch::channel(false);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        tokio::spawn(async move {
            each_line(stdout, |line| {
                if line.starts_with("listening on ") {
                    listening.send_replace(true);
                }
            })
            .await;
        });
        let words = self.words.clone();
        let log = tokio::spawn(each_line(stderr, move |line| words.push(line)));
        Ok(Server { child, is_listening, log })
    }

    /// Starts one and waits until it listens.
    pub(crate) async fn start_and_listen(&self) -> Result<Server> {
        let mut server = self.start()?;
        if !server.listens().await {
            let status = server.child.wait().await?;
            bail!("the server did not start ({status}): {}", self.words.lines().join("\n"));
        }
        Ok(server)
    }
}

/// One life of the server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    is_listening: watch::Receiver<bool>,
    log: JoinHandle<()>,
}

impl Server {
    /// Waits until it listens; false if it ends before.
    pub(crate) async fn listens(&mut self) -> bool {
        matches!(timeout(PATIENCE, self.is_listening.wait_for(|&listens| listens)).await, Ok(Ok(_)))
    }

    pub(crate) fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()?).ok()?)
    }

    /// Whoever reads its log goes away.
    pub(crate) fn lose_log(&self) {
        self.log.abort();
    }

    /// Fails if it has ended by itself.
    pub(crate) fn lives(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the server had ended by itself ({status})"),
            None => Ok(()),
        }
    }

    /// SIGKILL. Answers when it is dead, and fails if it had died before by itself.
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.end(Signal::KILL).await
    }

    /// SIGTERM: it has to end in good order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.end(Signal::TERM).await
    }

    /// Ends it, in good order unless it is killed. Fails if it had ended before by itself.
    pub(crate) async fn end(&mut self, signal: Signal) -> Result<()> {
        self.lives()?;
        if signal == Signal::KILL {
            return self.child.kill().await.context("the server could not be killed");
        }
        kill_process(self.pid().context("the server had ended by itself")?, signal)?;
        let status = timeout(PATIENCE, self.child.wait()).await.context("it did not end")??;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

async fn each_line(pipe: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(String)) {
    let Some(pipe) = pipe else { return };
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        take(line);
    }
}

pub(crate) fn free_port() -> Result<u16> {
    // Of no seed: two runs with the same one may be under way.
    let mut random = fastrand::Rng::new();
    for _ in 0..100 {
        let port = random.u16(PORTS);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port was found in {PORTS:?}")
}
