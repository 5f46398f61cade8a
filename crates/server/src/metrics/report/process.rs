//! What the system says of this process, under the names that everybody gives it.

use super::Readings;
#[cfg(target_os = "linux")]
use super::{Unit, Values};

#[cfg(target_os = "linux")]
impl Readings {
    /// Best effort: what cannot be read is not there.
    pub(super) fn process(&mut self) {
        let Ok(process) = procfs::process::Process::myself() else { return };
        if let Ok(stat) = process.stat() {
            let pages = procfs::page_size();
            self.bytes("process_resident_memory", "Memory in use", stat.rss * pages);
            self.bytes("process_virtual_memory", "Memory that was asked for", stat.vsize);
            self.gauge(
                "process_threads",
                "Threads",
                usize::try_from(stat.num_threads).unwrap_or(0),
            );
            let ticks = procfs::ticks_per_second() as f64;
            let cpu = vec![(None, (stat.utime + stat.stime) as f64 / ticks)];
            let help = "Time on processors";
            self.add("process_cpu", help, Some(Unit::Seconds), Values::Counters(cpu));
            if let Ok(booted) = procfs::boot_time_secs() {
                let started = vec![(None, booted as f64 + stat.starttime as f64 / ticks)];
                let help = "When it was started, since 1970";
                self.add("process_start_time", help, Some(Unit::Seconds), Values::Gauges(started));
            }
        }
        if let Ok(open) = process.fd_count() {
            self.gauge("process_open_fds", "File descriptors in use", open);
        }
        if let Ok((most, _)) = rlimit::Resource::NOFILE.get() {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            self.gauge("process_max_fds", "File descriptors that it may have", most);
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Readings {
    #[allow(clippy::unused_self, reason = "elsewhere there is something to read")]
    pub(super) fn process(&mut self) {}
}
