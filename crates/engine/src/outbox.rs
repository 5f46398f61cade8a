use alloc::vec::Vec;

use tetherline_protocol::limits::{OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX, OUTBOX_TTL_MS};

use crate::Instant;

/// Names a send between engine and driver; the message's own id is the driver's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SendNo(pub u32);

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendRefused {
    /// Nobody is signed in.
    SignedOut,
    /// The outbox holds [`OUTBOX_MESSAGES_MAX`] messages or [`OUTBOX_BYTES_MAX`] bytes.
    OutboxFull,
}

/// Sends that have not settled, in order.
#[derive(Debug)]
pub(crate) struct Outbox<P> {
    entries: Vec<Entry<P>>,
    bytes: usize,
    last: u32,
}

#[derive(Debug)]
struct Entry<P> {
    no: SendNo,
    payload: P,
    size: usize,
    expires_at: Instant,
    stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    Queued,
    Transmitted,
}

impl<P> Outbox<P> {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), bytes: 0, last: 0 }
    }

    pub(crate) fn push(
        &mut self,
        payload: P,
        size: usize,
        now: Instant,
    ) -> Result<SendNo, SendRefused> {
        if self.entries.len() >= OUTBOX_MESSAGES_MAX || self.bytes + size > OUTBOX_BYTES_MAX {
            return Err(SendRefused::OutboxFull);
        }
        // Thirty-one bits, so that the browser can tell a number from a refusal by its sign; at
        // most OUTBOX_MESSAGES_MAX numbers are alive, so none is given twice.
        self.last = (self.last + 1) & 0x7FFF_FFFF;
        let no = SendNo(self.last);
        self.bytes += size;
        let expires_at = now + OUTBOX_TTL_MS;
        self.entries.push(Entry { no, payload, size, expires_at, stage: Stage::Queued });
        Ok(no)
    }

    /// Takes the send out, if it is still there.
    pub(crate) fn remove(&mut self, no: SendNo) -> Option<P> {
        let index = self.entries.iter().position(|entry| entry.no == no)?;
        let entry = self.entries.remove(index);
        self.bytes -= entry.size;
        Some(entry.payload)
    }

    /// Takes out the oldest send, if its time is over.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<SendNo> {
        let no = self.entries.first().filter(|entry| entry.expires_at <= now)?.no;
        self.remove(no).map(|_| no)
    }

    pub(crate) fn pop(&mut self) -> Option<SendNo> {
        let no = self.entries.first()?.no;
        self.remove(no).map(|_| no)
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.entries.first().map(|entry| entry.expires_at)
    }

    /// The oldest send that has not gone out on this connection; it counts as gone from here on.
    pub(crate) fn transmit_next(&mut self) -> Option<SendNo> {
        let entry = self.entries.iter_mut().find(|entry| entry.stage == Stage::Queued)?;
        entry.stage = Stage::Transmitted;
        Some(entry.no)
    }

    /// Everything unsettled goes out again, in order: the connection is a new one.
    pub(crate) fn requeue_all(&mut self) {
        for entry in &mut self.entries {
            entry.stage = Stage::Queued;
        }
    }

    /// This send and all after it go out again, in order: the server refuses the later ones until
    /// it has seen this one. Answers whether the send was still out.
    pub(crate) fn requeue_from(&mut self, no: SendNo) -> bool {
        let Some(index) = self.entries.iter().position(|entry| entry.no == no) else {
            return false;
        };
        if self.entries[index].stage == Stage::Queued {
            return false;
        }
        for entry in &mut self.entries[index..] {
            entry.stage = Stage::Queued;
        }
        true
    }

    pub(crate) fn payload(&self, no: SendNo) -> Option<&P> {
        self.entries.iter().find(|entry| entry.no == no).map(|entry| &entry.payload)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_millis(0);

    #[test]
    fn the_last_message_that_fits_is_taken_and_one_more_is_refused() {
        let mut outbox = Outbox::new();
        for _ in 0..OUTBOX_MESSAGES_MAX {
            outbox.push((), 1, NOW).unwrap();
        }
        assert_eq!(outbox.push((), 1, NOW), Err(SendRefused::OutboxFull));
        outbox.pop().unwrap();
        assert!(outbox.push((), 1, NOW).is_ok());
    }

    #[test]
    fn the_last_byte_that_fits_is_taken_and_one_more_is_refused() {
        let mut outbox = Outbox::new();
        outbox.push((), OUTBOX_BYTES_MAX, NOW).unwrap();
        assert_eq!(outbox.push((), 1, NOW), Err(SendRefused::OutboxFull));
        assert_eq!(Outbox::new().push((), OUTBOX_BYTES_MAX + 1, NOW), Err(SendRefused::OutboxFull));
    }

    #[test]
    fn a_send_expires_at_its_time_to_live_and_not_before() {
        let mut outbox = Outbox::new();
        let no = outbox.push((), 1, NOW).unwrap();
        assert_eq!(outbox.pop_expired(NOW + (OUTBOX_TTL_MS - 1)), None);
        assert_eq!(outbox.pop_expired(NOW + OUTBOX_TTL_MS), Some(no));
        assert_eq!(outbox.len(), 0);
    }
}
