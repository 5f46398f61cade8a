//! The budgets' file, and what is said of a path that keeps or breaks its own.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

const FILE: &str = "crates/hot-paths/budgets.txt";
const HEAD: &str = "\
# Instructions for one operation of each hot path, and why it takes so many as it does now.
# `cargo xtask counts` compares; `cargo xtask counts --accept 'WHY' [PATH …]` renews.
";
const TOOLS: &str = "# counted with ";
/// A path that takes more than this beyond its budget fails, in percent.
const MORE_MAX: u64 = 5;
/// Less than this is what counts vary by, in percent.
const VARIES: f64 = 2.5;

pub(super) struct Budgets {
    tools: String,
    entries: Vec<Entry>,
}

struct Entry {
    path: String,
    instructions: u64,
    why: String,
}

impl Budgets {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(root.join(FILE)).with_context(|| format!("reading {FILE}"))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut budgets = Self { tools: String::new(), entries: Vec::new() };
        for line in text.lines() {
            if let Some(tools) = line.strip_prefix(TOOLS) {
                tools.clone_into(&mut budgets.tools);
            } else if !line.starts_with('#') {
                let entry = Entry::parse(line).with_context(|| {
                    format!("`{line}` in {FILE} is not a path, its instructions and a reason")
                })?;
                budgets.entries.push(entry);
            }
        }
        Ok(budgets)
    }

    pub(super) fn write(&self, root: &Path) -> Result<()> {
        fs::write(root.join(FILE), self.text()).with_context(|| format!("writing {FILE}"))
    }

    fn text(&self) -> String {
        let mut text = format!("{HEAD}{TOOLS}{}\n", self.tools);
        for Entry { path, instructions, why } in &self.entries {
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{path:<14} {instructions:>9}  {why}");
        }
        text
    }

    pub(super) fn of(&self, path: &str) -> Option<u64> {
        self.entries.iter().find(|entry| entry.path == path).map(|entry| entry.instructions)
    }

    /// What the counts depend on besides the code.
    pub(super) fn tools(&self) -> &str {
        &self.tools
    }

    pub(super) fn counted_with(&mut self, tools: String) {
        self.tools = tools;
    }

    pub(super) fn accept(&mut self, path: &str, instructions: u64, why: &str) {
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        match self.entries.iter_mut().find(|entry| entry.path == path) {
            Some(entry) => (entry.instructions, entry.why) = (instructions, why),
            None => self.entries.push(Entry { path: path.to_owned(), instructions, why }),
        }
    }

    /// Budgets of paths that are no more are taken out.
    pub(super) fn retain(&mut self, paths: &[String]) {
        self.entries.retain(|entry| paths.contains(&entry.path));
    }

    /// A sentence for each of them.
    pub(super) fn without_path(&self, paths: &[String]) -> Vec<String> {
        let stale = self.entries.iter().filter(|entry| !paths.contains(&entry.path));
        stale
            .map(|Entry { path, .. }| {
                format!("{FILE} has a budget for `{path}`, and there is no such path: take it out")
            })
            .collect()
    }
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let (path, rest) = line.split_once(' ')?;
        let (instructions, why) = rest.trim_start().split_once("  ")?;
        (!why.trim().is_empty()).then_some(())?;
        let instructions = instructions.parse().ok().filter(|&count| count > 0)?;
        Some(Self { path: path.to_owned(), instructions, why: why.trim().to_owned() })
    }
}

/// How a count stands beside its budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    NoBudget,
    /// In percent, with a sign.
    Within(f64),
    Over {
        percent: f64,
        counted: u64,
        budget: u64,
    },
}

impl Verdict {
    pub(super) fn of(counted: u64, budget: Option<u64>) -> Self {
        let Some(budget) = budget else { return Self::NoBudget };
        let percent = (counted as f64 / budget as f64 - 1.0) * 100.0;
        if counted * 100 > budget * (100 + MORE_MAX) {
            Self::Over { percent, counted, budget }
        } else {
            Self::Within(percent)
        }
    }

    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Over { .. })
    }

    /// Nothing that would have to be said.
    pub(super) fn is_as_it_was(self) -> bool {
        matches!(self, Self::Within(percent) if percent.abs() < VARIES)
    }

    pub(super) fn change(self) -> String {
        match self {
            Self::NoBudget => "new".into(),
            Self::Within(percent) | Self::Over { percent, .. } => format!("{percent:+.1} %"),
        }
    }

    /// What is wrong with it, and what to do.
    pub(super) fn problem(self, path: &str, profile: &Path) -> Option<String> {
        match self {
            Self::Within(_) => None,
            Self::NoBudget => Some(format!(
                "`{path}` has no budget: `cargo xtask counts --accept 'WHY' {path}` gives it one"
            )),
            Self::Over { percent, counted, budget } => Some(format!(
                "`{path}` takes {counted} instructions, {percent:.1} % more than its budget of \
                 {budget}; up to {MORE_MAX} % are let pass. `callgrind_annotate --inclusive=yes {}` \
                 shows where they go. Make it cheaper or, if it is worth that, say why: `cargo xtask \
                 counts --accept 'WHY' {path}`",
                profile.display()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# counted with rustc 1\npublish           100  it commits\n";

    #[test]
    fn five_percent_more_is_let_pass_and_what_is_beyond_is_said() {
        let profile = Path::new("publish.2");
        assert_eq!(Verdict::of(105, Some(100)).problem("publish", profile), None);
        let over = Verdict::of(1_051, Some(1_000)).problem("publish", profile).unwrap();
        for part in
            ["`publish` takes 1051", "5.1 % more", "budget of 1000", "publish.2", "--accept"]
        {
            assert!(over.contains(part), "{part}: {over}");
        }
        assert!(Verdict::of(1, None).problem("new", profile).unwrap().contains("no budget"));
    }

    #[test]
    fn what_is_accepted_is_written_with_its_reason_and_read_again() {
        let mut budgets = Budgets::parse(TEXT).unwrap();
        budgets.accept("publish", 120, "it commits\ntwice");
        budgets.accept("replay", 7, "new");
        budgets.counted_with("rustc 2".into());
        let again = Budgets::parse(&budgets.text()).unwrap();
        assert_eq!((again.of("publish"), again.of("replay")), (Some(120), Some(7)));
        assert_eq!(again.tools(), "rustc 2");
        assert!(again.text().contains("120  it commits twice\n"));
    }

    #[test]
    fn a_budget_without_a_path_or_a_reason_is_found() {
        let budgets = Budgets::parse(TEXT).unwrap();
        assert!(budgets.without_path(&["replay".into()])[0].contains("`publish`"));
        assert_eq!(budgets.without_path(&["publish".into()]), Vec::<String>::new());
        for wrong in ["publish", "publish 100", "publish many  why", "publish 0  why", ""] {
            assert!(Budgets::parse(&format!("{wrong}\n")).is_err(), "{wrong}");
        }
    }
}
