//! Everything, as Prometheus reads it: what was counted, and what is as it is now.

mod process;

use std::{
    fmt::{self, Error},
    sync::Arc,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet, prometheus_text},
    metrics::{MetricType, exemplar::Exemplar},
    registry::{Registry, Unit},
};

use super::{Label, Latencies};
use crate::{Readiness, server::Shared, store::Figures};

/// What is read when somebody asks.
#[derive(Debug, Default)]
pub(super) struct Readings(Vec<Reading>);

#[derive(Debug)]
struct Reading {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Gauges(Vec<(Option<Label>, f64)>),
    Counters(Vec<(Option<Label>, f64)>),
    Histogram(Latencies),
}

/// The whole scrape.
pub(crate) async fn text(shared: &Arc<Shared>) -> String {
    let is_ready = matches!(shared.readiness().await, Readiness::Ready);
    let store = shared.store.clone();
    // It asks the disk.
    let figures = tokio::task::spawn_blocking(move || store.figures()).await.unwrap_or_default();
    let mut readings = Readings::default();
    readings.server(shared, is_ready);
    readings.connections(shared);
    readings.store(figures);
    readings.process();
    let mut now = Registry::default();
    now.register_collector(Box::new(readings));
    let mut text = String::new();
    let written = prometheus_text::encode(&mut text, &shared.meters.metrics.registry)
        .and_then(|()| prometheus_text::encode(&mut text, &now));
    written.expect("there is no end of room in a string");
    text
}

impl Readings {
    fn gauge(&mut self, name: &'static str, help: &'static str, value: usize) {
        self.add(name, help, None, Values::Gauges(vec![(None, value as f64)]));
    }

    fn bytes(&mut self, name: &'static str, help: &'static str, bytes: u64) {
        self.add(name, help, Some(Unit::Bytes), Values::Gauges(vec![(None, bytes as f64)]));
    }

    fn add(&mut self, name: &'static str, help: &'static str, unit: Option<Unit>, values: Values) {
        self.0.push(Reading { name, help, unit, values });
    }

    fn server(&mut self, shared: &Shared, is_ready: bool) {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        let help = "Which version this is";
        self.add("tetherline_build_info", help, None, Values::Gauges(vec![(Some(version), 1.0)]));
        self.gauge("tetherline_ready", "1 if /readyz says so, else 0", is_ready.into());
        let is_draining = shared.hub.is_draining();
        self.gauge("tetherline_draining", "1 while the server ends, else 0", is_draining.into());
        let (sends, bodies) = (shared.meters.room.bytes(), shared.bodies.bytes());
        self.bytes(
            "tetherline_sends_waiting",
            "What clients have sent and the application has not settled",
            sends.0,
        );
        self.bytes("tetherline_sends_waiting_limit", "How much that may be", sends.1);
        self.bytes(
            "tetherline_request_bodies",
            "Requests that have not come to their end",
            bodies.0,
        );
        self.bytes("tetherline_request_bodies_limit", "How much that may be", bodies.1);
        let refused = shared.meters.refused();
        let refused =
            refused.into_iter().map(|(rate, count)| (Some([("rate", rate)]), count as f64));
        let help = "What came too fast of one user, key or address, or of all, by the rate";
        self.add("tetherline_rate_limited", help, None, Values::Counters(refused.collect()));
    }

    fn connections(&mut self, shared: &Shared) {
        let census = shared.hub.census();
        self.gauge("tetherline_connections", "Open WebSockets", census.connections);
        self.gauge(
            "tetherline_connections_limit",
            "How many there may be",
            shared.current().limits.connections_max,
        );
        self.gauge("tetherline_connected_users", "Users with an open WebSocket", census.users);
        let help = "Messages that connections have asked for and were not sent yet, of all of them";
        self.gauge("tetherline_backlog_messages", help, census.waiting.all);
        let help = "The same of the connection that has most";
        self.gauge("tetherline_backlog_largest_messages", help, census.waiting.largest);
        let help = "Messages that connections were sent and have not acknowledged, of all of them";
        self.gauge("tetherline_unacknowledged_messages", help, census.unhandled.all);
        let help = "The same of the connection that has most";
        self.gauge("tetherline_unacknowledged_largest_messages", help, census.unhandled.largest);
    }

    fn store(&mut self, figures: Figures) {
        self.bytes("tetherline_store_mailbox", "The mailbox file", figures.mailbox_bytes);
        self.bytes("tetherline_store_log", "Its write-ahead log", figures.log_bytes);
        if let Some(bytes) = figures.free_bytes {
            self.bytes(
                "tetherline_store_free",
                "What is left to the mailboxes on their disk",
                bytes,
            );
        }
        self.gauge("tetherline_streams_open", "Streams that are not finished", figures.streams);
        self.bytes(
            "tetherline_streams_memory",
            "What they take in memory",
            figures.stream_bytes as u64,
        );
        let help = "How long commits took, failed ones included";
        let commits = Values::Histogram(figures.commits);
        self.add("tetherline_commit", help, Some(Unit::Seconds), commits);
        let failed = Values::Counters(vec![(None, figures.failed_commits as f64)]);
        self.add("tetherline_commit_failures", "Commits that came to nothing", None, failed);
    }
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        self.0.iter().try_for_each(|reading| reading.encode(&mut encoder))
    }
}

impl Reading {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = match self.values {
            Values::Gauges(_) => MetricType::Gauge,
            Values::Counters(_) => MetricType::Counter,
            Values::Histogram(_) => MetricType::Histogram,
        };
        let mut metric =
            encoder.encode_descriptor(self.name, self.help, self.unit.as_ref(), kind)?;
        match &self.values {
            Values::Histogram(latencies) => latencies.encode(metric),
            Values::Gauges(values) => values.iter().try_for_each(|(label, value)| match label {
                Some(label) => metric.encode_family(label)?.encode_gauge(value),
                None => metric.encode_gauge(value),
            }),
            Values::Counters(values) => values.iter().try_for_each(|(label, value)| {
                let none = None::<&Exemplar<NoLabelSet, f64>>;
                match label {
                    Some(label) => metric.encode_family(label)?.encode_counter(value, none),
                    None => metric.encode_counter(value, none),
                }
            }),
        }
    }
}
