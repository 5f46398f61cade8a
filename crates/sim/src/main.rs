//! `tetherline-sim --seeds N [--from SEED]`: runs that many seeds, and stops at the first that
//! breaks a promise.

use std::{
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use tetherline_sim::{Report, run};

const USAGE: &str = "usage: tetherline-sim --seeds N [--from SEED]";

fn main() -> ExitCode {
    let Some((seeds, from)) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let start = Instant::now();
    let (steps, broken) = run_all(from, seeds);
    if let Some(report) = broken {
        println!("{report}");
        return ExitCode::FAILURE;
    }
    let seconds = start.elapsed().as_secs_f64();
    if seeds == 1 {
        println!("{}", run(from, None));
    }
    println!("{seeds} seeds from {from}: every promise kept, {steps} steps in {seconds:.1} s");
    ExitCode::SUCCESS
}

fn arguments() -> Option<(u64, u64)> {
    let (mut seeds, mut from) = (None, 0);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?.parse().ok()?;
        match name.as_str() {
            "--seeds" => seeds = Some(value),
            "--from" => from = value,
            _ => return None,
        }
    }
    Some((seeds?, from))
}

/// On all cores; answers the lowest seed that broke something.
fn run_all(from: u64, seeds: u64) -> (u64, Option<Report>) {
    let (next, steps) = (AtomicU64::new(0), AtomicU64::new(0));
    let worker = || -> Option<Report> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= seeds {
                return None;
            }
            let report = run(from.wrapping_add(index), None);
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
