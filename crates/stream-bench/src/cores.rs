//! One core for the server, another for everybody else.

use std::{
    fmt,
    process::{Command, Stdio},
};

use anyhow::Result;

/// Who runs where.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cores {
    Apart,
    /// There is one core only, or no `taskset`.
    Shared,
}

/// Moves this process to the second core, before it has more than one thread.
pub(crate) fn split() -> Result<Cores> {
    let own = std::process::id().to_string();
    if std::thread::available_parallelism()?.get() < 2 {
        return Ok(Cores::Shared);
    }
    let moved = Command::new("taskset")
        .args(["--cpu-list", "--pid", "1", &own])
        .stdout(Stdio::null())
        .status();
    Ok(if moved.is_ok_and(|status| status.success()) { Cores::Apart } else { Cores::Shared })
}

impl Cores {
    /// What goes before the server's command.
    pub(crate) fn of_the_server(self) -> &'static [&'static str] {
        match self {
            Self::Apart => &["taskset", "--cpu-list", "0"],
            Self::Shared => &[],
        }
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Apart => "server on core 0, everybody else on core 1",
            Self::Shared => "server and everybody else share their cores",
        })
    }
}
