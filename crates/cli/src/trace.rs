//! What changes in what a server knows of a user.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;
use tetherline_process::{answer as print, note};
use tetherline_protocol::UserId;
use tokio::time::sleep;

use crate::{
    inspect::{
        answer::{ConnectionSeen, Inspection},
        ask,
    },
    printable::printable,
    publish::Access,
};

/// How often the server is asked.
const EVERY: Duration = Duration::from_millis(500);
/// The longest wait for a server that does not answer.
const AWAY_MAX: Duration = Duration::from_secs(5);

/// Follows a user's connections live: who connects and leaves, what each is sent, acknowledges and waits for, what is
/// published, which streams begin and end, and what becomes of sends. It asks the server twice a second, so what comes
/// and goes within that is seen only by what it leaves behind. What messages say is not in it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    api: Access,
    /// Whose.
    #[arg(long)]
    user: UserId,
    /// A JSON object for each line.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let (http, user) = options.api.user(&options.user)?;
    let url = format!("{user}/inspection");
    // Whoever starts it with the wrong key, or against no server, hears of it at once.
    let mut before: Option<Inspection> = None;
    let mut away = Duration::ZERO;
    loop {
        match ask(&options.api, &http, &url).await {
            Ok(said) => {
                if !away.is_zero() {
                    note!("the server answers again");
                }
                away = Duration::ZERO;
                let now: Inspection =
                    serde_json::from_value(said).context("the answer is not Tetherline's")?;
                for change in changes(before.as_ref(), &now) {
                    let line = if options.json { change.as_json() } else { change.as_text() };
                    // A reader that has seen enough.
                    if print(&line).is_err() {
                        return Ok(ExitCode::SUCCESS);
                    }
                }
                before = Some(now);
                sleep(EVERY).await;
            }
            Err(error) if before.is_none() => return Err(error),
            Err(error) => {
                if away.is_zero() {
                    note!("{error}");
                }
                away = (away + EVERY).min(AWAY_MAX);
                sleep(away).await;
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Change {
    /// A connection, or the mailbox as a whole.
    of: String,
    what: String,
}

impl Change {
    fn as_text(&self) -> String {
        format!("{:24}  {}", self.of, self.what)
    }

    fn as_json(&self) -> String {
        json!({ "of": self.of, "what": self.what }).to_string()
    }
}

/// In the first look everything is news.
fn changes(before: Option<&Inspection>, now: &Inspection) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut say = |of: &str, what: String| changes.push(Change { of: of.to_owned(), what });
    if before.is_none_or(|before| before.head != now.head) {
        say("mailbox", format!("newest {}", now.head));
    }
    if before.is_some_and(|before| before.epoch != now.epoch) {
        say("mailbox", "is another history".to_owned());
    }
    let connections = before.map(|before| before.connections.as_slice()).unwrap_or_default();
    for gone in connections.iter().filter(|it| same(it, &now.connections).is_none()) {
        say(&name(gone), "has left".to_owned());
    }
    for it in &now.connections {
        let last = same(it, connections);
        let name = name(it);
        if last.is_none() {
            say(&name, format!("is connected since {}", it.since));
        }
        if let Some(sent) = it.sent.filter(|_| last.is_none_or(|last| last.sent != it.sent)) {
            say(&name, format!("was sent messages up to {sent}, {} more wait", it.waiting));
        }
        if last.is_some_and(|last| last.unhandled != it.unhandled)
            || last.is_none() && it.unhandled > 0
        {
            say(&name, format!("{} are not acknowledged", it.unhandled));
        }
        if last.is_none_or(|last| last.waits_for != it.waits_for) && it.waits_for != "nothing" {
            say(&name, format!("waits for {}", printable(&it.waits_for)));
        }
    }
    let of_before =
        |has: fn(&Inspection, &str) -> bool, id: &str| before.is_some_and(|it| has(it, id));
    let has_stream = |it: &Inspection, id: &str| it.streams.iter().any(|it| it.message_uuid == id);
    let has_send = |it: &Inspection, id: &str| it.sends.iter().any(|it| it.id == id);
    for stream in now.streams.iter().filter(|it| !of_before(has_stream, &it.message_uuid)) {
        say(
            &printable(&stream.message_uuid),
            format!("attempt {} is being written", stream.attempt),
        );
    }
    for over in before.iter().flat_map(|it| &it.streams) {
        if !has_stream(now, &over.message_uuid) {
            say(&printable(&over.message_uuid), "is finished".to_owned());
        }
    }
    for send in now.sends.iter().rev().filter(|it| before.is_some() && !of_before(has_send, &it.id))
    {
        say(&printable(&send.id), format!("was sent by the client: {}", printable(&send.outcome)));
    }
    changes
}

fn same<'a>(it: &ConnectionSeen, of: &'a [ConnectionSeen]) -> Option<&'a ConnectionSeen> {
    of.iter().find(|other| other.connection_id == it.connection_id)
}

fn name(it: &ConnectionSeen) -> String {
    match &it.device {
        Some(device) => printable(device),
        None => printable(&it.connection_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspection(json: &serde_json::Value) -> Inspection {
        let mut all = json!({
            "head": 0, "epoch": "e", "trimmed": 0, "devices": [], "connections": [], "sends": [], "sign_outs": [],
            "streams": [],
        });
        for (key, value) in json.as_object().unwrap() {
            all[key] = value.clone();
        }
        serde_json::from_value(all).unwrap()
    }

    fn connection(
        (sent, waiting): (Option<u64>, u64),
        unhandled: u64,
        waits_for: &str,
    ) -> serde_json::Value {
        json!({
            "connection_id": "c1", "device": "laptop", "since": "today", "sent": sent,
            "waiting": waiting, "unhandled": unhandled, "waits_for": waits_for,
        })
    }

    fn said(before: &serde_json::Value, now: &serde_json::Value) -> Vec<String> {
        let changes = changes(Some(&inspection(before)), &inspection(now));
        changes.into_iter().map(|change| format!("{}: {}", change.of, change.what)).collect()
    }

    #[test]
    fn a_connection_is_followed_from_its_beginning_to_its_end() {
        let nobody = json!({ "head": 3 });
        let begun = json!({ "head": 3, "connections": [connection((None, 0), 0, "get_pending")] });
        let sent = json!({ "head": 3, "connections": [connection((Some(2), 1), 2, "socket")] });
        let done = json!({ "head": 3, "connections": [connection((Some(3), 0), 0, "nothing")] });
        assert_eq!(
            said(&nobody, &begun),
            ["laptop: is connected since today", "laptop: waits for get_pending"]
        );
        assert_eq!(
            said(&begun, &sent),
            [
                "laptop: was sent messages up to 2, 1 more wait",
                "laptop: 2 are not acknowledged",
                "laptop: waits for socket"
            ]
        );
        assert_eq!(
            said(&sent, &done),
            ["laptop: was sent messages up to 3, 0 more wait", "laptop: 0 are not acknowledged"]
        );
        assert_eq!(said(&done, &done), [""; 0]);
        assert_eq!(said(&done, &nobody), ["laptop: has left"]);
    }

    #[test]
    fn what_is_published_streamed_and_sent_is_told() {
        let stream = json!([{ "message_uuid": "a1", "attempt": 1, "opened": "now" }]);
        let send = json!([{ "id": "m1", "decided": "now", "outcome": "accepted" }]);
        let now = json!({ "head": 4, "streams": stream, "sends": send });
        assert_eq!(
            said(&json!({ "head": 3 }), &now),
            [
                "mailbox: newest 4",
                "a1: attempt 1 is being written",
                "m1: was sent by the client: accepted"
            ]
        );
        assert_eq!(said(&now, &json!({ "head": 4 })), ["a1: is finished"]);
        assert_eq!(said(&json!({}), &json!({ "epoch": "f" })), ["mailbox: is another history"]);
    }
}
