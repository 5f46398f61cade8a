//! `cargo xtask compat`: what older versions said and kept (`compat/`), held against this one.

use std::path::Path;

use anyhow::Result;

use crate::{prepare, runner, workspace};

/// The server and the native client, then the page.
pub(crate) fn run(root: &Path) -> Result<()> {
    prepare::tools(root)?;
    prepare::python(root)?;
    let mut cargo = workspace::command(root, "cargo");
    // Built as with all the other tests, of which it is one.
    cargo.args(["test", "--workspace", "--test", "cli", "compat::"]);
    runner::run(cargo)?;
    prepare::package(root)?;
    let mut vitest = workspace::command(root, "npx");
    vitest
        .args(["--no-install", "vitest", "run", "tests/compat.test.ts"])
        .current_dir(root.join("packages/tetherline"));
    runner::run(vitest)
}
