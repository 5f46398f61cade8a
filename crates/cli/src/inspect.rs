pub(crate) mod answer;

use std::{fmt::Write as _, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tetherline_process::{answer as print, outcome_of};
use tetherline_protocol::UserId;

use answer::{Inspection, Message};

use crate::{
    files,
    printable::{printable, printable_up_to},
    publish::{Access, refusal},
};

/// A sentence or two, with the name of a device, which may be long.
const VERDICT_CHARACTERS_MAX: usize = 1_000;

/// Says what a server knows of a user at this moment: devices, connections and what each waits for, streams, what
/// became of sends, sign-outs. With --seq it says why that message has, or has not, arrived at each device. What
/// messages say is not in it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    api: Access,
    /// Whose.
    #[arg(long)]
    user: UserId,
    /// The position of a message that somebody misses.
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    seq: Option<u64>,
    /// The server's own answer, one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let (http, user) = options.api.user(&options.user)?;
    let seq = options.seq.map(|seq| format!("?seq={seq}")).unwrap_or_default();
    let said = ask(&options.api, &http, &format!("{user}/inspection{seq}")).await?;
    let words = if options.json {
        said.to_string()
    } else {
        let inspection = serde_json::from_value(said).context("the answer is not Tetherline's")?;
        words(&options.user, &inspection)
    };
    Ok(outcome_of(print(&words.trim_end()), "it was looked"))
}

/// What the server knows.
pub(crate) async fn ask(api: &Access, http: &Client, url: &str) -> Result<Value> {
    let key = files::api_key(&api.api_key_file)?;
    let request = http.get(url).bearer_auth(key);
    let answered = request.send().await.map_err(|error| api.unreachable(error))?;
    let status = answered.status();
    let text = answered.text().await.context("the answer broke off")?;
    if status != StatusCode::OK {
        bail!("{}", refusal(status.as_u16(), &text));
    }
    serde_json::from_str(&text).context("the answer is not Tetherline's")
}

fn words(user: &UserId, inspection: &Inspection) -> String {
    let Inspection { head, epoch, trimmed, trimmed_by_number, devices, connections, .. } =
        inspection;
    let mut words = String::new();
    for verdict in inspection.verdicts.iter().flatten() {
        line(&mut words, &printable_up_to(VERDICT_CHARACTERS_MAX, &verdict.says));
    }
    if let Some(Message { seq, id, kind, published }) = &inspection.message {
        let (id, kind) = (printable(id), printable(kind));
        line(&mut words, &format!("message {seq}: {id}, of type {kind}, published {published}"));
    }
    if !words.is_empty() {
        words.push('\n');
    }
    let kept = if trimmed == head {
        "nothing is kept".to_owned()
    } else {
        format!("{} to {head} are kept", trimmed + 1)
    };
    line(
        &mut words,
        &format!("{}  newest {head}, {kept}, epoch {epoch}", printable(user.as_str())),
    );
    if *trimmed > 0 {
        line(&mut words, &trims(*trimmed, *trimmed_by_number));
    }
    table(&mut words, "devices", &["device", "handled", "behind", "last used"], devices, |it| {
        vec![
            printable(&it.device),
            it.cursor.to_string(),
            it.behind.to_string(),
            it.last_used.clone(),
        ]
    });
    let columns = [
        "connection",
        "device",
        "from",
        "since",
        "sent",
        "to send",
        "bytes not taken",
        "not acknowledged",
        "waits for",
        "since",
        "listened to",
    ];
    table(&mut words, "connections", &columns, connections, |it| {
        let device = it.device.as_deref().map_or("-".to_owned(), printable);
        vec![
            printable(&it.connection_id),
            device,
            it.address.as_deref().map_or("-".to_owned(), printable),
            it.since.clone(),
            it.sent.map_or("-".to_owned(), |sent| sent.to_string()),
            it.waiting.to_string(),
            it.unsent_bytes.to_string(),
            it.unhandled.to_string(),
            printable(&it.waits_for),
            it.waits_since.clone(),
            if it.held { "not for a while" } else { "yes" }.to_owned(),
        ]
    });
    table(&mut words, "streams", &["stream", "attempt", "since"], &inspection.streams, |it| {
        vec![printable(&it.message_uuid), it.attempt.to_string(), it.opened.clone()]
    });
    table(&mut words, "newest sends", &["id", "decided", "outcome"], &inspection.sends, |it| {
        vec![printable(&it.id), it.decided.clone(), printable(&it.outcome)]
    });
    table(&mut words, "sign-outs", &["what", "at"], &inspection.sign_outs, |it| {
        let what = if it.everywhere { "everywhere" } else { "one session" };
        vec![what.to_owned(), it.at.clone()]
    });
    words
}

/// What is not kept any more, and why.
fn trims(trimmed: u64, by_number: u64) -> String {
    let mut why = Vec::new();
    if by_number > 0 {
        why.push(format!("up to {by_number} because of how many newer ones there are"));
    }
    if trimmed > by_number {
        why.push(format!("{} to {trimmed} because of their age", by_number + 1));
    }
    format!("not kept any more: {}", why.join(", "))
}

fn line(words: &mut String, line: &str) {
    words.push_str(line);
    words.push('\n');
}

/// Nothing where there is nothing to show.
fn table<T>(
    words: &mut String,
    title: &str,
    columns: &[&str],
    items: &[T],
    cells: impl Fn(&T) -> Vec<String>,
) {
    if items.is_empty() {
        return;
    }
    let head = columns.iter().map(|name| (*name).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(items.iter().map(cells)).collect();
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    line(words, &format!("\n{title}"));
    for row in rows {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "  {cell:width$}");
        }
        line(words, text.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_on_a_device_with_the_longest_name_is_said_to_its_end() {
        // It was cut off like an error that somebody else wrote.
        let says =
            format!("`{}` {} the end.", "x".repeat(128), "is connected and waits ".repeat(20));
        let inspection = serde_json::json!({
            "head": 1, "epoch": "e", "trimmed": 0, "trimmed_by_number": 0, "devices": [], "connections": [], "sends": [], "sign_outs": [],
            "streams": [], "verdicts": [{ "says": says }],
        });
        let words = words(&"ada".parse().unwrap(), &serde_json::from_value(inspection).unwrap());
        assert!(words.starts_with(&says), "{words}");
    }
}
