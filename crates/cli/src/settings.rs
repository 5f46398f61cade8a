//! What `tetherline serve` is told by a file, beside the environment and its options: the later of these wins.
//!
//! A setting of the file becomes the option of its name, unless the environment or the command line has said that one
//! already. So each option is described once, and read by one parser wherever it comes from.

mod file;

use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf};

use clap::{ArgAction, ArgMatches, Command, error::ContextKind, parser::ValueSource};

/// The tasks that read the file.
const TASKS: [&str; 2] = ["serve", "config"];

/// Options that the file cannot have: which file it is, and what is said for one start or one answer.
const NOT_SETTINGS: [&str; 5] = ["config", "new_epoch", "json", "help", "version"];

/// What the file says that counts.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    file: PathBuf,
    /// The line of each option, by its id.
    lines: BTreeMap<String, usize>,
}

/// What was read, to be compared with what is read later.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) data: PathBuf,
    /// By the names of the options.
    pub(crate) values: BTreeMap<String, Vec<OsString>>,
}

impl Reading {
    /// What holds for this task.
    pub(crate) fn of(data: PathBuf, task: &Command, said: &ArgMatches) -> Self {
        let value = |option: &clap::Arg| {
            let id = option.get_id().as_str();
            let values = if option.get_action().takes_values() {
                said.get_raw(id).into_iter().flatten().map(Into::into).collect()
            } else {
                vec![said.get_flag(id).to_string().into()]
            };
            (option.get_long().unwrap_or(id).to_owned(), values)
        };
        Self { data, values: options(task).map(value).collect() }
    }
}

/// The file says nothing that could be carried out.
#[derive(Debug)]
pub(crate) struct Unusable {
    file: PathBuf,
    line: Option<usize>,
    why: String,
}

impl fmt::Display for Unusable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(out, ", line {line}")?;
        }
        write!(out, ": {}", self.why)
    }
}

impl Settings {
    /// The command line with what the file adds to it.
    pub(crate) fn read(
        command: &Command,
        mut line: Vec<OsString>,
    ) -> Result<(Vec<OsString>, Self), Unusable> {
        // What is wrong with the command line is said when it is read for good.
        let Ok(said) = command.clone().ignore_errors(true).try_get_matches_from(&line) else {
            return Ok((line, Self::default()));
        };
        let Some((task, said)) = said.subcommand().filter(|(task, _)| TASKS.contains(task)) else {
            return Ok((line, Self::default()));
        };
        let Some(path) = said.try_get_one::<PathBuf>("config").ok().flatten().cloned() else {
            return Ok((line, Self::default()));
        };
        let Some(task) = command.find_subcommand(task) else {
            return Ok((line, Self::default()));
        };
        let unusable = |line, why| Unusable { file: path.clone(), line, why };
        let text = file::text(&path).map_err(|why| unusable(None, why))?;
        let mut lines = BTreeMap::new();
        for setting in file::parse(&text).map_err(|(line, why)| unusable(line, why))? {
            let known = options(task).find(|known| known.get_long() == Some(&setting.key));
            let Some(option) = known else {
                return Err(unusable(Some(setting.line), unknown(task, &setting.key)));
            };
            if is_said(said, option.get_id().as_str()) {
                continue;
            }
            let words = words(option, &setting).map_err(|why| unusable(Some(setting.line), why))?;
            if !words.is_empty() {
                lines.insert(option.get_id().to_string(), setting.line);
            }
            line.extend(words);
        }
        Ok((line, Self { file: path, lines }))
    }

    /// Where the file says this, if what it says counts.
    pub(crate) fn place_of(&self, id: &str) -> Option<String> {
        self.lines.get(id).map(|line| format!("{}:{line}", self.file.display()))
    }

    /// Where the file has said what a complaint about the command line is about.
    pub(crate) fn place_of_complaint(&self, task: &Command, words: &clap::Error) -> Option<String> {
        let about = words.get(ContextKind::InvalidArg)?.to_string();
        let about = about.split([' ', '=']).next()?.strip_prefix("--")?;
        let option = options(task).find(|option| option.get_long() == Some(about))?;
        self.place_of(option.get_id().as_str())
    }
}

/// What the file may set.
pub(crate) fn options(task: &Command) -> impl Iterator<Item = &clap::Arg> {
    task.get_arguments().filter(|option| {
        option.get_long().is_some() && !NOT_SETTINGS.contains(&option.get_id().as_str())
    })
}

/// Whether the environment or the command line has said it.
fn is_said(said: &ArgMatches, id: &str) -> bool {
    let source = said.try_contains_id(id).ok().and_then(|_| said.value_source(id));
    matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// A setting as it would be said on the command line.
fn words(option: &clap::Arg, setting: &file::Setting) -> Result<Vec<OsString>, String> {
    let name = &setting.key;
    let takes_none = matches!(option.get_action(), ArgAction::SetTrue);
    let takes_many = matches!(option.get_action(), ArgAction::Append);
    match &setting.value {
        file::Value::Switch(on) if takes_none => {
            Ok(on.then(|| format!("--{name}").into()).into_iter().collect())
        }
        _ if takes_none => Err(format!("`{name}` is `true` or `false`")),
        file::Value::Switch(_) => {
            Err(format!("`{name}` is neither `true` nor `false`: give it a value"))
        }
        file::Value::One(text) => Ok(vec![format!("--{name}={text}").into()]),
        file::Value::Many(texts) if takes_many => {
            Ok(texts.iter().map(|text| format!("--{name}={text}").into()).collect())
        }
        file::Value::Many(_) => Err(format!("`{name}` is one value, and not a list")),
    }
}

fn unknown(task: &Command, key: &str) -> String {
    if NOT_SETTINGS.contains(&key.replace('-', "_").as_str()) {
        return format!("`{key}` is for the command line alone");
    }
    let distance = |name: &str| strsim::damerau_levenshtein(name, &key.replace('_', "-"));
    let nearest = options(task).filter_map(clap::Arg::get_long).min_by_key(|name| distance(name));
    match nearest.filter(|name| distance(name) <= name.len().max(key.len()) / 2) {
        Some(nearest) => format!("there is no setting `{key}`; is it `{nearest}`?"),
        None => format!("there is no setting `{key}`; `tetherline config` shows all there are"),
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
