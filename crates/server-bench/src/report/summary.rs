use super::{figures, median, number};
use crate::{
    campaign::Records,
    peer::Peer::{
        self, Bare, Plain, PlainKeys, Tetherline, TetherlineAcked, TetherlineKeyed, TetherlineLive,
    },
};

/// What was aimed at, and what it came to.
struct Line {
    what: &'static str,
    at_least: &'static str,
    aim: &'static str,
    reached: Reached,
}

/// A figure's name, and where it is found.
type Figure = (&'static str, &'static str, Peer);

enum Reached {
    Times(Figure, Figure, &'static str),
    /// Divided by so much, in a unit.
    Absolute(Figure, f64, &'static str),
}

use Reached::{Absolute, Times};

const CONNECTS: &str = "connects_per_s";
const MEMORY: &str = "memory_per_connection_bytes";
const DELIVERED: &str = "delivered_per_s";
const PUBLISHED: &str = "published_per_s";
const WRITTEN: &str = "written_per_publish_bytes";
const UNTIL_ALL: &str = "until_all_have_all_ms";

const fn line(
    what: &'static str,
    at_least: &'static str,
    aim: &'static str,
    reached: Reached,
) -> Line {
    Line { what, at_least, aim, reached }
}

const LINES: &[Line] = &[
    line(
        "connects, token checked, device known",
        "0.4 × bare",
        "0.6 × bare",
        Times((CONNECTS, "connect", Tetherline), (CONNECTS, "connect", Bare), "bare"),
    ),
    line(
        "memory of an idle connection, 10,000 of them",
        "6.5 kB",
        "6.0 kB",
        Absolute((MEMORY, "connect", Tetherline), 1e3, "kB"),
    ),
    line(
        "the same after a replay of 50 × 256 B",
        "7 kB",
        "as idle",
        Absolute((MEMORY, "stays-50-small", Tetherline), 1e3, "kB"),
    ),
    line(
        "the same after one message of 900 kB",
        "7 kB",
        "as idle",
        Absolute((MEMORY, "stays-1-large", Tetherline), 1e3, "kB"),
    ),
    line(
        "durable, saturated",
        "1.0 × plain",
        "1.3 × plain",
        Times((DELIVERED, "saturated", Tetherline), (DELIVERED, "saturated", Plain), "plain"),
    ),
    line(
        "the same, every message acknowledged",
        "0.9 × plain",
        "1.1 × plain",
        Times((DELIVERED, "saturated", TetherlineAcked), (DELIVERED, "saturated", Plain), "plain"),
    ),
    line(
        "the same with idempotency keys, in steady state",
        "1.0 × plain",
        "1.2 × plain",
        Times((DELIVERED, "keyed", TetherlineKeyed), (DELIVERED, "keyed", PlainKeys), "plain"),
    ),
    line(
        "written for each of these",
        "8 kB",
        "6 kB",
        Absolute((WRITTEN, "keyed", TetherlineKeyed), 1e3, "kB"),
    ),
    line(
        "durable, at half of what plain can do, p50",
        "1.3 × plain",
        "as plain",
        Times(("delivery_p50_ms", "half", Tetherline), ("delivery_p50_ms", "half", Plain), "plain"),
    ),
    line(
        "the same, p99",
        "1.2 × plain",
        "as plain",
        Times(("delivery_p99_ms", "half", Tetherline), ("delivery_p99_ms", "half", Plain), "plain"),
    ),
    line(
        "live-only, saturated",
        "0.75 × bare",
        "0.8 × bare",
        Times((DELIVERED, "saturated", TetherlineLive), (DELIVERED, "saturated", Bare), "bare"),
    ),
    line(
        "one user",
        "1.0 × plain",
        "1.2 × plain",
        Times((DELIVERED, "one-user", Tetherline), (DELIVERED, "one-user", Plain), "plain"),
    ),
    line(
        "1,000 users × 50 missed, until all have all",
        "1.6 × plain's time",
        "1.2 × plain's time",
        Times((UNTIL_ALL, "storm", Tetherline), (UNTIL_ALL, "storm", Plain), "plain's time"),
    ),
    line(
        "500 messages a request, everybody connected",
        "1.5 × one each",
        "2 × one each",
        Times(
            (PUBLISHED, "together", Tetherline),
            (PUBLISHED, "saturated", Tetherline),
            "one each",
        ),
    ),
    line(
        "the same, nobody connected",
        "2.5 × one each",
        "4 × one each",
        Times(
            (PUBLISHED, "together-to-nobody", Tetherline),
            (PUBLISHED, "apart-to-nobody", Tetherline),
            "one each",
        ),
    ),
    line(
        "1,000 streams at 50 words/s, server a word",
        "14 µs",
        "10 µs",
        Absolute(("cpu_per_word_us", "streams", Tetherline), 1.0, "µs"),
    ),
    line(
        "idle at 10,000 connections, of a core",
        "0.02 %",
        "0.02 %",
        Absolute(("idle_cpu_pct", "connect", Tetherline), 1.0, "%"),
    ),
];

pub(super) fn table(records: &Records) -> String {
    let of =
        |(name, scenario, peer): Figure| median(&figures(&records.of(scenario, None, peer), name));
    let mut lines =
        vec!["| | at least | aim | measured |".to_owned(), "|---|---|---|---|".to_owned()];
    for Line { what, at_least, aim, reached } in LINES {
        let reached = match *reached {
            Times(figure, base, of_whom) => of(figure)
                .zip(of(base).filter(|base| *base > 0.0))
                .map(|(figure, base)| format!("{:.2} × {of_whom}", figure / base)),
            Absolute(figure, by, unit) => {
                of(figure).map(|figure| format!("{} {unit}", number(figure / by)))
            }
        };
        let reached = reached.unwrap_or_else(|| "–".to_owned());
        lines.push(format!("| {what} | {at_least} | {aim} | {reached} |"));
    }
    lines.join("\n") + "\n"
}
