use super::{figures, is_generators_limit, median, number, spread};
use crate::{
    campaign::{Record, Records, SCENARIOS},
    peer::Peer::{self, Bare, Plain, PlainKeys, Tetherline},
    record::Counts,
};

/// One table of the document.
pub(super) struct Table {
    pub(super) block: &'static str,
    rows: Rows,
    columns: &'static [Column],
}

/// What a line is about.
enum Rows {
    /// Everybody who was put under this load.
    Everybody(&'static str),
    /// The points of one curve, and what they count.
    Points(&'static str, &'static str),
    /// These, each with its words.
    Of(&'static [(&'static str, &'static str, Peer)]),
}

struct Column {
    title: &'static str,
    show: Show,
}

enum Show {
    /// The median and, where they differ, the least and the most; divided by so much.
    Spread(&'static str, f64),
    Median(&'static str, f64),
    /// Two of them, for a median and a percentile.
    Two(&'static str, &'static str),
    /// How many times what another reached, in the same load unless another is named.
    Times(&'static str, Peer),
    TimesIn(&'static str, &'static str, Peer),
    /// Lost, doubled, out of order.
    Counts,
}

use Show::{Median, Spread, Times, TimesIn, Two};

const fn column(title: &'static str, show: Show) -> Column {
    Column { title, show }
}

const COUNTS: Column = column("lost, doubled, out of order", Show::Counts);

pub(super) const TABLES: &[Table] = &[
    Table {
        block: "saturated",
        rows: Rows::Everybody("saturated"),
        columns: &[
            column("messages/s", Spread("delivered_per_s", 1.0)),
            column("× plain", Times("delivered_per_s", Plain)),
            column("× bare", Times("delivered_per_s", Bare)),
            column("delivered after, p50 and p99, ms", Two("delivery_p50_ms", "delivery_p99_ms")),
            column("server, µs each", Median("cpu_per_publish_us", 1.0)),
            column("written, kB each", Median("written_per_publish_bytes", 1e3)),
            COUNTS,
        ],
    },
    Table {
        block: "keyed",
        rows: Rows::Everybody("keyed"),
        columns: &[
            column("messages/s", Spread("delivered_per_s", 1.0)),
            column("× plain", Times("delivered_per_s", PlainKeys)),
            column("server, µs each", Median("cpu_per_publish_us", 1.0)),
            column("written, kB each", Spread("written_per_publish_bytes", 1e3)),
            COUNTS,
        ],
    },
    Table {
        block: "half",
        rows: Rows::Everybody("half"),
        columns: &[
            column("messages/s", Median("delivered_per_s", 1.0)),
            column("delivered after, p50, ms", Spread("delivery_p50_ms", 1.0)),
            column("× plain", Times("delivery_p50_ms", Plain)),
            column("p99, ms", Spread("delivery_p99_ms", 1.0)),
            column("× plain", Times("delivery_p99_ms", Plain)),
            column("server, % of its core", Median("server_cpu_pct", 1.0)),
            COUNTS,
        ],
    },
    Table {
        block: "one-user",
        rows: Rows::Everybody("one-user"),
        columns: &[
            column("messages/s", Spread("delivered_per_s", 1.0)),
            column("× plain", Times("delivered_per_s", Plain)),
            column("× bare", Times("delivered_per_s", Bare)),
            column("server, µs each", Median("cpu_per_publish_us", 1.0)),
            COUNTS,
        ],
    },
    Table {
        block: "storm",
        rows: Rows::Everybody("storm"),
        columns: &[
            column("until all have all, ms", Spread("until_all_have_all_ms", 1.0)),
            column("× plain", Times("until_all_have_all_ms", Plain)),
            column("messages/s", Median("replayed_per_s", 1.0)),
            column("server, µs each", Median("cpu_per_message_us", 1.0)),
            COUNTS,
        ],
    },
    Table {
        block: "connect",
        rows: Rows::Everybody("connect"),
        columns: &[
            column("connects/s", Spread("connects_per_s", 1.0)),
            column("× bare", Times("connects_per_s", Bare)),
            column("server, µs each", Median("cpu_per_connect_us", 1.0)),
            column("kB each", Spread("memory_per_connection_bytes", 1e3)),
            column("idle, % of a core", Median("idle_cpu_pct", 1.0)),
        ],
    },
    Table {
        block: "stays",
        rows: Rows::Of(&[
            ("idle", "connect", Tetherline),
            ("after 50 × 256 B", "stays-50-small", Tetherline),
            ("after one message of 900 kB", "stays-1-large", Tetherline),
        ]),
        columns: &[column("kB of each connection", Spread("memory_per_connection_bytes", 1e3))],
    },
    Table {
        block: "together",
        rows: Rows::Of(&[
            ("one a request, everybody connected", "saturated", Tetherline),
            ("500 a request, everybody connected", "together", Tetherline),
            ("one a request, nobody connected", "apart-to-nobody", Tetherline),
            ("500 a request, nobody connected", "together-to-nobody", Tetherline),
        ]),
        columns: &[
            column("messages/s", Spread("published_per_s", 1.0)),
            column(
                "× one a request, everybody",
                TimesIn("saturated", "published_per_s", Tetherline),
            ),
            column(
                "× one a request, nobody",
                TimesIn("apart-to-nobody", "published_per_s", Tetherline),
            ),
            column("server, µs each", Median("cpu_per_publish_us", 1.0)),
            column("written, kB each", Median("written_per_publish_bytes", 1e3)),
            COUNTS,
        ],
    },
    Table {
        block: "streams",
        rows: Rows::Everybody("streams"),
        columns: &[
            column("server, µs a word", Spread("cpu_per_word_us", 1.0)),
            column("% of its core", Median("server_cpu_pct", 1.0)),
            column("said to shown, p50 and p99, ms", Two("shown_p50_ms", "shown_p99_ms")),
        ],
    },
    Table {
        block: "growth-users",
        rows: Rows::Points("growth-users", "users with mailboxes"),
        columns: &[
            column("messages/s", Spread("published_per_s", 1.0)),
            column("server, µs each", Spread("cpu_per_publish_us", 1.0)),
            column("written, kB each", Median("written_per_publish_bytes", 1e3)),
            COUNTS,
        ],
    },
    Table {
        block: "growth-connections",
        rows: Rows::Points("growth-connections", "connections"),
        columns: &[
            column("messages/s", Spread("delivered_per_s", 1.0)),
            column("server, µs each", Spread("cpu_per_publish_us", 1.0)),
            COUNTS,
        ],
    },
    Table {
        block: "growth-backlog",
        rows: Rows::Points("growth-backlog", "messages missed"),
        columns: &[
            column("server, µs for each user", Spread("cpu_per_user_us", 1.0)),
            column("server, µs for each message", Spread("cpu_per_message_us", 1.0)),
            COUNTS,
        ],
    },
];

impl Table {
    pub(super) fn text(&self, records: &Records) -> String {
        let head = match self.rows {
            Rows::Points(_, of) => of,
            _ => "",
        };
        let titles: Vec<&str> = self.columns.iter().map(|column| column.title).collect();
        let mut lines = vec![format!("| {head} | {} |", titles.join(" | "))];
        lines.push(format!("|---|{}", "---|".repeat(titles.len())));
        for (title, scenario, at, peer) in self.rows.all() {
            let runs = records.of(scenario, at, peer);
            if runs.is_empty() {
                continue;
            }
            let cell = |column: &Column| column.show.cell(records, scenario, &runs);
            let cells: Vec<String> = self.columns.iter().map(cell).collect();
            lines.push(format!("| {title} | {} |", cells.join(" | ")));
        }
        if lines.len() == 2 {
            return "Not measured yet.\n".to_owned();
        }
        lines.join("\n") + "\n"
    }
}

impl Rows {
    fn all(&self) -> Vec<(String, &'static str, Option<u32>, Peer)> {
        match *self {
            Self::Of(rows) => rows
                .iter()
                .map(|&(title, scenario, one)| (title.to_owned(), scenario, None, one))
                .collect(),
            Self::Everybody(name) => SCENARIOS
                .iter()
                .filter(|scenario| scenario.name == name)
                .flat_map(|scenario| scenario.peers)
                .map(|&one| (one.title().to_owned(), name, None, one))
                .collect(),
            Self::Points(name, _) => SCENARIOS
                .iter()
                .filter(|scenario| scenario.name == name)
                .filter_map(|scenario| Some((scenario.at?, scenario.peers)))
                .flat_map(|(at, all)| all.iter().map(move |&one| (at, one)))
                .map(|(at, one)| (number(f64::from(at)), name, Some(at), one))
                .collect(),
        }
    }
}

impl Show {
    /// What it shows of these runs.
    fn cell(&self, records: &Records, scenario: &str, runs: &[&Record]) -> String {
        let of = |name| median(&figures(runs, name));
        let times = |name, scenario, other| {
            let base = median(&figures(&records.of(scenario, None, other), name));
            Some(format!("{:.2}", of(name)? / base.filter(|base| *base > 0.0)?))
        };
        let text = match *self {
            Spread(name, by) => with_spread(&figures(runs, name), by).map(|text| {
                let is_least = name.ends_with("_per_s") && is_generators_limit(runs);
                if is_least { format!("≥ {text}") } else { text }
            }),
            Median(name, by) => of(name).map(|figure| number(figure / by)),
            Two(first, second) => of(first)
                .zip(of(second))
                .map(|(first, second)| format!("{} and {}", number(first), number(second))),
            Times(name, other) => times(name, scenario, other),
            TimesIn(scenario, name, other) => times(name, scenario, other),
            Self::Counts => Some(counts(runs)),
        };
        text.unwrap_or_else(|| "–".to_owned())
    }
}

pub(super) fn with_spread(figures: &[f64], by: f64) -> Option<String> {
    let (median, (least, most)) = (median(figures)? / by, spread(figures)?);
    let (least, most) = (least / by, most / by);
    // Less than that is not worth reading.
    if most - least <= 0.02 * median.abs() {
        return Some(number(median));
    }
    Some(format!("{} ({}–{})", number(median), number(least), number(most)))
}

/// Of all runs together.
fn counts(runs: &[&Record]) -> String {
    let sum = |of: fn(&Counts) -> u64| -> u64 {
        runs.iter().map(|record| of(&record.measured.counts)).sum()
    };
    let (lost, doubled) = (sum(|counts| counts.lost), sum(|counts| counts.doubled));
    let counted = [lost, doubled, sum(|counts| counts.reordered)].map(|count| number(count as f64));
    let also = sum(|counts| counts.misdelivered + counts.refused + counts.closed);
    let also = if also > 0 { format!("; {also} refused or cut off") } else { String::new() };
    counted.join(", ") + &also
}
