use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;
use tetherline_process::{Exit, answer, note, outcome_of};
use tetherline_protocol::UserId;

use crate::{files, publish::Access};

/// Removes the user's messages, devices, keys and recorded sends for good. Whoever is connected is
/// disconnected, and told on coming back that their history is gone. Tokens stay valid: whoever
/// holds one may go on with an empty mailbox.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    api: Access,
    /// Who is to be forgotten.
    #[arg(long)]
    user: UserId,
    /// Do not ask. Needed where there is no terminal to ask on.
    #[arg(long)]
    yes: bool,
    /// Print one JSON object when it is done.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let (http, user) = options.api.user(&options.user)?;
    // Whoever is asked whether they mean it can do it.
    files::api_key(&options.api.api_key_file)?;
    if !options.yes {
        ask(&options.user)?;
    }
    options.api.delete(&http, user).await?;
    note!("erased {:?}", options.user);
    if options.json {
        let report = json!({ "erased": options.user });
        return Ok(outcome_of(answer(&report), "tetherline: the user was erased"));
    }
    Ok(Exit::Done.into())
}

/// Nobody erases the wrong user by pressing a key too fast: the answer is the user's id.
fn ask(user: &UserId) -> Result<()> {
    if !io::stdin().is_terminal() {
        bail!("erasing {user:?} cannot be undone; say --yes to do it without being asked");
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "Everything kept for {user:?} will be gone. Type the user's id to go on: ")
        .and_then(|()| stderr.flush())
        .context("cannot ask")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    if answer.trim_end_matches(['\r', '\n']) != user.as_str() {
        bail!("nothing was erased: the answer was not {user:?}");
    }
    Ok(())
}
