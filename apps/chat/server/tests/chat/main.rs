//! The chat as its users meet it: the real binary, real sockets, a real file system, and for a
//! provider a small OpenAI-compatible server that does what each story asks of it.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod accounts;
mod backups;
mod browser;
mod conversations;
mod independent;
mod process;
mod provider;
mod refusals;
mod restarts;
mod start;
mod stops;
mod streaming;
mod versions;
mod web;
