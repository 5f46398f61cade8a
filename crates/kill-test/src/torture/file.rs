//! What another process may rightly do to the file: it is Python's SQLite that does it.

use std::{path::Path, process::Stdio, sync::atomic::Ordering, time::Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::{sleep, timeout},
};

use super::{LOOK_EVERY, PATIENCE, Stage, readers};
use crate::{
    ledger::Kind,
    scene::{USERS, user_name},
};

/// What is published while the file is read: more than the log may hold before it has to start over.
const LARGE_BYTES: usize = 1_000_000;
const SHORT_MESSAGES: u32 = 96;
const LONG_MESSAGES: u32 = 320;

/// Another process with the file open, that does what it does until it is let go.
struct Other {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// What a copy has: how far each user's mailbox reaches, and what SQLite says of its order.
#[derive(Deserialize)]
struct Copied {
    heads: std::collections::HashMap<String, u64>,
    check: String,
}

impl Other {
    /// Starts it, and waits until it has begun.
    async fn start(file: &Path, script: &str, argument: &Path) -> Result<Self> {
        let script = format!("import json, sqlite3, sys\n{script}");
        let mut child = Command::new("python3")
            .args(["-c", &script])
            .arg(file)
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("Python is needed to read the file")?;
        let stdin = child.stdin.take().context("a pipe")?;
        let stdout = BufReader::new(child.stdout.take().context("a pipe")?);
        let mut other = Self { child, stdin, stdout };
        ensure!(other.line().await? == "begun", "the other process could not use the file");
        Ok(other)
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        timeout(PATIENCE, self.stdout.read_line(&mut line)).await.context("it says nothing")??;
        Ok(line.trim().to_owned())
    }

    /// Lets it go; answers what it says at its end.
    async fn ends(mut self) -> Result<String> {
        drop(self.stdin);
        let mut text = String::new();
        timeout(PATIENCE, self.stdout.read_to_string(&mut text)).await.context("it goes on")??;
        let status = self.child.wait().await?;
        ensure!(status.success(), "the other process ended with {status}");
        Ok(text)
    }
}

/// A read transaction stays open while much is published; nobody notices.
pub(super) async fn is_read(stage: &mut Stage<'_>) -> Result<()> {
    let script = "
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('BEGIN')
db.execute('SELECT count(*) FROM messages').fetchone()
print('begun', flush=True)
sys.stdin.read()";
    let other = Other::start(&stage.launch.data.join("mailbox.db"), script, Path::new("")).await?;
    let messages = if stage.is_thorough { LONG_MESSAGES } else { SHORT_MESSAGES };
    let mut refused = 0;
    for _ in 0..messages {
        if !readers::publish_large(stage, LARGE_BYTES).await? {
            refused += 1;
        }
    }
    if refused > 0 {
        let words = format!("{refused} of {messages} publishes were refused beside a reader");
        stage.scene.ledger.problem(Kind::Broken, words);
    }
    stage.publishers_are_served().await?;
    other.ends().await?;
    Ok(())
}

/// Another process writes: publishes are refused while it does, in time, and taken again after it.
pub(super) async fn is_locked(stage: &mut Stage<'_>) -> Result<()> {
    let script = "
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
db.execute('BEGIN IMMEDIATE')
print('begun', flush=True)
sys.stdin.read()";
    let counts = &stage.scene.ledger.counts;
    let refused = || counts.publishes_refused.load(Ordering::Relaxed);
    let before = refused();
    let other = Other::start(&stage.launch.data.join("mailbox.db"), script, Path::new("")).await?;
    let started = Instant::now();
    while refused() == before {
        ensure!(
            started.elapsed() < PATIENCE,
            "publishes are not answered while the file is locked"
        );
        sleep(LOOK_EVERY).await;
    }
    other.ends().await?;
    Ok(())
}

/// A copy that is made while all goes on is whole, and has everything that was answered before it.
pub(super) async fn is_copied(stage: &mut Stage<'_>) -> Result<()> {
    let script = "
db, copy = sqlite3.connect(sys.argv[1], timeout=60), sqlite3.connect(sys.argv[2])
print('begun', flush=True)
db.backup(copy)
sys.stdin.read()
heads = 'SELECT name, max(seq) FROM messages JOIN users ON users.id = user GROUP BY name'
print(json.dumps({
    'heads': dict(copy.execute(heads)),
    'check': copy.execute('PRAGMA integrity_check').fetchone()[0],
}))";
    let ledger = &stage.scene.ledger;
    let heads: Vec<u64> = (0..USERS).map(|user| ledger.head(user)).collect();
    let copy = stage.launch.data.join("../copy.db");
    let other = Other::start(&stage.launch.data.join("mailbox.db"), script, &copy).await?;
    stage.publishers_are_served().await?;
    let copied: Copied = serde_json::from_str(&other.ends().await?)?;
    std::fs::remove_file(copy)?;
    ensure!(copied.check == "ok", "the copy is damaged: {}", copied.check);
    for (user, head) in heads.into_iter().enumerate() {
        let there = copied.heads.get(&user_name(user)).copied().unwrap_or(0);
        if there < head {
            let words = format!("user {user}: a copy has {there} messages of {head}");
            stage.scene.ledger.problem(Kind::Lost, words);
        }
    }
    Ok(())
}
