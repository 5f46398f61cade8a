use std::collections::HashMap;

use tetherline_engine::EpochNo;
use tetherline_protocol::Seq;

use crate::Receipt;

/// The messages that the application has and the engine waits for. The engine knows them by their
/// positions, which another history uses a second time; the application by their receipts.
#[derive(Debug, Default)]
pub(super) struct InHand {
    /// As many as the server keeps in flight to one connection, since each is unacknowledged.
    receipts: HashMap<Seq, Receipt>,
    epoch: Option<EpochNo>,
}

impl InHand {
    /// A connection is up. What was handed out of another history is nobody's any more.
    pub(super) fn enter(&mut self, epoch: EpochNo) {
        if self.epoch.replace(epoch) != Some(epoch) {
            self.receipts.clear();
        }
    }

    /// What was handed out was of another history, which uses the same positions.
    pub(super) fn forget(&mut self) {
        self.receipts.clear();
    }

    /// The application gets this message. What it had from the same position is gone.
    pub(super) fn hold(&mut self, seq: Seq, receipt: Receipt) {
        self.receipts.insert(seq, receipt);
    }

    /// The application is done with a message: answers its position if it still means that one.
    pub(super) fn settle(&mut self, receipt: Receipt) -> Option<Seq> {
        let seq = receipt.seq.filter(|seq| self.receipts.get(seq) == Some(&receipt))?;
        self.receipts.remove(&seq);
        Some(seq)
    }

    /// The engine waits no longer for the message at this position.
    pub(super) fn give_up(&mut self, seq: Seq) {
        self.receipts.remove(&seq);
    }
}
