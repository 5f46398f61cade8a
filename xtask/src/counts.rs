//! `cargo xtask counts`: how many instructions the hot paths take, held to `crates/hot-paths/budgets.txt`.
//!
//! Not a benchmark library: those count functions, and what is counted here is a server with its threads.

mod budgets;
mod valgrind;

use std::path::Path;

use anyhow::{Result, bail};
use tetherline_process::{note, say};

use crate::{
    prepare,
    progress::step,
    side_by_side::side_by_side,
    workspace::{build, target},
};
use budgets::{Budgets, Verdict};
use valgrind::{Callgrind, Counted, tools};

const USAGE: &str = "cargo xtask counts [--accept WHY] [PATH …]";
/// What is counted varies by 1 or 2 %, upwards: a path is over its budget when it is so every time.
const TIMES_MAX: u32 = 3;

struct Options<'a> {
    accept: Option<&'a str>,
    /// All, if none is named.
    only: Vec<&'a str>,
}

/// In `cargo xtask test`.
pub(crate) fn check(root: &Path) -> Result<()> {
    run(root, &[])
}

/// Counts, and compares with the budgets or, with `--accept`, renews them.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let options = parse(arguments)?;
    prepare::valgrind(root)?;
    step("the hot paths", || {
        build(root, "cargo", &["build", "--profile", "counts", "--package", "tetherline-hot-paths"])
    })?;
    let callgrind = Callgrind::new(root, &target(root).join("counts"))?;
    let all = callgrind.paths()?;
    if let Some(unknown) = options.only.iter().find(|only| !all.iter().any(|path| path == *only)) {
        bail!("there is no path `{unknown}`: there are {}", all.join(", "));
    }
    let wanted = |path: &&String| options.only.is_empty() || options.only.contains(&path.as_str());
    let paths: Vec<&String> = all.iter().filter(wanted).collect();
    let mut budgets = Budgets::read(root)?;
    say!("{:<14} {:>12} {:>12} {:>8} {:>10}", "path", "instructions", "budget", "", "B written");
    match options.accept {
        None => compare(&callgrind, &budgets, &paths, budgets.without_path(&all), &tools(root)?),
        Some(why) => {
            let even_small_changes = !options.only.is_empty();
            renew(&callgrind, &mut budgets, &paths, why, even_small_changes)?;
            budgets.retain(&all);
            budgets.counted_with(tools(root)?);
            budgets.write(root)
        }
    }
}

fn compare(
    callgrind: &Callgrind,
    budgets: &Budgets,
    paths: &[&String],
    mut problems: Vec<String>,
    tools: &str,
) -> Result<()> {
    let counts = side_by_side(paths, |path| {
        let mut counted = callgrind.count(path)?;
        for _ in 1..TIMES_MAX {
            if !Verdict::of(counted.instructions, budgets.of(path)).is_over() {
                break;
            }
            counted = counted.least(callgrind.count(path)?);
        }
        anyhow::Ok(counted)
    });
    for (path, counted) in paths.iter().zip(counts) {
        let verdict = report(budgets, path, counted?);
        problems.extend(verdict.problem(path, &callgrind.profile(path)));
    }
    if problems.is_empty() {
        return Ok(());
    }
    if budgets.tools() != tools {
        note!("The budgets were counted with {}. Here there is {tools}.", budgets.tools());
    }
    bail!("{}", problems.join("\n"))
}

/// A new budget is the least of three counts, as what will be compared with it may be.
fn renew(
    callgrind: &Callgrind,
    budgets: &mut Budgets,
    paths: &[&String],
    why: &str,
    even_small_changes: bool,
) -> Result<()> {
    let counts = side_by_side(paths, |path| {
        let mut counted = callgrind.count(path)?;
        for _ in 1..TIMES_MAX {
            counted = counted.least(callgrind.count(path)?);
        }
        anyhow::Ok(counted)
    });
    for (path, counted) in paths.iter().zip(counts) {
        let counted = counted?;
        let verdict = report(budgets, path, counted);
        if even_small_changes || !verdict.is_as_it_was() {
            budgets.accept(path, counted.instructions, why);
        }
    }
    Ok(())
}

fn report(budgets: &Budgets, path: &str, counted: Counted) -> Verdict {
    let budget = budgets.of(path);
    let verdict = Verdict::of(counted.instructions, budget);
    let budget = budget.map_or_else(|| "-".to_owned(), |budget| budget.to_string());
    let Counted { instructions, bytes_written } = counted;
    let change = verdict.change();
    say!("{path:<14} {instructions:>12} {budget:>12} {change:>8} {bytes_written:>10}");
    verdict
}

fn parse(arguments: &[String]) -> Result<Options<'_>> {
    let mut options = Options { accept: None, only: Vec::new() };
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(argument) = rest.next() {
        match argument {
            "--accept" => match rest.next() {
                Some(why) if !why.trim().is_empty() && !why.starts_with('-') => {
                    options.accept = Some(why);
                }
                _ => bail!("say why it may cost that: {USAGE}"),
            },
            path if !path.starts_with('-') => options.only.push(path),
            _ => bail!("`{argument}` is not understood. Use {USAGE}."),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_accepted_for_a_reason() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let arguments = words(&["--accept", "Keys are looked up twice", "publish"]);
        let options = parse(&arguments).unwrap();
        assert_eq!(options.accept, Some("Keys are looked up twice"));
        assert_eq!(options.only, ["publish"]);
        for wrong in [&["--accept"][..], &["--accept", " "], &["--accept", "--all"], &["--all"]] {
            assert!(parse(&words(wrong)).is_err(), "{wrong:?}");
        }
    }
}
