use std::{
    num::NonZero,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::json;
use tetherline_process::{Exit, answer, note, outcome_of};
use tetherline_server::backup::{self, Existing, Progress, Replaced};

use crate::keys;

/// Copies the mailboxes to a new file, as they are at this moment. The server may go on running, and
/// publishing does not wait. The copy is checked, and on the disk when this ends; its path is printed.
/// Secrets (jwt.secret, api.key, keys.json, webhook.secret) are not in it: they never change, and whoever has them
/// is everybody. Keep copies of them somewhere else.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The server's data folder.
    #[arg(long, value_name = "DIR", env = "TETHERLINE_DATA")]
    data: PathBuf,
    /// The file to write, or a folder for one that is named after the time. Nothing is overwritten.
    #[arg(long, value_name = "FILE|DIR")]
    to: PathBuf,
    /// Once this one is written and checked, delete the oldest that got such a name in this folder, so that so many are
    /// left, this one among them.
    #[arg(long, value_name = "COUNT")]
    keep: Option<NonZero<usize>>,
    /// Print one JSON object instead of the path.
    #[arg(long)]
    json: bool,
}

/// Puts a backup in the place of a stopped server's mailboxes. Every client is told that it may have
/// missed something, and reads on from what its device has acknowledged.
#[derive(Debug, Args)]
pub(crate) struct RestoreOptions {
    /// The file that `tetherline backup` wrote.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The server's data folder; created if it is missing. No server may be running on it.
    #[arg(long, value_name = "DIR", env = "TETHERLINE_DATA")]
    data: PathBuf,
    /// Take the place of the mailboxes that are there. They are kept under another name.
    #[arg(long)]
    replace: bool,
    /// Print one JSON object when it is done.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let is_folder = options.to.is_dir();
    ensure!(
        is_folder || options.keep.is_none(),
        "--keep is for a folder of backups, and {} is none; make it first",
        options.to.display()
    );
    let to = if is_folder {
        options.to.join(format!("mailbox-{}.db", backup::stamp()))
    } else {
        options.to.clone()
    };
    let backed_up = backup::back_up_mailbox(&options.data, &to, &tell)?;
    note!("{backed_up}");
    let deleted = match options.keep {
        Some(count) => backup::keep_newest(&to, count).with_context(|| {
            format!("the backup {} is written, but older ones cannot be deleted", to.display())
        })?,
        None => Vec::new(),
    };
    for path in &deleted {
        note!("deleted {}", path.display());
    }
    if options.json {
        let report = json!({
            "backup": to,
            "bytes": backed_up.bytes,
            "changed_messages": backed_up.changed_messages,
            "deleted": deleted,
        });
        return Ok(outcome_of(answer(&report), "tetherline: the backup is written"));
    }
    let done = format!("tetherline: the backup {} is written", to.display());
    Ok(outcome_of(answer(&to.display()), &done))
}

pub(crate) fn restore(options: &RestoreOptions) -> Result<ExitCode> {
    let RestoreOptions { from, data, replace, json } = options;
    let existing = if *replace { Existing::PutAside } else { Existing::Refuse };
    let restored = backup::restore_mailbox(from, data, existing, &tell)?;
    if let Some(Replaced(path)) = &restored.replaced {
        note!("the mailboxes of before are kept as {}", path.display());
    }
    note!("restored {}; every client will be told so", from.display());
    note!("{}", backup::about_sign_outs(restored.knows_sign_outs));
    let has_keys = data.join(keys::FILE).exists();
    let missing = |name: &&str| !(data.join(name).exists() || has_keys && *name == "api.key");
    let missing: Vec<_> = ["jwt.secret", "api.key"].into_iter().filter(missing).collect();
    for name in &missing {
        note!(
            "there is no {name} in {}: put yours back, or the next start makes a new one",
            data.display()
        );
    }
    if *json {
        let report = json!({
            "restored": from,
            "replaced": restored.replaced.map(|Replaced(path)| path),
            "sign_outs_kept": restored.knows_sign_outs,
            "missing_secrets": missing,
        });
        return Ok(outcome_of(answer(&report), "tetherline: the backup was restored"));
    }
    Ok(Exit::Done.into())
}

/// For who copied the files back by other means.
pub(crate) fn renew_epoch(data: &Path) -> Result<()> {
    backup::renew_epoch(data)?;
    note!("the mailboxes count in a new epoch; every client will be told so");
    Ok(())
}

fn tell(progress: Progress) {
    note!("{progress}");
}
