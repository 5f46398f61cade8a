//! Whether a step's inputs changed since it last succeeded.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{progress, workspace};

/// Something that is built from files, and need not be built again from the same ones.
pub(crate) struct Product<'a> {
    /// Its name, for people and for the stamp file.
    pub(crate) name: &'a str,
    /// Files and folders, relative to the root, that go in.
    pub(crate) inputs: &'a [&'a str],
    /// What must exist afterwards.
    pub(crate) outputs: &'a [&'a str],
}

impl Product<'_> {
    /// Runs `build`, unless nothing changed since it last succeeded.
    pub(crate) fn build(&self, root: &Path, build: impl FnOnce() -> Result<()>) -> Result<()> {
        let stamp = self.stamp(root);
        let inputs = self.fingerprint(root)?;
        let complete = self.outputs.iter().all(|output| root.join(output).exists());
        if complete && fs::read_to_string(&stamp).is_ok_and(|last| last == inputs) {
            progress::current(self.name);
            return Ok(());
        }
        // Gone first: a build that dies half-way must not look finished.
        let _ = fs::remove_file(&stamp);
        build()?;
        if let Some(folder) = stamp.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&stamp, inputs).with_context(|| format!("cannot write {}", stamp.display()))
    }

    fn stamp(&self, root: &Path) -> PathBuf {
        workspace::target(root).join("xtask").join(format!("{}.stamp", self.name.replace(' ', "-")))
    }

    fn fingerprint(&self, root: &Path) -> Result<String> {
        let mut hasher = DefaultHasher::new();
        for path in workspace::files(root)? {
            let goes_in = self.inputs.iter().any(|input| {
                path.strip_prefix(input)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            if goes_in {
                path.hash(&mut hasher);
                fs::read(root.join(&path))
                    .with_context(|| format!("reading {path}"))?
                    .hash(&mut hasher);
            }
        }
        Ok(format!("{:016x}", hasher.finish()))
    }
}
