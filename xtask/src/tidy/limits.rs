//! Whoever reads about the limits reads all of them, with the defaults that the code has.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::codegen;

const DOCUMENT: &str = "docs/delivery.md";

pub(super) fn problems(root: &Path) -> Result<Vec<String>> {
    let text =
        fs::read_to_string(root.join(DOCUMENT)).with_context(|| format!("reading {DOCUMENT}"))?;
    let documented = documented(&text);
    let missing = codegen::limits()?.into_iter().filter_map(|(name, value)| {
        let value = in_words(&name, value);
        match documented.get(name.as_str()) {
            Some(&given) if given == value => None,
            Some(given) => Some(format!("{DOCUMENT}: `{name}` is {value}, not {given}")),
            None => Some(format!("{DOCUMENT}: the table of limits lacks `{name}`, {value}")),
        }
    });
    Ok(missing.collect())
}

/// The second cell of every table row whose first is a name in backticks.
fn documented(text: &str) -> BTreeMap<&str, &str> {
    let row = |line| -> Option<(&str, &str)> {
        let (name, rest) = str::strip_prefix(line, "| `")?.split_once("` |")?;
        Some((name, rest.split('|').next()?.trim()))
    };
    text.lines().filter_map(row).collect()
}

/// A value in the unit that its name ends with, as a person would write it.
fn in_words(name: &str, value: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    let name = name.to_lowercase();
    if name.contains("_ms") {
        let (second, minute, day) = (1_000, 60_000, 24 * 60 * 60 * 1_000);
        return match value {
            _ if value == day => "1 day".to_owned(),
            _ if value > 0 && value.is_multiple_of(day) => format!("{} days", value / day),
            _ if value >= 2 * minute && value.is_multiple_of(minute) => {
                format!("{} min", value / minute)
            }
            _ if value >= second && value.is_multiple_of(second) => format!("{} s", value / second),
            _ => format!("{value} ms"),
        };
    }
    if name.contains("bytes") {
        return match value {
            _ if value.is_multiple_of(MIB) => format!("{} MiB", value / MIB),
            _ if value.is_multiple_of(1024) => format!("{} KiB", value / 1024),
            _ => format!("{value} B"),
        };
    }
    let digits = value.to_string();
    match digits.len() {
        4..=6 => format!("{},{}", &digits[..digits.len() - 3], &digits[digits.len() - 3..]),
        _ => digits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_the_unit_of_their_name() {
        for (name, value, expected) in [
            ("ACK_DELAY_MS", 100, "100 ms"),
            ("idle_timeout_ms", 90_000, "90 s"),
            ("OUTBOX_TTL_MS", 86_400_000, "1 day"),
            ("OUTBOX_TTL_MS_MAX", 3 * 86_400_000, "3 days"),
            ("message_bytes_max", 65_536, "64 KiB"),
            ("OUTBOX_BYTES_MAX", 1_048_576, "1 MiB"),
            ("ID_BYTES_MAX", 128, "128 B"),
            ("connections_max", 100_000, "100,000"),
            ("devices_max", 32, "32"),
        ] {
            assert_eq!(in_words(name, value), expected);
        }
    }

    #[test]
    fn rows_are_found_by_their_name() {
        let table = "| limit | default |\n|---|---|\n| `A_MAX` | 5 | what happens |\n";
        assert_eq!(documented(table), BTreeMap::from([("A_MAX", "5")]));
    }
}
