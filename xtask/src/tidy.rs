//! The house rules, as tests: each message says what to do about it.

mod crates;
mod licences;
mod limits;
mod modules;
mod packages;
mod promises;
mod text;

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use tetherline_process::say;

use crate::{codegen, docs, markdown, mutants, workspace};

/// A tracked text file.
pub(crate) struct Source {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Checks every rule and fails with all that is wrong.
pub(crate) fn run(root: &Path) -> Result<()> {
    let sources = sources(root)?;
    let documents = markdown::documents(root)?;
    let mut problems = Vec::new();
    problems.extend(crates::problems(root)?);
    problems.extend(licences::problems(root)?);
    problems.extend(modules::problems(&sources));
    problems.extend(packages::problems(&sources));
    problems.extend(text::problems(root, &sources));
    problems.extend(text::broken_links(root, &documents));
    problems.extend(docs::problems(root, &documents));
    problems.extend(limits::problems(root)?);
    problems.extend(promises::problems(root)?);
    problems.extend(mutants::problems(root)?);
    if let Err(stale) = codegen::run(root, codegen::Mode::Check) {
        problems.push(stale.to_string());
    }
    docs::report(&problems)?;
    say!("{} files keep the house rules", sources.len());
    Ok(())
}

fn sources(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in workspace::files(root)? {
        let bytes = fs::read(root.join(&path)).with_context(|| format!("reading {path}"))?;
        // What is not UTF-8 is an image or the like.
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source { path, text });
        }
    }
    Ok(sources)
}
