//! Who says who connects.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use tetherline_server::{ConnectHook, ConnectHookOptions, ConnectWebhook, ConnectWebhookOptions};

use super::asked::Asked;

#[derive(Debug, Args)]
#[command(next_help_heading = "Connect hook")]
pub(super) struct HookOptions {
    /// Who is asked, with one signed POST, who connects with cookies or a token that none of the keys has signed.
    /// Without it, only tokens that they have signed count.
    #[arg(
        id = "connect_hook_url",
        long = "connect-hook-url",
        value_name = "URL",
        env = "TETHERLINE_CONNECT_HOOK_URL"
    )]
    url: Option<String>,
    /// What these requests are signed with. Without it, DIR/webhook.secret, made when it is needed.
    #[arg(
        id = "connect_hook_secret_file",
        long = "connect-hook-secret-file",
        value_name = "FILE",
        env = "TETHERLINE_CONNECT_HOOK_SECRET_FILE",
        requires = "connect_hook_url"
    )]
    secret_file: Option<PathBuf>,
    /// The proxy on the way to the connect hook, such as http://127.0.0.1:3128. HTTP_PROXY and the like in the
    /// environment count for nothing: people's cookies would go there.
    #[arg(
        id = "connect_hook_proxy",
        long = "connect-hook-proxy",
        value_name = "URL",
        env = "TETHERLINE_CONNECT_HOOK_PROXY",
        requires = "connect_hook_url"
    )]
    proxy: Option<String>,
    /// Trust the certificates in this PEM file at the connect hook, instead of the machine's.
    #[arg(
        id = "connect_hook_cacert",
        long = "connect-hook-cacert",
        value_name = "FILE",
        env = "TETHERLINE_CONNECT_HOOK_CACERT",
        requires = "connect_hook_url"
    )]
    cacert: Option<PathBuf>,
    /// How many seconds the connect hook has to answer; who connects waits as long for their turn.
    #[arg(
        id = "connect_hook_timeout",
        long = "connect-hook-timeout",
        value_name = "SECONDS",
        default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(1..=30),
        env = "TETHERLINE_CONNECT_HOOK_TIMEOUT"
    )]
    timeout: u64,
    /// How many requests are with the connect hook at a time; four times as many wait, and others come again.
    #[arg(
        id = "connect_hook_requests_max",
        long = "connect-hook-requests-max",
        value_name = "COUNT",
        default_value_t = 64,
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        env = "TETHERLINE_CONNECT_HOOK_REQUESTS_MAX"
    )]
    requests_max: u32,
    /// Ask about tokens that one of the keys has signed, too: the hook may refuse them, and says what they may do.
    #[arg(
        id = "connect_hook_always",
        long = "connect-hook-always",
        value_parser = clap::builder::FalseyValueParser::new(),
        env = "TETHERLINE_CONNECT_HOOK_ALWAYS"
    )]
    always: bool,
}

/// What makes a connect hook: another one takes its place only if this is another.
#[derive(PartialEq, Eq)]
pub(super) struct Settings {
    asked: Asked,
    limits: ConnectHookOptions,
}

impl HookOptions {
    /// Not by clap: a switch that is there and off needs nothing.
    pub(super) fn check(&self) -> Result<()> {
        let wanted = self.always && self.url.is_none();
        ensure!(!wanted, "--connect-hook-always needs --connect-hook-url");
        Ok(())
    }

    pub(super) fn read(&self, data: &Path) -> Result<Option<Settings>> {
        self.check()?;
        let Some(url) = &self.url else { return Ok(None) };
        let secret = (self.secret_file.as_deref(), "--connect-hook-secret-file");
        let trusted = (self.cacert.as_deref(), "--connect-hook-cacert");
        let asked = Asked::read(url, self.proxy.as_deref(), secret, trusted, data)?;
        Ok(Some(Settings { asked, limits: self.limits() }))
    }

    fn limits(&self) -> ConnectHookOptions {
        let mut limits = ConnectHookOptions::default();
        limits.always = self.always;
        limits.requests_max = self.requests_max as usize;
        limits.waiting_max = limits.requests_max * 4;
        limits.timeout = Duration::from_secs(self.timeout);
        limits
    }
}

impl Settings {
    pub(super) fn open(&self) -> Result<(Arc<dyn ConnectHook>, ConnectHookOptions)> {
        let mut to = ConnectWebhookOptions::new(&self.asked.url, &self.asked.secret);
        to.ca_certificates = self.asked.trusted.as_deref();
        to.proxy = self.asked.proxy.as_deref();
        let hook = ConnectWebhook::open(to).context("--connect-hook-url")?;
        Ok((Arc::new(hook), self.limits))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        hook: HookOptions,
    }

    #[test]
    fn what_no_option_names_is_what_the_library_has() {
        let hook = Only::parse_from(["serve"]).hook;
        assert_eq!(hook.limits(), ConnectHookOptions::default());
    }
}
