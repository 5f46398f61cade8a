//! The client against the real server, over real sockets.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod forgetting;
mod in_between;
mod reading;
mod sending;
mod signing_in;
mod streaming;
mod support;
