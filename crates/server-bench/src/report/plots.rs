//! The plots, as SVG that reads well on light and on dark ground.

mod bars;
mod curve;
mod restart;

use anyhow::Result;
use plotters::style::RGBColor;

use super::{figures, median, spread};
use crate::{
    campaign::{Records, SCENARIOS},
    peer::Peer,
};

const FONT: &str = "system-ui, -apple-system, 'Segoe UI', sans-serif";
const INK: RGBColor = RGBColor(0x1f, 0x24, 0x28);
const QUIET: RGBColor = RGBColor(0x65, 0x6d, 0x76);
const GRID: RGBColor = RGBColor(0xd8, 0xde, 0xe4);
const OURS: RGBColor = RGBColor(0x1a, 0x7f, 0x5a);
const WRITTEN_HERE: RGBColor = RGBColor(0x5b, 0x7f, 0xb5);
const OTHERS: RGBColor = RGBColor(0xa8, 0xae, 0xb5);
/// Each of these on dark ground. Attributes give way to a style, and a style knows the ground.
const ON_DARK: [(RGBColor, RGBColor); 6] = [
    (INK, RGBColor(0xe6, 0xed, 0xf3)),
    (QUIET, RGBColor(0x9d, 0xa7, 0xb1)),
    (GRID, RGBColor(0x35, 0x3c, 0x44)),
    (OURS, RGBColor(0x3f, 0xc6, 0x94)),
    (WRITTEN_HERE, RGBColor(0x7f, 0xa6, 0xe0)),
    (OTHERS, RGBColor(0x6e, 0x76, 0x80)),
];

/// One bar or one point.
#[derive(Debug)]
struct Measure {
    median: f64,
    least: f64,
    most: f64,
}

/// Bars of everybody who was put under one load.
struct Bars {
    file: &'static str,
    title: &'static str,
    scenario: &'static str,
    figure: &'static str,
    divided_by: f64,
    unit: &'static str,
}

/// One figure of ours along one axis.
struct Curve {
    file: &'static str,
    title: &'static str,
    scenario: &'static str,
    figure: &'static str,
    along: &'static str,
}

const BARS: [Bars; 3] = [
    Bars {
        file: "server-saturated.svg",
        title: "Messages a second, 48 publishers, 1,000 connections",
        scenario: "saturated",
        figure: "delivered_per_s",
        divided_by: 1.0,
        unit: "",
    },
    Bars {
        file: "server-storm.svg",
        title: "1,000 users come back for 50 messages each: until all have all",
        scenario: "storm",
        figure: "until_all_have_all_ms",
        divided_by: 1.0,
        unit: " ms",
    },
    Bars {
        file: "server-memory.svg",
        title: "Memory of an idle connection, 10,000 of them",
        scenario: "connect",
        figure: "memory_per_connection_bytes",
        divided_by: 1e3,
        unit: " kB",
    },
];

const CURVES: [Curve; 3] = [
    Curve {
        file: "server-growth-users.svg",
        title: "Time of the server for each publish, µs",
        scenario: "growth-users",
        figure: "cpu_per_publish_us",
        along: "users with mailboxes",
    },
    Curve {
        file: "server-growth-connections.svg",
        title: "Time of the server for each publish that is delivered, µs",
        scenario: "growth-connections",
        figure: "cpu_per_publish_us",
        along: "connections",
    },
    Curve {
        file: "server-growth-backlog.svg",
        title: "Time of the server for each user who comes back, µs",
        scenario: "growth-backlog",
        figure: "cpu_per_user_us",
        along: "messages missed",
    },
];

/// Every plot that there are figures for, by the name of its file.
pub(super) fn all(records: &Records) -> Result<Vec<(&'static str, String)>> {
    let mut plots = Vec::new();
    for plot in &BARS {
        let bars = plot.measures(records);
        if !bars.is_empty() {
            plots.push((plot.file, on_any_ground(&bars::draw(plot, &bars)?, plot.title)));
        }
    }
    for plot in &CURVES {
        let points = plot.measures(records);
        if points.len() > 1 {
            plots.push((plot.file, on_any_ground(&curve::draw(plot, &points)?, plot.title)));
        }
    }
    Ok(plots)
}

/// Of what another program has recorded about restarts, as JSON.
pub(super) fn restart(recorded: &str) -> Result<(&'static str, String)> {
    let restart: restart::Restart = serde_json::from_str(recorded)?;
    let plot = restart::draw(&restart)?;
    Ok(("server-restart.svg", on_any_ground(&plot, &restart.title())))
}

/// What shows, in the document, the plot that belongs to a table.
pub(super) fn link(scenario: &str, records: &Records) -> Option<String> {
    let bars = BARS.iter().map(|plot| (plot.scenario, plot.file, plot.title));
    let curves = CURVES.iter().map(|plot| (plot.scenario, plot.file, plot.title));
    let (_, file, title) = bars.chain(curves).find(|(of, ..)| *of == scenario)?;
    let is_drawn = records.all().any(|record| record.scenario == scenario);
    is_drawn.then(|| format!("![{title}](images/{file})\n\n"))
}

impl Measure {
    fn of(
        records: &Records,
        scenario: &str,
        at: Option<u32>,
        one: Peer,
        figure: &str,
    ) -> Option<Self> {
        let all = figures(&records.of(scenario, at, one), figure);
        let (least, most) = spread(&all)?;
        Some(Self { median: median(&all)?, least, most })
    }
}

impl Bars {
    fn measures(&self, records: &Records) -> Vec<(Peer, Measure)> {
        let scenarios = SCENARIOS.iter().filter(|scenario| scenario.name == self.scenario);
        scenarios
            .flat_map(|scenario| scenario.peers)
            .filter_map(|&one| {
                let measure = Measure::of(records, self.scenario, None, one, self.figure)?;
                let by = self.divided_by;
                let Measure { median, least, most } = measure;
                Some((one, Measure { median: median / by, least: least / by, most: most / by }))
            })
            .collect()
    }
}

impl Curve {
    fn measures(&self, records: &Records) -> Vec<(u32, Measure)> {
        let scenarios = SCENARIOS.iter().filter(|scenario| scenario.name == self.scenario);
        scenarios
            .filter_map(|scenario| {
                let (at, one) = (scenario.at?, *scenario.peers.first()?);
                Some((at, Measure::of(records, self.scenario, Some(at), one, self.figure)?))
            })
            .collect()
    }
}

/// Adds what the library has no word for: other colours on dark ground, and a title for who listens.
fn on_any_ground(svg: &str, title: &str) -> String {
    let hex = |RGBColor(red, green, blue): RGBColor| format!("#{red:02X}{green:02X}{blue:02X}");
    let rules: Vec<String> = ON_DARK
        .iter()
        .map(|&(light, dark)| {
            let (light, dark) = (hex(light), hex(dark));
            format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}")
        })
        .collect();
    let style = format!("<style>@media (prefers-color-scheme:dark){{{}}}</style>", rules.concat());
    svg.replacen(">\n", &format!(" role=\"img\">\n<title>{title}</title>\n{style}\n"), 1)
}
