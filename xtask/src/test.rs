//! `cargo xtask test`: every check there is, one after the other, with a table at the end.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use tetherline_process::{note, say};

use crate::{
    api, bench, browser, codegen, counts, deny, docs, examples, fuzz, kill_test, packages, prepare,
    progress::Elapsed,
    publishing, runner, rust_tests,
    side_by_side::all_pass,
    tidy, torture,
    workspace::{self, run},
};

struct Check {
    name: &'static str,
    about: &'static str,
    run: fn(&Path) -> Result<()>,
}

/// In the order in which they run: what fails soonest comes first, what needs a build after it.
const CHECKS: [Check; 27] = [
    Check { name: "tools", about: "Node, the wasm target, npm packages", run: prepare::tools },
    Check { name: "format", about: "cargo fmt --check", run: format },
    Check { name: "codegen", about: "generated files are current", run: codegen_is_current },
    Check { name: "tidy", about: "the house rules", run: tidy::run },
    Check { name: "deny", about: "licences, origins and advisories of crates", run: deny::check },
    Check { name: "clippy", about: "clippy, warnings denied", run: clippy },
    Check { name: "clippy-wasm", about: "clippy for the browser engine", run: clippy_wasm },
    // What `cargo xtask compat` runs is part of this and of `unit`.
    Check { name: "rust", about: "Rust tests", run: rust_tests::run },
    Check { name: "doctests", about: "examples in Rust documentation", run: doctests },
    Check { name: "otel", about: "traces, behind their feature", run: traces },
    Check { name: "fuzz", about: "parsers of outside bytes, briefly", run: fuzz::check },
    Check { name: "package", about: "wasm engine and npm package build", run: prepare::package },
    Check { name: "size", about: "size budgets of what browsers load", run: size },
    Check {
        name: "publishing",
        about: "the packed archive, and the reference",
        run: publishing::check,
    },
    Check {
        name: "typescript",
        about: "types, eslint and prettier, side by side",
        run: typescript,
    },
    Check { name: "unit", about: "vitest", run: unit },
    Check { name: "web", about: "the chat's page builds", run: prepare::web },
    Check { name: "servers", about: "the binaries that people start build", run: servers },
    Check {
        name: "packages",
        about: "the server from npm and pip, installed",
        run: packages::check,
    },
    Check { name: "counts", about: "instructions of the hot paths", run: counts::check },
    Check {
        name: "kill-test",
        about: "the server, killed and on a full disk",
        run: kill_test::run_briefly,
    },
    Check {
        name: "torture",
        about: "everything around the server goes wrong, behind real proxies",
        run: torture::run_briefly,
    },
    Check { name: "api", about: "the HTTP API is as it is described", run: api::run },
    Check { name: "docs", about: "snippets in README and docs hold", run: docs::run },
    Check {
        name: "examples",
        about: "the package in Vite and Next, in a real Chromium",
        run: examples::run,
    },
    Check {
        name: "bench",
        about: "the benchmarks work, also in Chromium",
        run: bench::run_briefly,
    },
    Check { name: "e2e", about: "the whole thing in a real Chromium", run: browser::end_to_end },
];

struct Outcome {
    name: &'static str,
    took: Duration,
    passed: bool,
    /// In the words of the test runners.
    summaries: Vec<String>,
}

/// Runs the checks that `arguments` ask for, all by default, to the end whatever fails, and
/// answers whether they all passed.
pub(crate) fn run_checks(root: &Path, arguments: &[String]) -> Result<bool> {
    let Some(checks) = select(arguments)? else {
        for Check { name, about, .. } in &CHECKS {
            say!("{name:<12} {about}");
        }
        return Ok(true);
    };
    let mut outcomes = Vec::new();
    for Check { name, about, run } in checks {
        note!("\n━━ {name}: {about}");
        let started = Instant::now();
        let result = run(root);
        let took = started.elapsed();
        match &result {
            Ok(()) => note!("✓ {name}  {}", Elapsed(took)),
            Err(problem) => note!("✗ {name}  {}\n{problem:#}", Elapsed(took)),
        }
        let summaries = runner::take_summaries();
        outcomes.push(Outcome { name, took, passed: result.is_ok(), summaries });
    }
    Ok(summarise(&outcomes))
}

/// Prints the table and what the test runners said last; the very last line is for scripts.
fn summarise(outcomes: &[Outcome]) -> bool {
    say!("");
    for Outcome { name, took, passed, .. } in outcomes {
        let mark = if *passed { "passed" } else { "FAILED" };
        say!("{name:<12} {mark}  {:>12}", Elapsed(*took).to_string());
    }
    let total: Duration = outcomes.iter().map(|outcome| outcome.took).sum();
    say!("{:<12}         {:>12}\n", "total", Elapsed(total).to_string());
    for Outcome { name, summaries, .. } in outcomes {
        for summary in summaries {
            say!("{name:<12} {summary}");
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    say!("{} passed, {failed} failed", outcomes.len() - failed);
    failed == 0
}

/// `None` asks for the list.
fn select(arguments: &[String]) -> Result<Option<Vec<&'static Check>>> {
    match arguments {
        [] => Ok(Some(CHECKS.iter().collect())),
        [list] if list == "--list" => Ok(None),
        [only, names] if only == "--only" => {
            names.split(',').map(|name| find(name.trim())).collect::<Result<_>>().map(Some)
        }
        _ => bail!("use `cargo xtask test [--list | --only name,name…]`"),
    }
}

fn find(name: &str) -> Result<&'static Check> {
    match CHECKS.iter().find(|check| check.name == name) {
        Some(check) => Ok(check),
        None => bail!("there is no check `{name}`; `cargo xtask test --list` shows them"),
    }
}

fn format(root: &Path) -> Result<()> {
    run(root, "cargo", &["fmt", "--all", "--check"])
}

fn codegen_is_current(root: &Path) -> Result<()> {
    codegen::run(root, codegen::Mode::Check)
}

fn clippy(root: &Path) -> Result<()> {
    run(root, "cargo", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn clippy_wasm(root: &Path) -> Result<()> {
    let target = ["--target", "wasm32-unknown-unknown"];
    let [flag, triple] = target;
    run(root, "cargo", &["clippy", "-p", "tetherline-wasm", flag, triple, "--", "-D", "warnings"])
}

/// What the other tests are built without.
fn traces(root: &Path) -> Result<()> {
    let package = ["test", "-p", "tetherline-cli", "--features", "otel", "--test", "cli"];
    run_tests(root, "cargo", &[&package[..], &["--", "traces::"]].concat())
}

fn doctests(root: &Path) -> Result<()> {
    run_tests(root, "cargo", &["test", "--workspace", "--doc", "--no-fail-fast"])
}

fn run_tests(root: &Path, program: &str, arguments: &[&str]) -> Result<()> {
    let mut command = workspace::command(root, program);
    command.args(arguments);
    runner::run(command)
}

fn npm(root: &Path, script: &str) -> Result<()> {
    let ours = ["-w", "tetherline", "-w", "tetherline-markdown", "-w", "@tetherline/chat-web"];
    run_tests(root, "npm", &[&["run", "--silent", "--if-present", script][..], &ours].concat())
}

fn size(root: &Path) -> Result<()> {
    prepare::PACKAGES
        .iter()
        .try_for_each(|package| run(root, "npm", &["run", "--silent", "size", "-w", package]))
}

fn typescript(root: &Path) -> Result<()> {
    let look = |name, program, arguments: &[&str]| {
        let mut command = workspace::command(root, program);
        command.args(arguments);
        (name, command)
    };
    let types =
        |workspace, name| look(name, "npm", &["run", "--silent", "typecheck", "-w", workspace]);
    // The longest first, so that none is left alone at the end.
    all_pass(vec![
        look("eslint", "npm", &["run", "--silent", "lint"]),
        types("tetherline", "types of the package"),
        look("prettier", "npm", &["run", "--silent", "format"]),
        types("tetherline-markdown", "types of the Markdown"),
        types("@tetherline/chat-web", "types of the chat's page"),
        types("@tetherline/chat-e2e", "types of its end-to-end tests"),
        types("@tetherline/bench", "types of the benchmarks"),
        look(
            "types of the examples' tests",
            "npx",
            &["--no-install", "tsc", "--project", "examples/e2e"],
        ),
    ])
}

fn unit(root: &Path) -> Result<()> {
    npm(root, "test")
}

fn servers(root: &Path) -> Result<()> {
    prepare::cli(root)?;
    prepare::chat_server(root, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_may_ask_for_single_checks_by_name() {
        let arguments = ["--only".to_owned(), "tidy, e2e".to_owned()];
        let names: Vec<_> = select(&arguments).unwrap().unwrap().iter().map(|c| c.name).collect();
        assert_eq!(names, ["tidy", "e2e"]);
    }

    #[test]
    fn a_check_that_does_not_exist_is_named() {
        let arguments = ["--only".to_owned(), "tidi".to_owned()];
        assert!(select(&arguments).is_err_and(|error| error.to_string().contains("`tidi`")));
    }
}
