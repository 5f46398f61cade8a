use std::{
    array,
    fmt::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

/// Where one bucket ends and the next begins, in µs: from what a commit takes on a fast disk to what people give up
/// over.
const BOUNDS_US: [u64; 17] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// How long something took, each time. The library's own histogram takes a lock for each; many threads count here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latency(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// As they were at one moment, or nearly.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Latencies {
    /// All together, in seconds.
    pub sum_s: f64,
    /// How many.
    pub count: u64,
    /// How many up to each bound, in seconds, and above the one before.
    pub buckets: Vec<(f64, u64)>,
}

impl Default for Buckets {
    fn default() -> Self {
        Self { counts: array::from_fn(|_| AtomicU64::new(0)), sum_us: AtomicU64::new(0) }
    }
}

impl Latency {
    pub(crate) fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        self.0.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Latencies {
        let bounds = BOUNDS_US.iter().map(|us| *us as f64 / 1e6).chain([f64::MAX]);
        let counts = self.0.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        Latencies { sum_s: self.0.sum_us.load(Ordering::Relaxed) as f64 / 1e6, count, buckets }
    }
}

impl EncodeMetric for Latency {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), Error> {
        self.now().encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

impl Latencies {
    pub(super) fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), Error> {
        encoder.encode_histogram::<NoLabelSet>(self.sum_s, self.count, &self.buckets, None)
    }
}
