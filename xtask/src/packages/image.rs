//! The image, built of `deploy/docker/Dockerfile` by buildah, which needs neither a daemon nor name spaces.

use std::{fs, path::Path};

use anyhow::Result;

use super::{Platform, VERSION};
use crate::{
    prepare,
    progress::step,
    workspace::{self, run},
};

/// An archive that `docker load` and `podman load` take, of what has been built for this platform.
pub(super) fn archive(root: &Path, platform: &Platform, folder: &Path) -> Result<()> {
    let architecture = platform.architecture;
    let archive = folder.join(format!("tetherline-image-{VERSION}-{architecture}.tar"));
    build(root, platform, &folder.join("image"), Some(&archive))
}

/// The image with any binary in it, which need not run there.
pub(super) fn check(root: &Path, platform: &Platform, folder: &Path, binary: &Path) -> Result<()> {
    let context = folder.join("image");
    let place = context.join(platform.architecture);
    fs::create_dir_all(place.join("data"))?;
    fs::copy(binary, place.join("tetherline"))?;
    build(root, platform, &context, None)
}

fn build(root: &Path, platform: &Platform, context: &Path, archive: Option<&Path>) -> Result<()> {
    prepare::buildah(root)?;
    step(&format!("image for {}", platform.architecture), || {
        let storage = workspace::target(root).join("buildah");
        fs::create_dir_all(&storage)?;
        let script = [Path::new("deploy/docker/try_image.py"), context].map(Path::as_os_str);
        let which = [platform.architecture.as_ref(), storage.as_os_str()];
        let archive = archive.map(Path::as_os_str);
        let all: Vec<_> = script.into_iter().chain(which).chain(archive).collect();
        run(root, "python3", &all)
    })
}
