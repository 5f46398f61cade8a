mod addresses;
mod admin;
mod asked;
mod connect_hook;
mod drain;
mod kept;
mod listen;
mod log;
mod rates;
mod reload;
mod streams;
mod tokens;
mod unix_socket;
mod webhook;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{ArgMatches, Args, Command};
use futures_util::{FutureExt as _, future::try_join_all};
use tetherline_process::{Asked, Signals, feed_watchdog, note, say, say_ready, say_stopping};
use tetherline_server::{
    ApiKey, ApiKeys, Config, JwtKeys, Origin, Readiness, SecretFileError, Server,
    raise_descriptors, store::SqliteStore,
};

use crate::{backup, files, keys, settings::Reading};

#[cfg(test)]
pub(crate) use reload::counts_at_once;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A file in TOML that says any of the options below under their names, such as `listen = "127.0.0.1:8080"`. The
    /// environment and the command line go before it; `tetherline config` shows what holds.
    #[arg(long, value_name = "FILE", env = "TETHERLINE_CONFIG")]
    config: Option<PathBuf>,
    /// Folder for the mailboxes, and for secrets that no option names; created if it is missing.
    #[arg(long, value_name = "DIR", env = "TETHERLINE_DATA")]
    data: PathBuf,
    #[command(flatten)]
    listen: listen::ListenOptions,
    #[command(flatten)]
    tokens: tokens::TokenOptions,
    /// A key for publishers that is for everything. Without it, DIR/api.key, made on the first start unless `tetherline
    /// keys` has added others.
    #[arg(long, value_name = "FILE", env = "TETHERLINE_API_KEY_FILE")]
    api_key_file: Option<PathBuf>,
    #[command(flatten)]
    webhook: webhook::WebhookOptions,
    /// A web page's origin that may connect, such as https://app.example.com. May be repeated, or be several
    /// with commas between.
    #[arg(
        long = "allow-origin",
        value_name = "URL",
        value_delimiter = ',',
        env = "TETHERLINE_ALLOW_ORIGIN"
    )]
    allow_origins: Vec<Origin>,
    /// Take ?token= as a credential, for clients that can send none otherwise. URLs end up in logs.
    #[arg(
        long,
        value_parser = clap::builder::FalseyValueParser::new(),
        env = "TETHERLINE_ALLOW_QUERY_TOKEN"
    )]
    allow_query_token: bool,
    /// How many days messages are kept; off (or 0) keeps them for ever.
    #[arg(
        long,
        value_name = "DAYS",
        default_value = "30",
        value_parser = retention,
        env = "TETHERLINE_RETENTION_DAYS"
    )]
    retention_days: u32,
    /// How many of each user's newest messages are kept; off (or 0) keeps all.
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "10000",
        value_parser = retention,
        env = "TETHERLINE_RETENTION_MESSAGES"
    )]
    retention_messages: u32,
    /// Tell every client, once, that its history is another one: after files were copied back by hand.
    /// `tetherline restore` does it by itself. Say it for one start, and not for every one.
    #[arg(long)]
    new_epoch: bool,
    #[command(flatten)]
    connect_hook: connect_hook::HookOptions,
    #[command(flatten)]
    admin: admin::AdminOptions,
    #[command(flatten)]
    drain: drain::DrainOptions,
    #[command(flatten)]
    streams: streams::StreamLimits,
    #[command(flatten)]
    addresses: addresses::AddressOptions,
    #[command(flatten)]
    kept: kept::KeptOptions,
    #[command(flatten)]
    log: log::LogOptions,
    #[command(flatten)]
    rates: rates::RateOptions,
}

impl Options {
    /// What was said, to be compared with what is said later.
    pub(crate) fn reading(&self, said: &ArgMatches) -> Reading {
        let task = Self::augment_args(Command::new("serve"));
        Reading::of(self.data.clone(), &task, said.subcommand_matches("serve").unwrap_or(said))
    }
}

pub(crate) async fn run(options: Options, said: &ArgMatches) -> Result<ExitCode> {
    let log = options.log.start();
    // Before anything is listened to: a signal during the start has to end it in order, too.
    let signals = Signals::listen().context("cannot listen for signals")?;
    let hangups = Signals::hangups().context("cannot listen for signals")?;
    // Before secrets are made, which a folder without a mailbox is not to get.
    if options.new_epoch {
        backup::renew_epoch(&options.data)?;
    }
    let mut config = config(&options)?;
    let certificates = options.listen.certificates()?;
    let admin_certificates = options.admin.certificates()?;
    let connections_max = config.limits.connections_max;
    raise_descriptors(connections_max);
    let webhook = options.webhook.read(&options.data)?;
    let application = webhook.as_ref().map(webhook::Settings::open).transpose()?;
    let connect_hook = options.connect_hook.read(&options.data)?;
    let hook = connect_hook.as_ref().map(connect_hook::Settings::open).transpose()?;
    let store = open_store(&options.data)?;
    let bound = options.listen.bind(certificates.as_ref())?;
    // Pages that these very listeners serve are their own.
    let own_origins: Vec<_> = bound.iter().flat_map(|bound| bound.origins.clone()).collect();
    config.allowed_origins.extend(own_origins.iter().cloned());
    let admin = options.admin.bind(admin_certificates.as_ref())?;
    let server = Server::open(config, store);
    server.replace_application(application);
    server.replace_connect_hook(hook);
    // Whoever came before would only be told to come again.
    server.ready().await;
    let admin = admin.serve(&server);
    // The one line on stdout: scripts wait for it. Whoever started this may have closed its end; that is
    // no reason not to serve.
    for further in bound.iter().skip(1) {
        note!("listening on {further}, too");
    }
    say!("listening on {}", bound[0]);
    say_ready();
    let app = server.whole_router(options.listen.path_prefix.as_deref());
    let reloading = reload::Reloading {
        server: server.clone(),
        certificates,
        admin_certificates,
        own_origins,
        connections_max,
        webhook,
        connect_hook,
        log,
        log_level: options.log.level().cloned(),
        started: options.reading(said),
    };
    let ended = ended(server.clone(), signals).shared();
    let serve = async |bound: listen::Bound| {
        let listen::Bound { listener, file, .. } = bound;
        let result = server.serve(listener, app.clone(), ended.clone()).await;
        drop(file);
        result
    };
    let serving = try_join_all(bound.into_iter().map(serve));
    tokio::select! {
        ended = serving => {
            ended.context("the server stopped")?;
            admin.end().await?;
            // What ended it may think otherwise.
            let in_place = server.is_in_place();
            in_place.map(|()| ExitCode::SUCCESS).context("the server stopped without its files")
        }
        // Whatever supervises this process can do more about it than a server without a store.
        error = server.failed() => Err(anyhow::Error::new(error).context("the server has to end")),
        never = reloading.follow(hangups) => match never {},
        // One that says no lives: a full disk is not emptied by starting anew.
        never = feed_watchdog(async || server.readiness().await != Readiness::StoreSilent) => match never {},
    }
}

/// Done when everybody was sent away, after somebody asked for it.
async fn ended(server: Server, signals: Signals) {
    let asked = signals.stop().await;
    say_stopping(server.drain_timeout());
    match asked {
        Asked::Terminate => server.drain().await,
        Asked::Interrupt => server.drain_at_once().await,
    }
}

fn config(options: &Options) -> Result<Config> {
    fs::create_dir_all(&options.data).map_err(|error| unusable(&options.data, &error))?;
    let rules = options.tokens.rules(&options.data);
    let mut config = Config::new(rules.map_err(|error| in_folder(&options.data, error))?);
    config.api_keys = ApiKeys::in_file(&options.data.join(keys::FILE))?;
    let key = api_key(options);
    config.api_key = key.map_err(|error| in_folder(&options.data, error))?;
    config.allowed_origins.clone_from(&options.allow_origins);
    config.allow_query_token = options.allow_query_token;
    limit(&mut config, options)?;
    Ok(config)
}

/// Whether it could be served so, as far as can be said without looking at the data folder.
pub(crate) fn check(options: &Options) -> Result<()> {
    let nobodys = JwtKeys::from_secret(&[0; 32]).context("32 bytes are enough")?;
    options.webhook.check()?;
    options.connect_hook.check()?;
    options.listen.certificates()?;
    options.admin.certificates()?;
    limit(&mut Config::new(nobodys), options)
}

fn limit(config: &mut Config, options: &Options) -> Result<()> {
    config.limits.retention_age_ms = u64::from(options.retention_days) * DAY_MS;
    config.limits.retention_messages_max = u64::from(options.retention_messages);
    options.drain.set(config);
    options.streams.set(&mut config.limits);
    options.addresses.set(config);
    options.kept.set(config);
    options.admin.set(config);
    options.rates.set(&mut config.rates);
    config.check().context("the limits contradict each other")
}

/// What keeps a secret from being made keeps everything else from the folder, too.
fn in_folder(data: &Path, error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<SecretFileError>() {
        Some(SecretFileError::File { path, source }) if path.starts_with(data) => {
            unusable(data, source)
        }
        _ => error,
    }
}

/// A key for everything is made only where no other was.
fn api_key(options: &Options) -> Result<Option<ApiKey>> {
    if let Some(path) = &options.api_key_file {
        return files::server_api_key(&files::api_key(path)?, path).map(Some);
    }
    let path = options.data.join("api.key");
    // Also of a file whose last key was removed: nobody asked for one that is for everything.
    if options.data.join(keys::FILE).exists() && !path.exists() {
        return Ok(None);
    }
    files::server_api_key(&files::made_if_missing(&path, "key for publishers")?, &path).map(Some)
}

fn open_store(data: &Path) -> Result<SqliteStore> {
    SqliteStore::open(&data.join("mailbox.db"))
        .with_context(|| format!("cannot use the data folder {}", data.display()))
}

fn unusable(data: &Path, error: &io::Error) -> anyhow::Error {
    let data = data.display();
    match error.kind() {
        io::ErrorKind::StorageFull => {
            anyhow::anyhow!("cannot use the data folder {data}: its disk is full; make room there")
        }
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => anyhow::anyhow!(
            "cannot use the data folder {data}: a file is in the way; name a folder with --data"
        ),
        _ => anyhow::anyhow!(
            "cannot use the data folder {data}: {error}; name one with --data that this user may write to"
        ),
    }
}

fn retention(text: &str) -> Result<u32, String> {
    match text {
        "off" => Ok(0),
        number => number.parse().map_err(|_| {
            format!("`{text}` is neither a whole number up to {} nor `off`", u32::MAX)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_ever_is_off_or_0() {
        assert_eq!((retention("off"), retention("0")), (Ok(0), Ok(0)));
        assert_eq!((retention("1"), retention("4294967295")), (Ok(1), Ok(u32::MAX)));
        for wrong in ["", "-1", "4294967296", "1.5", "never", "30d"] {
            assert!(retention(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_said_with_what_would_help() {
        let said = |kind: io::ErrorKind| unusable(Path::new("/d"), &kind.into()).to_string();
        assert!(said(io::ErrorKind::StorageFull).ends_with("its disk is full; make room there"));
        assert!(said(io::ErrorKind::NotADirectory).contains("a file is in the way"));
        let denied = said(io::ErrorKind::PermissionDenied);
        assert!(denied.ends_with("name one with --data that this user may write to"), "{denied}");
    }

    #[test]
    fn a_secret_that_cannot_be_made_is_a_folder_that_cannot_be_used() {
        // It named the file, and nothing that would help.
        let source = io::ErrorKind::PermissionDenied.into();
        let error = SecretFileError::File { path: "/d/jwt.secret".into(), source };
        let said = in_folder(Path::new("/d"), error.into()).to_string();
        assert!(said.starts_with("cannot use the data folder /d: "), "{said}");
    }

    #[test]
    fn every_option_has_its_environment_variable() {
        // `--allow-origin` and `--allow-query-token` had none.
        let command = <Options as clap::Args>::augment_args(clap::Command::new("serve"));
        let without = command.get_arguments().filter(|option| option.get_env().is_none());
        let without: Vec<_> = without.map(|option| option.get_id().as_str()).collect();
        // What is said for one start is not to stay in an environment.
        assert_eq!(without, ["new_epoch"]);
    }

    #[test]
    fn what_is_kept_by_default_is_what_the_protocol_says() {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            options: Options,
        }
        let options = <Only as clap::Parser>::parse_from(["serve", "--data", "d"]).options;
        let limits = tetherline_protocol::Limits::default();
        assert_eq!(u64::from(options.retention_days) * DAY_MS, limits.retention_age_ms);
        assert_eq!(u64::from(options.retention_messages), limits.retention_messages_max);
    }
}
