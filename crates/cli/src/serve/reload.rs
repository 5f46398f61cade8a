//! Reading the settings anew when SIGHUP comes: all of it, or nothing.

use anyhow::Result;
use tetherline_process::{Hangups, Log, LogLevel, say_ready, say_reloading};
use tetherline_server::{Certificates, Origin, ReloadError, Server, chain, raise_descriptors};

use super::{config, connect_hook, webhook};
use crate::settings::Reading;

/// Settings that count from the next start on; all others count from the next SIGHUP on.
const AFTER_A_RESTART: [&str; 6] =
    ["data", "listen", "listen-mode", "path-prefix", "admin-listen", "log-format"];

/// Whether a setting counts from the next SIGHUP on.
pub(crate) fn counts_at_once(setting: &str) -> bool {
    !AFTER_A_RESTART.contains(&setting)
}

/// What can change while a server serves.
pub(super) struct Reloading {
    pub(super) server: Server,
    pub(super) certificates: Option<Certificates>,
    pub(super) admin_certificates: Option<Certificates>,
    /// Those of the listeners themselves.
    pub(super) own_origins: Vec<Origin>,
    /// What is asked now.
    pub(super) webhook: Option<webhook::Settings>,
    pub(super) connect_hook: Option<connect_hook::Settings>,
    /// There are file descriptors for so many, or it was said that there are not.
    pub(super) connections_max: usize,
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
            say_reloading();
            match self.reload().await {
                Ok(later) if later.is_empty() => {
                    tracing::info!("SIGHUP: the settings were read anew, and hold");
                }
                Ok(later) => tracing::warn!(
                    needs_a_restart = later.join(", "),
                    "SIGHUP: the settings were read anew, and hold, except for these, which count after a restart"
                ),
                Err(error) => tracing::error!(
                    error = chain(error.as_ref()),
                    "SIGHUP: nothing was read anew, and what was before holds on"
                ),
            }
            // Also where it came to nothing: it serves as before.
            say_ready();
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
        let admin_certificates = options.admin.certificates()?;
        let webhook = options.webhook.read(&options.data)?;
        let connect_hook = options.connect_hook.read(&options.data)?;
        // The same again would forget how much is with it.
        let application = (webhook != self.webhook)
            .then(|| webhook.as_ref().map(webhook::Settings::open).transpose())
            .transpose()?;
        let hook = (connect_hook != self.connect_hook)
            .then(|| connect_hook.as_ref().map(connect_hook::Settings::open).transpose())
            .transpose()?;
        let connections_max = config.limits.connections_max;
        self.server.reload(config).await.map_err(|error| match error {
            ReloadError::KeysAway => anyhow::Error::new(error).context("--jwt-jwks-url"),
            error => error.into(),
        })?;
        // From here on nothing fails.
        if connections_max > self.connections_max {
            raise_descriptors(connections_max);
            self.connections_max = connections_max;
        }
        if let Some(application) = application {
            self.server.replace_application(application);
            self.webhook = webhook;
        }
        if let Some(hook) = hook {
            self.server.replace_connect_hook(hook);
            self.connect_hook = connect_hook;
        }
        for (old, new) in
            [(&self.certificates, &certificates), (&self.admin_certificates, &admin_certificates)]
        {
            if let (Some(old), Some(new)) = (old, new) {
                old.replace(new);
            }
        }
        self.set_log_level(options.log.level());
        let begins_or_ends_tls = certificates.is_some() != self.certificates.is_some();
        let admin_does = admin_certificates.is_some() != self.admin_certificates.is_some();
        let waits = |name: &str| {
            !counts_at_once(name)
                || (begins_or_ends_tls && name.starts_with("tls-"))
                || (admin_does && name.starts_with("admin-tls-"))
        };
        let differs = |name: &&String| {
            waits(name) && reading.values.get(*name) != self.started.values.get(*name)
        };
        Ok(reading.values.keys().filter(differs).cloned().collect())
    }

    fn set_log_level(&mut self, level: Option<&LogLevel>) {
        if level != self.log_level.as_ref() {
            self.log.set_level(&level.cloned().unwrap_or_default());
            self.log_level = level.cloned();
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command};

    use super::*;

    #[test]
    fn what_counts_after_a_restart_is_a_setting() {
        let task = crate::serve::Options::augment_args(Command::new("serve"));
        for name in AFTER_A_RESTART {
            assert!(task.get_arguments().any(|known| known.get_long() == Some(name)), "{name}");
        }
    }
}
