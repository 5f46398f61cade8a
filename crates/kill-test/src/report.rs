//! What people see: a line while it runs, a table at the end, and evidence if something is wrong.

use std::{
    fmt,
    io::{IsTerminal as _, stderr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use tetherline_process::{note, show};
use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{application::Application, ledger::Counts, scene::Scene, server::Words};

/// A run that is under way.
pub(crate) struct Progress {
    name: &'static str,
    scene: Arc<Scene>,
    started: Instant,
    ticking: JoinHandle<()>,
}

/// How a run ended.
pub(crate) struct Verdict {
    name: &'static str,
    rows: Vec<(&'static str, String)>,
    evidence: Vec<String>,
}

impl Progress {
    pub(crate) fn start(name: &'static str, scene: Arc<Scene>) -> Self {
        let started = Instant::now();
        let ticking = tokio::spawn(tick(name, scene.clone(), started));
        Self { name, scene, started, ticking }
    }

    /// `ended` is an error if the run could not be brought to its end.
    pub(crate) fn finish(
        self,
        ended: Result<()>,
        application: &Application,
        words: &Words,
    ) -> Verdict {
        self.ticking.abort();
        if stderr().is_terminal() {
            show(&format_args!("\r\x1b[2K"));
        }
        let ledger = &self.scene.ledger;
        let mut evidence = ledger.problems();
        evidence.extend(application.problems());
        evidence.extend(ended.err().map(|error| format!("{error:#}")));
        let panicked = words.lines().into_iter().filter(|line| line.contains("panicked at"));
        evidence.extend(panicked);
        if !evidence.is_empty() {
            evidence.push("the server's last words:".into());
            evidence.extend(words.lines());
        }
        Verdict { name: self.name, rows: rows(&ledger.counts, self.started.elapsed()), evidence }
    }
}

impl Verdict {
    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        self.rows.insert(0, (name, value));
        self
    }

    pub(crate) fn is_good(&self) -> bool {
        self.evidence.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.name)?;
        for (name, value) in &self.rows {
            writeln!(formatter, "  {name:<28} {value:>10}")?;
        }
        for line in &self.evidence {
            writeln!(formatter, "  ! {line}")?;
        }
        Ok(())
    }
}

fn rows(counts: &Counts, took: Duration) -> Vec<(&'static str, String)> {
    let row = |name, counter: &AtomicU64| (name, counter.load(Ordering::Relaxed).to_string());
    vec![
        row("kills", &counts.kills),
        row("publishes answered", &counts.published),
        row("publishes repeated", &counts.publishes_repeated),
        row("publishes refused (503)", &counts.publishes_refused),
        row("pages", &counts.pages),
        row("of them closed in order", &counts.pages_closed),
        row("connections", &counts.connections),
        row("messages received", &counts.received),
        row("of them replayed", &counts.replayed),
        row("sends accepted", &counts.sent),
        row("kills while streams were written", &counts.kills_while_streaming),
        row("streams written", &counts.streams),
        row("gone on with after a loss", &counts.streams_resumed),
        row("pieces of them shown", &counts.pieces),
        row("lost", &counts.lost),
        row("doubled", &counts.doubled),
        row("otherwise wrong", &counts.broken),
        ("seconds", format!("{:.1}", took.as_secs_f64())),
    ]
}

async fn tick(name: &'static str, scene: Arc<Scene>, started: Instant) {
    let terminal = stderr().is_terminal();
    let mut every = interval(Duration::from_millis(if terminal { 250 } else { 2_000 }));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    every.tick().await;
    loop {
        every.tick().await;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &scene.ledger.counts;
        let line = format!(
            "{name}: {:.0} s, {} kills, {} published, {} refused, {} received, {} sent, {} wrong",
            started.elapsed().as_secs_f64(),
            read(&counts.kills),
            read(&counts.published),
            read(&counts.publishes_refused),
            read(&counts.received),
            read(&counts.sent),
            read(&counts.lost) + read(&counts.doubled) + read(&counts.broken),
        );
        if terminal {
            show(&format_args!("\r\x1b[2K{line}"));
        } else {
            note!("{line}");
        }
    }
}
