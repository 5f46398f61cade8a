//! Where what clients send goes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use tetherline_server::{Application, Webhook};

use super::asked::Asked;

// The headings of the options around them.
#[derive(Debug, Args)]
pub(super) struct WebhookOptions {
    /// Where what clients send goes, each message as one signed POST. Without it, sends are refused.
    #[arg(
        id = "webhook_url",
        long = "webhook-url",
        value_name = "URL",
        env = "TETHERLINE_WEBHOOK_URL"
    )]
    url: Option<String>,
    /// What these requests are signed with. Without it, DIR/webhook.secret, made when it is needed.
    #[arg(
        id = "webhook_secret_file",
        long = "webhook-secret-file",
        value_name = "FILE",
        env = "TETHERLINE_WEBHOOK_SECRET_FILE",
        requires = "webhook_url"
    )]
    secret_file: Option<PathBuf>,
    /// The proxy on the way to the webhook, such as http://127.0.0.1:3128. HTTP_PROXY and the like in the
    /// environment count for nothing: people's messages would go there.
    #[arg(
        id = "webhook_proxy",
        long = "webhook-proxy",
        value_name = "URL",
        env = "TETHERLINE_WEBHOOK_PROXY",
        requires = "webhook_url"
    )]
    proxy: Option<String>,
    /// Trust the certificates in this PEM file at the webhook, instead of the machine's.
    #[arg(
        id = "webhook_cacert",
        long = "webhook-cacert",
        value_name = "FILE",
        env = "TETHERLINE_WEBHOOK_CACERT",
        requires = "webhook_url"
    )]
    cacert: Option<PathBuf>,
    /// Tell the webhook who connects and disconnects, too.
    #[arg(
        id = "webhook_connection_events", long = "webhook-connection-events",
        value_parser = clap::builder::FalseyValueParser::new(),
        env = "TETHERLINE_WEBHOOK_CONNECTION_EVENTS"
    )]
    connection_events: bool,
    /// How many requests are with the webhook at a time; further sends wait, and then come again.
    #[arg(
        id = "webhook_requests_max", long = "webhook-requests-max",
        value_name = "COUNT",
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000),
        env = "TETHERLINE_WEBHOOK_REQUESTS_MAX"
    )]
    requests_max: u32,
}

/// What makes a webhook: another one takes its place only if this is another.
#[derive(PartialEq, Eq)]
pub(super) struct Settings {
    asked: Asked,
    connection_events: bool,
    requests_max: usize,
}

impl WebhookOptions {
    /// Not by clap: a switch that is there and off needs nothing.
    pub(super) fn check(&self) -> Result<()> {
        let wanted = self.connection_events && self.url.is_none();
        ensure!(!wanted, "--webhook-connection-events needs --webhook-url");
        Ok(())
    }

    pub(super) fn read(&self, data: &Path) -> Result<Option<Settings>> {
        self.check()?;
        let Some(url) = &self.url else { return Ok(None) };
        let secret = (self.secret_file.as_deref(), "--webhook-secret-file");
        let trusted = (self.cacert.as_deref(), "--webhook-cacert");
        Ok(Some(Settings {
            asked: Asked::read(url, self.proxy.as_deref(), secret, trusted, data)?,
            connection_events: self.connection_events,
            requests_max: self.requests_max as usize,
        }))
    }
}

impl Settings {
    pub(super) fn open(&self) -> Result<Arc<dyn Application>> {
        let mut options =
            tetherline_server::WebhookOptions::new(&self.asked.url, &self.asked.secret);
        options.ca_certificates = self.asked.trusted.as_deref();
        options.proxy = self.asked.proxy.as_deref();
        options.connection_events = self.connection_events;
        options.requests_max = self.requests_max;
        Ok(Arc::new(Webhook::open(options).context("--webhook-url")?))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        webhook: WebhookOptions,
    }

    #[test]
    fn what_no_option_names_is_what_the_library_has() {
        let webhook = Only::parse_from(["serve"]).webhook;
        let requests_max = webhook.requests_max as usize;
        assert_eq!(requests_max, tetherline_server::WEBHOOK_REQUESTS_MAX);
    }
}
