use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::sleep;

use super::{Bench, Options, set_percentiles};
use crate::{
    load::{
        clock::now_ns,
        publishing::{Pace, Publishers},
    },
    record::Measured,
    usage::cpu_ns,
};

/// Between warm-up and measurement.
const PAUSE: Duration = Duration::from_millis(300);

/// What a message costs from its publisher to its reader.
pub(super) async fn run(options: &Options) -> Result<Measured> {
    let bench = Bench::new(options)?;
    let mut publishers = Publishers::open(&bench.desk, options.publishers).await?;
    if options.history > 0 {
        bench.fill(&mut publishers, options.history).await?;
    }
    let is_attended = options.connections != Some(0);
    let listening = if is_attended { bench.desk.listening } else { 0 };
    let fleet = bench.connect(0..listening, options.at_a_time).await;
    if is_attended {
        bench.desk.settle().await;
    }
    // At full speed whatever follows: caches, allocators and compilers have seen it then.
    publishers.publish(Pace::Saturated { seconds: options.warm_up_s }).await?;
    if is_attended {
        bench.desk.settle().await;
    }
    sleep(PAUSE).await;

    let ledger = &bench.desk.subscribing.ledger;
    ledger.time_from_now();
    let arrived_before = ledger.arrived();
    let (started, myself) = (now_ns(), std::process::id());
    let (server_ns, own_ns) = (bench.server.cpu_ns(), cpu_ns(myself));
    let written = bench.server.written_bytes();
    let seconds = options.seconds;
    let pace = match options.per_s {
        Some(per_s) => Pace::Even { per_s, seconds },
        None => Pace::Saturated { seconds },
    };
    let stretch = publishers.publish(pace).await?;
    let (server_ns, own_ns) = (bench.server.cpu_ns() - server_ns, cpu_ns(myself) - own_ns);
    ensure!(stretch.acknowledged > 0, "nothing was published");
    let published = stretch.acknowledged as f64;
    let wall_ns = stretch.took_s * 1e9;
    if is_attended {
        bench.desk.settle().await;
    }
    let written = bench.server.written_bytes() - written;

    let mut measured = Measured::default();
    measured.set("published_per_s", published / stretch.took_s);
    if is_attended {
        let arrivals = ledger.arrivals();
        // What arrived after the last publish counts with the time that it took.
        let took_s = stretch.took_s.max(arrivals.last_at_ns.saturating_sub(started) as f64 / 1e9);
        let delivered = (arrivals.arrived - arrived_before) as f64;
        measured.set("delivered_per_s", delivered / took_s);
        set_percentiles(&mut measured, "delivery", &arrivals.latency);
    }
    set_percentiles(&mut measured, "answer", &stretch.answers);
    measured.set("cpu_per_publish_us", server_ns as f64 / 1e3 / published);
    measured.set("server_cpu_pct", server_ns as f64 / wall_ns * 100.0);
    measured.set("generator_cpu_pct", own_ns as f64 / wall_ns * 100.0);
    measured.set("written_per_publish_bytes", written as f64 / published);
    if let Some(per_s) = options.per_s {
        measured.set("due_per_s", per_s);
    }
    let late = bench.collect(is_attended, options.at_a_time).await;
    measured.counts = bench.counts(&[&fleet, &late]);
    Ok(measured)
}
