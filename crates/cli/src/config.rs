//! `tetherline config`: what `tetherline serve` would be told, and by whom.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Arg, ArgMatches, Args, Command, parser::ValueSource};
use serde_json::{Value, json};
use tetherline_process::{answer, outcome_of};

use crate::{
    serve,
    settings::{self, Settings},
};

// The options of `serve` are a group of this name already.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Options {
    #[command(flatten)]
    serve: serve::Options,
    /// One JSON object, with each setting under its name.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(
    options: &Options,
    command: &Command,
    said: &ArgMatches,
    settings: &Settings,
) -> Result<ExitCode> {
    let task = command.find_subcommand("config").context("there is this task")?;
    let said = said.subcommand_matches("config").context("it was asked for")?;
    let held: Vec<_> = settings::options(task).map(|option| held(option, said, settings)).collect();
    let written = if options.json { answer(&as_json(&held)) } else { answer(&as_text(&held)) };
    serve::check(&options.serve)?;
    Ok(outcome_of(written, "the settings are good"))
}

struct Held {
    name: String,
    values: Vec<String>,
    source: String,
}

fn held(option: &Arg, said: &ArgMatches, settings: &Settings) -> Held {
    let id = option.get_id().as_str();
    let name = option.get_long().unwrap_or(id).to_owned();
    // Of an option that takes no value there is none to see that was said.
    let values = if option.get_action().takes_values() {
        let raw = said.get_raw(id).into_iter().flatten();
        raw.map(|value| without_password(&value.to_string_lossy())).collect()
    } else {
        vec![said.get_flag(id).to_string()]
    };
    let source = match said.value_source(id) {
        Some(ValueSource::CommandLine) => {
            settings.place_of(id).unwrap_or_else(|| format!("--{name}"))
        }
        Some(ValueSource::EnvVariable) => match option.get_env() {
            Some(variable) => variable.to_string_lossy().into_owned(),
            None => "environment".to_owned(),
        },
        _ => "default".to_owned(),
    };
    Held { name, values, source }
}

/// A URL may have a user and a password, which are nobody's business who looks over a shoulder or reads a ticket.
fn without_password(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}{path}"),
        None => value.to_owned(),
    }
}

fn as_text(held: &[Held]) -> String {
    let width = |of: fn(&Held) -> usize| held.iter().map(of).max().unwrap_or_default();
    let (names, values) = (width(|held| held.name.len()), width(|held| shown(held).len()).min(40));
    let line =
        |held: &Held| format!("{:names$}  {:values$}  {}", held.name, shown(held), held.source);
    held.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn shown(held: &Held) -> String {
    if held.values.is_empty() { "-".to_owned() } else { held.values.join(", ") }
}

fn as_json(held: &[Held]) -> Value {
    let one = |held: &Held| {
        let value = match held.values.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            many => json!(many),
        };
        (held.name.clone(), json!({ "value": value, "source": held.source }))
    };
    Value::Object(held.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        let shown = |url| without_password(url);
        assert_eq!(shown("http://me:secret@proxy:3128/a@b"), "http://***@proxy:3128/a@b");
        assert_eq!(shown("https://proxy/a@b?c=d@e"), "https://proxy/a@b?c=d@e");
        assert_eq!(shown("50/s:2000"), "50/s:2000");
    }
}
