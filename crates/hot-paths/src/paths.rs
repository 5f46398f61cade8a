//! What is counted. A path prepares what it needs and answers one round of itself.

mod connections;
mod dispatch;
mod messages;
mod streams;

use anyhow::Result;

use crate::server::RunningServer;

pub(crate) struct HotPath {
    pub(crate) name: &'static str,
    /// So many are counted: enough that what happens once in a while evens out.
    pub(crate) rounds: u64,
    /// How many operations one round is.
    pub(crate) operations: u64,
    pub(crate) prepare: fn(&RunningServer) -> Result<Round<'_>>,
}

pub(crate) type Round<'a> = Box<dyn FnMut() -> Result<()> + 'a>;

pub(crate) const PATHS: [HotPath; 9] = [
    // A durable message over HTTP, to somebody who is not connected.
    HotPath { name: "publish", rounds: 1_000, operations: 1, prepare: messages::publish },
    // The same under an idempotency key.
    HotPath {
        name: "publish-keyed",
        rounds: 1_000,
        operations: 1,
        prepare: messages::publish_keyed,
    },
    // A durable message, published and read by the one who is connected.
    HotPath { name: "deliver", rounds: 1_000, operations: 1, prepare: messages::deliver },
    // The same, and the reader acknowledges each.
    HotPath { name: "acknowledge", rounds: 1_000, operations: 1, prepare: messages::acknowledge },
    // A live-only message, published and read.
    HotPath { name: "live", rounds: 1_000, operations: 1, prepare: messages::live },
    // A connection of a known device: accepted, its token checked, established, and closed.
    HotPath { name: "connect", rounds: 500, operations: 1, prepare: connections::connect },
    // One message of 50 that were missed.
    HotPath { name: "replay", rounds: 100, operations: 50, prepare: connections::replay },
    // A word of a stream, written in one long request and read by the one who watches.
    HotPath { name: "word", rounds: 40, operations: streams::STREAMS, prepare: streams::word },
    // A message in the client's engine, with a handler.
    HotPath { name: "dispatch", rounds: 100, operations: 1_000, prepare: dispatch::dispatch },
];
