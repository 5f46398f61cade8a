//! What the binary writes about itself, where packages take it from: `man` and `completions`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::workspace::{self, build, output};

/// Each shell that packages bring completions for, and the name under which it looks for them.
const COMPLETIONS: [(&str, &str); 3] =
    [("bash", "tetherline"), ("zsh", "_tetherline"), ("fish", "tetherline.fish")];

/// Writes them into a new folder. The binary of the tests says the same as every other, and runs on this machine.
pub(super) fn write(root: &Path, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    let binary = workspace::binary(root, "tetherline", false);
    let binary = binary.to_string_lossy();
    let completions = folder.join("completions");
    fs::create_dir_all(&completions)?;
    for (shell, name) in COMPLETIONS {
        let script = output(root, &binary, &["completions", shell])?;
        fs::write(completions.join(name), script)?;
    }
    build(root, &binary, &["man", "--out", &folder.join("man").to_string_lossy()])
}

/// The manual pages there, in order.
pub(super) fn manuals(folder: &Path) -> Result<Vec<PathBuf>> {
    let pages = fs::read_dir(folder.join("man"))?;
    let mut pages = pages.map(|page| Ok(page?.path())).collect::<Result<Vec<_>>>()?;
    pages.sort();
    Ok(pages)
}
