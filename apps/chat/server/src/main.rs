//! `tetherline-chat`: the reference chat on one port.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use tetherline_chat::{
    Chat, Config, InvalidProvider, OpenChatError, Provider, Responder, backup::RestoreChatError,
};
use tetherline_process::{
    LogFormat, Signals, answer, arguments, feed_watchdog, finish, inherited_listener,
    log_to_stderr, note, outcome_of, say, say_panics, say_ready, say_stopping,
};
use tetherline_server::{
    AddressRange, Origin, Proxies, Readiness, StoreError,
    backup::{self, BackupError, Existing, Progress, Replaced, RestoreError},
    chain, listen,
};
use tokio::net::TcpListener;

/// Gives the memory of large messages back to the system.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The reference chat of Tetherline: sign-in, conversations, answers, and the WebSocket that
/// brings them, on one port.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    /// Address and port to serve on; port 0 takes a free one.
    #[arg(long, env = "CHAT_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Folder for databases and secrets; created if it is missing.
    #[arg(long, env = "CHAT_DATA", default_value = "./data", value_name = "DIR", global = true)]
    data: PathBuf,
    /// Folder of the built web application.
    #[arg(long, env = "CHAT_WEB", value_name = "DIR")]
    web: Option<PathBuf>,
    /// How the log is written: auto is text on a terminal, and a JSON object on each line elsewhere.
    #[arg(
        long,
        env = "CHAT_LOG_FORMAT",
        value_enum,
        value_name = "FORMAT",
        default_value = "auto",
        global = true
    )]
    log_format: LogFormat,
    /// Origin (scheme, host, port) of a page that may use this chat besides its own; repeatable.
    #[arg(
        long = "allow-origin",
        env = "CHAT_ALLOW_ORIGIN",
        value_name = "URL",
        value_delimiter = ','
    )]
    allowed_origins: Vec<Origin>,
    /// Address, or range of addresses, of a proxy in front of this chat, whose X-Forwarded-For says who asks; repeatable.
    /// Without it all that a proxy serves count as one when passwords are wrong too often.
    #[arg(
        long = "trusted-proxy",
        env = "CHAT_TRUSTED_PROXIES",
        value_delimiter = ',',
        value_name = "ADDRESS"
    )]
    trusted_proxies: Vec<AddressRange>,
    /// Over how many seconds those who were connected come back after this chat was told to end; few are back
    /// sooner, 100 a second.
    #[arg(
        long,
        env = "CHAT_DRAIN_WINDOW",
        default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(0..=3_600),
        value_name = "SECONDS"
    )]
    drain_window: u32,
    /// OpenAI-compatible server that answers, up to and including its /v1.
    #[arg(long, env = "OPENAI_BASE_URL", value_name = "URL")]
    openai_base_url: Option<String>,
    /// Key for that server; only from the environment, where other users cannot see it.
    #[arg(skip = std::env::var("OPENAI_API_KEY").ok())]
    openai_api_key: Option<String>,
    /// Model that answers.
    #[arg(long, env = "CHAT_MODEL", value_name = "NAME")]
    model: Option<String>,
    /// The proxy on the way to that server; those that the environment names count for nothing.
    #[arg(long, env = "CHAT_PROXY", value_name = "URL")]
    proxy: Option<String>,
    /// How long the built-in responder pretends to think, in ms.
    #[arg(long, default_value_t = 300, value_name = "MS", hide = true)]
    built_in_delay_ms: u64,
    /// How long it rests between a few words and the next, in ms.
    #[arg(long, default_value_t = 30, value_name = "MS", hide = true)]
    built_in_pause_ms: u64,
    /// Tell every page, once, that its history is another one: after both databases were copied back by
    /// hand. `restore` does it by itself. Say it for one start, and not for every one.
    #[arg(long)]
    new_epoch: bool,
}

/// Instead of serving.
#[derive(Subcommand)]
enum Task {
    /// Copy both databases into a new folder, while the chat runs; prints its path. Secrets (jwt.secret,
    /// api.key, refresh.secret) are not in it: they never change, and whoever has them is everybody.
    Backup {
        /// The folder to make, or one to make it in, named after the time. Nothing is overwritten.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Put such a copy in the place of a stopped chat's databases. Every page reads its history anew;
    /// who signed out since the backup was taken is signed in again until that sign-in expires.
    Restore {
        /// The folder that `backup` made.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// Take the place of the databases that are there. They are kept under other names.
        #[arg(long)]
        replace: bool,
    },
}

/// Why the chat is not running (any more).
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Provider(#[from] InvalidProvider),
    #[error("port {} is in use; stop what uses it, or choose another with --listen {}:PORT", .0.port(), .0.ip())]
    PortInUse(SocketAddr),
    #[error("the socket that was handed over cannot be used: {0}")]
    HandedOver(io::Error),
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Open(#[from] OpenChatError),
    #[error("the server stopped: {0}")]
    Serve(io::Error),
    #[error("the chat has to end: {0}")]
    Failed(StoreError),
    #[error("cannot start: {0}")]
    Start(io::Error),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Restore(#[from] RestoreChatError),
    #[error(transparent)]
    Renew(#[from] RestoreError),
}

fn main() -> ExitCode {
    say_panics();
    let arguments = match arguments::<Arguments>() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    // Of its own that a trouble is over, too.
    log_to_stderr(arguments.log_format, "warn,tetherline_chat=info,tetherline_server=info");
    let outcome = match &arguments.task {
        Some(task) => carry_out(task, &arguments.data),
        None => serve_until_told(arguments),
    };
    let code = match outcome {
        Ok(code) => code,
        Err(error) => {
            note!("tetherline-chat: {}", chain(&error));
            ExitCode::from(if matches!(error, RunError::Provider(_)) { 2 } else { 1 })
        }
    };
    finish();
    code
}

fn serve_until_told(arguments: Arguments) -> Result<ExitCode, RunError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(RunError::Start)
        .and_then(|runtime| runtime.block_on(run(arguments)))
        .map(|()| ExitCode::SUCCESS)
}

fn carry_out(task: &Task, data: &Path) -> Result<ExitCode, RunError> {
    let tell = |progress: Progress| note!("{progress}");
    match task {
        Task::Backup { to } => {
            // A backup is no folder for others.
            let is_for_many = to.is_dir() && !to.join("chat.db").exists();
            let named = || to.join(format!("chat-{}", backup::stamp()));
            let to = if is_for_many { named() } else { to.clone() };
            let backed_up = tetherline_chat::backup::back_up(data, &to, &tell)?;
            note!("{backed_up}");
            let done = format!("tetherline-chat: the backup {} is written", to.display());
            Ok(outcome_of(answer(&to.display()), &done))
        }
        Task::Restore { from, replace } => {
            let existing = if *replace { Existing::PutAside } else { Existing::Refuse };
            let restored = tetherline_chat::backup::restore(from, data, existing, &tell)?;
            for Replaced(path) in restored.replaced {
                note!("what was there is kept as {}", path.display());
            }
            note!("restored {}; every page will be told so", from.display());
            note!("{}", backup::about_sign_outs(restored.knows_sign_outs));
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), RunError> {
    let responder = responder(&arguments)?;
    let listener = listener(arguments.listen)?;
    let address = listener.local_addr().map_err(RunError::Start)?;
    let signals = Signals::listen().and_then(Signals::ignore_hangup).map_err(RunError::Start)?;
    if arguments.new_epoch {
        backup::renew_epoch(&arguments.data)?;
    }
    let config = Config {
        data: arguments.data,
        web: arguments.web,
        allowed_origins: arguments.allowed_origins,
        proxies: Proxies { trusted: arguments.trusted_proxies, ..Proxies::default() },
        drain_window: Duration::from_secs(arguments.drain_window.into()),
        responder,
    };
    let chat = Chat::open(config, address).await?;
    announce(address);
    say_ready();
    let told_to_stop = async {
        signals.stop().await;
        say_stopping(chat.server().drain_timeout());
        chat.shut_down().await;
    };
    let lives = async || chat.server().readiness().await != Readiness::StoreSilent;
    tokio::select! {
        served = chat.server().serve(listener, chat.router(), told_to_stop) => served.map_err(RunError::Serve)?,
        error = chat.failed() => return Err(RunError::Failed(error)),
        never = feed_watchdog(lives) => match never {},
    }
    let in_place = chat.server().is_in_place();
    chat.close().await;
    in_place.map_err(RunError::Failed)
}

/// What this process was handed by systemd, or else what the options name.
fn listener(address: SocketAddr) -> Result<TcpListener, RunError> {
    if let Some(handed_over) = inherited_listener().map_err(RunError::HandedOver)? {
        return TcpListener::from_std(handed_over).map_err(RunError::HandedOver);
    }
    listen(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => RunError::PortInUse(address),
        _ => RunError::Listen { address, source },
    })
}

fn responder(arguments: &Arguments) -> Result<Responder, InvalidProvider> {
    let provider = Provider::configure(
        arguments.openai_base_url.as_deref(),
        arguments.openai_api_key.as_deref(),
        arguments.model.as_deref(),
        arguments.proxy.as_deref(),
    )?;
    Ok(provider.map_or(
        Responder::BuiltIn {
            delay: Duration::from_millis(arguments.built_in_delay_ms),
            pause: Duration::from_millis(arguments.built_in_pause_ms),
        },
        Responder::Provider,
    ))
}

/// The one line on standard output. A wildcard address is shown as one that a browser can open.
fn announce(mut address: SocketAddr) {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    // Whoever started us may have closed its end; that is no reason not to serve.
    say!("Tetherline chat is ready: http://{address}");
}
