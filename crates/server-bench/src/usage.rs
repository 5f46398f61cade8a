//! What a process and those that it started have used, as Linux counts it.

use std::fs;

/// A server, which may have started others: nginx does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tree {
    root: u32,
}

impl Tree {
    pub(crate) fn of(root: u32) -> Self {
        Self { root }
    }

    /// Time on a processor, to the nanosecond: hundredths of a second are too coarse here.
    pub(crate) fn cpu_ns(self) -> u64 {
        self.processes().into_iter().map(cpu_ns).sum()
    }

    /// Memory, shared pages divided among those who share them.
    pub(crate) fn memory_bytes(self) -> u64 {
        let of_one = |pid| field(&format!("/proc/{pid}/smaps_rollup"), "Pss:").unwrap_or(0) * 1024;
        self.processes().into_iter().map(of_one).sum()
    }

    /// What went to the disk, or will.
    pub(crate) fn written_bytes(self) -> u64 {
        let of_one = |pid| field(&format!("/proc/{pid}/io"), "write_bytes:").unwrap_or(0);
        self.processes().into_iter().map(of_one).sum()
    }

    fn processes(self) -> Vec<u32> {
        let all: Vec<(u32, u32)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, parent(pid)?)))
            .collect();
        let mut family = vec![self.root];
        let mut next = 0;
        while let Some(&parent) = family.get(next) {
            family.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| pid));
            next += 1;
        }
        family
    }
}

/// Of all threads of one process that still live.
pub(crate) fn cpu_ns(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        })
        .sum()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may have spaces; the parent is the second field behind it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn field(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
