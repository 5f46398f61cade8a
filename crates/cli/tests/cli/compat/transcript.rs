//! A story as `compat/make.mjs` wrote it down, one step to a line.

use serde::Deserialize;
use serde_json::Value;

use super::RECORDED;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Step {
    /// The first line: what the server was started with.
    Story {
        story: String,
        serve: Vec<String>,
    },
    /// A publisher or a writer asks.
    Http {
        http: Request,
        answer: Answer,
    },
    /// A client connects; number 0 is one that was refused.
    Open {
        open: usize,
        path: String,
        protocols: Vec<String>,
        status: u16,
        selected: Option<String>,
    },
    /// The client sends.
    Page {
        page: usize,
        frame: Value,
    },
    Server {
        server: usize,
        frame: Value,
    },
    Close {
        close: usize,
        by: By,
        code: u16,
    },
    /// A client asks without an upgrade why it was refused.
    Probe {
        probe: String,
        answer: Answer,
    },
    /// Whoever plays this waits until nothing before `next` is kept.
    Trimmed {
        trimmed: String,
        next: u64,
    },
    /// The server is asked to stop.
    Stops {
        stops: bool,
    },
}

#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    pub(crate) headers: std::collections::HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum By {
    Page,
    Server,
    Network,
}

pub(crate) fn read(name: &str) -> Vec<Step> {
    let path = format!("{RECORDED}/{name}.jsonl");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let steps = text.lines().map(|line| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"))
    });
    steps.collect()
}
