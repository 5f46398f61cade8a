mod connect;
mod publish;
mod replay;

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Result;
use hdrhistogram::Histogram;
use tokio::time::sleep;

use super::{
    Options, Scenario,
    connection::Subscribing,
    dialect,
    fleet::Fleet,
    ledger::Ledger,
    publisher::Told,
    publishing::{Desk, Pace, Publishers, Rounds, Stretch},
};
use crate::{
    record::{Counts, Measured},
    usage::Tree,
};

pub(super) async fn run(options: &Options) -> Result<Measured> {
    match options.scenario {
        Scenario::Connect => connect::run(options).await,
        Scenario::Publish => publish::run(options).await,
        Scenario::Replay => replay::run(options).await,
        Scenario::Fill => replay::fill(options).await,
        Scenario::Stays => replay::what_stays(options).await,
    }
}

/// The generator's side of one measurement.
struct Bench {
    desk: Arc<Desk>,
    server: Tree,
    settle: Duration,
    fill_together: usize,
}

impl Bench {
    fn new(options: &Options) -> Result<Self> {
        let listening = match options.connections {
            // They all come when everything is published.
            None | Some(0) => options.users,
            Some(connections) => connections.min(options.users),
        };
        let subscribing = Subscribing {
            server: options.server,
            dialect: dialect::of(&options.manners, options.users)?,
            ledger: Arc::new(Ledger::new(options.users, options.publishers)),
        };
        let desk = Desk {
            subscribing: Arc::new(subscribing),
            users: options.users,
            listening,
            message_bytes: options.message_bytes,
            together: options.together,
            told: Told::default(),
        };
        Ok(Self {
            desk: Arc::new(desk),
            server: Tree::of(options.pid),
            settle: Duration::from_secs_f64(options.settle_s),
            fill_together: options.fill_together.max(1),
        })
    }

    /// So many messages to everybody.
    async fn fill(&self, publishers: &mut Publishers, to_each: u32) -> Result<Stretch> {
        Ok(publishers.publish(Pace::Rounds(self.rounds(to_each))).await?)
    }

    fn rounds(&self, to_each: u32) -> Rounds {
        Rounds { to_each, users: self.desk.users, together: self.fill_together }
    }

    async fn connect(&self, users: Range<u32>, at_a_time: usize) -> Fleet {
        Fleet::connect(&self.desk.subscribing, users, at_a_time).await
    }

    /// Has everybody read what they were sent, if nobody was there.
    async fn collect(&self, was_attended: bool, at_a_time: usize) -> Fleet {
        let readers = if was_attended { 0 } else { self.desk.listening };
        self.desk.subscribing.dialect.ask_for_missed();
        let fleet = self.connect(0..readers, at_a_time).await;
        self.desk.settle().await;
        fleet
    }

    /// What went wrong, with the connections that it went wrong on.
    fn counts(&self, fleets: &[&Fleet]) -> Counts {
        Counts {
            refused: self.desk.told.refused.load(Relaxed),
            closed: fleets.iter().map(|fleet| fleet.closed()).sum(),
            ..self.desk.subscribing.ledger.counts()
        }
    }

    async fn settled_memory_bytes(&self) -> f64 {
        sleep(self.settle).await;
        self.server.memory_bytes() as f64
    }
}

/// The median and the 99th of a hundred, in milliseconds.
fn set_percentiles(measured: &mut Measured, name: &str, of: &Histogram<u64>) {
    for percent in [50, 99] {
        let ms = of.value_at_quantile(f64::from(percent) / 100.0) as f64 / 1e6;
        measured.set(&format!("{name}_p{percent}_ms"), ms);
    }
}
