use anyhow::{Context as _, Result, ensure};
use tetherline_engine::{Delivery, Engine, EpochNo, Established, IdNo, Instant, Mark, Output};
use tetherline_protocol::Seq;

use super::{PATHS, Round};
use crate::server::RunningServer;

/// As the driver of a page does for each frame: ask whether the message is new, do what the engine has
/// to say, and look at its timer.
pub(super) fn dispatch(_server: &RunningServer) -> Result<Round<'_>> {
    let now = Instant::from_millis(1_000);
    let mut engine: Engine<()> = Engine::new(1);
    engine.sign_in(now);
    while engine.poll_output().is_some() {}
    engine.handle_token(now);
    let mut outputs = std::iter::from_fn(|| engine.poll_output());
    let opened = outputs.find_map(|output| match output {
        Output::Open(connection) => Some(connection),
        _ => None,
    });
    let connection = opened.context("a token leads to a connection")?;
    engine.handle_opened(connection, now);
    let established = Established {
        epoch: EpochNo(1),
        head: Seq::ZERO,
        cursor: Seq::ZERO.into(),
        checks_positions: true,
        heartbeat_interval_ms: 30_000,
        token_expires_in_ms: 3_600_000,
    };
    engine.handle_established(connection, established, now);
    engine.handle_complete(connection, now);
    while engine.poll_output().is_some() {}

    let messages = PATHS.iter().find(|path| path.name == "dispatch").map_or(0, |it| it.operations);
    let mut number = 0;
    Ok(Box::new(move || {
        for _ in 0..messages {
            number += 1;
            let position =
                Mark { seq: Seq::new(number).expect("a position"), id: IdNo(number as u32) };
            let delivery = engine.handle_message(connection, Some(position), 1, 256);
            ensure!(delivery == Delivery::Deliver { replayed: false }, "{number}: {delivery:?}");
            while engine.has_output() {
                std::hint::black_box(engine.poll_output());
            }
            std::hint::black_box(engine.poll_timeout());
        }
        Ok(())
    }))
}
