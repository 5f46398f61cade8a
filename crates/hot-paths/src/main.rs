//! `tetherline-hot-paths PATH`: goes one path through the product many times, alone in its process, so
//! that valgrind can count its instructions. `cargo xtask counts` does.
//!
//! The real server runs in here, on a real file and a real socket. Whoever uses it speaks bytes that
//! were made before, blocking, on the main thread: what is counted is the server, and next to
//! nothing of its client. One operation follows the other, so that the same is done in every run.

mod paths;
mod server;
mod wire;

use std::{fs, hint::black_box, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use tetherline_process::{note, say};

use paths::{HotPath, PATHS};
use server::RunningServer;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => {
            for path in &PATHS {
                say!("{}", path.name);
            }
            Ok(())
        }
        [name] => go(name),
        _ => Err(anyhow::anyhow!("use `tetherline-hot-paths [--list | PATH]`")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            note!("error: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says for `cargo xtask counts` how many operations were counted, and what they wrote to the disk.
fn go(name: &str) -> Result<()> {
    let Some(path) = PATHS.iter().find(|path| path.name == name) else {
        bail!("there is no path `{name}`; `--list` shows them");
    };
    let HotPath { rounds, operations, prepare, .. } = path;
    let server = RunningServer::open()?;
    let mut round = prepare(&server)?;
    // Buffers, statements and pages that are made once belong to no operation.
    for _ in 0..rounds.div_ceil(4) {
        round()?;
    }
    counting_begins();
    // Not before: valgrind writes, too, when it comes by there.
    let before = written()?;
    for _ in 0..*rounds {
        round()?;
    }
    let after = written()?;
    counting_ends();
    say!("operations {} written {}", rounds * operations, after - before);
    Ok(())
}

/// valgrind writes down what it has counted, and begins anew, when it comes by here. The two bodies
/// differ, or the linker would make one function of them.
#[inline(never)]
fn counting_begins() {
    black_box("counting begins");
}

#[inline(never)]
fn counting_ends() {
    black_box("counting ends");
}

/// What this process had the disk write so far, in bytes.
fn written() -> Result<u64> {
    let usage = fs::read_to_string("/proc/self/io").context("reading /proc/self/io")?;
    let bytes = usage.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    bytes.and_then(|bytes| bytes.parse().ok()).context("/proc/self/io does not say write_bytes")
}
