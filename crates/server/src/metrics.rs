//! What the server counts, for whoever watches it: of everybody together, never of one user, and no text that anybody
//! sent. What is known elsewhere is read when somebody asks ([`report`]); only what happens is counted here.

mod latency;
mod report;

use std::{mem, time::Duration};

use http::{Method, StatusCode};
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::{Registry, Unit},
};
use tetherline_protocol::{CloseCode, StreamStatus};

use crate::{
    PublishError, Refusal,
    connection::socket::Goodbye,
    store::{AppendError, Outcome},
};
#[cfg_attr(
    not(feature = "custom-store"),
    allow(unreachable_pub, reason = "other stores have them, too")
)]
pub use latency::Latencies;
pub(crate) use latency::Latency;
pub(crate) use report::text;

/// One label and its value. Values are words of this program.
type Label = [(&'static str, &'static str); 1];

/// Where a request went, what it was, and how it was answered.
type RequestLabels = [(&'static str, &'static str); 3];

/// A counter for each value of one label. Those that count on the way of every message are looked up once.
#[derive(Debug, Clone)]
pub(crate) struct Counters {
    label: &'static str,
    family: Family<Label, Counter>,
}

/// What happened since the start.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    connects: Counters,
    opened: Counter,
    disconnects: Counters,
    pub(crate) reconnects: Counter,
    pub(crate) replays: Counter,
    pub(crate) replayed_messages: Counter,
    publishes: Counters,
    published: Counter,
    pub(crate) live_messages: Counter,
    pub(crate) deliveries: Counter,
    pub(crate) delivery: Latency,
    sends: Counters,
    application_requests: Counters,
    application: Latency,
    hook_requests: Counters,
    hook: Latency,
    pub(crate) streams_opened: Counter,
    streams_finished: Counters,
    pub(crate) stream_pieces: Counter,
    pub(crate) stream_text_bytes: Counter,
    rate_limited: Counters,
    requests: Family<RequestLabels, Counter>,
}

impl Counters {
    fn new(label: &'static str, values: &[&'static str]) -> Self {
        let counters = Self { label, family: Family::default() };
        // From zero on: what has never happened is a series, too, and its first time is an increase.
        for value in values {
            counters.one(value);
        }
        counters
    }

    fn one(&self, value: &'static str) -> Counter {
        self.family.get_or_create_owned(&[(self.label, value)])
    }

    pub(crate) fn count(&self, value: &'static str) {
        self.family.get_or_create(&[(self.label, value)]).inc();
    }
}

/// What became of an attempt to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connect {
    Opened,
    BadRequest,
    ForeignOrigin,
    Unauthorized,
    TokenExpired,
    TokenNotYetValid,
    SignedOut,
    Forbidden,
    KeysUnavailable,
    RateLimited,
    AddressFull,
    UserFull,
    ServerFull,
    Draining,
    Unavailable,
}

impl Connect {
    /// In the order of the variants.
    const NAMES: [&str; 15] = [
        "opened",
        "bad_request",
        "foreign_origin",
        "unauthorized",
        "token_expired",
        "token_not_yet_valid",
        "signed_out",
        "forbidden",
        "keys_unavailable",
        "rate_limited",
        "address_full",
        "user_full",
        "server_full",
        "draining",
        "unavailable",
    ];

    fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// What somebody may make up besides is one.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const PUBLISH_OUTCOMES: [&str; 6] =
    ["published", "repeated", "conflict", "too_large", "mailbox_full", "unavailable"];
const STREAM_STATUSES: [&str; 4] = ["complete", "stopped", "failed", "interrupted"];
/// What one connection may do how often; what users, addresses and others may, counts where it is limited.
pub(crate) const CONNECTION_RATES: [&str; 4] = [
    "sends_per_connection",
    "send_bytes_per_connection",
    "controls_per_connection",
    "replay_bytes_per_connection",
];
const SEND_OUTCOMES: [&str; 3] = ["accepted", "refused", "try_again"];

impl Metrics {
    fn new() -> Self {
        let connects = Counters::new("outcome", &Connect::NAMES);
        let publishes = Counters::new("outcome", &PUBLISH_OUTCOMES);
        let mut metrics = Self {
            registry: Registry::with_prefix("tetherline"),
            opened: connects.one(Connect::Opened.name()),
            connects,
            disconnects: Counters::new("reason", &DISCONNECT_REASONS),
            reconnects: Counter::default(),
            replays: Counter::default(),
            replayed_messages: Counter::default(),
            published: publishes.one("published"),
            publishes,
            live_messages: Counter::default(),
            deliveries: Counter::default(),
            delivery: Latency::default(),
            sends: Counters::new("outcome", &SEND_OUTCOMES),
            application_requests: Counters::new("outcome", &SEND_OUTCOMES),
            application: Latency::default(),
            hook_requests: Counters::new("outcome", &["admitted", "refused", "unanswered"]),
            hook: Latency::default(),
            streams_opened: Counter::default(),
            streams_finished: Counters::new("status", &STREAM_STATUSES),
            stream_pieces: Counter::default(),
            stream_text_bytes: Counter::default(),
            rate_limited: Counters::new("rate", &CONNECTION_RATES),
            requests: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let mut registry = mem::take(&mut self.registry);
        let mut family = |name, help, counters: &Counters| {
            registry.register(name, help, counters.family.clone());
        };
        family("connects", "Attempts to open a WebSocket, by what became of them", &self.connects);
        family("disconnects", "Connections that ended, by why", &self.disconnects);
        family(
            "publishes",
            "Messages that somebody wanted to publish, by what became of them",
            &self.publishes,
        );
        family("sends", "Messages and stops of clients that were settled, by how", &self.sends);
        let help = "What the application (the webhook) was asked about sends and stops, by what it answered";
        family("application_requests", help, &self.application_requests);
        family(
            "connect_hook_requests",
            "Questions to the connect hook, by what it answered",
            &self.hook_requests,
        );
        family("streams_finished", "Streams that ended, by how", &self.streams_finished);
        family(
            "connection_rate_limited",
            "What came too fast on one connection, by the rate",
            &self.rate_limited,
        );
        let help = "Requests over HTTP that were answered, by route, method and class of status";
        registry.register("http_requests", help, self.requests.clone());
        let mut counter =
            |name, help, counter: &Counter| registry.register(name, help, counter.clone());
        let help =
            "Connections whose client had been connected before, and said how far it had got";
        counter("reconnects", help, &self.reconnects);
        counter("replays", "Backlogs that were sent to their end", &self.replays);
        counter(
            "replayed_messages",
            "Messages that were sent as part of a backlog",
            &self.replayed_messages,
        );
        counter(
            "live_messages",
            "Messages for whoever was connected then, and nobody later",
            &self.live_messages,
        );
        counter("deliveries", "Messages that were handed to connections", &self.deliveries);
        counter("streams_opened", "Streams that were begun", &self.streams_opened);
        counter("stream_pieces", "Pieces of text that were added to streams", &self.stream_pieces);
        let mut latency = |name, help, latency: &Latency| {
            registry.register_with_unit(name, help, Unit::Seconds, latency.clone());
        };
        let help = "From when a commit was told until the socket of a connection had taken the message, one sample \
                    at a time of each connection";
        latency("delivery", help, &self.delivery);
        latency(
            "application",
            "How long the application took to answer about a send or a stop",
            &self.application,
        );
        latency("connect_hook", "How long the connect hook took to answer", &self.hook);
        let text = self.stream_text_bytes.clone();
        registry.register_with_unit(
            "stream_text",
            "Text that was added to streams",
            Unit::Bytes,
            text,
        );
        self.registry = registry;
    }

    /// `route` is a pattern of ours, and no path.
    pub(crate) fn answered(&self, route: &'static str, method: &Method, status: StatusCode) {
        let place = METHODS.iter().position(|known| *known == method.as_str());
        let method = place.map_or("other", |place| METHODS[place]);
        let class = STATUS_CLASSES.get(usize::from(status.as_u16() / 100).wrapping_sub(1));
        let labels = [("route", route), ("method", method), ("status", *class.unwrap_or(&"other"))];
        self.requests.get_or_create(&labels).inc();
    }

    pub(crate) fn opened(&self) {
        self.opened.inc();
    }

    pub(crate) fn refused(&self, why: Connect) {
        self.connects.count(why.name());
    }

    pub(crate) fn disconnected(&self, goodbye: Option<&Goodbye>) {
        self.disconnects.count(reason(goodbye));
    }

    pub(crate) fn published<T>(
        &self,
        published: &Result<T, PublishError>,
        repeated: impl Fn(&T) -> bool,
    ) {
        let outcome = match published {
            Ok(done) if !repeated(done) => {
                self.published.inc();
                return;
            }
            Ok(_) => "repeated",
            Err(PublishError::TooLarge { .. }) => "too_large",
            Err(PublishError::Append(AppendError::Conflict)) => "conflict",
            Err(PublishError::Append(AppendError::Full)) => "mailbox_full",
            Err(PublishError::Append(AppendError::Store(_))) => "unavailable",
        };
        self.publishes.count(outcome);
    }

    pub(crate) fn settled(&self, outcome: &Outcome) {
        self.sends.count(settled_as(outcome));
    }

    pub(crate) fn application_answered<T>(&self, answer: &Result<T, Refusal>, took: Duration) {
        self.application_requests.count(settled_as(answer));
        self.application.observe(took);
    }

    /// Whether the connect hook let somebody in, if it answered at all.
    pub(crate) fn hook_answered(&self, admitted: Option<bool>, took: Duration) {
        self.hook_requests.count(match admitted {
            Some(true) => "admitted",
            Some(false) => "refused",
            None => "unanswered",
        });
        self.hook.observe(took);
    }

    pub(crate) fn stream_finished(&self, status: StreamStatus) {
        self.streams_finished.count(status.as_str());
    }

    /// `rate` is one of [`CONNECTION_RATES`].
    pub(crate) fn too_fast(&self, rate: &'static str) {
        self.rate_limited.count(rate);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// As [`ConnectionEnd::reason`](crate::ConnectionEnd::reason) says it.
const DISCONNECT_REASONS: [&str; 16] = [
    "client",
    "gone",
    "normal",
    "protocol_error",
    "unsupported",
    "invalid_utf8",
    "policy_violation",
    "too_big",
    "internal",
    "restart",
    "token_expired",
    "other_user",
    "silent",
    "erased",
    "stuck",
    "rate_limited",
];

fn reason(goodbye: Option<&Goodbye>) -> &'static str {
    let code = match goodbye {
        None => return "gone",
        Some(Goodbye::Answer(_)) => return "client",
        Some(Goodbye::Ours(code, _) | Goodbye::Breach(code, _)) => *code,
    };
    let place = CloseCode::ALL.iter().position(|known| *known == code);
    place.map_or("internal", |place| DISCONNECT_REASONS[2 + place])
}

fn settled_as<T>(outcome: &Result<T, Refusal>) -> &'static str {
    match outcome {
        Ok(_) => "accepted",
        Err(refusal) if refusal.is_retryable() => "try_again",
        Err(_) => "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::session::Reason;

    #[test]
    fn every_end_and_every_outcome_has_its_own_name() {
        assert_eq!(Connect::Opened.name(), "opened");
        assert_eq!(Connect::Unavailable.name(), "unavailable");
        for code in CloseCode::ALL {
            let goodbye = Goodbye::Ours(code, Reason::Words("bye"));
            assert_eq!(reason(Some(&goodbye)), code.name().to_ascii_lowercase());
        }
        assert_eq!((reason(None), reason(Some(&Goodbye::Answer(None)))), ("gone", "client"));
        for status in StreamStatus::ALL {
            assert!(STREAM_STATUSES.contains(&status.as_str()));
        }
    }
}
