//! What older versions said and kept, held against this one. `compat/README.md` says what there is.

mod application;
mod folder;
mod frames;
mod native;
mod said;

mod transcript;

/// Everything that was recorded of the oldest version that is held to.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../compat/2026-11-26");
