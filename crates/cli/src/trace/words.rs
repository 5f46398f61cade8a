//! A server's line about a user, as people read it.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::{inspect::answer::ConnectionSeen, printable::printable};

/// What names the connections that are open.
#[derive(Default)]
pub(super) struct Words {
    devices: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Line {
    at: String,
    connection_id: Option<String>,
    event: String,
    /// Of the first line.
    head: Option<u64>,
    #[serde(default)]
    connections: Vec<ConnectionSeen>,
    device: Option<String>,
    address: Option<String>,
    seq: Option<u64>,
    id: Option<String>,
    #[serde(default)]
    after: u64,
    #[serde(default)]
    cursor: u64,
    up_to: Option<u64>,
    #[serde(default)]
    waiting: u64,
    #[serde(default)]
    unhandled: u64,
    #[serde(default)]
    unsent_bytes: u64,
    waits_for: Option<String>,
    since: Option<String>,
    outcome: Option<String>,
    by: Option<String>,
    code: Option<u16>,
    reason: Option<String>,
    #[serde(default)]
    events: u64,
}

impl Words {
    /// No lines for what only says that the server is there.
    pub(super) fn of(&mut self, line: &str) -> Result<Vec<String>> {
        let line: Line = serde_json::from_str(line).context("the answer is not Tetherline's")?;
        let said = |of: &str, what: &str| format!("{}  {of:24}  {what}", printable(&line.at));
        if line.event == "following" {
            return Ok(self.begins(&line, said));
        }
        if line.event == "heartbeat" {
            return Ok(Vec::new());
        }
        let Some(connection) = &line.connection_id else {
            return Ok(vec![said("mailbox", &of_mailbox(&line))]);
        };
        if line.event == "connected" {
            self.devices.insert(connection.clone(), name(line.device.as_deref(), connection));
        }
        let of = match self.devices.get(connection) {
            Some(name) => name.clone(),
            None => name(None, connection),
        };
        if line.event == "closed" {
            self.devices.remove(connection);
        }
        Ok(vec![said(&of, &of_connection(&line))])
    }

    fn begins(&mut self, line: &Line, said: impl Fn(&str, &str) -> String) -> Vec<String> {
        self.devices.clear();
        let newest = format!("newest {}", line.head.unwrap_or_default());
        let mut lines = vec![said("mailbox", &newest)];
        for it in &line.connections {
            let name = name(it.device.as_deref(), &it.connection_id);
            let sent =
                it.sent.map_or("nothing".to_owned(), |sent| format!("messages up to {sent}"));
            let what = format!(
                "is connected since {} from {}, was sent {sent}; {} more wait, {} are not acknowledged, waits for {}",
                printable(&it.since),
                printable(it.address.as_deref().unwrap_or("an unknown address")),
                it.waiting,
                it.unhandled,
                printable(&it.waits_for),
            );
            lines.push(said(&name, &what));
            self.devices.insert(it.connection_id.clone(), name);
        }
        lines
    }
}

fn of_mailbox(line: &Line) -> String {
    let Line { event, seq, id, events, .. } = line;
    match event.as_str() {
        "published" => {
            let id = printable(id.as_deref().unwrap_or_default());
            format!("has message {}, {id}", seq.unwrap_or_default())
        }
        "erased" => "was erased".to_owned(),
        "lost" => format!("{events} events were lost: they came faster than they were read"),
        other => printable(other),
    }
}

fn of_connection(line: &Line) -> String {
    let Line { event, waiting, unhandled, unsent_bytes, .. } = line;
    let text = |it: &Option<String>| printable(it.as_deref().unwrap_or_default());
    let up_to = line.up_to.unwrap_or_default();
    match event.as_str() {
        "connected" => {
            format!(
                "connects from {}",
                text(&line.address.clone().or(Some("an unknown address".into())))
            )
        }
        "asked" if line.after == line.cursor => {
            format!("goes on where its device stands, after message {}", line.after)
        }
        "asked" => {
            let (after, cursor) = (line.after, line.cursor);
            format!("resumes after message {after}; its device has acknowledged up to {cursor}")
        }
        "sent" => format!("was sent everything up to {up_to}, {waiting} more wait"),
        "acknowledged" => {
            format!("has acknowledged messages up to {up_to}, {unhandled} are not acknowledged")
        }
        "waits" => format!("is sent no more: it waits for {}", text(&line.waits_for)),
        "stuck" => format!(
            "does not take what it is sent, since {}: {unsent_bytes} bytes, {waiting} messages more wait",
            text(&line.since)
        ),
        "held" => "said too much, and is not listened to for a while".to_owned(),
        "send" => format!("sends {}", text(&line.id)),
        "settled" => format!("what it sent was settled: {}", text(&line.outcome)),
        "closed" => closed(line),
        other => printable(other),
    }
}

fn closed(line: &Line) -> String {
    let code = line.code.map(|code| format!(" with {code}")).unwrap_or_default();
    let reason = line.reason.as_deref().map(printable).filter(|reason| !reason.is_empty());
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    match line.by.as_deref() {
        Some("server") => format!("was closed by the server{code}{reason}"),
        Some("client") => format!("was closed by its client{code}"),
        _ => "is gone without a word".to_owned(),
    }
}

/// Its device and the end of its own name, as a device may be there twice.
fn name(device: Option<&str>, connection: &str) -> String {
    let characters = connection.chars().count();
    let end: String = connection.chars().skip(characters.saturating_sub(6)).collect();
    format!("{} ({})", printable(device.unwrap_or("no device")), printable(&end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &mut Words, line: &str) -> Vec<String> {
        let lines = words.of(line).unwrap();
        let without_times = lines.iter().map(|line| line.split_once("  ").unwrap().1);
        without_times.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn a_connection_is_named_by_its_device_for_as_long_as_it_is_open() {
        let mut words = Words::default();
        let following = r#"{"event":"following","at":"now","user":"ada","head":3,"connections":[{"connection_id":"c-111111",
            "device":"laptop","address":"192.0.2.1","since":"today","sent":3,"waiting":0,"unhandled":1,"waits_for":"nothing",
            "waits_since":"today","unsent_bytes":0,"held":false}]}"#;
        assert_eq!(
            said(&mut words, following),
            [
                "mailbox newest 3",
                "laptop (111111) is connected since today from 192.0.2.1, was sent messages up to 3; 0 more wait, 1 are not \
             acknowledged, waits for nothing",
            ]
        );
        let acknowledged = r#"{"at":"now","connection_id":"c-111111","event":"acknowledged","up_to":3,"unhandled":0}"#;
        assert_eq!(
            said(&mut words, acknowledged),
            ["laptop (111111) has acknowledged messages up to 3, 0 are not acknowledged"]
        );
        let closed = r#"{"at":"now","connection_id":"c-111111","event":"closed","by":"server","code":4401,"reason":"signed out"}"#;
        assert_eq!(
            said(&mut words, closed),
            ["laptop (111111) was closed by the server with 4401: signed out"]
        );
        assert!(said(&mut words, closed)[0].starts_with("no device (111111)"));
    }

    #[test]
    fn what_is_of_no_connection_is_the_mailboxs_and_a_heartbeat_is_nothing() {
        let mut words = Words::default();
        let published = r#"{"at":"now","event":"published","seq":4,"id":"m4"}"#;
        assert_eq!(said(&mut words, published), ["mailbox has message 4, m4"]);
        let lost = r#"{"at":"now","event":"lost","events":7}"#;
        assert!(said(&mut words, lost)[0].starts_with("mailbox 7 events were lost"));
        assert!(said(&mut words, r#"{"at":"now","event":"heartbeat"}"#).is_empty());
        // What a later version tells is named, and what somebody wrote moves no cursor.
        let later = r#"{"at":"now","event":"late\u001b[2Jr"}"#;
        assert_eq!(said(&mut words, later), [r"mailbox late\u{1b}[2Jr"]);
        assert!(words.of("<html>").is_err());
    }
}
