//! `cargo xtask package`: the server as people install it who have no Rust. Static binaries, npm packages, wheels and
//! Debian packages, in `target/package`, and the sums of all of them.

mod debian;
mod image;
mod papers;
mod trial;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

pub(crate) use trial::check;

use crate::{
    prepare,
    progress::step,
    workspace::{self, build, output},
};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The kernel of an arm64 machine may have pages of 64 KiB, and jemalloc refuses to run on larger ones than it was
/// built for.
const JEMALLOC_LG_PAGE: (&str, &str) = ("JEMALLOC_SYS_WITH_LG_PAGE", "16");

/// One kind of machine, and its names.
pub(super) struct Platform {
    /// npm's.
    pub(super) name: &'static str,
    /// Rust's.
    triple: &'static str,
    /// Python's. A static binary needs neither C library.
    wheel: &'static str,
    /// Docker's and Debian's.
    architecture: &'static str,
}

pub(super) const PLATFORMS: [Platform; 2] = [
    Platform {
        name: "linux-x64",
        triple: "x86_64-unknown-linux-musl",
        wheel: "manylinux2014_x86_64.musllinux_1_1_x86_64",
        architecture: "amd64",
    },
    Platform {
        name: "linux-arm64",
        triple: "aarch64-unknown-linux-musl",
        wheel: "manylinux2014_aarch64.musllinux_1_1_aarch64",
        architecture: "arm64",
    },
];

/// Builds and packs for the platforms that the arguments name, all by default.
pub(crate) fn run_for(root: &Path, arguments: &[String]) -> Result<()> {
    let (platforms, images) = asked_for(arguments)?;
    prepare::tools(root)?;
    prepare::package(root)?;
    prepare::cli(root)?;
    let folder = workspace::target(root).join("package");
    let zig = prepare::pypi(root, "zig", &["ziglang==0.17.1", "cargo-zigbuild==0.24.1"])?;
    let mut binaries = Vec::new();
    for platform in platforms {
        binaries.push((platform, platform.binary(root, &zig, &folder)?));
    }
    pack(root, &folder, &binaries)?;
    for (platform, _) in &binaries {
        debian::package(root, platform, &folder)?;
        if images {
            image::archive(root, platform, &folder)?;
        }
    }
    sums(&folder)
}

/// Which platforms, and whether their images, too.
fn asked_for(arguments: &[String]) -> Result<(Vec<&'static Platform>, bool)> {
    let images = arguments.iter().any(|argument| argument == "--image");
    let others: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| *argument != "--image").collect();
    let platforms = match others[..] {
        [] => PLATFORMS.iter().collect(),
        ["--target", name] => vec![platform(name)?],
        _ => bail!("use `cargo xtask package [--target linux-x64|linux-arm64] [--image]`"),
    };
    Ok((platforms, images))
}

fn platform(name: &str) -> Result<&'static Platform> {
    let found = PLATFORMS.iter().find(|platform| platform.name == name);
    found.with_context(|| format!("`{name}` is neither linux-x64 nor linux-arm64"))
}

/// The npm packages and the wheels of these binaries.
pub(super) fn pack(root: &Path, to: &Path, binaries: &[(&Platform, PathBuf)]) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    let folder = to.to_str().context("the target folder's name is not UTF-8")?;
    let papers = to.join("papers");
    papers::write(root, &papers)?;
    let papers = papers.to_str().context("the target folder's name is not UTF-8")?;
    step("npm packages", || {
        let named: Vec<String> = binaries
            .iter()
            .map(|(platform, binary)| format!("{}={}", platform.name, binary.display()))
            .collect();
        let script = ["run", "--silent", "pack:server", "-w", "tetherline", "--", folder, papers];
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        build(root, "npm", &[&script[..], &named].concat())
    })?;
    step("wheels", || {
        for (platform, binary) in binaries {
            let binary = binary.to_str().context("the target folder's name is not UTF-8")?;
            let wheel = ["python/wheel.py", binary, platform.wheel, VERSION, folder, papers];
            build(root, "python3", &wheel)?;
        }
        Ok(())
    })
}

impl Platform {
    /// Builds the binary, proves that it needs nothing of the machine, and puts it where the Dockerfile takes it from.
    fn binary(&self, root: &Path, tools: &Path, folder: &Path) -> Result<PathBuf> {
        step(&format!("tetherline for {}", self.name), || {
            build(root, "rustup", &["target", "add", self.triple])?;
            let path = std::env::var_os("PATH").unwrap_or_default();
            let paths = std::iter::once(tools.to_path_buf()).chain(std::env::split_paths(&path));
            let (page, bits) = JEMALLOC_LG_PAGE;
            let path = std::env::join_paths(paths)?;
            let path = path.to_str().context("PATH is not UTF-8")?;
            let environment = [format!("PATH={path}"), format!("{page}={bits}")];
            let cargo = ["cargo", "zigbuild", "--release", "--package", "tetherline-cli"];
            let target = ["--target", self.triple, "--config", "profile.release.strip='symbols'"];
            let environment = environment.iter().map(String::as_str);
            let all: Vec<&str> = environment.chain(cargo).chain(target).collect();
            build(root, "env", &all)
        })?;
        let built = workspace::target(root).join(self.triple).join("release/tetherline");
        is_static(&built)?;
        let place = folder.join("image").join(self.architecture);
        fs::create_dir_all(place.join("data"))?;
        let binary = place.join("tetherline");
        fs::copy(&built, &binary).with_context(|| format!("cannot copy {}", built.display()))?;
        Ok(binary)
    }
}

/// A program that asks for an interpreter (`PT_INTERP`) is loaded by a C library's.
fn is_static(binary: &Path) -> Result<()> {
    const PT_INTERP: u32 = 3;
    let bytes = fs::read(binary).with_context(|| format!("cannot read {}", binary.display()))?;
    let number = |at: usize, size: usize| -> Option<u64> {
        let bytes = bytes.get(at..at + size)?.iter().rev();
        Some(bytes.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let interpreter = || {
        let (at, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let kind = |header: u64| number(usize::try_from(at + header * size).ok()?, 4);
        Some((0..count).any(|header| kind(header) == Some(PT_INTERP.into())))
    };
    match interpreter() {
        Some(false) if bytes.starts_with(b"\x7fELF\x02\x01") => Ok(()),
        Some(false) | None => bail!("{} is no 64-bit program for Linux", binary.display()),
        Some(true) => bail!("{} is not static: it asks for an interpreter", binary.display()),
    }
}

/// `SHA256SUMS`, as `sha256sum --check` reads it.
fn sums(folder: &Path) -> Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if workspace::is_a(&name, &["deb", "tar", "tgz", "whl"]) {
            files.push(name);
        }
    }
    files.extend(
        PLATFORMS.iter().map(|platform| format!("image/{}/tetherline", platform.architecture)),
    );
    files.retain(|file| folder.join(file).is_file());
    files.sort();
    let sums = output(folder, "sha256sum", &files)?;
    fs::write(folder.join("SHA256SUMS"), &sums).context("cannot write SHA256SUMS")?;
    tetherline_process::say!("{sums}in {}", folder.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_for_those_who_ask_for_them_whatever_else_they_say() {
        let asked = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            asked_for(&words).map(|(platforms, images)| (platforms.len(), images))
        };
        assert_eq!(asked("").unwrap(), (2, false));
        assert_eq!(asked("--image --target linux-arm64").unwrap(), (1, true));
        assert!(asked("--target plan9").is_err_and(|error| error.to_string().contains("`plan9`")));
        assert!(asked("--images").is_err_and(|error| error.to_string().contains("[--image]")));
    }

    #[test]
    fn a_program_with_an_interpreter_and_what_is_no_program_are_not_static() {
        let said = |path: &Path| is_static(path).unwrap_err().to_string();
        if cfg!(all(target_os = "linux", target_env = "gnu")) {
            let this = std::env::current_exe().unwrap();
            assert!(said(&this).contains("asks for an interpreter"));
        }
        assert!(said(&workspace::root().join("Cargo.toml")).contains("is no 64-bit program"));
    }
}
