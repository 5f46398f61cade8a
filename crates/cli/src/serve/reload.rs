//! Reading the settings anew when SIGHUP comes: all of it, or nothing.

use anyhow::{Context as _, Result};
use clap::{Args as _, Command};
use tetherline_process::{Hangups, Log, LogLevel};
use tetherline_server::{Certificates, Origin, Server, chain};

use super::{config, rates::RateOptions};
use crate::settings::Reading;

/// Settings that count from the next SIGHUP on; all others from the next start on.
const RELOADED: [&str; 6] =
    ["api-key-file", "allow-origin", "allow-query-token", "tls-cert", "tls-key", "log-level"];
/// The same for all that begin so.
const RELOADED_PREFIX: &str = "jwt-";

/// The same for rates that more than one connection share.
fn is_shared_rate(name: &str) -> bool {
    let rates = RateOptions::augment_args(Command::new("serve"));
    rates.get_arguments().any(|rate| rate.get_long() == Some(name))
        && !name.ends_with("-per-connection")
}

/// What can change while a server serves.
pub(super) struct Reloading {
    pub(super) server: Server,
    pub(super) certificates: Option<Certificates>,
    /// Those of the listeners themselves.
    pub(super) own_origins: Vec<Origin>,
    pub(super) log: Log,
    pub(super) log_level: Option<LogLevel>,
    /// What was said at the start.
    pub(super) started: Reading,
}

impl Reloading {
    /// Serves for as long as this is polled.
    pub(super) async fn follow(mut self, mut hangups: Hangups) -> std::convert::Infallible {
        loop {
            hangups.next().await;
            match self.reload().await {
                Ok(later) if later.is_empty() => {
                    tracing::info!(
                        "SIGHUP: keys, origins, certificates, rates and the log level were read anew"
                    );
                }
                Ok(later) => tracing::warn!(
                    needs_a_restart = later.join(", "),
                    "SIGHUP: keys, origins, certificates, rates and the log level were read anew; what else has changed \
                     counts after a restart"
                ),
                Err(error) => tracing::error!(
                    error = chain(error.as_ref()),
                    "SIGHUP: nothing was read anew, and what was before holds on"
                ),
            }
        }
    }

    /// Everything is read and checked before anything changes. Answers what waits for the next start.
    async fn reload(&mut self) -> Result<Vec<String>> {
        let (mut options, reading) = crate::serve_options()?;
        // Another folder is for the next start; until then secrets lie in this one.
        options.data.clone_from(&self.started.data);
        let mut config = config(&options)?;
        config.allowed_origins.extend(self.own_origins.iter().cloned());
        let certificates = options.listen.certificates()?;
        self.server.reload(config).await.context("--jwt-jwks-url")?;
        if let (Some(old), Some(new)) = (&self.certificates, &certificates) {
            old.replace(new);
        }
        let level = options.log.level();
        if level != self.log_level.as_ref() {
            self.log.set_level(&level.cloned().unwrap_or_default());
            self.log_level = level.cloned();
        }
        let began_or_ended_tls = certificates.is_some() != self.certificates.is_some();
        let counts_now = |name: &str| {
            (RELOADED.contains(&name) || name.starts_with(RELOADED_PREFIX) || is_shared_rate(name))
                && !(name.starts_with("tls-") && began_or_ended_tls)
        };
        let differs = |name: &&String| {
            !counts_now(name) && reading.values.get(*name) != self.started.values.get(*name)
        };
        Ok(reading.values.keys().filter(differs).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_share_is_read_anew_and_what_one_connection_has_is_not() {
        for name in ["accepts-per-address", "publish-bytes-per-key", "replay-bytes-per-user"] {
            assert!(is_shared_rate(name), "{name}");
        }
        for name in ["sends-per-connection", "connections-per-address-max", "streams-per-user-max"]
        {
            assert!(!is_shared_rate(name), "{name}");
        }
    }
}
