//! `tetherline-sim --seeds N [--from SEED] [--mutant NAME]`: runs that many seeds, and stops at the
//! first that breaks a promise. `tetherline-sim --mutants` lists the bugs that can be planted.

use std::{
    panic,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use tetherline_process::{note, say};
use tetherline_sim::{Failure, Mutant, Report, run};

const USAGE: &str = "usage: tetherline-sim --seeds N [--from SEED] [--mutant NAME] | --mutants";

fn main() -> ExitCode {
    if std::env::args().skip(1).eq(["--mutants"]) {
        for mutant in Mutant::ALL {
            say!("{mutant:?}\t{}", mutant.promise());
        }
        return ExitCode::SUCCESS;
    }
    let Some((seeds, from, mutant)) = arguments() else {
        note!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let start = Instant::now();
    let (steps, broken) = run_all(from, seeds, mutant);
    if let Some(report) = broken {
        say!("{report}");
        return ExitCode::FAILURE;
    }
    let seconds = start.elapsed().as_secs_f64();
    if seeds == 1 {
        say!("{}", run(from, mutant));
    }
    say!("{seeds} seeds from {from}: every promise kept, {steps} steps in {seconds:.1} s");
    ExitCode::SUCCESS
}

fn arguments() -> Option<(u64, u64, Option<Mutant>)> {
    let (mut seeds, mut from, mut mutant) = (None, 0, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--seeds" => seeds = Some(value.parse().ok()?),
            "--from" => from = value.parse().ok()?,
            "--mutant" => mutant = Some(Mutant::named(&value)?),
            _ => return None,
        }
    }
    Some((seeds?, from, mutant))
}

/// On all cores; answers the lowest seed that broke something.
fn run_all(from: u64, seeds: u64, mutant: Option<Mutant>) -> (u64, Option<Report>) {
    let (next, steps) = (AtomicU64::new(0), AtomicU64::new(0));
    let worker = || -> Option<Report> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= seeds {
                return None;
            }
            let report = run_guarded(from.wrapping_add(index), mutant);
            steps.fetch_add(report.steps, Ordering::Relaxed);
            if report.failure.is_some() {
                next.store(seeds, Ordering::Relaxed);
                return Some(report);
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let broken = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        let reports = workers.into_iter().filter_map(|worker| worker.join().ok().flatten());
        reports.min_by_key(|report| report.seed)
    });
    (steps.into_inner(), broken)
}

/// A panic is a broken promise too.
fn run_guarded(seed: u64, mutant: Option<Mutant>) -> Report {
    panic::catch_unwind(|| run(seed, mutant)).unwrap_or_else(|_| {
        let problem = "it panicked, in the words above".to_owned();
        let failure = Some(Failure { problem, last_events: Vec::new() });
        Report { seed, steps: 0, hash: 0, failure }
    })
}
