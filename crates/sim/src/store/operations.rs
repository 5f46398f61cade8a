//! What the store is asked to do, and what it answers.

use std::sync::Arc;

use tetherline_protocol::{Epoch, frame::Message};
use tetherline_server::store::{Delivery, Outcome};

use super::{ClaimNo, DeviceNo, KeyNo};
use crate::{
    streams::{Order, Reply},
    world::{LinkNo, PublishNo, SendNo, UserNo},
};

/// Something that waits for the next commit.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Append {
        publish: PublishNo,
        user: UserNo,
        key: Option<KeyNo>,
    },
    /// `forgets`: if all places are taken, the least recent device makes room.
    Greet {
        link: LinkNo,
        user: UserNo,
        device: DeviceNo,
        forgets: bool,
    },
    Acknowledge {
        link: LinkNo,
        user: UserNo,
        device: DeviceNo,
        seq: u64,
    },
    /// What was acknowledged is to be in the file before the goodbye.
    SaveCursor {
        link: LinkNo,
        user: UserNo,
    },
    Record {
        send: SendNo,
        user: UserNo,
        claim: ClaimNo,
        outcome: Outcome,
    },
    Erase {
        user: UserNo,
    },
    Stream(Order),
}

/// What is answered once an operation is committed.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Appended {
        publish: PublishNo,
        user: UserNo,
        repeated: bool,
        delivery: Delivery,
    },
    /// Its key was used before, for another message.
    Conflict {
        publish: PublishNo,
    },
    Greeted {
        link: LinkNo,
    },
    Acknowledged {
        link: LinkNo,
    },
    Recorded {
        claim: ClaimNo,
        outcome: Outcome,
    },
    Erased {
        user: UserNo,
        epoch: Epoch,
    },
    Stream {
        order: Order,
        reply: Reply,
        /// The message that it has become by this.
        news: Option<(Delivery, Arc<Message>)>,
    },
}
