mod batch;
mod lines;

use std::{io, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use reqwest::{Client, IntoUrl, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tetherline_process::outcome_of;
use tetherline_protocol::{IdempotencyKey, MessageId, Problem, Seq, UserId, frame::Message};
use tetherline_server::{NoHttpClient, chain, http_client};

use crate::{files, printable::printable};
use lines::KeyPrefix;

/// Where the API is, and what opens it.
#[derive(Debug, Args)]
pub(crate) struct Access {
    /// The server, such as http://127.0.0.1:8080.
    #[arg(long, env = "TETHERLINE_URL")]
    pub(crate) url: String,
    /// The server's key for publishers.
    #[arg(long, value_name = "FILE", env = "TETHERLINE_API_KEY_FILE")]
    pub(crate) api_key_file: PathBuf,
    /// The proxy on the way to the server, such as http://127.0.0.1:3128. HTTP_PROXY and the like in the
    /// environment count for nothing: the key would go there.
    #[arg(long, value_name = "URL", env = "TETHERLINE_PROXY")]
    proxy: Option<String>,
    /// Trust the certificates in this PEM file, instead of the machine's.
    #[arg(long, value_name = "FILE", env = "TETHERLINE_CACERT")]
    cacert: Option<PathBuf>,
}

impl Access {
    /// What is kept for a user on the server, and what to ask it with.
    pub(crate) fn user(&self, user: &UserId) -> Result<(Client, String)> {
        let (http, server) = self.server()?;
        Ok((http, format!("{server}/v1/users/{}", user.in_url())))
    }

    /// Has the server remove what is there; done once it says so.
    pub(crate) async fn delete(&self, http: &Client, url: impl IntoUrl) -> Result<()> {
        let key = files::api_key(&self.api_key_file)?;
        let request = http.delete(url).bearer_auth(key);
        let answer = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        if status != StatusCode::NO_CONTENT {
            let text = answer.text().await.unwrap_or_default();
            bail!("{}", refusal(status.as_u16(), &text));
        }
        Ok(())
    }

    fn server(&self) -> Result<(Client, String)> {
        let trusted = self.cacert.as_deref().map(|path| files::certificates(path, "--cacert"));
        let trusted = trusted.transpose()?;
        let (http, _) = http_client(&self.url, self.proxy.as_deref(), |builder| match trusted {
            Some((_, trusted)) => builder.tls_certs_only(trusted),
            None => builder,
        })
        .map_err(|error| match error {
            NoHttpClient::Address(url) => anyhow::anyhow!(
                "`{url}` is not the URL of a server: it looks like http://127.0.0.1:8080"
            ),
            error => error.into(),
        })?;
        Ok((http, self.url.trim_end_matches('/').to_owned()))
    }

    pub(crate) fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        let why = chain(&error.without_url());
        match &self.proxy {
            None => {
                anyhow::anyhow!("cannot reach {}: {why}; is the server running there?", self.url)
            }
            Some(_) => anyhow::anyhow!("cannot reach {} through the proxy: {why}", self.url),
        }
    }
}

/// With --batch many are published, each line of a file for itself, and there is a line of JSON on stdout for
/// each, with the number of its line. What could not be published is said on stderr, with its line and the reason,
/// and the exit code is 1. A server that cannot take messages right now ends it; with a key on every line (in the
/// file, or by --key-prefix) the same command can then be given again, and nothing is there twice.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    api: Access,
    #[command(flatten)]
    one: One,
    /// Publish what is in this file instead, or on stdin for -: a line for each message,
    /// {"user": …, "message": {"type": …, …}}, with "users": […] for many at once and an "idempotency_key" if it
    /// has one.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["user", "kind", "idempotency_key", "live", "json"]
    )]
    batch: Option<PathBuf>,
    /// A line without an idempotency_key gets this one and the number of the line: NAME-1, NAME-2, …
    #[arg(long, value_name = "NAME", requires = "batch")]
    key_prefix: Option<KeyPrefix>,
}

/// A single message.
#[derive(Debug, Args)]
struct One {
    /// Whose mailbox: the id as in the user's tokens, such as a UUID or auth0|5f7c.
    #[arg(long, required_unless_present = "batch")]
    user: Option<UserId>,
    /// The message's type, such as notification_new.
    #[arg(long = "type", value_name = "TYPE", required_unless_present = "batch")]
    kind: Option<String>,
    /// Published twice under the same key, it is in the mailbox once.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<IdempotencyKey>,
    /// Only for whoever is connected now: it is not kept, and has no position.
    #[arg(long, conflicts_with = "idempotency_key")]
    live: bool,
    /// The message's own fields, one JSON object; - reads it from stdin.
    #[arg(required_unless_present = "batch")]
    json: Option<String>,
}

/// What the server answers, and what is printed.
#[derive(Debug, Serialize, Deserialize)]
struct Published {
    id: MessageId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seq: Option<Seq>,
}

pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let Options { api, one, batch, key_prefix } = options;
    if let Some(file) = batch {
        return batch::run(&api, &file, key_prefix.as_ref()).await;
    }
    let One { user: Some(user), kind: Some(kind), json: Some(json), idempotency_key, live } = one
    else {
        unreachable!("without a batch all of them are there")
    };
    let body = message(&kind, &self::json(json)?)?;
    let key = files::api_key(&api.api_key_file)?;
    let (http, user) = api.user(&user)?;
    let query = if live { "?durable=false" } else { "" };
    let mut request = http
        .post(format!("{user}/messages{query}"))
        .bearer_auth(key)
        .header("content-type", "application/json")
        .body(body);
    if let Some(key) = &idempotency_key {
        request = request.header("idempotency-key", key.as_str());
    }
    let answer = request.send().await.map_err(|error| api.unreachable(error))?;
    let status = answer.status();
    let text = answer
        .text()
        .await
        .context("the server's answer broke off; publish again with the same --idempotency-key")?;
    // What is kept is there or made; what is live-only is accepted.
    let is_yes = match status {
        StatusCode::OK | StatusCode::CREATED => !live,
        StatusCode::ACCEPTED => live,
        _ => false,
    };
    if !is_yes {
        bail!("{}", refusal(status.as_u16(), &text));
    }
    let published: Published =
        serde_json::from_str(&text).with_context(|| no_answer_of_ours(&api.url))?;
    let receipt = serde_json::to_string(&published)?;
    Ok(outcome_of(tetherline_process::answer(&receipt), "tetherline: the message was published"))
}

fn no_answer_of_ours(url: &str) -> String {
    format!("{url} answered something that is no Tetherline server's; --url has to lead to one")
}

/// The argument itself, or what it stands for.
fn json(argument: String) -> Result<String> {
    match argument.as_str() {
        "-" => io::read_to_string(io::stdin()).context("cannot read the message from stdin"),
        _ => Ok(argument),
    }
}

/// The message as the server takes it, with its fields as they were written. It is checked here by
/// the same rules, so that the mistake is named before anything is sent.
fn message(kind: &str, json: &str) -> Result<String> {
    let fields: Map<String, Value> = serde_json::from_str(json)
        .map_err(|error| anyhow::anyhow!("the message is not one JSON object: {error}"))?;
    if fields.contains_key("type") {
        bail!("the type is given twice; leave `type` out of the JSON");
    }
    let kind = Value::from(kind);
    let written = json.trim().trim_start_matches('{');
    let comma = if fields.is_empty() { "" } else { "," };
    let text = format!(r#"{{"type":{kind}{comma}{written}"#);
    Message::parse(&text).map_err(|error| anyhow::anyhow!("this is no message: {error}"))?;
    Ok(text)
}

/// What an answer means that is not the one that was wanted. Only the server's own form is a word of
/// its own: advice about its key would mislead where a proxy wants another.
pub(crate) fn refusal(status: u16, body: &str) -> String {
    let Some(problem) = Problem::parse(body.as_bytes()) else {
        let words = match printable(body.lines().next().unwrap_or_default()) {
            words if words.is_empty() => words,
            words => format!(" ({words})"),
        };
        let advice = match status {
            429 | 502..=504 => "try again in a moment",
            _ => "--url has to lead to a Tetherline server",
        };
        return format!("the answer is not Tetherline's, but {status}{words}; {advice}");
    };
    let advice = match status {
        401 => "; --api-key-file has to name the key that the server uses",
        404 => "; --url has to lead to a Tetherline server",
        409 if problem.field.is_some() => "; use another --idempotency-key for another message",
        429 | 503 => "; try again in a moment",
        _ => "",
    };
    let words = printable(problem.message.trim_end().trim_end_matches('.'));
    format!("the server refused it with {status}: {words}{advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_comes_from_the_option_alone() {
        let text = message("note", r#"{"a":1}"#).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            serde_json::json!({"type": "note", "a": 1})
        );
        assert!(message("note", r#"{"type":"other"}"#).is_err());
    }

    #[test]
    fn a_refusal_shows_what_came_and_nothing_that_would_mislead() {
        let ours =
            r#"{"error":{"code":"conflict","message":"Used before.","field":"Idempotency-Key"}}"#;
        let advice = "use another --idempotency-key for another message";
        let said = format!("the server refused it with 409: Used before; {advice}");
        assert_eq!(refusal(409, ours), said);
        // What else conflicts has no key: a user of whom too many sessions are remembered as ended.
        let ours = r#"{"error":{"code":"conflict","message":"Too many."}}"#;
        assert_eq!(refusal(409, ours), "the server refused it with 409: Too many");
        // A proxy that wanted a password was explained as a wrong key.
        let advice = "--url has to lead to a Tetherline server";
        let said = format!("the answer is not Tetherline's, but 401 (<h1>401</h1>); {advice}");
        assert_eq!(refusal(401, "<h1>401</h1>\n"), said);
        assert!(!refusal(401, r#"{"message":"No."}"#).contains("api-key"));
        // Somebody in between wrote escape sequences to the terminal, and as much as it liked.
        let said = refusal(502, &format!("\u{1b}[2J{}", "x".repeat(100_000)));
        assert!(said.contains(r"\u{1b}[2J") && said.len() < 500, "{said}");
    }

    #[test]
    fn the_fields_are_published_as_they_were_written() {
        // Read and written again, the number would be another one and the order the alphabet's.
        let text = message("note", r#" { "b": 12345678901234567890123, "a": 1.10 } "#).unwrap();
        assert_eq!(text, r#"{"type":"note", "b": 12345678901234567890123, "a": 1.10 }"#);
        assert_eq!(message("note", "{}").unwrap(), r#"{"type":"note"}"#);
    }

    #[test]
    fn what_is_no_message_is_named_before_anything_is_sent() {
        let problem = |kind, json| message(kind, json).unwrap_err().to_string();
        assert!(problem("note", "[1]").starts_with("the message is not one JSON object"));
        assert!(problem("note", "{").starts_with("the message is not one JSON object"));
        assert!(problem("pong", "{}").contains("`pong` is reserved"));
        assert!(problem("a b", "{}").contains("`type`"));
        assert!(problem("note", r#"{"seq":1}"#).contains("`seq` is reserved"));
    }
}
