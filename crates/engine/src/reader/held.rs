//! Messages of held types, which wait for their handler without a limit of time.

use tetherline_protocol::{
    Seq,
    limits::{HELD_BYTES_MAX, HELD_MESSAGES_MAX},
};

use super::{HoldReason, Reader, Resume};

/// Who handles messages of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    Nobody,
    /// Nobody yet, but the type is held for somebody.
    Expected,
    Here,
}

/// What waits for a handler.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

impl Waiting {
    pub(super) fn add(&mut self, size: usize) {
        self.messages += 1;
        self.bytes += size;
    }

    pub(super) fn remove(&mut self, size: usize) {
        self.messages -= 1;
        self.bytes -= size;
    }
}

impl Reader {
    pub(super) fn is_full(&self) -> bool {
        self.expected.messages >= HELD_MESSAGES_MAX || self.expected.bytes >= HELD_BYTES_MAX
    }

    /// What was left where it was can be taken now: answers from where, once.
    pub(crate) fn read_on(&mut self) -> Option<Resume> {
        if !self.has_left_some || self.is_full() {
            return None;
        }
        self.has_left_some = false;
        self.ask_again()
    }

    /// A parked message is held from now on.
    pub(crate) fn keep(&mut self, seq: Seq) {
        if let Some(hold) = self.holds.iter_mut().find(|hold| hold.seq == seq)
            && let HoldReason::Parked { size } = hold.reason
        {
            hold.reason = HoldReason::Expected { size };
            self.parked.remove(size);
            self.expected.add(size);
        }
    }
}
