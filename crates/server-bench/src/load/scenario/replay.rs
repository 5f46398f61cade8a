use anyhow::{Result, ensure};
use tokio::time::sleep;

use super::{Bench, Options, set_percentiles};
use crate::{
    load::{clock::now_ns, publishing::Publishers},
    record::Measured,
};

/// How many visit at a time where a server has to have seen them.
const VISITORS: usize = 64;

/// What it costs when everybody comes back at once and has missed something.
pub(super) async fn run(options: &Options) -> Result<Measured> {
    let bench = Bench::new(options)?;
    let mut publishers = Publishers::open(&bench.desk, options.publishers).await?;
    let dialect = &bench.desk.subscribing.dialect;
    if dialect.keeps_after_a_visit_only() {
        let visit = bench.connect(0..options.users, VISITORS).await;
        bench.fill(&mut publishers, 1).await?;
        bench.desk.settle().await;
        drop(visit);
        sleep(bench.settle).await;
    }
    let visited = bench.desk.subscribing.ledger.arrived();
    let filled = bench.fill(&mut publishers, options.missed).await?;
    dialect.ask_for_missed();
    sleep(bench.settle).await;

    let (started, before_ns) = (now_ns(), bench.server.cpu_ns());
    bench.desk.subscribing.ledger.time_from_now();
    let fleet = bench.connect(0..options.users, options.users as usize).await;
    bench.desk.settle().await;
    let cpu_us = (bench.server.cpu_ns() - before_ns) as f64 / 1e3;
    let arrivals = bench.desk.subscribing.ledger.arrivals();
    ensure!(arrivals.arrived > visited, "nothing was replayed");
    let arrived = (arrivals.arrived - visited) as f64;

    let mut measured = Measured { counts: bench.counts(&[&fleet]), ..Measured::default() };
    let took_ns = arrivals.last_at_ns.saturating_sub(started) as f64;
    measured.set("until_all_have_all_ms", took_ns / 1e6);
    measured.set("replayed_per_s", arrived / (took_ns / 1e9));
    measured.set("cpu_per_user_us", cpu_us / f64::from(options.users));
    measured.set("cpu_per_message_us", cpu_us / arrived);
    measured.set("published_per_s", filled.acknowledged as f64 / filled.took_s);
    set_percentiles(&mut measured, "connect", &fleet.handshakes);
    Ok(measured)
}

/// Has everybody miss something.
pub(super) async fn fill(options: &Options) -> Result<Measured> {
    let bench = Bench::new(options)?;
    let mut publishers = Publishers::open(&bench.desk, options.publishers).await?;
    bench.fill(&mut publishers, options.missed).await?;
    let refused = bench.counts(&[]).refused;
    ensure!(refused == 0, "{refused} of what was to be missed were refused");
    Ok(Measured::default())
}

/// What stays in everybody's connection of what they missed and got. Another generator had them miss it,
/// and the server was started since then: what was freed would be used again, and not be seen.
pub(super) async fn what_stays(options: &Options) -> Result<Measured> {
    let bench = Bench::new(options)?;
    for mark in bench.rounds(options.missed).marks(options.publishers) {
        bench.desk.subscribing.ledger.acknowledged(mark);
    }
    bench.desk.subscribing.dialect.ask_for_missed();
    let before = bench.settled_memory_bytes().await;
    let fleet = bench.connect(0..options.users, options.at_a_time).await;
    bench.desk.settle().await;
    let memory = bench.settled_memory_bytes().await - before;
    let mut measured = Measured { counts: bench.counts(&[&fleet]), ..Measured::default() };
    measured.set("memory_per_connection_bytes", memory / fleet.connected().max(1) as f64);
    Ok(measured)
}
