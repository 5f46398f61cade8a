//! One line per step with the time it took, and a sign of life from steps that print nothing.

use std::{
    fmt,
    io::{IsTerminal as _, stderr},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tetherline_process::{note, show};

/// Runs one step, says how long it took, and names the step if it fails.
///
/// Steps whose program prints its own progress need nothing more; [`quiet_step`] is for the rest.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    note!("▸ {name} …");
    let started = Instant::now();
    let result = work().with_context(|| format!("{name} failed"))?;
    note!("✓ {name}  {}", Elapsed(started.elapsed()));
    Ok(result)
}

/// A step that is already done.
pub(crate) fn current(name: &str) {
    note!("✓ {name}  (nothing changed)");
}

/// A [`step`] whose program is silent for long: an elapsed time moves in its place.
pub(crate) fn quiet_step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    step(name, || {
        let (done, is_done) = mpsc::channel::<()>();
        let ticking = name.to_owned();
        let ticker = thread::spawn(move || tick(&ticking, &is_done));
        let result = work();
        drop(done);
        // The ticker cannot panic: it only prints.
        let _ = ticker.join();
        result
    })
}

fn tick(name: &str, is_done: &mpsc::Receiver<()>) {
    let started = Instant::now();
    let terminal = stderr().is_terminal();
    let every = Duration::from_secs(if terminal { 1 } else { 10 });
    while is_done.recv_timeout(every) == Err(mpsc::RecvTimeoutError::Timeout) {
        let elapsed = Elapsed(started.elapsed());
        if terminal {
            show(&format_args!("\r  {name}: {elapsed}"));
        } else {
            note!("  {name}: {elapsed}");
        }
    }
    if terminal {
        show(&format_args!("\r\x1b[2K"));
    }
}

/// A duration as people read it: `0.4 s`, `3 min 07 s`.
#[derive(Clone, Copy)]
pub(crate) struct Elapsed(pub(crate) Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds < 60 {
            write!(formatter, "{:.1} s", self.0.as_secs_f64())
        } else {
            write!(formatter, "{} min {:02} s", seconds / 60, seconds % 60)
        }
    }
}
