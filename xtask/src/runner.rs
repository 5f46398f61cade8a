//! Test runners: their output goes straight through, and the lines in which they sum up are kept
//! for the end.

use std::{
    io::{BufRead as _, BufReader, IsTerminal as _, Read, Write, stderr, stdout},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
};

use anyhow::{Context as _, Result, bail};

static SUMMARIES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Runs a test runner to its end.
pub(crate) fn run(mut command: Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    if stderr().is_terminal() {
        // Behind a pipe they would think that nobody looks.
        command.env("CARGO_TERM_COLOR", "always").env("FORCE_COLOR", "1");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{name}`"))?;
    let errors = child.stderr.take().map(|pipe| thread::spawn(|| forward(pipe, stderr())));
    if let Some(pipe) = child.stdout.take() {
        forward(pipe, stdout());
    }
    // `forward` does not panic: what cannot be printed is left out.
    let _ = errors.map(thread::JoinHandle::join);
    let status = child.wait().with_context(|| format!("cannot wait for `{name}`"))?;
    if !status.success() {
        bail!("`{name}` failed ({status}); its own words are above");
    }
    Ok(())
}

/// Shows what a test runner has said, all at once.
pub(crate) fn show(words: &[u8]) {
    forward(words, stdout());
}

/// The summaries since the last call.
pub(crate) fn take_summaries() -> Vec<String> {
    std::mem::take(&mut *SUMMARIES.lock().unwrap_or_else(PoisonError::into_inner))
}

fn forward(pipe: impl Read, mut to: impl Write) {
    let mut lines = BufReader::new(pipe);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
        let _ = to.write_all(&line).and_then(|()| to.flush());
        let text = plain(&String::from_utf8_lossy(&line));
        if sums_up(&text) {
            SUMMARIES.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
        line.clear();
    }
}

/// Without colours, and without space around it.
fn plain(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    let text =
        parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, after)| after));
    text.trim().to_owned()
}

/// nextest, `cargo test` (where it ran anything), vitest, Playwright.
fn sums_up(line: &str) -> bool {
    let counted = || {
        let (count, rest) = line.split_once(' ')?;
        count.parse::<u32>().ok()?;
        Some(rest.starts_with("passed (") || rest == "failed" || rest == "flaky")
    };
    line.starts_with("Summary [")
        || (line.starts_with("test result:") && !line.contains(". 0 passed; 0 failed"))
        || line.starts_with("Tests  ")
        || counted().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runners_last_word_is_known() {
        for line in [
            "     Summary [   1.5s] 9 tests run: 9 passed, 0 skipped\n",
            "test result: ok. 6 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            "\u{1b}[2m      Tests \u{1b}[22m \u{1b}[1m\u{1b}[32m85 passed\u{1b}[39m\u{1b}[22m (85)",
            "  18 passed (35.2s)",
            "  1 failed",
        ] {
            assert!(sums_up(&plain(line)), "{line}");
        }
    }

    #[test]
    fn other_lines_are_not_taken_for_it() {
        for line in [
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            "  ✓  1 tests/a.spec.ts:4:1 › 3 passed (1s)",
            "12 files keep the house rules",
        ] {
            assert!(!sums_up(&plain(line)), "{line}");
        }
    }

    #[test]
    fn a_runner_that_fails_is_named() {
        let failed = run(Command::new("false"));
        assert!(failed.is_err_and(|error| error.to_string().contains("`false` failed")));
    }
}
