//! What would be published: the packed archive, and the reference of its entries.

use std::path::Path;

use anyhow::Result;

use crate::{
    prepare,
    progress::{quiet_step, step},
    workspace::run,
};

/// Checks both; the package's own scripts say what is wrong.
pub(crate) fn check(root: &Path) -> Result<()> {
    prepare::tools(root)?;
    prepare::package(root)?;
    step("the archive", || {
        run(root, "npm", &["run", "--silent", "publishing", "-w", "tetherline"])
    })?;
    quiet_step("the reference", || {
        run(root, "npm", &["run", "--silent", "docs", "-w", "tetherline"])
    })
}
