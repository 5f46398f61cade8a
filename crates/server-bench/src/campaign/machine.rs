//! What was measured on, and with what.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    thread,
    time::Instant,
};

use anyhow::Result;
use time::{OffsetDateTime, format_description::well_known::Iso8601};

use super::{Step, records::Header};
use crate::peer::{Peer, Programs};

/// Linux counts processor time in hundredths of a second, whatever its own clock does.
const TICKS_PER_S: f64 = 100.0;

pub(super) fn header(programs: &Programs, steps: &[Step], left_out: Vec<Peer>) -> Result<Header> {
    let today = OffsetDateTime::now_utc().date().format(&Iso8601::DATE)?;
    let mut build = DefaultHasher::new();
    for program in [&programs.tetherline, &programs.own, &programs.stream_bench] {
        fs::read(program)?.hash(&mut build);
    }
    let mut peers: Vec<_> = steps.iter().map(|step| step.peer).collect();
    peers.sort();
    peers.dedup();
    let memory_kib: u64 = field("/proc/meminfo", "MemTotal").parse().unwrap_or(0);
    Ok(Header {
        measured_on: today,
        processor: field("/proc/cpuinfo", "model name"),
        cores: thread::available_parallelism()?.get(),
        memory_gib: memory_kib.div_ceil(1024 * 1024),
        system: format!("{}, Linux {}", system(), kernel()),
        versions: peers.into_iter().map(|one| (one, one.version(programs))).collect(),
        left_out,
        build: format!("{:016x}", build.finish()),
    })
}

fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    let value = line.split_once(':').map_or("", |(_, value)| value.trim());
    value.trim_end_matches(" kB").to_owned()
}

fn system() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("unknown").trim_matches('"').to_owned()
}

fn kernel() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.trim().split('-').next().unwrap_or_default().to_owned()
}

/// How much the whole machine has computed.
#[derive(Debug)]
pub(super) struct Busy {
    since: Instant,
    cpu_s: f64,
}

impl Busy {
    pub(super) fn now() -> Self {
        Self { since: Instant::now(), cpu_s: busy_s() }
    }

    /// What it has computed since then beyond what is ours, in hundredths of a core.
    pub(super) fn by_others_pct(&self, own_cpu_s: f64) -> f64 {
        let others_s = (busy_s() - self.cpu_s - own_cpu_s).max(0.0);
        (others_s / self.since.elapsed().as_secs_f64() * 100.0).round()
    }
}

fn busy_s() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, (idle, iowait), irq, softirq, steal
    let idle: f64 = ticks.get(3..5).map_or(0.0, |idle| idle.iter().sum());
    let counted = ticks.get(..8).unwrap_or(&ticks);
    (counted.iter().sum::<f64>() - idle) / TICKS_PER_S
}
