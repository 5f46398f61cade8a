//! The Rust snippets of the documents, as doctests of this crate. `cargo xtask tidy` says when a
//! document with Rust in it is missing here.

#[allow(rustdoc::invalid_codeblock_attributes, reason = "`no-run` belongs to `cargo xtask docs`")]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[allow(rustdoc::invalid_codeblock_attributes, reason = "`no-run` belongs to `cargo xtask docs`")]
#[doc = include_str!("../../../docs/streaming.md")]
struct Streaming;
