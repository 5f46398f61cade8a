use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use serde_json::json;
use tetherline_process::{Exit, answer, note, outcome_of};
use tetherline_server::backup::{self, Checked, FINDINGS_MAX};

/// Reads a whole mailbox file, or a backup of one, and says what is wrong with it: whether SQLite can read all of it, and
/// whether what is in it adds up. The server may go on running, and nobody waits. Nothing is changed. Ends with 0 if
/// nothing is wrong, and with 1 otherwise.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The server's data folder.
    #[arg(long, value_name = "DIR", env = "TETHERLINE_DATA", required_unless_present = "file")]
    data: Option<PathBuf>,
    /// A backup, or any other mailbox file, instead.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let path = match (&options.file, &options.data) {
        (Some(file), _) => file.clone(),
        (None, Some(data)) => data.join(backup::MAILBOX_FILE),
        (None, None) => unreachable!("clap demands one of the two"),
    };
    let checked = backup::check_mailbox(&path, &|progress| note!("{progress}"))?;
    let written =
        if options.json { answer(&as_json(&checked)) } else { answer(&as_text(&checked)) };
    if checked.findings.is_empty() {
        return Ok(outcome_of(written, "nothing is wrong"));
    }
    note!(
        "put the newest backup in its place that nothing is wrong with (`tetherline check --file`, `tetherline restore \
         --replace`); what came since then is in no backup, and `sqlite3 FILE .recover` may still read it"
    );
    Ok(Exit::Failed.into())
}

fn as_text(checked: &Checked) -> String {
    let Checked { users, messages, findings, .. } = checked;
    if findings.is_empty() {
        return format!(
            "nothing is wrong: {users} users, {messages} messages, format {}",
            format_of(checked)
        );
    }
    let mut lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    if findings.len() == FINDINGS_MAX {
        lines.push(format!("there may be more: no more than {FINDINGS_MAX} are told"));
    }
    lines.join("\n")
}

fn format_of(checked: &Checked) -> String {
    let Checked { version, newest, .. } = checked;
    if version == newest {
        version.to_string()
    } else {
        format!("{version}, which the next start brings up to {newest}")
    }
}

fn as_json(checked: &Checked) -> serde_json::Value {
    let findings: Vec<_> = checked.findings.iter().map(ToString::to_string).collect();
    json!({
        "format": checked.version,
        "newest_format": checked.newest,
        "users": checked.users,
        "messages": checked.messages,
        "findings": findings,
    })
}
