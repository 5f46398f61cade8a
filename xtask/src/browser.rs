//! The end-to-end suite, and the browser that it needs.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{
    prepare,
    progress::step,
    runner,
    workspace::{self, output, run},
};

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Runs the suite in `apps/chat/e2e` against the built chat and the built delivery server.
pub(crate) fn end_to_end(root: &Path) -> Result<()> {
    let browser = chromium(root)?;
    prepare::package(root)?;
    prepare::web(root)?;
    prepare::chat_server(root, false)?;
    prepare::cli(root)?;
    let mut playwright = workspace::command(root, "npx");
    playwright
        .args(["--no-install", "playwright", "test"])
        .current_dir(root.join("apps/chat/e2e"))
        .env("CHROMIUM", browser)
        .env("TETHERLINE_CHAT_BIN", workspace::binary(root, "tetherline-chat", false))
        .env("TETHERLINE_BIN", workspace::binary(root, "tetherline", false));
    runner::run(playwright)
}

/// A Chromium that is there, or was installed just now.
pub(crate) fn chromium(root: &Path) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        let path = PathBuf::from(named);
        if path.is_file() {
            return Ok(path);
        }
        bail!("CHROMIUM names {}, which is no file", path.display());
    }
    if let Some(found) = search() {
        return Ok(found);
    }
    if is_root(root) && Path::new("/etc/debian_version").exists() {
        step("Chromium from Debian's packages", || {
            run(root, "apt-get", &["update"])?;
            run(
                root,
                "apt-get",
                &["install", "-y", "--no-install-recommends", "chromium", "fonts-liberation"],
            )
        })?;
    }
    search().context(
        "no Chromium was found: install Chromium or Google Chrome (on Debian `apt-get install \
         chromium`), or set CHROMIUM to its path",
    )
}

fn search() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .flat_map(|folder| NAMES.map(|name| folder.join(name)))
        .find(|candidate| candidate.is_file())
}

pub(crate) fn is_root(root: &Path) -> bool {
    output(root, "id", &["-u"]).is_ok_and(|id| id.trim() == "0")
}
