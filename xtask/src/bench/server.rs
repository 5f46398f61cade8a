use std::path::Path;

use anyhow::Result;
use tetherline_process::note;

use crate::{
    prepare,
    progress::step,
    workspace::{self, build, run as run_program},
};

const PACKAGES: [&str; 3] =
    ["tetherline-cli", "tetherline-stream-bench", "tetherline-server-bench"];
const PEERS: &str = "crates/server-bench/peers";
/// What Debian has of the servers to compare with: the package, and a file that it brings.
const FROM_DEBIAN: [(&str, &str); 2] = [
    ("libnginx-mod-nchan", "/usr/lib/nginx/modules/ngx_nchan_module.so"),
    ("mosquitto", "/usr/sbin/mosquitto"),
];

/// Measures, with everything built for speed.
pub(super) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    if arguments.iter().any(|argument| argument == "--brief") {
        return measure(root, false, &PACKAGES, arguments);
    }
    if arguments.iter().any(|argument| argument == "--render") {
        return measure(root, false, &["tetherline-server-bench"], arguments);
    }
    peers(root);
    measure(root, true, &PACKAGES, arguments)
}

/// So short that the figures mean nothing; messages are counted all the same.
pub(super) fn run_briefly(root: &Path) -> Result<()> {
    measure(root, false, &PACKAGES, &["--brief".to_owned()])
}

fn measure(root: &Path, release: bool, packages: &[&str], arguments: &[String]) -> Result<()> {
    // Each by itself: built together, the server would have features that only the others ask for.
    for package in packages {
        step(package, || {
            let optimised = if release { &["--release"][..] } else { &[] };
            build(root, "cargo", &[&["build", "--package", package], optimised].concat())
        })?;
    }
    let binary = |name| workspace::binary(root, name, release).to_string_lossy().into_owned();
    let folder = workspace::target(root).join("server-bench").to_string_lossy().into_owned();
    let (server, streams) = (binary("tetherline"), binary("tetherline-stream-bench"));
    let own = [
        "run",
        "--server",
        &server,
        "--stream-bench",
        &streams,
        "--repository",
        &root.to_string_lossy(),
        "--folder",
        &folder,
    ];
    let all: Vec<&str> = own.into_iter().chain(arguments.iter().map(String::as_str)).collect();
    run_program(root, &binary("tetherline-server-bench"), &all)
}

/// The servers to compare with, as far as they can be had. One that cannot is named when it is left
/// out.
fn peers(root: &Path) {
    for (package, file) in FROM_DEBIAN {
        if Path::new(file).exists() {
            continue;
        }
        if let Err(problem) = prepare::debian_package(root, package) {
            note!("{package} was not installed: {problem:#}");
        }
    }
    let installed = step("Node's servers", || {
        build(root, "npm", &["ci", "--prefix", PEERS, "--no-audit", "--no-fund"])
    });
    if let Err(problem) = installed {
        note!("{problem:#}");
    }
}
