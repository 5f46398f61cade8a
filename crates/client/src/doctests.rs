//! The Rust snippets of the documents, as doctests of this crate. `cargo xtask tidy` says when a
//! document with Rust in it is missing here.
