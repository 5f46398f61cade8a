//! A disk that can be full at a word, and have room again at another.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use rustix::process::Pid;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// Of the file system in memory.
const TMPFS_MIB: u64 = 48;
const BLOCK_BYTES: usize = 4_096;

/// Where the data is.
#[derive(Debug)]
pub(crate) enum Medium {
    /// A file system of its own, in memory, that a file fills up to the last block.
    Tmpfs(Box<Tmpfs>),
    /// Where no file system may be mounted: the server's process may write to no file at all.
    Limit,
}

/// Mounted where only the server sees it, by a process that holds it until it is dropped.
#[derive(Debug)]
pub(crate) struct Tmpfs {
    holder: Child,
    /// The same folder, seen from here.
    folder: PathBuf,
}

/// Which medium to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A file system of its own, if one may be mounted here.
    Auto,
    /// Nothing but that.
    Tmpfs,
    /// A limit on what the server may write: no system refuses that.
    Limit,
}

impl Medium {
    pub(crate) async fn open(kind: Kind, folder: &Path) -> Result<Self> {
        if kind == Kind::Limit {
            return Ok(Self::Limit);
        }
        match Tmpfs::mount(folder).await {
            Some(tmpfs) => Ok(Self::Tmpfs(Box::new(tmpfs))),
            None if kind == Kind::Auto => Ok(Self::Limit),
            None => bail!("no file system may be mounted here; use --medium limit"),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Tmpfs(_) => "a full tmpfs",
            Self::Limit => "no file may be written",
        }
    }

    /// What starts the server on it.
    pub(crate) fn prefix(&self) -> Vec<OsString> {
        let words: Vec<String> = match self {
            Self::Tmpfs(tmpfs) => {
                let pid = tmpfs.holder.id().unwrap_or_default().to_string();
                let user = ["--user", "--mount", "--preserve-credentials", "--"];
                ["nsenter", "--target", &pid].into_iter().chain(user).map(str::to_owned).collect()
            }
            // A write over the limit has to fail instead of killing the process.
            Self::Limit => {
                ["sh", "-c", r#"trap "" XFSZ; exec "$@""#, "sh"].map(str::to_owned).to_vec()
            }
        };
        words.into_iter().map(OsString::from).collect()
    }

    /// From now on there is no room. May be said again, to take what was given back.
    pub(crate) fn fill(&self, server: Pid) -> Result<()> {
        match self {
            Self::Tmpfs(tmpfs) => tmpfs.fill(),
            Self::Limit => limit(server, Some(0)),
        }
    }

    pub(crate) fn empty(&self, server: Pid) -> Result<()> {
        match self {
            Self::Tmpfs(tmpfs) => Ok(std::fs::remove_file(tmpfs.ballast())?),
            Self::Limit => limit(server, None),
        }
    }
}

impl Tmpfs {
    async fn mount(folder: &Path) -> Option<Self> {
        let script = r#"mount -t tmpfs -o "size=$2" tmpfs "$1" && echo ready && exec cat"#;
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount"])
            .args(["sh", "-c", script, "sh"])
            .arg(folder)
            .arg(format!("{TMPFS_MIB}m"))
            // `cat` ends with this process at the latest, and the file system with `cat`.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take()?).read_line(&mut line).await.ok()?;
        let folder = format!("/proc/{}/root{}", holder.id()?, folder.display()).into();
        let mounted = Self { holder, folder };
        (line.trim() == "ready" && mounted.fill().is_ok()).then_some(())?;
        std::fs::remove_file(mounted.ballast()).ok()?;
        Some(mounted)
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    fn fill(&self) -> Result<()> {
        let mut ballast = File::options().create(true).append(true).open(self.ballast())?;
        loop {
            match ballast.write_all(&[0; BLOCK_BYTES]) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).context("the file system could not be filled"),
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn limit(server: Pid, bytes: Option<u64>) -> Result<()> {
    use rustix::process::{Resource, Rlimit, prlimit};
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(Some(server), Resource::Fsize, limit).context("the limit could not be set")?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn limit(_server: Pid, _bytes: Option<u64>) -> Result<()> {
    bail!("only Linux limits what a process that runs already may write")
}
