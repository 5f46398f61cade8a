//! Starts one server after the other, each anew for every measurement, has it measured, and writes down
//! what came of it.

mod machine;
mod plan;
mod records;
mod server;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use tetherline_process::{note, say};

use crate::{
    peer::{Peer, Programs},
    record::Measured,
    report,
};

pub(crate) use plan::{SCENARIOS, Scenario};
pub(crate) use records::{Header, Record, Records};

/// How long one load may take: far more than any does.
const LOAD_TIMEOUT: Duration = Duration::from_mins(3);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The binary `tetherline`.
    #[arg(long, value_name = "FILE")]
    server: PathBuf,
    /// The binary `tetherline-stream-bench`.
    #[arg(long, value_name = "FILE")]
    stream_bench: PathBuf,
    /// The repository, whose documents are written.
    #[arg(long, value_name = "DIR")]
    repository: PathBuf,
    /// Where servers keep what they keep, on the disk that is to be measured.
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// Ours and plain alone, so short that the figures mean nothing; messages are counted all the same.
    #[arg(long)]
    brief: bool,
    /// Measure nothing: draw what is recorded.
    #[arg(long, conflicts_with = "brief")]
    render: bool,
    /// Only these, such as `saturated` or `growth-users`.
    #[arg(long, value_delimiter = ',', value_name = "SCENARIO")]
    only: Vec<String>,
    /// Only these servers.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SERVER")]
    peers: Vec<Peer>,
    /// How often each is measured; as often as its scenario says if it is left out.
    #[arg(long)]
    runs: Option<u32>,
}

/// One of the measurements that are to be made.
#[derive(Debug, Clone, Copy)]
struct Step {
    scenario: &'static Scenario,
    peer: Peer,
    run: u32,
}

struct Campaign {
    programs: Programs,
    folder: PathBuf,
    brief: bool,
    records: Records,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let kept = options.repository.join(records::FILE);
    if options.render {
        return report::write(&options.repository, &Records::read(&kept)?);
    }
    server::allow_many_files()?;
    std::fs::create_dir_all(&options.folder)?;
    let programs = Programs {
        tetherline: options.server.clone(),
        stream_bench: options.stream_bench.clone(),
        own: std::env::current_exe()?,
        peers: options.repository.join("crates/server-bench/peers"),
    };
    let (steps, left_out) = steps(options, &programs)?;
    let header = machine::header(&programs, &steps, left_out)?;
    let unfinished = options.folder.join("unfinished.jsonl");
    let records = if options.brief {
        Records::in_memory(header)
    } else {
        Records::go_on(&unfinished, header)?
    };
    let folder = options.folder.clone();
    let mut campaign = Campaign { programs, folder, brief: options.brief, records };
    let mut problems = campaign.perform(&steps, &kept)?;
    problems.extend(campaign.broken());
    if options.brief {
        report::is_current(&options.repository, &kept)?;
    } else {
        let all = Records::read_or_none(&kept)?.with(campaign.records)?;
        all.write(&kept)?;
        report::write(&options.repository, &all)?;
        if problems.is_empty() {
            std::fs::remove_file(&unfinished)?;
        }
    }
    ensure!(problems.is_empty(), "not all is well:\n{}", problems.join("\n"));
    say!("{} measurements: what was promised is there, once and in order", steps.len());
    Ok(())
}

/// All measurements, in their order: everybody in turn, and then all of it again. And who would take part,
/// and is not there.
fn steps(options: &Options, programs: &Programs) -> Result<(Vec<Step>, Vec<Peer>)> {
    let wanted = |scenario: &&Scenario| {
        options.only.is_empty() || options.only.iter().any(|name| name == scenario.name)
    };
    for name in &options.only {
        let is_known = SCENARIOS.iter().any(|scenario| scenario.name == name);
        ensure!(is_known, "there is no scenario `{name}`; there are: {}", plan::names());
    }
    let takes_part = |peer: &Peer| {
        (options.peers.is_empty() || options.peers.contains(peer))
            && (!options.brief || peer.is_brief())
    };
    let mut left_out = Vec::new();
    let mut steps = Vec::new();
    for scenario in SCENARIOS.iter().filter(wanted).filter(|one| !options.brief || one.is_brief()) {
        let runs = if options.brief { 1 } else { options.runs.unwrap_or(scenario.runs) };
        for run in 1..=runs {
            for &peer in scenario.peers.iter().filter(|&one| takes_part(one)) {
                match peer.missing(programs) {
                    None => steps.push(Step { scenario, peer, run }),
                    Some(_) if left_out.contains(&peer) => {}
                    Some(what) => {
                        note!("{} is left out: there is no {what}", peer.name());
                        left_out.push(peer);
                    }
                }
            }
        }
    }
    ensure!(!steps.is_empty(), "there is nothing to measure");
    Ok((steps, left_out))
}

impl Campaign {
    /// Makes them all, and answers which could not be made: those come again in the next campaign.
    fn perform(&mut self, steps: &[Step], kept: &Path) -> Result<Vec<String>> {
        let left: Vec<Step> =
            steps.iter().filter(|step| !self.records.has(step)).copied().collect();
        if left.len() < steps.len() {
            note!("{} of {} were measured before", steps.len() - left.len(), steps.len());
        }
        let (started, mut problems) = (Instant::now(), Vec::new());
        for (number, step) in (1..).zip(&left) {
            let record = match self.measure(*step, kept) {
                Ok(record) => record,
                Err(problem) => {
                    let (what, whom) = (step.scenario.title(), step.peer.name());
                    problems.push(format!("{what}, {whom}: {problem:#}"));
                    note!("{number}/{} {what}, {whom}: {problem:#}", left.len());
                    continue;
                }
            };
            let elapsed = started.elapsed();
            let still = elapsed.mul_f64((left.len() - number) as f64 / number as f64).as_secs();
            note!("{number}/{} {record}; {still} s to go", left.len());
            self.records.add(record)?;
        }
        Ok(problems)
    }

    fn measure(&self, step: Step, kept: &Path) -> Result<Record> {
        let Step { scenario, peer, run } = step;
        let busy = machine::Busy::now();
        let (measured, own_cpu_s) = match scenario.load {
            plan::Load::Streams => (self.streams()?, None),
            plan::Load::Generator { what, with } => self.generate(step, what, with, kept)?,
        };
        let disturbed_pct = own_cpu_s.map(|own_cpu_s| busy.by_others_pct(own_cpu_s));
        Ok(Record {
            scenario: scenario.name.to_owned(),
            at: scenario.at,
            peer,
            run,
            disturbed_pct,
            measured,
        })
    }

    /// Starts the server, has the generator load it, and ends it. Answers also how long both computed.
    fn generate(
        &self,
        step: Step,
        what: &str,
        with: &[&str],
        kept: &Path,
    ) -> Result<(Measured, Option<f64>)> {
        let Step { scenario, peer, .. } = step;
        let (programs, serve) = (&self.programs, scenario.serve);
        let mut server = server::Server::start(peer, programs, &self.folder, serve)?;
        if scenario.is_filled_before {
            self.put_under(&server, step, &[&["fill"], with].concat(), None)?;
            server = server.restart(peer, programs, serve)?;
        }
        let per_s = if scenario.paced_by_plain { Some(self.half_of_plain(kept)?) } else { None };
        let mut measured = self.put_under(&server, step, &[&[what], with].concat(), per_s)?;
        let generator_cpu_s = measured.figures.remove("generator_cpu_s").unwrap_or_default();
        Ok((measured, Some(generator_cpu_s + server.cpu_s())))
    }

    fn put_under(
        &self,
        server: &server::Server,
        step: Step,
        load: &[&str],
        per_s: Option<u32>,
    ) -> Result<Measured> {
        let Step { scenario, peer, .. } = step;
        let mut command = server::pinned(&self.programs.own, server::GENERATOR_CORE);
        command.args(["load"]).args(load).args(scenario.more);
        command.args(peer.manners(server.folder()));
        command.args(["--server", &server.address.to_string(), "--pid", &server.pid().to_string()]);
        command.args(per_s.map(|per_s| format!("--per-s={per_s}")));
        if self.brief {
            command.args(scenario.brief);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let lines = server::output_within(&mut child, LOAD_TIMEOUT)?;
        serde_json::from_str(&lines).with_context(|| format!("it said {lines:?}"))
    }

    /// What a stream's words cost, as the benchmark of its own says.
    fn streams(&self) -> Result<Measured> {
        let mut command = Command::new(&self.programs.stream_bench);
        command.arg("--server").arg(&self.programs.tetherline).args(["--json", "load"]);
        if self.brief {
            command.arg("--brief");
        }
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "the benchmark of streams failed");
        let text = String::from_utf8(output.stdout)?;
        let mut measured = Measured::default();
        let figures: std::collections::BTreeMap<String, f64> = serde_json::from_str(&text)?;
        for (name, figure) in figures {
            measured.set(&name, figure);
        }
        Ok(measured)
    }

    fn half_of_plain(&self, kept: &Path) -> Result<u32> {
        let full = |records: &Records| {
            let all = records.of("saturated", None, Peer::Plain);
            report::median(&report::figures(&all, "published_per_s"))
        };
        let found = full(&self.records).or_else(|| full(&Records::read_or_none(kept).ok()?));
        let Some(full) = found else {
            bail!("what plain does at most is not known: measure `saturated` first");
        };
        Ok((full / 2.0) as u32)
    }

    fn broken(&self) -> Vec<String> {
        self.records.all().filter(|record| record.is_broken()).map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn the_generator_takes_what_every_scenario_asks_of_it() {
        let common = ["server-bench", "load"];
        let server = ["--server", "127.0.0.1:1", "--pid", "1"];
        for scenario in SCENARIOS {
            let plan::Load::Generator { what, with } = scenario.load else { continue };
            for peer in scenario.peers {
                let manners = peer.manners(Path::new("folder"));
                let manners = manners.iter().map(String::as_str);
                let own = [&[what][..], with, scenario.more, scenario.brief].concat();
                let all = common.into_iter().chain(own).chain(manners).chain(server);
                let parsed = crate::Options::try_parse_from(all);
                assert!(parsed.is_ok(), "{}: {}", scenario.title(), parsed.unwrap_err());
            }
        }
    }
}
