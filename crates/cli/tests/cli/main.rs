//! The binary as people and scripts use it: real processes, real sockets, a real data folder.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod admin;
mod attack;
mod backups;
mod batch;
#[cfg(target_os = "linux")]
mod clock;
mod compat;
mod config;
mod connect_hook;
mod damage;
mod delivery;
mod descriptors;
mod forgetting;
mod health;
mod inspect;
mod json;
mod keys;
mod listeners;
mod log;
mod logs;
#[cfg(target_os = "linux")]
mod memory;
mod mistakes;
mod names;
mod outbound;
mod papers;
mod prometheus;
mod proxies;
mod rates;
mod refusals;
mod reload;
mod room;
mod socket;
mod store;
mod streaming;
mod support;
mod systemd;
mod tail_stream;
mod terminal;
mod tls;
mod tokens;
mod trace;
#[cfg(feature = "otel")]
mod traces;
mod webhook;
