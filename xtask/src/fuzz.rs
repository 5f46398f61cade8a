//! `cargo xtask fuzz`: libFuzzer against every parser of what comes from outside, on the stable
//! compiler.
//!
//! `cargo fuzz` would do the same with a nightly one, which it needs for the address sanitizer; code
//! without `unsafe` has little use for that. What the fuzzer needs to see its way is stable.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};
use tetherline_process::{note, say};

use crate::{
    browser::is_root,
    progress::step,
    side_by_side::side_by_side,
    workspace::{build, command, output, run, target},
};

const USAGE: &str = "cargo xtask fuzz [--seconds N] [TARGET]";
const SECONDS: u64 = 60;
/// Inputs per target in `cargo xtask test`: enough to replay the corpus and look around it.
const RUNS_IN_TESTS: u32 = 20_000;
/// Then the next target has its turn, however slow the machine is.
const SECONDS_IN_TESTS: u32 = 10;
/// An input that takes longer than this is a finding, in seconds.
const INPUT_SECONDS_MAX: u32 = 5;
/// What `cargo fuzz` asks of the compiler, but for the sanitizer.
const RUSTFLAGS: &str = "\
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// Fuzzes one target or all of them, each for so long. What it finds out is kept for the next time.
pub(crate) fn fuzz(root: &Path, arguments: &[String]) -> Result<()> {
    let (seconds, only) = parse(arguments)?;
    let targets = targets(root)?;
    if let Some(only) = &only
        && !targets.contains(only)
    {
        bail!("there is no target `{only}`: there are {}", targets.join(", "));
    }
    let built = prepare(root)?;
    for name in targets.iter().filter(|name| only.as_ref().is_none_or(|only| only == *name)) {
        let corpus = folder(root, "corpus", name)?;
        let limit = format!("-max_total_time={seconds}");
        let arguments = arguments_for(root, name, &corpus, &limit)?;
        note!("\n━━ {name}");
        run(root, &built.join(name).to_string_lossy(), &arguments)
            .with_context(|| advice(name, &built))?;
    }
    Ok(())
}

/// Every target, briefly, and the same every time.
pub(crate) fn check(root: &Path) -> Result<()> {
    run(root, "cargo", &["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])?;
    let built = prepare(root)?;
    side_by_side(&targets(root)?, |name| check_target(root, &built, name)).into_iter().collect()
}

fn check_target(root: &Path, built: &Path, name: &str) -> Result<()> {
    let scratch = folder(root, "scratch", name)?;
    // What an earlier run found would make this one another.
    fs::remove_dir_all(&scratch)?;
    fs::create_dir_all(&scratch)?;
    let mut arguments = arguments_for(root, name, &scratch, &format!("-runs={RUNS_IN_TESTS}"))?;
    arguments.push(format!("-max_total_time={SECONDS_IN_TESTS}"));
    let done = command(root, &built.join(name).to_string_lossy())
        .args(&arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start the fuzz target {name}"))?;
    let words = String::from_utf8_lossy(&done.stderr);
    if !done.status.success() {
        note!("{words}");
        bail!(advice(name, built));
    }
    say!("{name:<16} {}", words.lines().last().unwrap_or_default());
    Ok(())
}

fn parse(arguments: &[String]) -> Result<(u64, Option<String>)> {
    let (mut seconds, mut only) = (SECONDS, None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--seconds" => {
                let number = rest.next().and_then(|number| number.parse().ok());
                seconds = number.with_context(|| format!("say how many seconds: {USAGE}"))?;
            }
            name if !name.starts_with('-') && only.is_none() => only = Some(name.to_owned()),
            _ => bail!("`{argument}` is not understood. Use {USAGE}."),
        }
    }
    Ok((seconds, only))
}

/// Every target is one file, named after what it fuzzes.
fn targets(root: &Path) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(root.join("fuzz/fuzz_targets"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        targets.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    targets.sort();
    Ok(targets)
}

/// Builds the targets and answers where they are.
fn prepare(root: &Path) -> Result<PathBuf> {
    compiler(root)?;
    let host = host(root)?;
    let place = target(root).join("fuzz");
    step("fuzz targets", || {
        let mut cargo = command(root, "cargo");
        cargo
            .args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", &host])
            .arg("--target-dir")
            .arg(&place)
            // With a target named, neither build scripts nor macros are instrumented.
            .env("RUSTFLAGS", RUSTFLAGS)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .stdin(Stdio::null());
        if !cargo.status().context("cannot start `cargo`")?.success() {
            bail!("the fuzz targets do not build; the compiler's own words are above");
        }
        Ok(())
    })?;
    Ok(place.join(host).join("release"))
}

/// libFuzzer is C++ and is compiled along.
fn compiler(root: &Path) -> Result<()> {
    let is_there = || {
        std::env::var_os("CXX").is_some()
            || command(root, "c++").arg("--version").output().is_ok_and(|out| out.status.success())
    };
    if is_there() {
        return Ok(());
    }
    if is_root(root) && command(root, "apt-get").arg("--version").output().is_ok() {
        step("C++ compiler", || {
            build(root, "apt-get", &["update"])?;
            build(root, "apt-get", &["install", "--yes", "--no-install-recommends", "g++"])
        })?;
    }
    if !is_there() {
        bail!(
            "no C++ compiler was found: install one (on Debian `apt-get install g++`, on macOS \
             `xcode-select --install`), or name it in CXX"
        );
    }
    Ok(())
}

fn host(root: &Path) -> Result<String> {
    let about = output(root, "rustc", &["-vV"])?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say what it compiles for")
}

/// A folder beside what is built.
fn folder(root: &Path, kind: &str, name: &str) -> Result<PathBuf> {
    let folder = target(root).join("fuzz").join(kind).join(name);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

/// New inputs go to the first folder; what is committed is only read.
fn arguments_for(root: &Path, name: &str, to: &Path, limit: &str) -> Result<Vec<String>> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let crashes = folder(root, "crashes", name)?;
    Ok(vec![
        "-seed=1".into(),
        limit.into(),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        format!("-dict={}", text(&root.join("fuzz/json.dict"))),
        format!("-artifact_prefix={}/", text(&crashes)),
        text(to),
        text(&root.join("fuzz/corpus").join(name)),
    ])
}

fn advice(name: &str, built: &Path) -> String {
    format!(
        "the fuzz target {name} failed, and said above into which file it wrote the input. To see \
         it again: `{} FILE`. Mend it, tell the story in a test, and keep the file in \
         fuzz/corpus/{name}",
        built.join(name).display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::root;

    fn parsed(text: &str) -> Result<(u64, Option<String>)> {
        parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn seconds_and_a_target_may_be_named() {
        assert_eq!(parsed("").unwrap(), (SECONDS, None));
        assert_eq!(parsed("--seconds 5 origin").unwrap(), (5, Some("origin".into())));
        for wrong in ["--seconds", "--seconds soon", "one two", "--fast"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_target_is_built_and_has_inputs_to_start_from() {
        let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
        for name in targets(&root()).unwrap() {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
            let corpus = root().join("fuzz/corpus").join(&name);
            assert!(fs::read_dir(&corpus).unwrap().next().is_some(), "{name}");
        }
    }
}
