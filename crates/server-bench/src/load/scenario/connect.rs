use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::{Bench, Options, set_percentiles};
use crate::{
    load::clock::{now_ns, seconds_since},
    record::Measured,
};

/// What connections cost: memory and idle time while they are there, then time for each when all come
/// back, which is when a server knows their devices.
pub(super) async fn run(options: &Options) -> Result<Measured> {
    let bench = Bench::new(options)?;
    let mut measured = Measured::default();
    let before = bench.server.memory_bytes() as f64;
    let first = bench.connect(0..bench.desk.listening, options.at_a_time).await;
    let memory = bench.settled_memory_bytes().await - before;
    measured.set("memory_per_connection_bytes", memory / first.connected().max(1) as f64);

    let (idle_since, idle_from) = (now_ns(), bench.server.cpu_ns());
    sleep(Duration::from_secs_f64(options.seconds)).await;
    let idle_ns = (bench.server.cpu_ns() - idle_from) as f64;
    measured.set("idle_cpu_pct", idle_ns / seconds_since(idle_since) / 1e7);

    measured.counts = bench.counts(&[&first]);
    drop(first);
    sleep(bench.settle).await;
    let from = bench.server.cpu_ns();
    let again = bench.connect(0..bench.desk.listening, options.at_a_time).await;
    let cpu_us = (bench.server.cpu_ns() - from) as f64 / 1e3;
    let connected = again.connected().max(1) as f64;
    measured.set("connects_per_s", connected / again.took_s);
    measured.set("cpu_per_connect_us", cpu_us / connected);
    set_percentiles(&mut measured, "connect", &again.handshakes);
    measured.counts.closed += again.closed();
    Ok(measured)
}
