//! The Debian package. What is in it stands in `crates/cli/Cargo.toml`, where `cargo deb` reads it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{Platform, VERSION, papers};
use crate::{
    prepare,
    progress::step,
    workspace::{self, build, output},
};

/// What is in it besides manual pages.
const CONTENTS: [&str; 11] = [
    "./etc/tetherline/tetherline.toml",
    "./usr/bin/tetherline",
    "./usr/lib/systemd/system/tetherline-backup.service",
    "./usr/lib/systemd/system/tetherline-backup.timer",
    "./usr/lib/systemd/system/tetherline.service",
    "./usr/lib/systemd/system/tetherline.socket",
    "./usr/share/bash-completion/completions/tetherline",
    "./usr/share/doc/tetherline/changelog.gz",
    "./usr/share/doc/tetherline/copyright",
    "./usr/share/fish/vendor_completions.d/tetherline.fish",
    "./usr/share/zsh/vendor-completions/_tetherline",
];

/// Packs the static binary that was built for this platform.
pub(super) fn package(root: &Path, platform: &Platform, folder: &Path) -> Result<()> {
    let cargo_deb = prepare::cargo_deb(root)?;
    step(&format!("Debian package for {}", platform.name), || {
        // `cargo deb` takes `target/release/…` from here.
        let built = workspace::target(root).join(platform.triple).join("release/papers");
        papers::write(root, &built)?;
        let pages = papers::manuals(&built)?;
        let arguments: Vec<_> = ["-9", "-n"].into_iter().map(PathBuf::from).chain(pages).collect();
        build(root, "gzip", &arguments)?;
        let archive = folder.join(format!("tetherline_{VERSION}-1_{}.deb", platform.architecture));
        let to = archive.to_str().context("the target folder's name is not UTF-8")?;
        let what = ["--no-build", "--no-strip", "--package", "tetherline-cli"];
        let which = ["--target", platform.triple, "--output", to];
        build(root, &cargo_deb.to_string_lossy(), &[&what[..], &which].concat())?;
        is_complete(root, to, &papers::manuals(&built)?)
    })
}

/// Where there is `dpkg-deb`, which reads it as those do who install it.
fn is_complete(root: &Path, archive: &str, pages: &[PathBuf]) -> Result<()> {
    if !prepare::is_installed("dpkg-deb") {
        return Ok(());
    }
    let names = pages.iter().filter_map(|page| page.file_name()?.to_str());
    let pages = names.map(|name| format!("./usr/share/man/man1/{name}"));
    let due: BTreeSet<String> = pages.chain(CONTENTS.map(str::to_owned)).collect();
    let listing = output(root, "dpkg-deb", &["--contents", archive])?;
    let paths = listing.lines().filter_map(|line| line.split_whitespace().last());
    let found: BTreeSet<String> =
        paths.filter(|path| !path.ends_with('/')).map(str::to_owned).collect();
    if found != due {
        let missing: Vec<_> = due.difference(&found).collect();
        let more: Vec<_> = found.difference(&due).collect();
        bail!("{archive} is without {missing:?}, and has {more:?}, which nobody has asked for");
    }
    Ok(())
}
