//! The Rust tests. Most of them wait, for timeouts and tokens that run out: so twice as many run at once
//! as there are cores, the longest first. `.config/nextest.toml` names those for cargo-nextest.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    thread,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tetherline_process::note;

use crate::{
    prepare, runner,
    side_by_side::side_by_side,
    workspace::{self, command},
};

const TEST: [&str; 5] = ["test", "--workspace", "--lib", "--bins", "--tests"];
/// They begin first, so that none of them is left alone at the end.
const LONGEST: [&str; 5] = ["cli", "seeds", "chat", "client", "edges"];

/// One program of tests.
struct Program {
    name: String,
    executable: PathBuf,
    /// Where cargo would start it: in its package's folder.
    folder: PathBuf,
}

pub(crate) fn run(root: &Path) -> Result<()> {
    prepare::python(root)?;
    prepare::proxies(root)?;
    prepare::prometheus(root)?;
    // cargo-nextest is nicer to read and no requirement.
    let nextest = workspace::command(root, "cargo").args(["nextest", "--version"]).output();
    if nextest.is_ok_and(|output| output.status.success()) {
        let mut nextest = workspace::command(root, "cargo");
        let at_once = thread::available_parallelism().map_or(1, usize::from) * 2;
        nextest.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
        nextest.arg(format!("--test-threads={at_once}"));
        return runner::run(nextest);
    }
    // `cargo test` would run one program after the other.
    let mut programs = build(root)?;
    programs.sort_by_key(|program| {
        LONGEST.iter().position(|long| *long == program.name).unwrap_or(LONGEST.len())
    });
    let passed = side_by_side(&programs, |program| run_program(root, program));
    let mut failed = Vec::new();
    for (program, passed) in programs.iter().zip(passed) {
        if !passed? {
            failed.push(format!("{} ({})", program.name, program.executable.display()));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("these tests failed, and have said above why: {}", failed.join(", "))
}

fn build(root: &Path) -> Result<Vec<Program>> {
    let built = command(root, "cargo")
        .args(TEST)
        .args(["--no-run", "--message-format=json-render-diagnostics"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start `cargo`")?;
    if !built.status.success() {
        bail!("the tests do not build; the compiler's own words are above");
    }
    let programs: Vec<_> =
        String::from_utf8_lossy(&built.stdout).lines().filter_map(program).collect();
    if programs.is_empty() {
        bail!("`cargo {} --no-run` names no program", TEST.join(" "));
    }
    Ok(programs)
}

/// What cargo says of one, if this line is about a program of tests.
fn program(line: &str) -> Option<Program> {
    let message: Value = serde_json::from_str(line).ok()?;
    (message["profile"]["test"] == true).then_some(())?;
    Some(Program {
        name: message["target"]["name"].as_str()?.to_owned(),
        executable: message["executable"].as_str()?.into(),
        folder: Path::new(message["manifest_path"].as_str()?).parent()?.to_path_buf(),
    })
}

/// Whether all its tests passed. What it says is printed when it has ended, in one piece.
fn run_program(root: &Path, program: &Program) -> Result<bool> {
    let name = &program.name;
    let done = command(root, &program.executable.to_string_lossy())
        .current_dir(&program.folder)
        .env("CARGO_MANIFEST_DIR", &program.folder)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start the tests of {name}"))?;
    let words = [&done.stdout[..], &done.stderr].concat();
    runner::show(&[format!("\n{name}").as_bytes(), &words].concat());
    if !done.status.success() {
        note!("✗ the tests of {name} failed ({})", done.status);
    }
    Ok(done.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_cargo_builds_only_programs_of_tests_are_run() {
        let line = |test: bool, executable: Value| {
            serde_json::json!({
                "reason": "compiler-artifact", "profile": {"test": test}, "target": {"name": "edges"},
                "manifest_path": "/code/crates/server/Cargo.toml", "executable": executable,
            })
            .to_string()
        };
        let found = program(&line(true, "/code/target/edges-1".into())).unwrap();
        assert_eq!((found.name.as_str(), found.folder), ("edges", "/code/crates/server".into()));
        assert!(program(&line(false, "/code/target/debug/tetherline".into())).is_none());
        assert!(program(&line(true, Value::Null)).is_none());
        assert!(program(r#"{"reason":"build-finished","success":true}"#).is_none());
    }
}
