//! Where things are, and how other programs are started.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// The repository's root: xtask is one folder below it.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// Where cargo puts what it builds.
pub(crate) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

/// A binary of this workspace, built with the profile `dev` or `release`.
pub(crate) fn binary(root: &Path, name: &str, release: bool) -> PathBuf {
    let folder = if release { "release" } else { "debug" };
    target(root).join(folder).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// A command in the repository's root.
///
/// What cargo set for xtask itself is taken out of the environment: to a nested cargo or build
/// script it would say untrue things.
pub(crate) fn command(root: &Path, program: &str) -> Command {
    let program = if cfg!(windows) && matches!(program, "npm" | "npx") {
        format!("{program}.cmd")
    } else {
        program.to_owned()
    };
    let mut command = Command::new(program);
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let own = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_")
                || matches!(name, "CARGO" | "CARGO_MANIFEST_DIR" | "CARGO_MANIFEST_PATH")
        });
        if own {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command whose output goes straight to the terminal.
pub(crate) fn run<S: AsRef<OsStr>>(root: &Path, program: &str, arguments: &[S]) -> Result<()> {
    check(program, command(root, program).args(arguments).stdin(Stdio::null()).status())
}

/// The same with everything on stderr: stdout belongs to what is being prepared for.
pub(crate) fn build<S: AsRef<OsStr>>(root: &Path, program: &str, arguments: &[S]) -> Result<()> {
    let mut command = command(root, program);
    check(program, command.args(arguments).stdin(Stdio::null()).stdout(std::io::stderr()).status())
}

/// What a command prints on stdout.
pub(crate) fn output<S: AsRef<OsStr>>(
    root: &Path,
    program: &str,
    arguments: &[S],
) -> Result<String> {
    let output = command(root, program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{program}`"))?;
    check(program, Ok(output.status))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a path ends in one of these extensions.
pub(crate) fn is_a(path: &str, extensions: &[&str]) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
}

/// The files that git tracks or would track, relative to the root.
pub(crate) fn files(root: &Path) -> Result<Vec<String>> {
    let listing = command(root, "git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .stdin(Stdio::null())
        .output();
    let mut files: Vec<String> = match listing {
        Ok(listing) if listing.status.success() => {
            String::from_utf8_lossy(&listing.stdout).lines().map(str::to_owned).collect()
        }
        // No git, an unpacked archive, or a checkout that belongs to somebody else.
        _ => walk(root, root)?,
    };
    files.retain(|path| root.join(path).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

/// What `.gitignore` leaves out, for when git cannot be asked.
const IGNORED: [&str; 7] =
    [".git", "target", "node_modules", "dist", "test-results", "playwright-report", "data"];

/// Every file below a folder, relative to the root.
pub(crate) fn walk(root: &Path, folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        if entry.file_name().to_str().is_none_or(|name| IGNORED.contains(&name)) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            files.extend(walk(root, &entry.path())?);
        } else if let Some(path) = entry.path().strip_prefix(root)?.to_str() {
            files.push(path.to_owned());
        }
    }
    Ok(files)
}

fn check(program: &str, status: std::io::Result<ExitStatus>) -> Result<()> {
    let status = status.with_context(|| format!("cannot start `{program}`"))?;
    if status.success() {
        return Ok(());
    }
    bail!("`{program}` failed ({status}); its own words are above")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_git_the_same_sources_are_found() {
        let root = root();
        let walked = walk(&root, &root).unwrap();
        for file in ["Cargo.toml", "xtask/src/workspace.rs", "packages/tetherline/package.json"] {
            assert!(walked.iter().any(|path| path == file), "{file}");
        }
        assert!(walked.iter().all(|path| !path.contains("node_modules")));
    }
}
