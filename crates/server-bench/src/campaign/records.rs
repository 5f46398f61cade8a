//! What was measured, as lines of JSON: who measured on what first, and then one measurement a line.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::Step;
use crate::{
    peer::Peer,
    record::{Counts, Measured},
};

/// Where they are kept, from the repository's root.
pub(super) const FILE: &str = "docs/benchmarks/server.jsonl";

/// What all measurements of a file have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) measured_on: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) system: String,
    pub(crate) versions: BTreeMap<Peer, String>,
    /// Who was not there to be measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) left_out: Vec<Peer>,
    /// Of our binaries: what was measured with others is not gone on with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) build: String,
}

/// One measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) scenario: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<u32>,
    #[serde(rename = "contestant")]
    pub(crate) peer: Peer,
    pub(crate) run: u32,
    /// What others took of the machine meanwhile, in hundredths of a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) disturbed_pct: Option<f64>,
    #[serde(flatten)]
    pub(crate) measured: Measured,
}

#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) header: Header,
    all: Vec<Record>,
    /// Where more of them go.
    file: Option<File>,
}

impl Records {
    pub(super) fn in_memory(header: Header) -> Self {
        Self { header, ..Self::default() }
    }

    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)
            .with_context(|| format!("nothing is recorded in {}", file.display()))?;
        let mut lines = text.lines();
        let header = serde_json::from_str(lines.next().unwrap_or_default())?;
        // The last line of a campaign that was cut off may be half a one.
        let all = lines.map_while(|line| serde_json::from_str(line).ok()).collect();
        Ok(Self { header, all, file: None })
    }

    pub(super) fn read_or_none(file: &Path) -> Result<Self> {
        if file.exists() { Self::read(file) } else { Ok(Self::default()) }
    }

    /// Goes on with a campaign that was cut off, if it measured the same; else begins anew.
    pub(super) fn go_on(path: &Path, header: Header) -> Result<Self> {
        let mut records = Self::read_or_none(path).unwrap_or_default();
        if records.header.build != header.build {
            records.all.clear();
        }
        // It was told then what was wrong with them.
        records.all.retain(|record| !record.is_broken());
        records.header = header;
        records.write(path)?;
        records.file = Some(File::options().append(true).open(path)?);
        Ok(records)
    }

    pub(super) fn add(&mut self, record: Record) -> Result<()> {
        if let Some(file) = &mut self.file {
            writeln!(file, "{}", serde_json::to_string(&record)?)?;
        }
        self.all.push(record);
        Ok(())
    }

    /// With these in place of what was recorded of the same scenarios and peers.
    pub(super) fn with(mut self, newer: Self) -> Result<Self> {
        let machine = |header: &Header| (header.processor.clone(), header.cores);
        let all_anew = self.all.iter().all(|record| newer.has_any(record));
        ensure!(
            all_anew || machine(&self.header) == machine(&newer.header),
            "what is recorded is of another machine: measure all of it"
        );
        self.all.retain(|record| !newer.has_any(record));
        self.all.extend(newer.all);
        self.all.sort_by_key(|record| {
            let known = super::SCENARIOS.iter().position(|one| one.name == record.scenario);
            (known, record.at, record.peer, record.run)
        });
        let versions = std::mem::take(&mut self.header.versions);
        self.header = newer.header;
        for (peer, version) in versions {
            self.header.versions.entry(peer).or_insert(version);
        }
        self.header.build = String::new();
        let measured = |one: &Peer| self.all.iter().any(|record| record.peer == *one);
        self.header.left_out.retain(|one| !measured(one));
        Ok(self)
    }

    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let mut text = serde_json::to_string(&self.header)? + "\n";
        for record in &self.all {
            text += &(serde_json::to_string(record)? + "\n");
        }
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, text).with_context(|| format!("writing {}", file.display()))
    }

    pub(super) fn has(&self, step: &Step) -> bool {
        self.all.iter().any(|record| {
            record.scenario == step.scenario.name
                && record.at == step.scenario.at
                && record.peer == step.peer
                && record.run == step.run
        })
    }

    fn has_any(&self, of: &Record) -> bool {
        !self.of(&of.scenario, of.at, of.peer).is_empty()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Record> {
        self.all.iter()
    }

    /// All runs of one measurement.
    pub(crate) fn of(&self, scenario: &str, at: Option<u32>, peer: Peer) -> Vec<&Record> {
        let wanted = |record: &&Record| {
            record.scenario == scenario && record.at == at && record.peer == peer
        };
        self.all.iter().filter(wanted).collect()
    }
}

impl Record {
    /// Whether its peer broke a promise.
    pub(crate) fn is_broken(&self) -> bool {
        self.peer.broken(self.measured.counts) != Counts::default()
    }
}

impl fmt::Display for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, at, peer, run, measured, .. } = self;
        write!(formatter, "{scenario}")?;
        if let Some(at) = at {
            write!(formatter, " at {at}")?;
        }
        write!(formatter, ", {}, run {run}: ", peer.name())?;
        let Counts { lost, doubled, reordered, misdelivered, refused, closed } = measured.counts;
        if measured.counts == Counts::default() {
            return formatter.write_str("all there, once and in order");
        }
        write!(
            formatter,
            "{lost} lost, {doubled} doubled, {reordered} reordered, {misdelivered} with others, \
             {refused} refused, {closed} connections closed"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(scenario: &str, peer: Peer, run: u32, figure: f64) -> Record {
        let mut measured = Measured::default();
        measured.set("published_per_s", figure);
        let scenario = scenario.to_owned();
        Record { scenario, at: None, peer, run, disturbed_pct: None, measured }
    }

    fn records(all: Vec<Record>) -> Records {
        let header = Header { processor: "one".to_owned(), cores: 2, ..Header::default() };
        Records { header, all, file: None }
    }

    #[test]
    fn what_is_measured_anew_takes_the_place_of_all_runs_from_before() {
        let (ours, plain) = (Peer::Tetherline, Peer::Plain);
        let before = records(vec![
            record("saturated", ours, 1, 1.0),
            record("saturated", ours, 2, 2.0),
            record("saturated", plain, 1, 3.0),
        ]);
        let all = before.with(records(vec![record("saturated", ours, 1, 9.0)])).unwrap();
        assert_eq!(all.of("saturated", None, ours).len(), 1);
        assert_eq!(all.of("saturated", None, plain).len(), 1);
    }

    #[test]
    fn figures_of_two_machines_are_not_mixed() {
        let mut elsewhere = records(vec![record("saturated", Peer::Plain, 1, 1.0)]);
        elsewhere.header.processor = "another".to_owned();
        let here = || records(vec![record("saturated", Peer::Tetherline, 1, 1.0)]);
        assert!(here().with(elsewhere).is_err());
        assert!(records(Vec::new()).with(here()).is_ok());
    }

    #[test]
    fn a_campaign_that_was_cut_off_goes_on_with_the_same_build_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("unfinished.jsonl");
        let built = |build: &str| Header { build: build.to_owned(), ..Header::default() };
        let mut first = Records::go_on(&file, built("1")).unwrap();
        first.add(record("saturated", Peer::Plain, 1, 1.0)).unwrap();
        writeln!(first.file.as_mut().unwrap(), "{{\"scenario\":").unwrap();
        assert_eq!(Records::go_on(&file, built("1")).unwrap().all().count(), 1);
        assert_eq!(Records::go_on(&file, built("2")).unwrap().all().count(), 0);
    }
}
