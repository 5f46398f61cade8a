//! Build, run and check the whole of Tetherline: `cargo xtask help` lists what there is.

mod api;
mod bench;
mod browser;
mod codegen;
mod compat;
mod counts;
mod deny;
mod docs;
mod examples;
mod fingerprint;
mod fuzz;
mod kill_test;
mod markdown;
mod mutants;
mod packages;
mod prepare;
mod progress;
mod publishing;
mod run;
mod runner;
mod rust_tests;
mod side_by_side;
mod sim;
mod test;
mod tidy;
mod torture;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};
use tetherline_process::{note, say};

const HELP: &str = "\
cargo xtask run [--port 8080] [--data DIR] [--release]
    prepare everything and start the chat application; one line says where it is
cargo xtask test [--list | --only name,name…]
    prepare everything and run every check
cargo xtask codegen [--check]
    write the TypeScript that is generated from crates/protocol and crates/wasm, or only compare it
cargo xtask tidy
    check the house rules
cargo xtask sim --seeds N [--from SEED]
    run that many seeds of the simulator, and replay the first that breaks a promise
cargo xtask kill-test --kills N [--full-disks N] [--seed SEED]
    kill the real server so many times under full load, fill its disk, and count what is lost
cargo xtask torture [--minutes N | --only FAULT] [--seed SEED] [--server FILE]
    let everything around the real server go wrong, behind nginx and HAProxy
cargo xtask compat
    hold server, page and native client to what older versions said and kept
cargo xtask counts [--accept WHY] [PATH …]
    count the instructions of the hot paths, and compare them with their budgets
cargo xtask fuzz [--seconds N] [TARGET]
    fuzz the parsers of what comes from outside, each for a minute or so long
cargo xtask mutants [--only NAME] [--seeds N]
    plant one bug after the other in a copy of the code, and see whether the simulator finds it
cargo xtask package [--target linux-x64|linux-arm64] [--image]
    build the server as a static binary, and pack it for npm, pip, Debian and Docker into target/package
cargo xtask bench browser [--brief] [dispatch|renders|burst|stream …]
    measure what a message costs in Chromium
cargo xtask bench streams [--brief] [--answers N] [latency|load …]
    measure how much later words come than straight from a model, and what a thousand answers cost
cargo xtask bench server [--brief | --render] [--only SCENARIO,…] [--peers NAME,…] [--runs N]
    measure the delivery server beside others, and write docs/benchmarks.md's part about it
cargo xtask docs
    check the snippets in README.md and docs/";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(code) => code,
        Err(problem) => {
            note!("\nerror: {problem:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<ExitCode> {
    let root = workspace::root();
    let Some((task, rest)) = arguments.split_first() else {
        bail!("say what to do:\n\n{HELP}");
    };
    let rest_text: Vec<&str> = rest.iter().map(String::as_str).collect();
    let done = match (task.as_str(), rest_text.as_slice()) {
        ("run", _) => run::run(&root, &run::Options::parse(rest)?),
        ("test", _) if !test::run_checks(&root, rest)? => return Ok(ExitCode::FAILURE),
        ("mutants", _) if !mutants::run(&root, rest)? => return Ok(ExitCode::FAILURE),
        ("test" | "mutants", _) => Ok(()),
        ("codegen", []) => codegen::run(&root, codegen::Mode::Write),
        ("codegen", ["--check"]) => codegen::run(&root, codegen::Mode::Check),
        ("tidy", []) => tidy::run(&root),
        ("sim", _) => sim::run_seeds(&root, rest),
        ("kill-test", _) => kill_test::run_for(&root, rest),
        ("torture", _) => torture::run_for(&root, rest),
        ("compat", []) => compat::run(&root),
        ("counts", _) => counts::run(&root, rest),
        ("package", _) => packages::run_for(&root, rest),
        ("fuzz", _) => fuzz::fuzz(&root, rest),
        ("bench", _) => bench::run(&root, rest),
        ("docs", []) => docs::run(&root),
        ("help" | "--help" | "-h", _) => {
            say!("{HELP}");
            Ok(())
        }
        _ => bail!("`{}` is nothing that xtask does:\n\n{HELP}", arguments.join(" ")),
    };
    done.map(|()| ExitCode::SUCCESS)
}
