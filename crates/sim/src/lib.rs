//! The real engine against the real session and hub, on a virtual clock, with everything going
//! wrong: the network, the store, the application, the tokens and the person at the keyboard.
//!
//! A seed is a whole run: [`run`] with the same seed does the same, step by step. A checker looks
//! at what publishers, pages and the application saw, and says what part of the promise broke.

mod archive;
mod browser;
mod chaos;
mod check;
#[cfg(test)]
mod conformance;
mod event;
mod flight;
mod handlers;
mod ids;
mod in_between;
mod mutant;
mod network;
mod orders;
mod page;
mod proof;
mod random;
mod reception;
mod restores;
mod sends;
mod server;
mod shown;
mod stops;
mod store;
mod streams;
mod tabs;
mod texts;
mod tokens;
mod told;
mod trace;
mod upkeep;
mod upstream;
mod world;
mod writers;

pub use mutant::Mutant;

/// What became of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// The run's seed.
    pub seed: u64,
    /// How much happened.
    pub steps: u64,
    /// A hash of all that happened.
    pub hash: u64,
    /// What broke, if something did.
    pub failure: Option<Failure>,
}

/// A promise that was not kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which.
    pub problem: String,
    /// The last events before.
    pub last_events: Vec<String>,
}

/// Runs one seed, with a planted bug if one is asked for.
#[must_use]
pub fn run(seed: u64, mutant: Option<Mutant>) -> Report {
    let mut world = world::World::new(seed, mutant);
    world.run();
    let (steps, hash) = (world.trace.steps(), world.trace.hash());
    let last_events = world.trace.into_last();
    let failure = world.failure.map(|problem| Failure { problem, last_events });
    Report { seed, steps, hash, failure }
}

impl std::fmt::Display for Report {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, steps, hash, failure } = self;
        let Some(Failure { problem, last_events }) = failure else {
            return write!(formatter, "seed {seed}: {steps} steps, trace {hash:016x}");
        };
        for line in last_events {
            writeln!(formatter, "{line}")?;
        }
        writeln!(formatter, "seed {seed} broke a promise at step {steps}: {problem}")?;
        write!(formatter, "replay it with: cargo xtask sim --from {seed} --seeds 1")
    }
}
