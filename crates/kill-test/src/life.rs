//! What one page may get, and the next one of the same device after it.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::ledger::Kind;

/// What was acknowledged is written within a second; on a machine that is busy, a bit later.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);

/// What is known of a device between its pages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Device {
    /// Up to here pages were given messages.
    handed_out: u64,
    /// At least up to here the server knows for good that they are handled.
    acknowledged: u64,
    /// Up to here it has said to know it, and when; a crash may have come before it was written.
    said: Option<(u64, Instant)>,
}

/// One page's life, over any number of connections.
#[derive(Debug)]
pub(crate) struct Life {
    before: Device,
    last: Option<u64>,
}

/// How a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It said goodbye to a server that was there all the time, and was answered.
    InOrder,
    /// Anything else: acknowledgements may be lost.
    Abrupt,
}

/// A message that must not have come, or not like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Something is missing before it.
    Hole { after: u64, seq: u64 },
    /// This page had it.
    Again { seq: u64 },
    /// An earlier page had it, and the server knew that it was handled.
    Acknowledged { up_to: u64, seq: u64 },
    /// An earlier page had it, and this one is not told so.
    Unmarked { seq: u64 },
}

impl Device {
    pub(crate) fn begin(self) -> Life {
        Life { before: self, last: None }
    }
}

impl Life {
    /// When the server said where this device was, unless it has been counted on.
    pub(crate) fn said_at(&self) -> Option<Instant> {
        self.before.said.filter(|_| self.last.is_none()).map(|(_, at)| at)
    }

    /// After it was said, the server was first killed then, or never.
    pub(crate) fn survived(&mut self, killed_at: Option<Instant>) {
        if let Some((up_to, at)) = self.before.said
            && killed_at.is_none_or(|killed| killed.duration_since(at) > WRITTEN_WITHIN)
        {
            self.before.acknowledged = up_to.max(self.before.acknowledged);
        }
    }

    pub(crate) fn take(&mut self, seq: u64, replayed: bool, now: Instant) -> Result<(), Wrong> {
        let last = self.last.replace(seq);
        match last {
            Some(last) if seq <= last => return Err(Wrong::Again { seq }),
            Some(last) if seq > last + 1 => return Err(Wrong::Hole { after: last, seq }),
            Some(_) => {}
            None if seq <= self.before.acknowledged => {
                return Err(Wrong::Acknowledged { up_to: self.before.acknowledged, seq });
            }
            None if seq > self.before.handed_out + 1 => {
                return Err(Wrong::Hole { after: self.before.handed_out, seq });
            }
            // The server's cursor for this device was just before.
            None => self.before.said = Some((seq - 1, now)),
        }
        if seq <= self.before.handed_out && !replayed {
            return Err(Wrong::Unmarked { seq });
        }
        Ok(())
    }

    /// Up to where this device has everything.
    pub(crate) fn position(&self) -> u64 {
        self.before.handed_out.max(self.last.unwrap_or(0))
    }

    pub(crate) fn end(self, end: End) -> Device {
        let handed_out = self.position();
        match (end, self.last) {
            (End::InOrder, Some(last)) => Device { handed_out, acknowledged: last, said: None },
            // The next page's first message tells.
            _ => Device { handed_out, ..self.before },
        }
    }
}

impl Wrong {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Hole { .. } => Kind::Lost,
            Self::Again { .. } | Self::Acknowledged { .. } => Kind::Doubled,
            Self::Unmarked { .. } => Kind::Broken,
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hole { after, seq } => write!(formatter, "{seq} came after {after}"),
            Self::Again { seq } => write!(formatter, "{seq} came a second time"),
            Self::Acknowledged { up_to, seq } => {
                write!(formatter, "{seq} came again, though all up to {up_to} was acknowledged")
            }
            Self::Unmarked { seq } => write!(formatter, "{seq} came again and is not marked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seqs: impl IntoIterator<Item = u64>, end: End) -> Device {
        let mut life = Device::default().begin();
        for seq in seqs {
            life.take(seq, false, Instant::now()).unwrap();
        }
        life.end(end)
    }

    #[test]
    fn a_page_gets_everything_once_and_in_order() {
        let now = Instant::now();
        let mut life = Device::default().begin();
        assert_eq!(life.take(1, false, now), Ok(()));
        assert_eq!(life.take(1, true, now), Err(Wrong::Again { seq: 1 }));
        assert_eq!(life.take(3, false, now), Err(Wrong::Hole { after: 1, seq: 3 }));
        assert!(Device::default().begin().take(2, false, now).is_err());
    }

    #[test]
    fn after_an_abrupt_end_messages_may_come_again_marked_but_none_may_be_missing() {
        let now = Instant::now();
        let device = after(1..=5, End::Abrupt);
        assert_eq!(device.clone().begin().take(3, true, now), Ok(()));
        assert_eq!(device.clone().begin().take(3, false, now), Err(Wrong::Unmarked { seq: 3 }));
        assert_eq!(device.clone().begin().take(6, false, now), Ok(()));
        assert_eq!(device.begin().take(7, false, now), Err(Wrong::Hole { after: 5, seq: 7 }));
    }

    #[test]
    fn what_was_acknowledged_in_order_never_comes_again() {
        let now = Instant::now();
        let device = after(1..=5, End::InOrder);
        let wrong = Wrong::Acknowledged { up_to: 5, seq: 5 };
        assert_eq!(device.clone().begin().take(5, true, now), Err(wrong));
        assert_eq!(device.begin().take(6, false, now), Ok(()));
    }

    #[test]
    fn a_cursor_goes_back_only_when_a_kill_came_before_it_was_written() {
        let now = Instant::now();
        let mut life = after(1..=5, End::Abrupt).begin();
        life.take(4, true, now).unwrap();
        let device = life.end(End::Abrupt);
        let wrong = Wrong::Acknowledged { up_to: 3, seq: 3 };
        let next = |killed_at: Option<Instant>| {
            let mut life = device.clone().begin();
            assert_eq!(life.said_at(), Some(now));
            life.survived(killed_at);
            life.take(3, true, now)
        };
        assert_eq!(next(None), Err(wrong));
        assert_eq!(next(Some(now + WRITTEN_WITHIN)), Ok(()));
        assert_eq!(next(Some(now + WRITTEN_WITHIN + Duration::from_millis(1))), Err(wrong));
    }
}
