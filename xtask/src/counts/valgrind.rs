//! Counts what one path does, with valgrind's callgrind.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::workspace::{command, output};

/// Nothing that the allocator does may depend on which thread came first.
const ALLOCATOR: &str = "glibc.malloc.arena_max=1:glibc.malloc.mxfast=0:\
                         glibc.malloc.tcache_count=1000:glibc.malloc.tcache_max=131072";
/// Where the counts of the start and of the end are divided from those in between.
const DIVIDERS: [&str; 2] = ["--dump-before=*::counting_begins", "--dump-before=*::counting_ends"];
/// The second piece is what lies between the two.
const COUNTED_PIECE: &str = "2";

pub(super) struct Callgrind {
    root: PathBuf,
    binary: PathBuf,
    profiles: PathBuf,
}

/// For one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) instructions: u64,
    /// For information: what the disk was given to write.
    pub(super) bytes_written: u64,
}

impl Counted {
    pub(super) fn least(self, other: Self) -> Self {
        std::cmp::min_by_key(self, other, |counted| counted.instructions)
    }
}

impl Callgrind {
    pub(super) fn new(root: &Path, built: &Path) -> Result<Self> {
        let binary = built.join("tetherline-hot-paths");
        let profiles = built.join("profiles");
        fs::create_dir_all(&profiles).with_context(|| format!("making {}", profiles.display()))?;
        Ok(Self { root: root.to_path_buf(), binary, profiles })
    }

    pub(super) fn paths(&self) -> Result<Vec<String>> {
        let list = output(&self.root, &self.binary.to_string_lossy(), &["--list"])?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// What callgrind wrote down of a path when it was last counted.
    pub(super) fn profile(&self, path: &str) -> PathBuf {
        self.profiles.join(format!("{path}.{COUNTED_PIECE}"))
    }

    pub(super) fn count(&self, path: &str) -> Result<Counted> {
        let profile = self.profile(path);
        // What an earlier run left must not be taken for this one's.
        if profile.exists() {
            fs::remove_file(&profile).with_context(|| format!("removing {}", profile.display()))?;
        }
        let done = command(&self.root, "valgrind")
            .args(["--tool=callgrind", DIVIDERS[0], DIVIDERS[1]])
            .arg(format!("--callgrind-out-file={}", self.profiles.join(path).display()))
            .args([&self.binary, Path::new(path)])
            .env("GLIBC_TUNABLES", ALLOCATOR)
            .output()
            .context("cannot start `valgrind`")?;
        if !done.status.success() {
            bail!("counting `{path}` failed:\n{}", String::from_utf8_lossy(&done.stderr));
        }
        let (operations, written) = operations(&String::from_utf8_lossy(&done.stdout))
            .with_context(|| format!("`{path}` does not say how often it was gone"))?;
        let profile = fs::read_to_string(&profile).with_context(|| {
            format!("callgrind left no {}: was a divider inlined?", profile.display())
        })?;
        let total = total(&profile).context("callgrind's profile has no total")?;
        Ok(Counted { instructions: total / operations, bytes_written: written / operations })
    }
}

/// What besides the code decides about the counts, in one line.
pub(super) fn tools(root: &Path) -> Result<String> {
    let first = |program, arguments: &[&str]| -> Result<String> {
        Ok(output(root, program, arguments)?.lines().next().unwrap_or_default().to_owned())
    };
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    // valgrind shows programs no newer instructions than these.
    let avx2 = if processor.contains(" avx2 ") { " with AVX2" } else { "" };
    Ok(format!(
        "{}; {}; {}; {}; {}{avx2}",
        first("rustc", &["--version"])?,
        first("cc", &["--version"])?,
        first("ldd", &["--version"])?,
        first("valgrind", &["--version"])?,
        std::env::consts::ARCH,
    ))
}

/// `operations 400 written 1638400`.
fn operations(text: &str) -> Option<(u64, u64)> {
    let (operations, written) = text.trim().strip_prefix("operations ")?.split_once(" written ")?;
    Some((operations.parse().ok().filter(|&count| count > 0)?, written.parse().ok()?))
}

fn total(profile: &str) -> Option<u64> {
    profile.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_binary_and_callgrind_say_is_read() {
        assert_eq!(operations("operations 400 written 8\n"), Some((400, 8)));
        assert_eq!(operations("operations 0 written 8\n"), None);
        assert_eq!(total("events: Ir\nfn=main\n1 2\ntotals: 1234\n"), Some(1234));
    }

    #[test]
    fn the_least_of_several_counts() {
        let counted = |instructions| Counted { instructions, bytes_written: 1 };
        assert_eq!(counted(3).least(counted(2)), counted(2));
    }
}
