//! What a server tells of a user, while it happens.

mod words;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use reqwest::{Client, Response, StatusCode};
use tetherline_process::{answer as print, note};
use tetherline_protocol::UserId;
use tetherline_server::TRACE_HEARTBEAT;
use tokio::time::{sleep, timeout};

use crate::{
    files,
    publish::{Access, refusal},
};
use words::Words;

/// A server that has said nothing for so long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(3 * TRACE_HEARTBEAT.as_secs());
/// The wait before a server is asked again that is gone. It doubles.
const AWAY_BASE: Duration = Duration::from_millis(500);
const AWAY_MAX: Duration = Duration::from_secs(5);
/// Longest line that is read, in bytes. The first has as many connections as one user may have, which the server's operator
/// says: a hundred thousand of them, some 500 bytes each, are read.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Follows a user's connections live: who connects and how, from where it goes on, what each is sent and acknowledges, what
/// it waits for, what its client sends, and how it ends, with code and reason; what is published and erased. It begins
/// with who is connected, and goes on when the server is back. What messages say is not in it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    api: Access,
    /// Whose.
    #[arg(long)]
    user: UserId,
    /// The server's own lines, a JSON object each.
    #[arg(long)]
    json: bool,
}

/// Why a server tells nothing more.
enum End {
    /// Its answer has ended, in this way.
    Over(&'static str),
    /// The reader has seen enough.
    Unread,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let (http, user) = options.api.user(&options.user)?;
    let url = format!("{user}/trace");
    // Whoever starts it with the wrong key, or against no server, hears of it at once.
    let mut told = ask(&options.api, &http, &url).await?;
    let mut words = Words::default();
    loop {
        match follow(&mut told, options.json, &mut words).await? {
            End::Unread => return Ok(ExitCode::SUCCESS),
            End::Over(why) => note!("{why}; what happens until it is back is not seen"),
        }
        told = ask_until_it_is_back(&options.api, &http, &url).await;
        note!("the server answers again");
    }
}

async fn ask(api: &Access, http: &Client, url: &str) -> Result<Response> {
    let key = files::api_key(&api.api_key_file)?;
    let request = http.get(url).bearer_auth(key);
    let answered = request.send().await.map_err(|error| api.unreachable(error))?;
    if answered.status() != StatusCode::OK {
        let status = answered.status().as_u16();
        let text = answered.text().await.context("the answer broke off")?;
        bail!("{}", refusal(status, &text));
    }
    Ok(answered)
}

async fn ask_until_it_is_back(api: &Access, http: &Client, url: &str) -> Response {
    let mut wait = AWAY_BASE;
    let mut last = String::new();
    loop {
        sleep(wait).await;
        match ask(api, http, url).await {
            Ok(told) => return told,
            Err(error) => {
                let error = error.to_string();
                if error != last {
                    note!("{error}");
                }
                last = error;
            }
        }
        wait = (2 * wait).min(AWAY_MAX);
    }
}

async fn follow(told: &mut Response, is_json: bool, words: &mut Words) -> Result<End> {
    let mut unread = Vec::new();
    loop {
        match timeout(SILENCE_MAX, told.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                unread.extend_from_slice(&chunk);
                // What was there before has no end of a line in it.
                if !chunk.contains(&b'\n') && unread.len() <= LINE_BYTES_MAX {
                    continue;
                }
            }
            Ok(Ok(None)) => return Ok(End::Over("the server has ended this")),
            Ok(Err(_)) => return Ok(End::Over("the connection to the server broke")),
            Err(_) => return Ok(End::Over("the server says nothing any more")),
        }
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = unread.drain(..=end).collect();
            let line = str::from_utf8(&line).context("the answer is not Tetherline's")?.trim_end();
            let lines = words.of(line)?;
            let lines = if is_json && !lines.is_empty() { vec![line.to_owned()] } else { lines };
            for line in lines {
                if print(&line).is_err() {
                    return Ok(End::Unread);
                }
            }
        }
        if unread.len() > LINE_BYTES_MAX {
            bail!("the answer is not Tetherline's: a line of it has no end");
        }
    }
}
