//! What is measured, of whom, and how often.

use std::fmt;

use crate::peer::Peer::{
    self, Bare, Mosquitto, Nchan, Plain, PlainKeys, PlainNoIndex, SocketIo, Tetherline,
    TetherlineAcked, TetherlineKeyed, TetherlineLive, Ws,
};

/// One load, and who is put under it.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Where on its axis, for one point of a curve.
    pub(crate) at: Option<u32>,
    pub(crate) peers: &'static [Peer],
    pub(super) load: Load,
    /// What is missed is there before the server starts that is measured.
    pub(super) is_filled_before: bool,
    pub(super) more: &'static [&'static str],
    /// What makes it short; without it, it is not part of a brief campaign.
    pub(super) brief: &'static [&'static str],
    /// What our server is started with beyond its defaults.
    pub(super) serve: &'static [&'static str],
    /// At half the rate that *plain* reached when saturated.
    pub(super) paced_by_plain: bool,
    pub(super) runs: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    /// What the generator does, and its arguments.
    Generator { what: &'static str, with: &'static [&'static str] },
    /// The benchmark of streams, which has a generator of its own.
    Streams,
}

impl Scenario {
    const fn new(
        name: &'static str,
        peers: &'static [Peer],
        what: &'static str,
        with: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            at: None,
            peers,
            load: Load::Generator { what, with },
            more: &[],
            brief: &[],
            is_filled_before: false,
            serve: &[],
            paced_by_plain: false,
            runs: 3,
        }
    }

    const fn point(
        name: &'static str,
        at: u32,
        what: &'static str,
        with: &'static [&'static str],
    ) -> Self {
        Self { at: Some(at), more: POINT, ..Self::new(name, &[Tetherline], what, with) }
    }

    const fn brief(self, brief: &'static [&'static str]) -> Self {
        Self { brief, ..self }
    }

    pub(super) fn is_brief(&self) -> bool {
        !self.brief.is_empty()
    }

    pub(super) fn title(&self) -> String {
        self.at.map_or_else(|| self.name.to_owned(), |at| format!("{} at {at}", self.name))
    }
}

impl Peer {
    /// Whether it is part of a brief campaign.
    pub(super) fn is_brief(self) -> bool {
        self.is_ours() || matches!(self, Plain | PlainKeys)
    }
}

const EVERYBODY: &[Peer] = &[
    Tetherline,
    TetherlineAcked,
    TetherlineLive,
    Plain,
    PlainNoIndex,
    Bare,
    Nchan,
    Mosquitto,
    Ws,
    SocketIo,
];
/// Whoever keeps what somebody misses.
const KEEPERS: &[Peer] = &[Tetherline, Plain, Nchan, Mosquitto, SocketIo];

/// Of every point of a curve: it is one of many, and what comes before it is no part of it.
const POINT: &[&str] = &["--seconds", "2", "--warm-up-s", "0.5", "--fill-together", "500"];

const BRIEF_PUBLISH: &[&str] =
    &["--users", "20", "--publishers", "4", "--seconds", "0.3", "--warm-up-s", "0.1"];

const BRIEF_TOGETHER: &[&str] = &[
    "--users",
    "20",
    "--publishers",
    "2",
    "--together",
    "50",
    "--seconds",
    "0.3",
    "--warm-up-s",
    "0.1",
];

/// In the order in which they are measured: what others are measured by comes first.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario::new("saturated", EVERYBODY, "publish", &[]).brief(BRIEF_PUBLISH),
    Scenario {
        serve: &["--retention-messages", "16"],
        ..Scenario::new(
            "keyed",
            &[TetherlineKeyed, PlainKeys],
            // After the warm-up everything that is kept is full: what comes in, goes out.
            "publish",
            &["--warm-up-s", "5"],
        )
    }
    .brief(BRIEF_PUBLISH),
    Scenario {
        paced_by_plain: true,
        runs: 5,
        ..Scenario::new("half", &[Tetherline, TetherlineAcked, Plain], "publish", &[])
    },
    Scenario::new(
        "one-user",
        &[Tetherline, TetherlineAcked, TetherlineLive, Plain, Bare, Nchan, Mosquitto, Ws, SocketIo],
        "publish",
        &["--users", "1"],
    )
    .brief(&["--publishers", "4", "--seconds", "0.3", "--warm-up-s", "0.1"]),
    Scenario::new("storm", KEEPERS, "replay", &["--missed", "50"]).brief(&[
        "--users",
        "20",
        "--missed",
        "20",
        "--publishers",
        "4",
    ]),
    Scenario::new(
        "connect",
        &[Tetherline, Plain, Bare, Nchan, Mosquitto, Ws, SocketIo],
        "connect",
        &["--users", "10000", "--seconds", "2"],
    )
    .brief(&["--users", "50", "--seconds", "0.1", "--settle-s", "0.05"]),
    // Of many, so that what a store keeps for all of them is little for each.
    Scenario {
        is_filled_before: true,
        ..Scenario::new("stays-50-small", &[Tetherline], "stays", STAYS_50_SMALL)
    },
    Scenario {
        is_filled_before: true,
        ..Scenario::new("stays-1-large", &[Tetherline], "stays", STAYS_1_LARGE)
    }
    .brief(&["--users", "16", "--settle-s", "0.05"]),
    Scenario::new("apart-to-nobody", &[Tetherline], "publish", &["--connections", "0"])
        .brief(BRIEF_PUBLISH),
    // Five hundred messages a request, and four requests at a time.
    Scenario::new("together", &[Tetherline], "publish", TOGETHER).brief(BRIEF_TOGETHER),
    Scenario::new("together-to-nobody", &[Tetherline], "publish", TOGETHER_TO_NOBODY),
    Scenario { load: Load::Streams, ..Scenario::new("streams", &[Tetherline], "", &[]) },
    Scenario::point("growth-users", 100, "publish", &["--users", "100", "--history", "1"]),
    Scenario::point(
        "growth-users",
        1_000,
        "publish",
        &["--users", "1000", "--history", "1", "--connections", "100"],
    ),
    Scenario::point(
        "growth-users",
        10_000,
        "publish",
        &["--users", "10000", "--history", "1", "--connections", "100"],
    ),
    Scenario::point(
        "growth-users",
        100_000,
        "publish",
        &["--users", "100000", "--history", "1", "--connections", "100"],
    ),
    Scenario::point("growth-connections", 10, "publish", &["--users", "10"]),
    Scenario::point("growth-connections", 100, "publish", &["--users", "100"]),
    Scenario::point("growth-connections", 1_000, "publish", &["--users", "1000"]),
    Scenario::point("growth-connections", 10_000, "publish", &["--users", "10000"]),
    Scenario::point("growth-backlog", 1, "replay", &["--users", "1000", "--missed", "1"]),
    Scenario::point("growth-backlog", 10, "replay", &["--users", "1000", "--missed", "10"]),
    Scenario::point("growth-backlog", 100, "replay", &["--users", "200", "--missed", "100"]),
    Scenario::point("growth-backlog", 1_000, "replay", &["--users", "20", "--missed", "1000"]),
    Scenario::point("growth-backlog", 10_000, "replay", &["--users", "4", "--missed", "10000"]),
];

const STAYS_50_SMALL: &[&str] = &["--users", "5000", "--missed", "50", "--fill-together", "500"];
/// One at a time: what a server sends just now is no part of what stays.
const STAYS_1_LARGE: &[&str] = &[
    "--users",
    "1200",
    "--missed",
    "1",
    "--message-bytes",
    "900000",
    "--publishers",
    "4",
    "--at-a-time",
    "1",
    // An allocator takes its time to give back.
    "--settle-s",
    "12",
];
const TOGETHER: &[&str] = &["--together", "500", "--publishers", "4"];
const TOGETHER_TO_NOBODY: &[&str] =
    &["--together", "500", "--publishers", "4", "--connections", "0"];

pub(super) fn names() -> Names {
    Names
}

/// All of them, as a list for people.
pub(super) struct Names;

impl fmt::Display for Names {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        names.dedup();
        formatter.write_str(&names.join(", "))
    }
}
