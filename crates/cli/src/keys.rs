use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tetherline_process::{Exit, answer, note, outcome_of};
use tetherline_server::{ApiKeyFile, ApiKeyName, NamedApiKey, Scope, UserPrefix};

/// The keys' file in a data folder.
pub(crate) const FILE: &str = "keys.json";

/// Keys for publishers beside api.key, each with a name and for some things only. They are in DIR/keys.json, as
/// digests: nobody can read a key there. A running server follows the file within a second.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Make a key, and print it: once, as it is kept nowhere.
    Add(AddOptions),
    /// Print the keys that there are, without what is secret: a line of JSON for each.
    List(ListOptions),
    /// Withdraw a key. Requests that are under way with it end, but long ones of streams, which are cut.
    Remove(RemoveOptions),
}

#[derive(Debug, Args)]
struct Folder {
    /// The server's data folder; created if it is missing.
    #[arg(long, value_name = "DIR", env = "TETHERLINE_DATA")]
    data: PathBuf,
}

#[derive(Debug, Args)]
struct AddOptions {
    /// What it is to be called, such as the service that gets it: 1 to 64 of A-Z a-z 0-9 - _ .
    name: ApiKeyName,
    /// What it is for, with commas between: publish (messages, batches, streams and their text), read (where a mailbox
    /// ends, how far a stream is), admin (erasing, signing out, tickets for others, keys).
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', required = true)]
    scopes: Vec<Scope>,
    /// Only for users whose id begins so, such as auth0|.
    #[arg(long, value_name = "PREFIX")]
    users: Option<UserPrefix>,
    /// Write the key into this new file, readable by its owner only, instead of printing it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    folder: Folder,
    /// Print one JSON object instead of the key; it has the key, unless that goes to a file.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ListOptions {
    #[command(flatten)]
    folder: Folder,
    /// Print one JSON object with all of them instead.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RemoveOptions {
    /// What it is called.
    name: ApiKeyName,
    #[command(flatten)]
    folder: Folder,
    /// Print one JSON object when it is done.
    #[arg(long)]
    json: bool,
}

impl Folder {
    fn file(&self) -> ApiKeyFile {
        ApiKeyFile::at(&self.data.join(FILE))
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    match &options.task {
        Task::Add(options) => add(options),
        Task::List(options) => list(options),
        Task::Remove(options) => remove(options),
    }
}

fn add(options: &AddOptions) -> Result<ExitCode> {
    let AddOptions { name, scopes, users, out, folder, json } = options;
    let made = |out: Option<fs::File>| {
        let key = folder.file().add(name, scopes, users.as_ref())?;
        match out {
            None => Ok::<_, anyhow::Error>(Some(key)),
            Some(mut file) => {
                file.write_all(key.as_bytes()).and_then(|()| file.sync_all())?;
                Ok(None)
            }
        }
    };
    let done = format!("tetherline: the key {name} was added");
    let Some(path) = out else {
        let key = made(None)?.context("a key that goes to no file is answered")?;
        let report = json.then(|| report(options, json!({ "key": key })).to_string());
        return Ok(outcome_of(answer(&report.unwrap_or(key)), &done));
    };
    // First: a key that nobody could read would be of no use.
    let file = create(path)?;
    if let Err(error) = made(Some(file)) {
        let _ = fs::remove_file(path);
        return Err(error);
    }
    note!("added {name}; the key is in {}", path.display());
    if *json {
        return Ok(outcome_of(answer(&report(options, json!({ "key_file": path }))), &done));
    }
    Ok(Exit::Done.into())
}

/// What was added, beside where the key is.
fn report(AddOptions { name, scopes, users, .. }: &AddOptions, mut report: Value) -> Value {
    report["name"] = json!(name);
    report["scopes"] = scopes.iter().map(|scope| scope.as_str()).collect();
    if let Some(users) = users {
        report["users"] = json!(users);
    }
    report
}

fn remove(RemoveOptions { name, folder, json }: &RemoveOptions) -> Result<ExitCode> {
    folder.file().remove(name)?;
    note!("removed {name}; with a server that runs it counts for nothing within a second");
    if *json {
        let done = format!("tetherline: the key {name} was removed");
        return Ok(outcome_of(answer(&json!({ "removed": name })), &done));
    }
    Ok(Exit::Done.into())
}

fn create(path: &Path) -> Result<fs::File> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.with_context(|| {
        format!("cannot create {}; --out names a new file for the key", path.display())
    })
}

fn list(ListOptions { folder, json }: &ListOptions) -> Result<ExitCode> {
    let keys = folder.file().list()?;
    let mut lines = keys.iter().map(listed);
    let written = if *json {
        answer(&json!({ "keys": lines.collect::<Vec<_>>() }))
    } else {
        lines.try_for_each(|line| answer(&line))
    };
    Ok(outcome_of(written, "tetherline: the keys were read"))
}

fn listed(key: &NamedApiKey) -> Value {
    let scopes: Vec<&str> = key.scopes().iter().map(|scope| scope.as_str()).collect();
    let mut listed = json!({ "name": key.name(), "scopes": scopes, "added_at": key.added_at() });
    if let Some(users) = key.users() {
        listed["users"] = json!(users);
    }
    listed
}
