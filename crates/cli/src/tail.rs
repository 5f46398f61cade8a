use std::{io, path::PathBuf, pin::pin, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use clap::Args;
use serde::Deserialize;
use tetherline::{Acknowledge, Client, Event, Status, StreamText};
use tetherline_process::{Signals, answer, note, outcome_of};
use tetherline_protocol::{
    DeviceId, Seq, UserId,
    frame::{MessageDelta, ServerFrame},
};

use crate::{files, printable::printable};

/// Prints the application's messages and `pending_check_complete` as they come, one JSON object a
/// line; what the connection is doing goes to stderr.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The server, such as http://127.0.0.1:8080.
    #[arg(long, env = "TETHERLINE_URL")]
    url: String,
    /// A token, as `tetherline token` prints it; it says whose mailbox it is.
    #[arg(long, env = "TETHERLINE_TOKEN", hide_env_values = true)]
    token: String,
    /// Read on where this device was, and say of what is printed that it has it. Without one nothing moves, for
    /// nobody: everything that is kept is printed, and again the next time.
    #[arg(long, value_name = "NAME")]
    device: Option<DeviceId>,
    /// Print everything after this position, seen or not.
    #[arg(long, value_name = "SEQ", value_parser = seq)]
    after: Option<Seq>,
    /// Only look at what a device has not seen: it comes again the next time.
    #[arg(long)]
    no_ack: bool,
    /// Trust the certificates in this PEM file, instead of the machine's.
    #[arg(long, value_name = "FILE", env = "TETHERLINE_CACERT")]
    cacert: Option<PathBuf>,
    /// Print streams as they are written, and not only as the messages that they become.
    #[arg(long)]
    stream: bool,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let user = subject(&options.token)?;
    let mut builder = Client::builder(&options.url).user(user).only_token(options.token);
    // Whoever has no device acknowledges nothing either: that would raise the floor from which new ones start.
    builder = match options.device {
        Some(device) if options.no_ack => builder.device(device).acknowledge(Acknowledge::Never),
        Some(device) => builder.device(device),
        None => builder.acknowledge(Acknowledge::Never).start_after(Seq::ZERO),
    };
    if let Some(after) = options.after {
        builder = builder.start_after(after);
    }
    if let Some(path) = &options.cacert {
        builder = builder.ca_certificates(&files::certificates(path, "--cacert")?.0);
    }
    if options.stream {
        builder = builder.follow_streams();
    }
    let mut client = builder.connect()?;
    let url = without_password(&options.url);
    tokio::spawn(say_how_it_goes(client.connection(), url.clone()));
    match follow(&mut client, &url).await? {
        // Says what is handled, so that an ended tail repeats nothing.
        End::Asked => {
            client.close().await;
            Ok(ExitCode::SUCCESS)
        }
        // Not here: what could not be printed comes again.
        End::Unread(error) => Ok(outcome_of(Err(error), "tetherline: there were messages")),
    }
}

/// Why there is nothing more to print.
enum End {
    /// By a signal.
    Asked,
    /// Stdout takes no more.
    Unread(io::Error),
}

async fn follow(client: &mut Client, url: &str) -> Result<End> {
    let signals = Signals::listen().context("cannot listen for signals")?;
    let mut stop = pin!(signals.stop());
    loop {
        let event = tokio::select! {
            event = client.next() => event,
            _ = &mut stop => return Ok(End::Asked),
        };
        let printed = match event {
            Some(Event::Message(message)) => answer(&message.text),
            Some(Event::CaughtUp { text, .. }) => answer(&text),
            Some(Event::StreamStarted(start)) => answer(&start.text),
            Some(Event::StreamText(piece)) => answer(&delta(piece)),
            Some(Event::Gap { after, next }) => {
                if next > after {
                    note!(
                        "tetherline: messages after {after} and before {next} are no longer there"
                    );
                } else {
                    note!(
                        "tetherline: the mailbox has another history now, as after a restored backup"
                    );
                }
                Ok(())
            }
            Some(Event::ServerError(error)) => {
                let (words, code) = (printable(&error.message), printable(&error.code));
                note!("tetherline: the server reports: {words} ({code})");
                Ok(())
            }
            Some(Event::IdentityRefused { .. }) => {
                let trouble = client.connection().borrow().trouble.clone();
                let words = trouble.map(|words| format!(" ({})", printable(&words)));
                bail!(
                    "{url} refused the token: it has expired, was signed with another secret, is another user's, or its \
                     user was signed out; make a new one with `tetherline token`{}",
                    words.unwrap_or_default()
                );
            }
            Some(_) => Ok(()),
            None => bail!("the connection ended"),
        };
        if let Err(error) = printed {
            return Ok(End::Unread(error));
        }
    }
}

/// The frame as the server would have sent just what is news of it.
fn delta(StreamText { message_uuid, attempt, offset, text }: StreamText) -> String {
    let delta = MessageDelta { message_uuid, attempt, offset, text };
    ServerFrame::MessageDelta(delta).to_text().expect("a control frame is written here")
}

async fn say_how_it_goes(
    mut connection: tokio::sync::watch::Receiver<tetherline::Connection>,
    url: String,
) {
    let mut was_connected = false;
    while connection.changed().await.is_ok() {
        let now = connection.borrow_and_update().clone();
        match now.status {
            Status::Waiting => {
                let seconds = now.retry_in.unwrap_or_default().as_secs_f64();
                let what =
                    if was_connected { "lost the connection to" } else { "cannot connect to" };
                let trouble = now.trouble.as_deref().map(|words| format!(": {}", printable(words)));
                let trouble = trouble.unwrap_or_default();
                let attempt = now.attempts;
                note!("tetherline: {what} {url}{trouble}; attempt {attempt} in {seconds:.1} s");
                was_connected = false;
            }
            Status::Connected => {
                note!("tetherline: connected to {url}");
                was_connected = true;
            }
            _ => {}
        }
    }
}

/// A URL may hold the password of something in between.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    }
}

/// Whose token it is. Whether it is genuine is the server's business.
fn subject(token: &str) -> Result<UserId> {
    #[derive(Deserialize)]
    struct Claims {
        sub: UserId,
    }
    let no_token = "--token is not a token: give it what `tetherline token` prints";
    let claims = token.split('.').nth(1).context(no_token)?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).context(no_token)?;
    let claims: Claims = serde_json::from_slice(&claims).context(no_token)?;
    Ok(claims.sub)
}

fn seq(text: &str) -> Result<Seq, String> {
    text.parse()
        .ok()
        .and_then(Seq::new)
        .ok_or_else(|| format!("`{text}` is no position: a whole number from 0 to {}", Seq::MAX))
}
