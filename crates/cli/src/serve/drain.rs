use std::time::Duration;

use clap::{Args, ValueEnum};
use tetherline_server::{Config, Drain};

/// How the server ends.
#[derive(Debug, Args)]
pub(super) struct DrainOptions {
    /// Over how many seconds those who were connected come back after this server was told to end (SIGTERM).
    /// Few are back sooner: 100 a second.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(0..=3_600),
        env = "TETHERLINE_DRAIN_WINDOW"
    )]
    drain_window: u32,
    /// Whether all are sent away at once, each told another time to come back, or one by one over that time,
    /// to be taken in elsewhere.
    #[arg(long, value_name = "ORDER", default_value = "at-once", env = "TETHERLINE_DRAIN")]
    drain: Order,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Order {
    /// The server is gone as soon as it can be: for one that nobody stands in for while it restarts.
    AtOnce,
    /// The server goes on meanwhile: for one of several behind a load balancer.
    OneByOne,
}

impl DrainOptions {
    pub(super) fn set(&self, config: &mut Config) {
        config.drain_window = Duration::from_secs(self.drain_window.into());
        config.drain = match self.drain {
            Order::AtOnce => Drain::AtOnce,
            Order::OneByOne => Drain::OneByOne,
        };
    }
}
