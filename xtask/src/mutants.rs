//! `cargo xtask mutants`: bugs planted in a copy of the code, and whether the simulator finds them.

mod patch;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use crate::workspace::{command, files, target, walk};
use patch::Patch;
pub(crate) use patch::problems;
use tetherline_process::{note, say};

const USAGE: &str = "cargo xtask mutants [--only NAME[,NAME]] [--seeds N]";
/// How many seeds a planted bug may survive by default.
const SEEDS: u64 = 100_000;
/// The code without a bug has to keep its promises for so many seeds, or the table means nothing.
const SEEDS_MIN: u64 = 1_000;
/// What the simulator is built from.
const CRATES: [&str; 6] = [
    "crates/protocol/",
    "crates/engine/",
    "crates/process/",
    "crates/server/",
    "crates/sim/",
    // Tests only, and named in the manifests.
    "crates/store-conformance/",
];
const BESIDE: [&str; 3] = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml"];

struct Options {
    only: Option<String>,
    seeds: u64,
}

/// A line of the table.
struct Verdict {
    name: String,
    place: &'static str,
    finding: Option<Finding>,
    seconds: f64,
    bug: String,
    promise: String,
}

/// What the simulator said about a bug.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    seed: u64,
    problem: String,
}

/// Plants one bug after the other, prints the table, and answers whether all were found.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<bool> {
    let mut options = Options::parse(arguments)?;
    let patches = patch::all(root)?;
    let tree = Tree::copy(root)?;
    for patch in &patches {
        patch.apply(&tree.folder)?;
    }
    note!("building the simulator in {}", tree.folder.display());
    tree.build().context("the copy does not build without a bug")?;
    if let Some(Finding { seed, problem }) = tree.simulate(options.seeds, None)? {
        // A bug of our own must not pass for the planted one.
        note!("seed {seed} fails without a planted bug ({problem}): only those before it count");
        if seed < SEEDS_MIN.min(options.seeds) {
            bail!("these are too few; see `cargo xtask sim --from {seed} --seeds 1`");
        }
        options.seeds = seed;
    }
    let mut verdicts = Vec::new();
    for (name, promise) in tree.models()? {
        if options.wants(&name) {
            let started = Instant::now();
            let finding = tree.simulate(options.seeds, Some(&name))?;
            let (bug, seconds) = (String::new(), started.elapsed().as_secs_f64());
            verdicts.push(Verdict { name, place: "model", finding, seconds, bug, promise }.shown());
        }
    }
    for patch in patches {
        if options.wants(&patch.name) {
            verdicts.push(tree.try_patch(patch, options.seeds)?.shown());
        }
    }
    if verdicts.is_empty() {
        bail!("no mutant is called that; {}/ has them all", patch::FOLDER);
    }
    Ok(summarise(&verdicts))
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self { only: None, seeds: SEEDS };
        for pair in arguments.chunks(2) {
            match pair {
                [name, value] if name == "--only" => options.only = Some(value.clone()),
                [name, value] if name == "--seeds" => {
                    options.seeds = value.parse().with_context(|| format!("`{value}` seeds"))?;
                }
                _ => bail!("`{}` is not understood. Use {USAGE}.", pair.join(" ")),
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.split(',').any(|only| name.contains(only)))
    }
}

/// A copy of what the simulator is built from, with a build folder of its own.
struct Tree {
    folder: PathBuf,
    build: PathBuf,
}

impl Tree {
    /// Files that are the same are left alone, so that only what changed is built anew.
    fn copy(root: &Path) -> Result<Self> {
        let folder = target(root).join("mutants").join("tree");
        let build = target(root).join("mutants").join("build");
        let tree = Self { folder, build };
        let mut wanted = files(root)?;
        wanted.retain(|path| {
            BESIDE.contains(&path.as_str()) || CRATES.iter().any(|name| path.starts_with(name))
        });
        for path in &wanted {
            let text = fs::read(root.join(path)).with_context(|| format!("reading {path}"))?;
            match path.as_str() {
                // What is not copied is no member either.
                "Cargo.toml" => tree.write(path, &only_crates(&String::from_utf8(text)?)?)?,
                _ => tree.write(path, &text)?,
            }
        }
        tree.forget_all_but(&wanted)?;
        Ok(tree)
    }

    fn write(&self, path: &str, text: &[u8]) -> Result<()> {
        let place = self.folder.join(path);
        // Cargo writes the lock file of the smaller workspace itself.
        if fs::read(&place).is_ok_and(|current| current == text) {
            return Ok(());
        }
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&place, text).with_context(|| format!("writing {}", place.display()))
    }

    fn forget_all_but(&self, wanted: &[String]) -> Result<()> {
        for path in walk(&self.folder, &self.folder)? {
            if !wanted.contains(&path) {
                fs::remove_file(self.folder.join(path))?;
            }
        }
        Ok(())
    }

    fn build(&self) -> Result<()> {
        let build = self.build.to_string_lossy().into_owned();
        let arguments =
            ["build", "--profile", "sim", "-p", "tetherline-sim", "--target-dir", &build];
        let mut cargo = command(&self.folder, "cargo");
        let output = cargo.args(arguments).stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(());
        }
        bail!("{}", String::from_utf8_lossy(&output.stderr))
    }

    fn simulator(&self, arguments: &[&str]) -> Result<Output> {
        let name = format!("tetherline-sim{}", std::env::consts::EXE_SUFFIX);
        let binary = self.build.join("sim").join(name);
        let mut simulator = command(&self.folder, &binary.to_string_lossy());
        Ok(simulator.args(arguments).stdin(Stdio::null()).output()?)
    }

    /// The bugs that the simulator plants in its own models.
    fn models(&self) -> Result<Vec<(String, String)>> {
        let output = self.simulator(&["--mutants"])?;
        let text = String::from_utf8(output.stdout)?;
        let pair = |line: &str| line.split_once('\t').map(|(a, b)| (a.to_owned(), b.to_owned()));
        Ok(text.lines().filter_map(pair).collect())
    }

    fn simulate(&self, seeds: u64, model: Option<&str>) -> Result<Option<Finding>> {
        let seeds = seeds.to_string();
        let mut arguments = vec!["--seeds", &seeds];
        arguments.extend(model.into_iter().flat_map(|model| ["--mutant", model]));
        let output = self.simulator(&arguments)?;
        if output.status.success() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        match text.lines().find_map(Finding::read) {
            Some(finding) => Ok(Some(finding)),
            None => bail!("{text}{}", String::from_utf8_lossy(&output.stderr)),
        }
    }

    fn try_patch(&self, patch: Patch, seeds: u64) -> Result<Verdict> {
        let patched = patch.apply(&self.folder)?;
        let originals: BTreeMap<&String, Vec<u8>> = patched
            .keys()
            .map(|path| Ok((path, fs::read(self.folder.join(path))?)))
            .collect::<Result<_>>()?;
        for (path, text) in &patched {
            self.write(path, text.as_bytes())?;
        }
        let built = self.build().with_context(|| format!("{} does not build", patch.name));
        let started = Instant::now();
        let found = built.and_then(|()| self.simulate(seeds, None));
        for (path, text) in originals {
            self.write(path, &text)?;
        }
        Ok(Verdict {
            place: place(&patch),
            name: patch.name,
            finding: found?,
            seconds: started.elapsed().as_secs_f64(),
            bug: patch.bug,
            promise: patch.promise,
        })
    }
}

/// The workspace with the crates that are there, and nothing else.
fn only_crates(manifest: &str) -> Result<Vec<u8>> {
    let mut changed = false;
    let lines = manifest.lines().map(|line| {
        let is_members = line.starts_with("members = ");
        changed |= is_members;
        if is_members { "members = [\"crates/*\"]" } else { line }
    });
    let text = lines.collect::<Vec<_>>().join("\n") + "\n";
    if !changed {
        bail!("Cargo.toml lists its members in a way that is not understood");
    }
    Ok(text.into_bytes())
}

fn place(patch: &Patch) -> &'static str {
    let file = patch.hunks.first().map_or("", |hunk| hunk.file.as_str());
    let places = [("engine", "engine"), ("server", "server"), ("protocol", "protocol")];
    let is_in = |(name, _): &&(&str, &str)| file.starts_with(&format!("crates/{name}/"));
    places.iter().find(is_in).map_or("elsewhere", |(_, place)| place)
}

impl Finding {
    /// Reads `seed 12 broke a promise at step 34: what`.
    fn read(line: &str) -> Option<Self> {
        let rest = line.strip_prefix("seed ")?;
        let (seed, rest) = rest.split_once(" broke a promise")?;
        let (_, problem) = rest.split_once(": ")?;
        Some(Self { seed: seed.parse().ok()?, problem: problem.to_owned() })
    }
}

impl Verdict {
    fn shown(self) -> Self {
        note!("{}", self.line());
        self
    }

    fn line(&self) -> String {
        let Self { name, place, finding, seconds, promise, .. } = self;
        let caught = match finding {
            Some(Finding { seed, problem }) => {
                format!("seed {seed:>5}  {seconds:>6.1} s  {problem}")
            }
            None => format!("SURVIVES    {seconds:>6.1} s  would break: {promise}"),
        };
        format!("{name:<36} {place:<9} {caught}")
    }
}

fn summarise(verdicts: &[Verdict]) -> bool {
    say!("{:<36} {:<9} {:<10}  {:>8}  what the checker said", "planted", "where", "found by", "");
    for verdict in verdicts {
        say!("{}", verdict.line());
    }
    let survivors: Vec<_> = verdicts.iter().filter(|verdict| verdict.finding.is_none()).collect();
    for Verdict { name, bug, promise, .. } in &survivors {
        say!("\n{name} survives. {bug} That breaks: {promise}");
    }
    let found = verdicts.len() - survivors.len();
    say!("\n{found} of {} planted bugs found", verdicts.len());
    survivors.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simulators_verdict_is_read_from_its_words() {
        let line = "seed 12 broke a promise at step 34: page 1 got 2 twice: really";
        let problem = "page 1 got 2 twice: really".to_owned();
        assert_eq!(Finding::read(line), Some(Finding { seed: 12, problem }));
        assert_eq!(Finding::read("seed 12: 34 steps, trace 56"), None);
    }

    #[test]
    fn the_copy_has_the_crates_alone_as_members() {
        let manifest = "[workspace]\nmembers = [\"crates/*\", \"xtask\"]\n";
        let expected = "[workspace]\nmembers = [\"crates/*\"]\n";
        assert_eq!(only_crates(manifest).unwrap(), expected.as_bytes());
        assert!(only_crates("[workspace]\n").is_err());
    }
}
