//! A server under test: a process on a core of its own, with a folder of its own.

use std::{
    fs::File,
    io::Read as _,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tempfile::TempDir;

use crate::{
    peer::{Peer, Programs},
    usage::Tree,
};

const SERVER_CORE: &str = "0";
pub(super) const GENERATOR_CORE: &str = "1";
const START_TIMEOUT: Duration = Duration::from_secs(20);
const END_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Below the ports that systems give to outgoing connections. A server may use the next one, too.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Ended, and its folder removed, when it is dropped.
pub(super) struct Server {
    child: Running,
    folder: TempDir,
    pub(super) address: SocketAddr,
}

impl Server {
    pub(super) fn start(
        peer: Peer,
        programs: &Programs,
        folder: &Path,
        more: &[&str],
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("server-").tempdir_in(folder)?;
        Self::start_in(folder, peer, programs, more)
    }

    /// Ends it, and starts it once more on what it has kept: its memory holds nothing of before.
    pub(super) fn restart(self, peer: Peer, programs: &Programs, more: &[&str]) -> Result<Self> {
        let Self { child, folder, .. } = self;
        drop(child);
        Self::start_in(folder, peer, programs, more)
    }

    fn start_in(folder: TempDir, peer: Peer, programs: &Programs, more: &[&str]) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let (program, arguments) = peer.command(programs, folder.path(), address, more)?;
        let log = File::create(folder.path().join("log"))?;
        let child = pinned(&program, SERVER_CORE)
            .args(arguments)
            .env("NODE_ENV", "production")
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut server = Self { child: Running(child), folder, address };
        server.until_it_listens()?;
        Ok(server)
    }

    fn until_it_listens(&mut self) -> Result<()> {
        let started = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let is_over = self.child.0.try_wait()?.is_some() || started.elapsed() > START_TIMEOUT;
            ensure!(!is_over, "the server did not start: {}", self.log());
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// What it has computed up to now.
    pub(super) fn cpu_s(&self) -> f64 {
        Tree::of(self.pid()).cpu_ns() as f64 / 1e9
    }
}

/// A process that ends when nobody holds it.
struct Running(Child);

impl Drop for Running {
    /// In good order, so that those it has started end, too.
    fn drop(&mut self) {
        let Self(child) = self;
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let asked = Instant::now();
        while matches!(child.try_wait(), Ok(None)) {
            if asked.elapsed() > END_TIMEOUT {
                let _ = child.kill();
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// A command on one core, where the machine has more than one and a way to say so.
pub(super) fn pinned(program: &Path, core: &str) -> Command {
    let is_alone = thread::available_parallelism().is_ok_and(|cores| cores.get() < 2);
    let taskset = Command::new("taskset").arg("--version").stdout(Stdio::null()).status();
    if is_alone || !taskset.is_ok_and(|status| status.success()) {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", core]).arg(program);
    command
}

/// What a program prints until it ends well, within a time.
pub(super) fn output_within(child: &mut Child, timeout: Duration) -> Result<String> {
    let stdout = child.stdout.take().context("it has a stdout")?;
    let reading = thread::spawn(move || {
        let mut text = String::new();
        std::io::BufReader::new(stdout).read_to_string(&mut text).map(|_| text)
    });
    let started = Instant::now();
    while child.try_wait()?.is_none() {
        if started.elapsed() > timeout {
            child.kill()?;
            child.wait()?;
            bail!("it was not done after {} s", timeout.as_secs());
        }
        thread::sleep(LOOK_EVERY);
    }
    let status = child.wait()?;
    ensure!(status.success(), "the generator failed ({status}); its own words are above");
    match reading.join() {
        Ok(text) => Ok(text?),
        Err(_) => bail!("what it printed was lost"),
    }
}

/// Ten thousand connections are as many files, here and there.
pub(super) fn allow_many_files() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

fn free_port() -> Result<u16> {
    for _ in 0..100 {
        let port = fastrand::u16(PORTS);
        let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if is_free(port) && is_free(port + 1) {
            return Ok(port);
        }
    }
    bail!("no free port was found in {PORTS:?}")
}
