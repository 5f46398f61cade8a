//! Tables and plots from what is recorded. In `docs/benchmarks.md` each table stands between two marks,
//! and what is between other lines is left alone.

mod plots;
mod summary;
mod tables;

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};

use crate::campaign::{Header, Record, Records};

const DOCUMENT: &str = "docs/benchmarks.md";
/// Where the plots are, from the repository's root.
const PLOTS: &str = "docs/images";
/// What `cargo xtask bench restart` has counted.
const RESTART: &str = "docs/benchmarks/restart.json";
/// Of its core.
const GENERATOR_FULL_PCT: f64 = 93.0;
const END: &str = "<!-- bench server: end -->";

/// Writes all of it.
pub(crate) fn write(repository: &Path, records: &Records) -> Result<()> {
    for (name, plot) in all_plots(repository, records)? {
        fs::create_dir_all(repository.join(PLOTS))?;
        fs::write(repository.join(PLOTS).join(name), plot)?;
    }
    let document = repository.join(DOCUMENT);
    let text = fs::read_to_string(&document)?;
    Ok(fs::write(document, filled_in(&text, records)?)?)
}

/// Fails if what is written is not what is recorded.
pub(crate) fn is_current(repository: &Path, kept: &Path) -> Result<()> {
    if !kept.exists() {
        return Ok(());
    }
    let records = Records::read(kept)?;
    let text = fs::read_to_string(repository.join(DOCUMENT))?;
    let mut is_current = filled_in(&text, &records)? == text;
    for (name, plot) in all_plots(repository, &records)? {
        is_current &=
            fs::read_to_string(repository.join(PLOTS).join(name)).is_ok_and(|old| old == plot);
    }
    ensure!(
        is_current,
        "{DOCUMENT} and its plots are not what is recorded: `cargo xtask bench server --render`"
    );
    Ok(())
}

fn all_plots(repository: &Path, records: &Records) -> Result<Vec<(&'static str, String)>> {
    let mut all = plots::all(records)?;
    let restart = repository.join(RESTART);
    if restart.exists() {
        all.push(plots::restart(&fs::read_to_string(restart)?)?);
    }
    Ok(all)
}

fn filled_in(document: &str, records: &Records) -> Result<String> {
    let mut text = document.to_owned();
    for (block, table) in blocks(records) {
        let mark = format!("<!-- bench server: {block} -->\n");
        let (before, rest) = text
            .split_once(&mark)
            .with_context(|| format!("{DOCUMENT} has no line `{}`", mark.trim()))?;
        let (_, after) = rest.split_once(END).with_context(|| format!("{block} has no end"))?;
        text = format!("{before}{mark}\n{table}\n{END}{after}");
    }
    Ok(text)
}

fn blocks(records: &Records) -> Vec<(&'static str, String)> {
    let mut blocks =
        vec![("machine", machine(&records.header, records)), ("summary", summary::table(records))];
    blocks.extend(tables::TABLES.iter().map(|table| {
        let plot = plots::link(table.block, records).unwrap_or_default();
        (table.block, plot + &table.text(records))
    }));
    blocks
}

fn machine(header: &Header, records: &Records) -> String {
    let Header { measured_on, processor, cores, memory_gib, system, versions, left_out, .. } =
        header;
    if records.all().next().is_none() {
        return "Not measured yet.\n".to_owned();
    }
    let mut all: Vec<&str> = versions.values().map(String::as_str).collect();
    all.sort_unstable();
    all.dedup();
    // What is part of another is said with it.
    let all: Vec<&str> = all
        .iter()
        .filter(|one| !all.iter().any(|two| two.len() > one.len() && two.starts_with(*one)))
        .copied()
        .collect();
    let runs = records.all().map(|record| record.run).max().unwrap_or(0);
    let disturbed = records.all().filter_map(|record| record.disturbed_pct).fold(0.0, f64::max);
    let missing: Vec<String> = left_out.iter().map(|one| one.name()).collect();
    let missing = match &missing[..] {
        [] => String::new(),
        missing => format!(" Left out, since not installed: {}.", missing.join(", ")),
    };
    format!(
        "Measured on {measured_on}: {processor}, {cores} cores, {memory_gib} GiB; {system}. {}. \
         {} measurements, each at most {runs} times; others used up to {disturbed:.0} % of a core \
         meanwhile.{missing} All of it is in [server.jsonl](benchmarks/server.jsonl).\n",
        all.join("; "),
        records.all().count(),
    )
}

/// Of all runs; none if there are none, or if a promise was broken in one of them.
pub(crate) fn figures(runs: &[&Record], name: &str) -> Vec<f64> {
    if runs.iter().any(|record| record.is_broken()) {
        return Vec::new();
    }
    runs.iter().filter_map(|record| record.measured.figures.get(name).copied()).collect()
}

/// Whether it was the generator that could do no more: then the server can do as much, or more.
fn is_generators_limit(runs: &[&Record]) -> bool {
    median(&figures(runs, "generator_cpu_pct")).is_some_and(|pct| pct > GENERATOR_FULL_PCT)
}

pub(crate) fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The least and the most.
fn spread(figures: &[f64]) -> Option<(f64, f64)> {
    let least = figures.iter().copied().reduce(f64::min)?;
    Some((least, figures.iter().copied().reduce(f64::max)?))
}

/// To three digits or so, with commas between thousands; whole numbers as they are.
fn number(figure: f64) -> String {
    match figure.abs() {
        whole if whole.fract() == 0.0 => thousands(figure as i64),
        100.0.. => thousands(figure.round() as i64),
        10.0.. => format!("{figure:.1}"),
        1.0.. => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

fn thousands(figure: i64) -> String {
    let digits = figure.abs().to_string();
    let mut text = if figure < 0 { "-".to_owned() } else { String::new() };
    for (number, digit) in digits.chars().enumerate() {
        if number > 0 && (digits.len() - number).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        peer::Peer,
        record::{Counts, Measured},
    };

    #[test]
    fn the_document_has_a_place_for_every_table() {
        let document = include_str!("../../../docs/benchmarks.md");
        let places = document.matches("<!-- bench server: ").count();
        let records = Records::default();
        // A beginning and an end each.
        assert_eq!(places, blocks(&records).len() * 2);
        let once = filled_in(document, &records).unwrap();
        assert_eq!(filled_in(&once, &records).unwrap(), once);
    }

    #[test]
    fn a_run_that_broke_a_promise_has_no_figures() {
        let record = |peer, lost| Record {
            scenario: "saturated".to_owned(),
            at: None,
            peer,
            run: 1,
            disturbed_pct: None,
            measured: Measured {
                counts: Counts { lost, ..Counts::default() },
                figures: [("x".to_owned(), 1.0)].into(),
            },
        };
        let of = |peer, lost| figures(&[&record(peer, lost)], "x").len();
        assert_eq!((of(Peer::Tetherline, 0), of(Peer::Tetherline, 1)), (1, 0));
        // Live-only messages may be missed, and what others lose is theirs.
        assert_eq!((of(Peer::TetherlineLive, 1), of(Peer::Nchan, 1)), (1, 1));
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some((1.0, 3.0)));
    }

    #[test]
    fn numbers_are_as_long_as_they_are_known() {
        let all = [0.0, 10.0, 0.1234, 1.234, 12.34, 123.4, 1_234.5, 1_234_567.0].map(number);
        assert_eq!(all, ["0", "10", "0.123", "1.23", "12.3", "123", "1,235", "1,234,567"]);
    }
}
