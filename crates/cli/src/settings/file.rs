//! The file: TOML, one key for each option, under its own name.

use std::{fs, io::Read as _, path::Path};

use toml::de::{DeTable, DeValue};

/// A longer file is none, in bytes.
pub(crate) const SETTINGS_BYTES_MAX: u64 = 256 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) key: String,
    /// From 1 on.
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    Switch(bool),
    One(String),
    Many(Vec<String>),
}

pub(super) fn text(path: &Path) -> Result<String, String> {
    let cannot = |error| format!("cannot be read: {error}");
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(cannot)?;
    file.take(SETTINGS_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > SETTINGS_BYTES_MAX {
        return Err(format!(
            "is longer than {} KiB, and so no file of settings",
            SETTINGS_BYTES_MAX / 1024
        ));
    }
    String::from_utf8(bytes).map_err(|_| "is not text (UTF-8)".to_owned())
}

/// What it says, line by line; or in which line it cannot be read, and why.
pub(super) fn parse(text: &str) -> Result<Vec<Setting>, (Option<usize>, String)> {
    let line_of =
        |at: usize| text.as_bytes()[..at.min(text.len())].split(|byte| *byte == b'\n').count();
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| line_of(span.start));
        (line, format!("is not TOML: {}", error.message().trim()))
    })?;
    let mut settings = Vec::new();
    for (key, value) in table.into_inner() {
        let line = line_of(key.span().start);
        let key = key.into_inner().into_owned();
        let value = value_of(&key, value.into_inner()).map_err(|why| (Some(line), why))?;
        settings.push(Setting { key, line, value });
    }
    settings.sort_by_key(|setting| setting.line);
    Ok(settings)
}

fn value_of(key: &str, value: DeValue<'_>) -> Result<Value, String> {
    match value {
        DeValue::Boolean(on) => Ok(Value::Switch(on)),
        DeValue::Array(items) => {
            let items = items.into_iter().map(|item| one(key, item.into_inner()));
            items.collect::<Result<_, _>>().map(Value::Many)
        }
        value => one(key, value).map(Value::One),
    }
}

fn one(key: &str, value: DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.into_owned()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Table(_) => Err(format!("`{key}` is a table, and every setting stands by itself")),
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) => {
            Err(format!("`{key}` is a text, a number, or a list of these"))
        }
    }
}
