//! What would be published: the packed archives, and the references of their entries.

use std::path::Path;

use anyhow::Result;

use crate::{
    prepare,
    progress::{quiet_step, step},
    workspace::run,
};

/// Checks both; a package's own scripts say what is wrong.
pub(crate) fn check(root: &Path) -> Result<()> {
    prepare::tools(root)?;
    prepare::package(root)?;
    for package in prepare::PACKAGES {
        step(&format!("the archive of {package}"), || {
            run(root, "npm", &["run", "--silent", "publishing", "-w", package])
        })?;
        quiet_step(&format!("the reference of {package}"), || {
            run(root, "npm", &["run", "--silent", "docs", "-w", package])
        })?;
    }
    Ok(())
}
