//! Publishes as commands of the writer.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tetherline_protocol::{MessageId, frame::Message};

use super::{
    super::Publish,
    commands::{Append, AppendReply, Command, Reply, Together},
};

/// A command for each of them, whose answers are given together.
pub(super) fn appends(publishes: Vec<Publish>, reply: Reply<Vec<Append>>) -> Vec<Command> {
    let together = Together::new(publishes.len(), reply);
    let mut last: Option<(Arc<Message>, [u8; 32])> = None;
    let command = |(place, Publish { user, key, message }): (usize, Publish)| {
        let key = key.map(|key| {
            // Many users may get the same one.
            let same = last.take().filter(|(other, _)| Arc::ptr_eq(other, &message));
            let digest = same.map_or_else(|| digest(&message), |(_, digest)| digest);
            last = Some((message.clone(), digest));
            (key, digest)
        });
        let reply = AppendReply::Together(place, together.clone());
        Command::Append { user, key, message, reply }
    };
    publishes.into_iter().enumerate().map(command).collect()
}

/// Tells one message from another under the same key.
pub(super) fn digest(message: &Message) -> [u8; 32] {
    let mut hash = Sha256::new();
    let parts = [
        message.kind(),
        message.id().map_or("", MessageId::as_str),
        message.reference().map_or("", MessageId::as_str),
        message.timestamp().unwrap_or(""),
        message.fields(),
    ];
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
