//! What a process and its disk have done, as Linux counts it. Elsewhere nothing is known.

use std::{fs, path::Path, time::Instant};

/// Linux counts processor time in hundredths of a second, whatever its own clock does.
const TICKS_PER_S: f64 = 100.0;

pub(crate) struct Usage {
    at: Instant,
    cpu_s: f64,
    resident_kib: u64,
    /// Of the whole disk, so other programs count, too.
    flushes: Option<u64>,
}

/// Between two moments.
pub(crate) struct Used {
    pub(crate) cpu_s: f64,
    /// Of one core.
    pub(crate) cpu_share: f64,
    pub(crate) resident_mib: f64,
    pub(crate) gained_mib: f64,
    pub(crate) flushes_per_s: Option<f64>,
}

impl Usage {
    pub(crate) fn of(pid: u32, data: &Path) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may have spaces; user and system time are fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(Self {
            at: Instant::now(),
            cpu_s: ticks / TICKS_PER_S,
            resident_kib: resident.split_whitespace().next()?.parse().ok()?,
            flushes: flushes(data),
        })
    }

    pub(crate) fn since(&self, before: &Self) -> Used {
        let seconds = (self.at - before.at).as_secs_f64();
        let mib = |kib: u64| kib as f64 / 1024.0;
        let flushes = self.flushes.zip(before.flushes);
        let cpu_s = self.cpu_s - before.cpu_s;
        Used {
            cpu_s,
            cpu_share: cpu_s / seconds,
            resident_mib: mib(self.resident_kib),
            gained_mib: mib(self.resident_kib) - mib(before.resident_kib),
            flushes_per_s: flushes.map(|(now, then)| (now - then) as f64 / seconds),
        }
    }
}

/// How busy the machine is otherwise.
pub(crate) fn busy() -> String {
    let load = fs::read_to_string("/proc/loadavg").ok();
    let load = load.as_deref().and_then(|text| text.split(' ').next());
    format!("load {}", load.unwrap_or("unknown"))
}

/// How often the disk below a folder was told to write through.
#[cfg(target_os = "linux")]
fn flushes(folder: &Path) -> Option<u64> {
    use std::os::linux::fs::MetadataExt as _;

    let device = fs::metadata(folder).ok()?.st_dev();
    // As `makedev(3)` has it, for the small numbers that disks have.
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    let disks = fs::read_to_string("/proc/diskstats").ok()?;
    let disk = disks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(
        |fields| matches!(fields[..], [first, second, ..] if first == major.to_string() && second == minor.to_string()),
    )?;
    disk.get(18)?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn flushes(_: &Path) -> Option<u64> {
    None
}
