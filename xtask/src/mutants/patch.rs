//! A planted bug as a file: two lines of words, then a unified diff.
//!
//! Hunks are found by their text and not by their line numbers, so that a patch lives on while the
//! code around it moves. What it names has to be there exactly once.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, bail};

/// The folder of the patches.
pub(crate) const FOLDER: &str = "mutants";
/// How the second line of a patch begins.
const BREAKS: &str = "Breaks: ";

/// One planted bug.
#[derive(Debug)]
pub(crate) struct Patch {
    /// The file's name without its ending.
    pub(crate) name: String,
    /// What is wrong with the code then.
    pub(crate) bug: String,
    /// Which promise that breaks.
    pub(crate) promise: String,
    pub(crate) hunks: Vec<Hunk>,
}

/// Some lines of a file and what stands there instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hunk {
    /// Relative to the root.
    pub(crate) file: String,
    old: String,
    new: String,
}

/// All patches, in the order of their names.
pub(crate) fn all(root: &Path) -> Result<Vec<Patch>> {
    let mut patches = Vec::new();
    for entry in fs::read_dir(root.join(FOLDER)).context("reading the folder of the mutants")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path)?;
            patches.push(Patch::parse(name, &text)?);
        }
    }
    patches.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(patches)
}

/// For `cargo xtask tidy`: patches that no longer fit the code.
pub(crate) fn problems(root: &Path) -> Result<Vec<String>> {
    let patched = |patch: &Patch| patch.apply(root).err().map(|problem| format!("{problem:#}"));
    Ok(all(root)?.iter().filter_map(patched).collect())
}

impl Patch {
    fn parse(name: String, text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let (bug, breaks) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let Some(promise) = breaks.strip_prefix(BREAKS).filter(|_| !bug.is_empty()) else {
            bail!(
                "{FOLDER}/{name}.patch: its first line says what the bug is, its second begins \
                 with `{BREAKS}` and says which promise that breaks"
            );
        };
        let hunks = hunks(lines).with_context(|| format!("{FOLDER}/{name}.patch"))?;
        Ok(Self { name, bug: bug.to_owned(), promise: promise.to_owned(), hunks })
    }

    /// The files that it changes, as they are then. Nothing is written.
    pub(crate) fn apply(&self, root: &Path) -> Result<BTreeMap<String, String>> {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for hunk in &self.hunks {
            let text = match files.remove(&hunk.file) {
                Some(text) => text,
                None => fs::read_to_string(root.join(&hunk.file)).with_context(|| {
                    format!(
                        "{FOLDER}/{}.patch is for {}, which cannot be read",
                        self.name, hunk.file
                    )
                })?,
            };
            let count = text.matches(&hunk.old).count();
            if count != 1 {
                bail!(
                    "{FOLDER}/{}.patch no longer applies: {} has these lines {count} times. Write \
                     the patch anew for the code as it is:\n{}",
                    self.name,
                    hunk.file,
                    hunk.old
                );
            }
            files.insert(hunk.file.clone(), text.replacen(&hunk.old, &hunk.new, 1));
        }
        Ok(files)
    }
}

fn hunks<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<Hunk>> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let mut file = None;
    for line in lines {
        if let Some(path) = line.strip_prefix("+++ b/") {
            file = Some(path.to_owned());
        } else if line.starts_with("@@") {
            let file = file.clone().context("a hunk without a file")?;
            hunks.push(Hunk { file, old: String::new(), new: String::new() });
        } else if let Some(hunk) = hunks.last_mut().filter(|_| !line.starts_with("--- ")) {
            let (mark, rest) = line.split_at_checked(1).unwrap_or((" ", ""));
            for (text, skipped) in [(&mut hunk.old, "+"), (&mut hunk.new, "-")] {
                if mark != skipped {
                    text.push_str(rest);
                    text.push('\n');
                }
            }
        }
    }
    if hunks.is_empty() {
        bail!("it changes nothing");
    }
    Ok(hunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "The last is forgotten.\nBreaks: nothing lost.\n--- a/x.rs\n+++ b/x.rs\n\
                        @@ -1,3 +1,2 @@\n one\n-two\n three\n";

    fn parse(text: &str) -> Result<Patch> {
        Patch::parse("07-last".to_owned(), text)
    }

    #[test]
    fn a_patch_is_found_by_its_text_wherever_that_is() {
        let root = std::env::temp_dir().join(format!("patch-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("x.rs"), "zero\none\ntwo\nthree\n").unwrap();
        let patch = parse(TEXT).unwrap();
        assert_eq!(patch.promise, "nothing lost.");
        assert_eq!(patch.apply(&root).unwrap()["x.rs"], "zero\none\nthree\n");
        fs::write(root.join("x.rs"), "one\nthree\n").unwrap();
        let problem = patch.apply(&root).unwrap_err().to_string();
        assert!(problem.contains("07-last.patch no longer applies"), "{problem}");
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_patch_says_what_it_breaks_and_changes_something() {
        assert!(parse(TEXT).is_ok());
        assert!(parse(&TEXT.replace("Breaks: ", "")).is_err());
        assert!(parse("A bug.\nBreaks: a promise.\n").is_err());
    }

    #[test]
    fn every_planted_bug_fits_the_code() {
        assert_eq!(problems(&crate::workspace::root()).unwrap(), Vec::<String>::new());
    }
}
